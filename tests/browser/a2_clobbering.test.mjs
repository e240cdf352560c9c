// Markup in a customer's page (what sanitizers let through) takes no name that the widget believes in, and leads it nowhere.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import { eavesdropper, stage, until } from './support.mjs';

const DOCUMENT = ['currentScript', 'body', 'head', 'scripts', 'documentElement', 'createElement', 'createElementNS', 'addEventListener', 'hidden',
  'visibilityState', 'readyState', 'activeElement', 'getElementById', 'querySelector', 'querySelectorAll', 'adoptedStyleSheets', 'defaultView', 'implementation', 'cookie'];
const WINDOW = ['fetch', 'crypto', 'localStorage', 'sessionStorage', 'navigator', 'location', 'addEventListener', 'matchMedia', 'setTimeout', 'history', 'origin'];

/** Every markup by what it is. */
const MARKUP = (evil) => ({
  'an image named currentScript': `<img name="currentScript" src="${evil}/widget.js" data-key="clv_wk_live_AWs">`,
  'a form named currentScript with a field src': `<form name="currentScript" data-key="clv_wk_live_AWs"><input name="src" value="${evil}/widget.js"></form>`,
  'an svg and an object named currentScript': `<object name="currentScript" data="${evil}/widget.js" data-key="clv_wk_live_AWs"></object>`,
  'images named as what a document has': DOCUMENT.map((name) => `<img name="${name}" alt="">`).join(''),
  'forms named as what a document has': DOCUMENT.map((name) => `<form name="${name}"><input name="attachShadow"><input name="append"></form>`).join(''),
  'frames named as what a document has': DOCUMENT.map((name) => `<iframe name="${name}" title="x"></iframe>`).join(''),
  'links with the ids of what a window has': WINDOW.map((name) => `<a id="${name}" href="${evil}/x"></a>`).join(''),
  'frames named as what a window has': WINDOW.map((name) => `<iframe name="${name}" title="x"></iframe>`).join(''),
  'a link with the id claviger': '<a id="claviger" href="x"></a>',
  'a form with the id claviger': '<form id="claviger"><input name="open"><input name="identify"></form>',
  'two links with the id claviger': '<a id="claviger"></a><a id="claviger" name="open"></a>',
  'a frame named claviger': '<iframe name="claviger" title="x"></iframe>',
  'a foreign frame named claviger': `<iframe name="claviger" src="${evil}/frame" title="x"></iframe>`,
  'a link with the id clavigerIdentity': `<a id="clavigerIdentity" href="${evil}/x"></a>`,
  'a frame named clavigerIdentity': '<iframe name="clavigerIdentity" title="x"></iframe>',
  'a foreign frame named clavigerIdentity': `<iframe name="clavigerIdentity" src="${evil}/frame" title="x"></iframe>`,
  'a form with the id clavigerConfig': `<form id="clavigerConfig" title="Evil"><input name="key" value="clv_wk_live_AWs"><input name="origin" value="${evil}"></form>`,
  'two links with the id clavigerConfig': `<a id="clavigerConfig"></a><a id="clavigerConfig" name="origin" href="${evil}"></a>`,
  'a frame named clavigerConfig': `<iframe name="clavigerConfig" srcdoc="&lt;a id='origin' href='${evil}'>&lt;/a>" title="x"></iframe>`,
  'a foreign frame named clavigerConfig': `<iframe name="clavigerConfig" src="${evil}/frame" title="x"></iframe>`,
  'a base that leads elsewhere': `<base href="${evil}/">`,
  'elements of the widget’s own name': '<claviger-chat>not the chat</claviger-chat>',
});

