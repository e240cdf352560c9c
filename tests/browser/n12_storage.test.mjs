// Whatever stands in the browser's storage, and whatever the page's policies are, the chat works or says why it does not.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { stage, until } from './support.mjs';

const ENDED = 'This conversation has ended. Your next message starts a new one.';

describe('n12: a secret that no longer verifies', () => {
  let s;
  before(async () => { s = await stage(); });
  after(() => s?.stop());

  async function begun() {
    const v = await s.visit();
    await v.launcher.click();
    await v.say('in the old one');
    await v.message('in the old one').waitFor();
    return { v, old: await v.stored() };
  }
  /** What a worker answers a listed page about such a secret. */
  const refuse = (v) => v.page.route(/\/conv_[^/]+\/messages/, async (route) => {
    const { authorization } = await route.request().allHeaders();
    if (!authorization?.endsWith('AAAA')) return route.fallback();
    return route.fulfill({
      status: 401, headers: { 'Access-Control-Allow-Origin': s.site, Vary: 'Origin' }, contentType: 'application/json',
      body: JSON.stringify({ success: false, code: 'invalid_credential', error: 'This credential is not valid.', request_id: 'req_0123456789ab' }),
    });
  });
  const spoil = (v) => v.page.evaluate((name) => {
    const kept = JSON.parse(localStorage.getItem(name));
    localStorage.setItem(name, JSON.stringify({ ...kept, history_secret: kept.history_secret.slice(0, -4) + 'AAAA' }));
  }, `claviger:${s.key.id}`);

  it('n12_the visitor is told that the conversation has ended, and the next message begins anew', async () => {
    const { v, old } = await begun();
    await refuse(v);
    await spoil(v);
    await v.page.reload();
    await v.launcher.click();
    await v.log.getByText(ENDED).waitFor();
    assert.equal(await v.status.textContent(), '');
    await until(async () => (await v.stored()) === null, 'the dead secret to be forgotten');
    await v.say('in the new one');
    await v.message('in the new one').waitFor();
    const now = await v.stored();
    assert.notEqual(now.conversation, old.conversation);
    assert.deepEqual((await s.messages(now.conversation)).map(({ text }) => text), ['in the new one']);
    await v.context.close();
  });

  it('n12_a message that is on its way when the secret dies goes into the new conversation, once', async () => {
    const { v } = await begun();
    await refuse(v);
    await spoil(v);
    await v.page.reload();
    const before = (await s.conversations()).length;
    await v.launcher.click();
    await v.say('must not be lost');
    await v.message('must not be lost').waitFor();
    assert.equal(await v.log.getByText(ENDED).count(), 1);
    assert.equal((await s.conversations()).length, before + 1);
    assert.deepEqual((await s.messages((await v.stored()).conversation)).map(({ text }) => text), ['must not be lost']);
    await v.context.close();
  });

  it('n12_a page whose calls never come with their own secret opens no conversation after the other', async () => {
    const v = await s.visit();
    const before = (await s.conversations()).length;
    await v.page.route(/\/messages/, (route) => route.fulfill({
      status: 401, headers: { 'Access-Control-Allow-Origin': s.site }, contentType: 'application/json', body: '{"success":false,"code":"invalid_credential"}',
    }));
    await v.launcher.click();
    await v.say('hello');
    await v.message('hello', 'failed').waitFor();
    assert.ok((await s.conversations()).length - before <= 3);
    assert.ok(v.complaints.some((text) => /changes the calls of the chat: a secret that was issued just now is refused/.test(text)), String(v.complaints));
    await v.context.close();
  });
});

