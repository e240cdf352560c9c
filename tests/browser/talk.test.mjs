// A visitor and an operator talk, on a site with another origin than the worker's.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { stage, until } from './support.mjs';

describe('the widget on a listed site', () => {
  let s;
  before(async () => { s = await stage(); });
  after(() => s?.stop());

  it('makes no call before the panel is open, and none before the first message', async () => {
    const v = await s.visit();
    await v.launcher.waitFor();
    await v.page.waitForTimeout(300);
    await v.launcher.click();
    await v.page.waitForTimeout(300);
    assert.deepEqual(v.calls, []);
    assert.equal(await v.stored(), null);
    await v.context.close();
  });

  it('carries a message to the operator and the reply back, without one console error', async () => {
    const v = await s.visit(s.site, { colorScheme: 'light', viewport: { width: 1100, height: 760 } });
    await v.launcher.click();
    await v.say('Hello, does the blue one come in size 42?');
    await v.message('size 42').waitFor();
    const { conversation, history_secret, expires_at } = await v.stored();
    assert.ok(history_secret && Date.parse(expires_at) > Date.now());
    assert.ok((await s.conversations()).some(({ id }) => id === conversation));
    assert.deepEqual((await s.messages(conversation)).map(({ from, text }) => [from, text]), [['visitor', 'Hello, does the blue one come in size 42?']]);

    await s.reply(conversation, 'Yes, and it ships today.');
    await v.message('ships today').waitFor();
    assert.match(await v.message('ships today').textContent(), /^Support: Yes/);
    await v.say('Great, thank you!');
    await v.message('Great, thank you!').waitFor();
    await v.shot('talk-light');
    assert.deepEqual(v.complaints, []);
    await v.context.close();
  });

  it('shows the history after a reload, also one of several pages, in order and once', async () => {
    const v = await s.visit(s.site, { colorScheme: 'dark', viewport: { width: 1100, height: 760 } });
    await v.launcher.click();
    await v.say('first');
    await v.message('first').waitFor();
    const { conversation } = await v.stored();
    for (let i = 1; i <= 55; i++) await s.reply(conversation, `reply ${i}.`);
    await v.page.reload();
    await v.launcher.click();
    await v.message('reply 55.').waitFor();
    const texts = await v.log.locator('.message p').allTextContents();
    assert.deepEqual(texts, ['first', ...Array.from({ length: 55 }, (_, i) => `reply ${i + 1}.`)]);
    await v.shot('talk-dark');
    assert.deepEqual(v.complaints, []);
    await v.context.close();
  });

  it('shows markup as text, whoever wrote it', async () => {
    const v = await s.visit();
    const markup = '<img src=x onerror="window.owned=1"><script>window.owned=1</script><b>bold</b>';
    await v.launcher.click();
    await v.say(markup);
    await v.message('onerror').waitFor();
    await s.reply((await v.stored()).conversation, markup);
    await until(async () => (await v.message('onerror').count()) === 2, 'the reply');
    assert.deepEqual(await v.log.locator('.message p').allTextContents(), [markup, markup]);
    assert.equal(await v.log.locator('img, script, b').count(), 0);
    assert.equal(await v.page.evaluate(() => window.owned), undefined);
    assert.deepEqual(v.complaints, []);
    await v.context.close();
  });

  it('is styled under a policy that allows no inline style', async () => {
    const v = await s.visit();
    await v.launcher.click();
    assert.equal(await v.dialog.evaluate((node) => getComputedStyle(node).position), 'fixed');
    assert.equal(await v.page.evaluate(() => document.querySelectorAll('[style], style').length), 0);
    await v.context.close();
  });

  it('keeps two tabs on one conversation, also when both begin at once', async () => {
    const a = await s.visit();
    const b = await s.visit(s.site, { context: a.context });
    await a.page.bringToFront();
    await Promise.all([a, b].map((tab) => tab.page.evaluate(() => window.claviger.open())));
    await Promise.all([a.say('from tab one'), b.say('from tab two')]);
    await a.message('from tab one').waitFor();
    await b.message('from tab two').waitFor();
    const { conversation } = await a.stored();
    await until(async () => (await s.messages(conversation)).length === 2, 'both messages in one conversation');
    await a.page.bringToFront();
    await a.message('from tab two').waitFor();
    assert.deepEqual(a.complaints.concat(b.complaints), []);
    await a.context.close();
  });

  it('takes over the secret that another tab has rotated', async () => {
    const a = await s.visit();
    await a.launcher.click();
    await a.say('before');
    await a.message('before').waitFor();
    const b = await s.visit(s.site, { context: a.context });
    const old = await a.stored();
    // The second tab rotates because its clock says that less than 7 days are left.
    await b.page.clock.setSystemTime(Date.parse(old.expires_at) - 6 * 86400e3);
    await b.page.evaluate(() => window.claviger.open());
    await until(async () => (await a.stored()).history_secret !== old.history_secret, 'the rotation');
    await a.page.bringToFront();
    await a.say('after');
    await a.message('after').waitFor();
    assert.equal((await a.stored()).conversation, old.conversation);
    assert.equal((await s.messages(old.conversation)).length, 2);
    assert.deepEqual(a.complaints, []);
    await a.context.close();
  });

  it('fills the screen of a phone', async () => {
    const v = await s.visit(s.site, { viewport: { width: 390, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
    await v.launcher.tap();
    await v.say('Hello from the phone');
    await v.message('from the phone').waitFor();
    await s.reply((await v.stored()).conversation, 'Hello! A longer answer, so that one sees how it wraps: https://example.com/a/very/long/address/without/any/place/to/break/it/at/all');
    await v.message('longer answer').waitFor();
    assert.deepEqual(await v.dialog.boundingBox(), { x: 0, y: 0, width: 390, height: 780 });
    await v.shot('phone');
    await v.context.close();
  });
});