describe('a2: markup of the page', () => {
  let s, evil, identity, tag;
  const where = new Map();
  before(async () => {
    evil = await eavesdropper();
    Object.entries(MARKUP(evil.origin)).forEach(([name, markup], at) => where.set(`/clobber/${at}`, { name, markup }));
    s = await stage({
      pages(path, { worker, key }) {
        const [wanted, place] = path.split('?');
        if (path === '/widget.js') return { html: readFileSync(new URL('../../www/widget.js', import.meta.url)), type: 'text/javascript' };
        const attributes = `data-key="${key}" data-identity="${tag}"`;
        if (path === '/relative') {
          return `<!doctype html><title>x</title><body><script async src="widget.js" ${attributes}></script><base href="${evil.origin}/"></body>`;
        }
        if (path === '/polluted') {
          return `<!doctype html><title>x</title><script>
            Object.assign(Object.prototype, { origin: '${evil.origin}', title: 'Evil', key: 'clv_wk_live_AWs', identity: 'evil', clavigerIdentity: 'evil', onclick: 'window.owned = 1', style: 'x',
              get: () => 1, mode: 'no-cors', body: 'evil', method: 'DELETE', once: true, conversation: 'conv_evil', history_secret: 'evil', text: 'evil', delegatesFocus: true, next: 'msg_9' });
            </script><script async src="${worker}/widget.js" ${attributes}></script>`;
        }
        const found = where.get(wanted);
        if (!found) return undefined;
        const script = `<script ${place === 'module' ? 'type="module"' : place} src="${worker}/widget.js" ${attributes}></script>`;
        return `<!doctype html><html><head><title>x</title></head><body>${found.markup}<h1>A site</h1>${script}</body></html>`;
      },
    });
    const { kid, secret } = await s.admin('POST', '/v1/workspaces/demo/identity-secrets');
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const iat = Math.floor(Date.now() / 1000);
    const signed = `${part({ alg: 'HS256', kid })}.${part({ sub: 'ada', aud: 'demo', iat, exp: iat + 3600 })}`;
    tag = `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  });
  after(async () => { await s?.stop(); evil?.stop(); });

  async function works(path) {
    const v = await s.visit(s.site, { path });
    await v.launcher.click({ timeout: 10_000 });
    await v.say(`hello from ${path}`);
    await v.message('hello from').waitFor({ timeout: 10_000 });
    const [newest] = await s.conversations();
    assert.deepEqual([newest.verified, newest.subject], [true, 'ada']);
    assert.deepEqual((await s.messages(newest.id)).map(({ text }) => text), [`hello from ${path}`]);
    assert.equal(await v.page.evaluate(() => typeof Object.getOwnPropertyDescriptor(window, 'claviger').value.open), 'function');
    assert.equal(await v.page.evaluate(() => window.owned), undefined);
    assert.deepEqual(evil.heard, []);
    return v;
  }

  Object.keys(MARKUP('')).forEach((name, at) => {
    it(`a2_${name} changes nothing, whether the tag is a script or a module`, async () => {
      for (const place of ['', 'module']) {
        const v = await works(`/clobber/${at}?${place}`);
        await v.context.close();
      }
    });
  });

  it('a2_a polluted Object.prototype gives the widget no option, no attribute and no member of a call', async () => {
    const v = await works('/polluted');
    assert.equal(await v.launcher.getAttribute('onclick'), null);
    await v.context.close();
  });

  it('a2_a base that markup brings in later does not lead a relative tag elsewhere', async () => {
    const v = await s.visit(s.site, { path: '/relative' });
    const asked = [];
    await v.page.route(/\/w\//, (route) => { asked.push(new URL(route.request().url()).origin); return route.abort(); });
    await v.launcher.click();
    await v.say('hello');
    await until(() => asked.length, 'a call');
    assert.deepEqual([...new Set(asked)], [s.site]);
    assert.deepEqual(evil.heard, []);
    await v.context.close();
  });

  it('a2_an identity that a clobbered function answers is refused here and goes nowhere', async () => {
    const v = await s.visit(s.site, { path: '/clobber/0?' });
    await v.page.evaluate(() => {
      document.body.insertAdjacentHTML('beforeend', '<a id="tokenOfThePage" href="https://x.example/"></a>');
      window.claviger.identify(() => window.tokenOfThePage);
    });
    await v.launcher.click();
    await v.say('hello');
    await v.status.filter({ hasText: 'could not be confirmed' }).waitFor();
    assert.ok(!v.calls.some((call) => call.includes('/w/')), String(v.calls));
    assert.ok(v.complaints.some((text) => /an identity is a text/.test(text)), String(v.complaints));
    await v.context.close();
  });
});