describe('storage of any content', () => {
  let s;
  before(async () => {
    s = await stage({
      pages(path, { worker, key }) {
        const script = `<script async nonce="n1" src="${worker}/widget.js" data-key="${key}"></script>`;
        if (path === '/plain') return `<!doctype html><title>x</title><body><h1>x</h1>${script}</body>`;
        if (path === '/sandbox') return { headers: { 'Content-Security-Policy': 'sandbox allow-scripts allow-forms' }, html: `<!doctype html><title>x</title><body>${script}</body>` };
        if (path === '/old-engine') return `<!doctype html><title>x</title><body><script>delete window.CSSStyleSheet; window.CSSStyleSheet = undefined; delete AbortSignal.timeout; delete String.prototype.toWellFormed; delete crypto.__proto__.randomUUID;</script>${script}</body>`;
        if (path === '/nonce') return { policy: `default-src 'none'; script-src 'nonce-n1' 'strict-dynamic'; style-src 'nonce-n1'; connect-src ${worker}; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'`, html: `<!doctype html><title>x</title><body><script nonce="n1">window.CSSStyleSheet = undefined</script>${script}</body>` };
        if (path === '/isolated') return { headers: { 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Opener-Policy': 'same-origin', 'Permissions-Policy': 'accelerometer=(), camera=(), clipboard-read=(), clipboard-write=(), fullscreen=(), geolocation=(), microphone=(), sync-xhr=(), web-share=()', 'Document-Policy': 'document-write=?0' }, html: `<!doctype html><title>x</title><body>${script}</body>` };
        return undefined;
      },
    });
  });
  after(() => s?.stop());

  const talks = async (v, text = 'hello') => {
    await v.launcher.click();
    await v.say(text);
    await v.message(text).waitFor();
    assert.equal(await v.dialog.evaluate((node) => getComputedStyle(node).position), 'fixed');
  };

  const CONTENT = ['', 'x', 'null', '0', '7', '"text"', '[]', '[1,2]', '{}', '{"conversation":1,"history_secret":2}', '{"conversation":"conv_x"}',
    '{"conversation":{"toString":1},"history_secret":["x"]}', '{"conversation":"a/../b?c#d","history_secret":"x"}', '{"conversation":"conv_x","history_secret":"line\\nbreak"}',
    '{"conversation":"conv_x","history_secret":"😀"}', '{"conversation":"","history_secret":""}', '{"__proto__":{"conversation":"conv_x","history_secret":"x"}}', `{"conversation":"${'x'.repeat(9999)}","history_secret":"x"}`,
    '{"conversation":"conv_x","history_secret":"x","expires_at":{},"seen":[]}', '\ud800'];
  const UNSENT = ['', 'x', 'null', '7', '"text"', '{}', '{"length":3}', '[null,1,"x",[],{}]', '[{"text":7,"key":8}]', '[{"text":"","key":"k"}]', '[{"text":" ","key":"k"}]', `[{"text":"${'x'.repeat(20000)}","key":"k"}]`];

  it('whatever stands in localStorage under the widget’s name, the chat begins', async () => {
    const v = await s.visit(s.site, { path: '/plain' });
    for (const content of CONTENT) {
      await v.page.evaluate(([name, value]) => { localStorage.clear(); sessionStorage.clear(); localStorage.setItem(name, value); }, [`claviger:${s.key.id}`, content]);
      await v.page.reload();
      await talks(v, `with content ${CONTENT.indexOf(content)}.`);
      await v.page.goto(`${s.site}/plain`);
    }
    assert.ok(!v.complaints.some((text) => /Error/.test(text)), String(v.complaints));
    await v.context.close();
  });

  it('whatever stands in sessionStorage, nothing is sent but texts, and a text with a strange key gets another', async () => {
    const v = await s.visit(s.site, { path: '/plain' });
    for (const content of UNSENT) {
      await v.page.evaluate(([name, value]) => { localStorage.clear(); sessionStorage.clear(); sessionStorage.setItem(name, value); }, [`claviger:${s.key.id}`, content]);
      await v.page.reload();
      await talks(v);
      assert.equal(await v.log.locator('.message').count(), 1, content.slice(0, 40));
    }
    await v.page.evaluate((name) => { localStorage.clear(); sessionStorage.setItem(name, '[{"text":"kept","key":{"a":"b"}},{"text":"too","key":"a b\\nc"}]'); }, `claviger:${s.key.id}`);
    await v.page.reload();
    await talks(v);
    assert.deepEqual((await s.messages((await v.stored()).conversation)).map(({ text }) => text), ['kept', 'too', 'hello']);
    await v.context.close();
  });

  it('a value that another tab spoils does not end the conversation here', async () => {
    const v = await s.visit(s.site, { path: '/plain' });
    await talks(v);
    const { conversation } = await v.stored();
    const other = await s.visit(s.site, { path: '/plain', context: v.context });
    await other.page.evaluate((name) => localStorage.setItem(name, 'spoiled'), `claviger:${s.key.id}`);
    await v.page.bringToFront();
    await v.page.waitForTimeout(500);
    await v.say('still here');
    await v.message('still here').waitFor();
    assert.equal(await v.log.getByText(ENDED).count(), 0);
    assert.deepEqual((await s.messages(conversation)).map(({ text }) => text), ['hello', 'still here']);
    await v.context.close();
  });

  for (const [name, spoil] of Object.entries({
    'is full': () => { Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }; },
    'throws on every access': () => { for (const store of ['localStorage', 'sessionStorage']) Object.defineProperty(window, store, { get() { throw new DOMException('blocked', 'SecurityError'); } }); },
    'is null': () => { for (const store of ['localStorage', 'sessionStorage']) Object.defineProperty(window, store, { value: null }); },
    'forgets all': () => { Storage.prototype.getItem = () => null; },
  })) {
    it(`where the storage ${name}, one conversation lasts as long as the page`, async () => {
      const v = await s.visit(s.site, { path: '/plain' });
      await v.page.addInitScript(spoil);
      await v.page.reload();
      const before = (await s.conversations()).length;
      await talks(v, 'one');
      await v.say('two');
      await v.message('two').waitFor();
      await v.page.evaluate(() => window.dispatchEvent(new StorageEvent('storage', { key: null, newValue: null })));
      await v.say('three');
      await v.message('three').waitFor();
      if (name !== 'forgets all') {
        const [newest, ...rest] = await s.conversations();
        assert.equal(rest.length, before);
        assert.deepEqual((await s.messages(newest.id)).map(({ text }) => text), ['one', 'two', 'three']);
      }
      await v.context.close();
    });
  }

  it('a sandboxed page is told why it has no chat', async () => {
    const v = await s.visit(s.site, { path: '/sandbox' });
    await v.launcher.click();
    await v.say('from nowhere');
    await v.status.filter({ hasText: 'Chat is not available on this site.' }).waitFor();
    assert.ok(v.complaints.some((text) => /Claviger: this page has no origin/.test(text)), String(v.complaints));
    await v.context.close();
  });

  for (const path of ['/old-engine', '/nonce', '/isolated']) {
    it(`it works and is styled on the page ${path}`, async () => {
      const v = await s.visit(s.site, { path });
      await talks(v);
      await v.page.reload();
      await v.launcher.click();
      await v.message('hello').waitFor();
      assert.deepEqual(v.complaints, []);
      await v.context.close();
    });
  }
});
