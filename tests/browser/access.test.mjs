// Keyboard, screen reader, contrast and the cross-origin rules that a visitor never sees.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { contrast, stage, until } from './support.mjs';

describe('the widget for everybody', () => {
  let s;
  before(async () => { s = await stage(); });
  after(() => s?.stop());

  it('is usable with the keyboard alone', async () => {
    const v = await s.visit();
    const { keyboard } = v.page;
    const focused = () => v.page.evaluate(() => {
      const node = document.activeElement.shadowRoot?.activeElement ?? document.activeElement;
      return node.getAttribute('aria-label') ?? node.textContent;
    });
    await v.launcher.waitFor();
    await keyboard.press('Tab');
    assert.equal(await focused(), 'A link of the site');
    await keyboard.press('Tab');
    assert.equal(await focused(), 'Chat with us');
    assert.equal(await v.launcher.getAttribute('aria-expanded'), 'false');
    await keyboard.press('Enter');
    assert.equal(await v.launcher.getAttribute('aria-expanded'), 'true');
    assert.equal(await focused(), 'Your message');
    assert.notEqual(await v.input.evaluate((node) => getComputedStyle(node).outlineStyle), 'none');

    await keyboard.type('line one');
    await keyboard.press('Shift+Enter');
    await keyboard.type('line two');
    await keyboard.press('Enter');
    await v.message('line one').waitFor();
    assert.equal(await v.log.locator('.message p').textContent(), 'line one\nline two');

    await keyboard.press('Tab');
    assert.equal(await focused(), 'Send');
    await keyboard.press('Shift+Tab');
    await keyboard.press('Shift+Tab');
    assert.equal(await focused(), 'Messages');
    await keyboard.press('Shift+Tab');
    assert.equal(await focused(), 'Close chat');
    await keyboard.press('Escape');
    assert.equal(await v.dialog.count(), 0);
    assert.equal(await focused(), 'Chat with us');
    await v.context.close();
  });

  it('keeps the focus inside where the panel fills the screen', async () => {
    const v = await s.visit(s.site, { viewport: { width: 400, height: 700 } });
    await v.launcher.click();
    assert.equal(await v.dialog.getAttribute('aria-modal'), 'true');
    await v.sendButton.focus();
    await v.page.keyboard.press('Tab');
    assert.ok(await v.closeButton.evaluate((node) => node.matches(':focus')));
    await v.page.keyboard.press('Shift+Tab');
    assert.ok(await v.sendButton.evaluate((node) => node.matches(':focus')));
    await v.context.close();
  });

  it('gives every control a role and a name, and announces messages politely', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await v.say('hello');
    await v.message('hello').waitFor();
    assert.equal(await v.log.getAttribute('aria-live'), 'polite');
    assert.equal(await v.status.count(), 1);
    for (const control of [v.launcher, v.closeButton, v.sendButton, v.input]) assert.equal(await control.count(), 1);
    const nameless = await v.page.evaluate(() => [...document.querySelector('claviger-chat').shadowRoot.querySelectorAll('button, textarea, [role]')]
      .filter((node) => !node.getAttribute('aria-label') && !node.textContent.trim() && node.getAttribute('role') !== 'status').length);
    assert.equal(nameless, 0);
    for (const control of [v.launcher, v.closeButton, v.sendButton]) {
      const { width, height } = await control.boundingBox();
      assert.ok(width >= 40 && height >= 40, `target of ${width} × ${height}`);
    }
    await v.context.close();
  });

  for (const colorScheme of ['light', 'dark']) {
    it(`has contrast AA in ${colorScheme}, and no motion for those who asked for none`, async () => {
      const v = await s.visit(s.site, { colorScheme, reducedMotion: 'reduce' });
      await v.launcher.click();
      await v.say('hello');
      await v.message('hello').waitFor();
      const pairs = await v.page.evaluate(() => {
        const root = document.querySelector('claviger-chat').shadowRoot;
        const style = (selector) => getComputedStyle(root.querySelector(selector));
        const paper = style('.panel').backgroundColor;
        return {
          'own message': [style('.visitor p').color, style('.visitor p').backgroundColor],
          'time under a message': [style('small').color, paper],
          title: [style('.head').color, style('.head').backgroundColor],
          input: [style('textarea').color, style('textarea').backgroundColor],
          status: [style('.status').color, paper],
          'send button': [style('.send').color, style('.send').backgroundColor],
        };
      });
      for (const [what, [front, back]] of Object.entries(pairs)) assert.ok(contrast(front, back) >= 4.5, `${what}: ${contrast(front, back).toFixed(2)}`);
      assert.equal(await v.dialog.evaluate((node) => getComputedStyle(node).animationName), 'none');
      await v.context.close();
    });
  }

  it('opens and closes by the page’s own calls', async () => {
    const v = await s.visit();
    await v.page.waitForFunction(() => window.claviger);
    await v.page.evaluate(() => window.claviger.open());
    await v.dialog.waitFor();
    await v.page.evaluate(() => window.claviger.close());
    assert.equal(await v.dialog.count(), 0);
    await v.context.close();
  });
});

