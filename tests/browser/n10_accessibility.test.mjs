// The widget adds no accessibility finding to the page that it is in, and says one thing at a time.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { stage, until } from './support.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const VIEWS = [1100, 390].flatMap((width) => ['light', 'dark'].map((colorScheme) => ({ colorScheme, viewport: { width, height: 760 }, reducedMotion: 'reduce' })));

describe('n10: accessibility', () => {
  let s;
  before(async () => {
    s = await stage({
      pages: (path, { worker, key }) => (path === '/shop'
        ? `<!doctype html><html lang="en"><head><title>A shop</title><meta name="viewport" content="width=device-width, initial-scale=1"><style>html { color: #222; background: #fff; }</style></head>
<body><header><nav aria-label="Shop"><a href="/bags" style="color: #00c">Bags</a></nav></header><main><h1>A shop</h1><h2>Bags</h2><p>Three of them.</p></main><footer>Imprint</footer>
<script async src="${worker}/widget.js" data-key="${key}"></script></body></html>`
        : undefined),
    });
  });
  after(() => s?.stop());

  async function findings(v) {
    await v.page.evaluate(AXE);
    const { violations } = await v.page.evaluate((values) => window.axe.run(document, { runOnly: { type: 'tag', values } }), TAGS);
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join('; ')}`);
  }

  for (const settings of VIEWS) {
    it(`n10_axe finds nothing in a page with the widget, closed, open and in trouble (${settings.colorScheme}, ${settings.viewport.width} px)`, async () => {
      const v = await s.visit(s.site, { path: '/shop', ...settings });
      await v.launcher.waitFor();
      assert.deepEqual(await findings(v), [], 'closed');
      await v.launcher.click();
      assert.deepEqual(await findings(v), [], 'open and empty');
      await v.say('hello');
      await v.message('hello').waitFor();
      const { conversation } = await v.stored();
      await s.reply(conversation, 'Hello, how can we help?');
      await v.message('how can we help').waitFor({ timeout: 15_000 });
      assert.deepEqual(await findings(v), [], 'a conversation');
      await v.page.route(/\/messages/, (route) => (route.request().method() === 'POST'
        ? route.fulfill({ status: 500, headers: { 'Access-Control-Allow-Origin': s.site }, contentType: 'application/json', body: '{"success":false,"code":"internal","request_id":"req_0123456789ab"}' })
        : route.fallback()));
      await v.say('lost');
      await v.message('lost', 'failed').waitFor();
      assert.deepEqual(await findings(v), [], 'not sent');
      await v.page.unrouteAll();
      await v.context.setOffline(true);
      await v.say('later');
      await v.status.filter({ hasText: 'offline' }).waitFor();
      assert.deepEqual(await findings(v), [], 'offline');
      await v.shot(`trouble-${settings.colorScheme}-${settings.viewport.width}`);
      await v.context.setOffline(false);
      await v.closeButton.click();
      await s.reply(conversation, 'Are you there?');
      await v.page.reload();
      await v.page.getByRole('button', { name: 'Chat with us, 1 new message' }).waitFor();
      assert.deepEqual(await findings(v), [], 'with a badge');
      await v.shot(`badge-${settings.colorScheme}-${settings.viewport.width}`);
      await v.context.close();
    });
  }

  it('n10_the page’s landmarks and headings stay its own', async () => {
    const v = await s.visit(s.site, { path: '/shop' });
    await v.launcher.click();
    assert.deepEqual(await v.page.getByRole('heading').allTextContents(), ['A shop', 'Bags']);
    assert.equal(await v.page.getByRole('banner').count(), 1);
    assert.equal(await v.page.getByRole('region', { name: 'Chat with us' }).count(), 1);
    await v.context.close();
  });

  it('n10_who is offline reads one truth: “Not sent yet”, never “Sending…”', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await v.say('one');
    await v.message('one').waitFor();
    await v.context.setOffline(true);
    await v.say('two');
    await v.say('three');
    for (let i = 0; i < 12; i++) {
      await v.page.waitForTimeout(100);
      if ((await v.status.textContent()).includes('offline')) assert.equal(await v.log.getByText('Sending…').count(), 0);
    }
    await v.status.filter({ hasText: 'offline' }).waitFor();
    assert.deepEqual(await v.log.locator('[data-state=pending] small').allTextContents(), ['Not sent yet', 'Not sent yet']);
    await v.context.setOffline(false);
    await v.message('three').waitFor();
    assert.equal(await v.status.textContent(), '');
    await v.context.close();
  });

  it('n10_who writes too much reads that it goes on by itself, and nothing to do', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await v.say('one');
    await v.message('one').waitFor();
    // Long enough for all that is looked at before it sends again, on a busy machine too.
    let times = 1;
    await v.page.route(/\/messages/, (route) => (route.request().method() !== 'POST' || times-- <= 0 ? route.fallback() : route.fulfill({
      status: 429, headers: { 'Access-Control-Allow-Origin': s.site, 'Access-Control-Expose-Headers': 'Retry-After', 'Retry-After': '8' }, contentType: 'application/json', body: '{"success":false,"code":"rate_limited"}',
    })));
    await v.say('two');
    await v.status.filter({ hasText: /^Too many messages\. Sending continues in \d s\.$/ }).waitFor();
    assert.equal(await v.log.locator('[data-state=pending] small').textContent(), 'Not sent yet');
    assert.doesNotMatch(await v.dialog.textContent(), /try again|Sending…/i);
    // Offline and back meanwhile: it still waits, and still says so.
    await v.context.setOffline(true);
    await v.status.filter({ hasText: 'offline' }).waitFor();
    await v.context.setOffline(false);
    await until(async () => !(await v.status.textContent()).includes('offline'), 'the way back');
    assert.equal(await v.log.getByText('Sending…').count(), 0);
    await v.message('two').waitFor();
    assert.equal(await v.status.textContent(), '');
    await v.context.close();
  });

  it('n10_with forced colours and without motion everything is still there', async () => {
    const v = await s.visit(s.site, { path: '/shop', forcedColors: 'active', reducedMotion: 'reduce', viewport: { width: 1100, height: 760 } });
    await v.launcher.click();
    await v.say('hello');
    await v.message('hello').waitFor();
    for (const control of [v.launcher, v.sendButton, v.closeButton, v.log.locator('.message p').first()]) {
      const [style, width] = await control.evaluate((node) => { const own = getComputedStyle(node); return [own.borderTopStyle, own.borderTopWidth]; });
      assert.deepEqual([style, width], ['solid', '1px']);
    }
    assert.equal(await v.dialog.evaluate((node) => getComputedStyle(node).animationName), 'none');
    await v.shot('forced-colors');
    await v.context.close();
  });

  it('n10_nothing of it is printed', async () => {
    const v = await s.visit(s.site, { path: '/shop' });
    await v.launcher.click();
    await v.page.emulateMedia({ media: 'print' });
    for (const node of [v.page.locator('.launcher'), v.page.locator('.panel')]) assert.equal(await node.isVisible(), false);
    await v.context.close();
  });
});
