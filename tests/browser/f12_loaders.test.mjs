// However the code comes into the page, it starts, or the console says why it does not.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { eavesdropper, stage } from './support.mjs';

const fetched = (worker, then) => `<script>fetch('${worker}/widget.js').then((answer) => answer.text()).then((text) => { ${then} })</script>`;
const EVALUATED = {
  eval: '(0, eval)(text)',
  'new Function': 'new Function(text)()',
  'an inline script': "document.body.append(Object.assign(document.createElement('script'), { text }))",
  'a script of a blob': "document.body.append(Object.assign(document.createElement('script'), { src: URL.createObjectURL(new Blob([text])) }))",
};

/** Pages whose chat starts with the title “Talk”: by what they are, with where the options stand. */
const STARTS = ({ worker, key }) => ({
  'a module': `<script type="module" src="${worker}/widget.js" data-key="${key}" data-title="Talk"></script>`,
  'a module with a fragment': `<script type="module" src="${worker}/widget.js?v=1#key=${key}&title=Talk"></script>`,
  'an import with a fragment': `<script>import('${worker}/widget.js#key=${key}&title=Talk')</script>`,
  'an import with a configuration': `<script>window.clavigerConfig = { key: '${key}', title: 'Talk' }; import('${worker}/widget.js')</script>`,
  'an import with a tag of another kind beside it': `<script type="text/plain" src="https://other.example/widget.js" data-key="${key.slice(0, -2)}AA"></script><script>window.clavigerConfig = { key: '${key}', title: 'Talk' }; import('${worker}/widget.js')</script>`,
  'a tag without data-*': `<script async src="${worker}/widget.js#key=${key}&title=Talk"></script>`,
  'a tag without data-* and a configuration': `<script>var clavigerConfig = { key: ' ${key}\\n', title: 'Talk' }</script><script async src="${worker}/widget.js"></script>`,
  'a tag that a tag manager inserts': `<script>document.head.append(Object.assign(document.createElement('script'), { async: true, src: '${worker}/widget.js#title=Talk&key=${key}' }))</script>`,
  'white space around the key': `<script async src="${worker}/widget.js" data-key="\n  ${key}&nbsp;\u200b\t" data-title=" Talk "></script>`,
  'white space around the key of a fragment': `<script async src="${worker}/widget.js#key=%20${key}%0A&title=+Talk+"></script>`,
  'an empty data-key and a fragment': `<script async src="${worker}/widget.js#key=${key}" data-key="" data-title="Talk"></script>`,
  'a template that nobody filled and a configuration': `<script>window.clavigerConfig = { key: '${key}' }</script><script async src="${worker}/widget.js" data-key="{{ KEY }}" data-title="Talk"></script>`,
  'an svg script and a configuration': `<script>window.clavigerConfig = { key: '${key}', title: 'Talk' }</script><svg><script href="${worker}/widget.js"></script></svg>`,
  'a page whose errors have no stack': `<script>Error.stackTraceLimit = 0</script><script type="module" src="${worker}/widget.js" data-key="${key}" data-title="Talk"></script>`,
  ...Object.fromEntries(Object.entries(EVALUATED).flatMap(([how, code]) => [
    [`${how} with a configuration`, fetched(worker, `window.clavigerConfig = { origin: '${worker}/', key: '${key}', title: 'Talk' }; ${code}`)],
    [`${how} with the tag that a consent manager keeps inert`, `<script type="text/plain" src="${worker}/widget.js" data-key="${key}" data-title="Talk"></script>${fetched(worker, code)}`],
  ])),
});