describe('the cross-origin rules', () => {
  let s;
  before(async () => { s = await stage(); });
  after(() => s?.stop());

  const preflight = (origin) => fetch(`${s.worker.url}/w/${s.key.secret}/conversations`, {
    method: 'OPTIONS',
    headers: { Origin: origin, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type' },
  });

  it('let any origin ask, for two hours, without credentials', async () => {
    for (const origin of [s.site, s.elsewhere]) {
      const { status, headers } = await preflight(origin);
      assert.ok(status === 204 || status === 200, String(status));
      assert.equal(headers.get('access-control-allow-origin'), origin);
      assert.equal(headers.get('access-control-allow-credentials'), null);
      assert.equal(headers.get('access-control-max-age'), '7200');
      assert.match(headers.get('vary') ?? '', /origin/i);
      assert.match(headers.get('access-control-allow-headers') ?? '', /authorization.*idempotency-key|idempotency-key.*authorization/is);
    }
  });

  it('cost a browser one preflight for many calls of one kind', async () => {
    const v = await s.visit();
    const devtools = await v.context.newCDPSession(v.page);
    await devtools.send('Network.enable');
    const seen = { OPTIONS: 0, GET: 0 };
    devtools.on('Network.requestWillBeSent', ({ request: { method, url } }) => { if (method in seen && url.includes('/messages')) seen[method]++; });
    await v.launcher.click();
    await v.say('hello');
    await v.message('hello').waitFor();
    // A turn each: what the widget also does when its tab is looked at again.
    const turn = async () => {
      const before = seen.GET;
      await v.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
      await until(() => seen.GET > before, 'a call');
    };
    await turn();
    const before = { ...seen };
    for (let i = 0; i < 5; i++) await turn();
    assert.ok(before.OPTIONS > 0, 'the preflights are seen at all');
    assert.equal(seen.OPTIONS, before.OPTIONS);
    assert.ok(seen.GET >= before.GET + 5);
    await v.context.close();
  });

  it('let only a listed origin read the answer', async () => {
    const open = (origin) => fetch(`${s.worker.url}/w/${s.key.secret}/conversations`, {
      method: 'POST', headers: { Origin: origin, 'Content-Type': 'application/json' }, body: '{}',
    });
    const yes = await open(s.site);
    assert.equal(yes.status, 201);
    assert.equal(yes.headers.get('access-control-allow-origin'), s.site);
    assert.match(yes.headers.get('cache-control') ?? '', /no-store/);
    for (const origin of [s.elsewhere, 'null', `${s.site}.evil.example`]) {
      const no = await open(origin);
      assert.equal(no.status, 403, origin);
      assert.equal(no.headers.get('access-control-allow-origin'), null);
      assert.equal((await no.json()).code, 'origin_not_allowed');
    }
  });
});
