// The page replaces its body, or its whole document: the chat stands in the new one, as it was.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { stage } from './support.mjs';

/** What pages and their libraries do, run in the page. */
const REPLACEMENTS = {
  'Turbo puts a new body in its place': () => { document.body.replaceWith(new DOMParser().parseFromString('<body><h1>New</h1><claviger-chat></claviger-chat></body>', 'text/html').body); },
  'Turbo restores a clone of the body': () => { document.documentElement.replaceChild(document.body.cloneNode(true), document.body); },
  'htmx swaps what is in the body': () => { document.body.innerHTML = '<h1>New</h1>'; },
  'the body is written again as text': () => { document.body.innerHTML = `<main>${document.body.innerHTML}</main>`; },
  'the body is emptied and filled': () => { document.body.replaceChildren(); document.body.append(document.createElement('h1')); },
  'a morph takes away what the new page does not have': () => { for (const node of [...document.body.children]) if (node.localName !== 'h1') node.remove(); },
  'the document element is replaced': () => { document.replaceChild(new DOMParser().parseFromString('<html><body><h1>New</h1></body></html>', 'text/html').documentElement, document.documentElement); },
  'the document element is written again': () => { document.documentElement.innerHTML = '<head><title>New</title></head><body><h1>New</h1></body>'; },
  'document.open and write': () => { document.open(); document.write('<!doctype html><title>New</title><h1>New</h1>'); document.close(); },
  'document.open that is never closed': () => { document.open(); document.write('<!doctype html><title>New</title><body><h1>New</h1>'); },
  'the body goes, and another comes later': () => { document.body.remove(); setTimeout(() => document.documentElement.append(document.createElement('body')), 300); },
  'the body is replaced ten times in a turn': () => { for (let i = 0; i < 10; i++) document.documentElement.replaceChild(document.createElement('body'), document.body); },
};

describe('f2: the page replaces its body', () => {
  let s;
  before(async () => {
    s = await stage({
      pages: (path, { worker, key }) => path === '/loose'
        ? `<!doctype html><html lang="en"><head><title>x</title></head><body><h1>A site</h1><input id="theirs" aria-label="theirs"><script async src="${worker}/widget.js" data-key="${key}"></script></body></html>`
        : undefined,
    });
  });
  after(() => s?.stop());

  const state = (page) => page.evaluate(() => {
    const hosts = document.querySelectorAll('claviger-chat');
    const root = hosts[0]?.shadowRoot;
    return { hosts: hosts.length, inBody: hosts[0]?.parentNode === document.body, focused: root?.activeElement?.localName, text: root?.querySelector('textarea').value };
  });

  for (const [name, replace] of Object.entries(REPLACEMENTS)) {
    it(`f2_${name}: the open chat stays open, with its text, its focus and its messages`, async () => {
      const v = await s.visit(s.site, { path: '/loose' });
      await v.launcher.click();
      await v.say('before');
      await v.message('before').waitFor();
      await v.input.fill('half a sentence');
      await v.page.evaluate(replace);
      await v.page.waitForFunction(() => document.body?.querySelector('claviger-chat'), null, { timeout: 5000 });
      assert.deepEqual(await state(v.page), { hosts: 1, inBody: true, focused: 'textarea', text: 'half a sentence' });
      assert.equal(await v.dialog.evaluate((node) => getComputedStyle(node).position), 'fixed');
      await v.input.press('Enter');
      await v.message('half a sentence').waitFor();
      assert.equal(await v.message('before').count(), 1);
      await v.input.press('Escape');
      await v.launcher.click();
      await v.dialog.waitFor();
      await v.closeButton.click();
      await v.page.evaluate(() => window.claviger.open());
      await v.dialog.waitFor();
      assert.deepEqual(v.complaints, []);
      await v.context.close();
    });
  }

  it('f2_a chat that was closed stays closed, and takes no focus from the page', async () => {
    const v = await s.visit(s.site, { path: '/loose' });
    await v.launcher.waitFor();
    await v.page.evaluate(() => {
      const body = document.createElement('body');
      const field = body.appendChild(document.createElement('input'));
      document.documentElement.replaceChild(body, document.body);
      field.focus();
    });
    await v.launcher.waitFor();
    assert.equal(await v.dialog.count(), 0);
    assert.equal(await v.page.evaluate(() => document.activeElement.localName), 'input');
    await v.launcher.click();
    await v.input.fill('x');
    await v.page.evaluate(() => {
      document.documentElement.replaceChild(document.createElement('body'), document.body);
      document.body.appendChild(document.createElement('input')).focus();
    });
    await v.dialog.waitFor();
    assert.equal(await v.page.evaluate(() => document.activeElement.localName), 'input', 'the new page’s own field keeps it');
    await v.context.close();
  });

  it('f2_the tag that a new body runs again makes no second chat and no complaint', async () => {
    const v = await s.visit(s.site, { path: '/loose' });
    await v.launcher.waitFor();
    await v.page.evaluate(async () => {
      const old = document.querySelector('script[data-key]');
      const body = document.createElement('body');
      const tag = body.appendChild(document.createElement('script'));
      for (const { name, value } of old.attributes) tag.setAttribute(name, value);
      const loaded = new Promise((done) => { tag.onload = done; });
      document.documentElement.replaceChild(body, document.body);
      await loaded;
    });
    assert.equal((await state(v.page)).hosts, 1);
    assert.deepEqual(v.complaints, []);
    await v.launcher.click();
    await v.dialog.waitFor();
    await v.context.close();
  });

  for (const [how, take] of Object.entries({
    'in each microtask': () => { new MutationObserver(() => document.querySelector('claviger-chat')?.remove()).observe(document.documentElement, { childList: true, subtree: true }); document.querySelector('claviger-chat').remove(); },
    'twice in each tick': () => { setInterval(() => { document.querySelector('claviger-chat')?.remove(); Promise.resolve().then(() => document.querySelector('claviger-chat')?.remove()); }, 1); },
    'by a new body in each frame': () => { const again = () => { document.documentElement.replaceChild(document.createElement('body'), document.body); requestAnimationFrame(again); }; again(); },
  })) {
    it(`f2_a page that removes the chat ${how} does not freeze: the chat stays away, and the console says why`, async () => {
      const v = await s.visit(s.site, { path: '/loose' });
      await v.launcher.waitFor();
      await v.page.evaluate(take);
      await v.page.waitForTimeout(3000);
      assert.equal(await v.page.evaluate(() => 1 + 1), 2);
      const words = v.complaints.filter((text) => text.includes('keeps removing the chat'));
      assert.equal(words.length, 1, String(v.complaints));
      assert.equal(await v.page.evaluate(() => document.querySelectorAll('claviger-chat').length), 0);
      await v.context.close();
    });
  }

  it('f2_a page that replaces its body three times a second keeps its chat', async () => {
    const v = await s.visit(s.site, { path: '/loose' });
    await v.launcher.click();
    await v.page.evaluate(() => { setInterval(() => document.documentElement.replaceChild(document.createElement('body'), document.body), 300); });
    await v.page.waitForTimeout(9000);
    await v.dialog.waitFor();
    assert.deepEqual(v.complaints, []);
    await v.context.close();
  });
});