/** Pages whose chat cannot start, and what the console says. */
const REFUSES = ({ worker, key }, evil) => ({
  'no key': [`<script async src="${worker}/widget.js"></script>`, /there is no widget key.*data-key.*#key=.*clavigerConfig/],
  'an import without a key': [`<script>import('${worker}/widget.js')</script>`, /there is no widget key/],
  'the key of a server': [`<script async src="${worker}/widget.js#key=clv_live_4kJ2"></script>`, /is not a widget key.*revoke it/],
  'a configuration that is a number': [`<script>window.clavigerConfig = 7</script><script async src="${worker}/widget.js"></script>`, /no plain object/],
  'an evaluated text without an origin': [fetched(worker, `window.clavigerConfig = { key: '${key}' }; (0, eval)(text)`), /cannot be told which server.*clavigerConfig = \{origin/],
  'an evaluated text and an origin that is none': [fetched(worker, `window.clavigerConfig = { origin: 'javascript:1', key: '${key}' }; (0, eval)(text)`), /cannot be told which server/],
  'an evaluated text and two tags that differ': [`<script type="text/plain" src="${worker}/widget.js" data-key="${key}"></script><script type="text/plain" src="${evil}/widget.js" data-key="${key}"></script>${fetched(worker, '(0, eval)(text)')}`, /several tags/],
  'a text that a loader evaluates, whose own tag has the same name': [`<script src="${evil}/vendor/widget.js"></script>`, /cannot be told which server|there is no widget key/],
});

describe('f12: however it is loaded', () => {
  let s, evil;
  before(async () => {
    evil = await eavesdropper();
    s = await stage({
      pages(path, facts) {
        const [, kind, at] = path.split('/');
        if (kind === 'vendor') return { type: 'text/javascript', html: `var clavigerConfig = { key: '${facts.key}' }; var r = new XMLHttpRequest(); r.open('GET', '${facts.worker}/widget.js', false); r.send(); (0, eval)(r.responseText)` };
        const found = kind === 'starts' ? Object.values(STARTS(facts))[at] : kind === 'refuses' ? Object.values(REFUSES(facts, at === '7' ? '' : evil.origin))[at][0] : undefined;
        if (kind === 'two') return `<!doctype html><title>x</title><body>${at === 'module'
          ? `<script type="module" src="${facts.worker}/widget.js" data-key="${facts.key}"></script><script type="module" src="${facts.worker}/widget.js#two" data-key="${facts.key}"></script>`
          : `<script src="${facts.worker}/widget.js" data-key="${facts.key}" data-title="Talk"></script><script src="${facts.worker}/widget.js" data-key="${at === 'other' ? `${facts.key.slice(0, -1)}_` : facts.key}"></script>`}`;
        return found && `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>x</title></head><body>${found}</body></html>`;
      },
    });
  });
  after(async () => { await s?.stop(); evil?.stop(); });

  Object.keys(STARTS({ worker: '', key: '' })).forEach((name, at) => {
    it(`f12_${name}: it starts and talks`, async () => {
      const v = await s.visit(s.site, { path: `/starts/${at}` });
      await v.page.getByRole('button', { name: 'Talk', exact: true }).click({ timeout: 10_000 });
      const input = v.page.getByRole('textbox');
      await input.fill('hello');
      await input.press('Enter');
      await v.page.locator('.message[data-state=sent]').waitFor();
      assert.deepEqual(v.complaints.filter((text) => text.includes('Claviger')), []);
      assert.deepEqual(evil.heard, []);
      await v.context.close();
    });
  });

  Object.entries(REFUSES({ worker: '', key: '' }, '')).forEach(([name, [, words]], at) => {
    it(`f12_${name}: it says why it does not start`, async () => {
      const v = await s.visit(s.site, { path: `/refuses/${at}` });
      for (let i = 0; i < 50 && !v.complaints.some((text) => words.test(text)); i++) await v.page.waitForTimeout(100);
      assert.ok(v.complaints.some((text) => /^Claviger: /.test(text) && words.test(text)), String(v.complaints));
      assert.equal(await v.page.locator('claviger-chat').count(), 0);
      assert.deepEqual(evil.heard, []);
      await v.context.close();
    });
  });

  for (const kind of ['same', 'other', 'module']) {
    it(`f12_two tags on a page (${kind}): one starts, and the console says so`, async () => {
      const v = await s.visit(s.site, { path: `/two/${kind}` });
      await v.page.locator('claviger-chat').waitFor({ state: 'attached' });
      for (let i = 0; i < 50 && !v.complaints.length; i++) await v.page.waitForTimeout(100);
      assert.equal(await v.page.locator('claviger-chat').count(), 1);
      assert.equal(v.complaints.length, 1, String(v.complaints));
      assert.match(v.complaints[0], /Claviger: a chat runs on this page already/);
      await v.context.close();
    });
  }
});
