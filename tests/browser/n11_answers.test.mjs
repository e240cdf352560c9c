// An operator's answer is noticed while the panel is closed, and after a reload; nothing is asked where no conversation exists.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { stage, until } from './support.mjs';

describe('n11: answers while the panel is closed', () => {
  let s;
  before(async () => { s = await stage(); });
  after(() => s?.stop());

  const badge = (v) => v.page.locator('.badge');
  const name = (v) => v.page.locator('.launcher').getAttribute('aria-label');
  const gets = (v) => v.calls.filter((line) => line.startsWith('GET')).length;

  async function begun() {
    const v = await s.visit();
    await v.launcher.click();
    await v.say('a question');
    await v.message('a question').waitFor();
    return { v, conversation: (await v.stored()).conversation };
  }

  it('n11_nothing is asked where no conversation exists, however long the page stays', async () => {
    const context = await s.browser.newContext();
    const v = await s.visit(s.site, { context });
    await v.launcher.waitFor();
    await v.page.clock.install();
    await v.page.evaluate(() => { localStorage.setItem('other', 'x'); localStorage.setItem('claviger:wk_other', '{}'); });
    await v.page.reload();
    await v.launcher.waitFor();
    await v.page.clock.runFor(200_000);
    await v.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await v.page.waitForTimeout(300);
    assert.deepEqual(v.calls, []);
    await context.close();
  });

  it('n11_after a reload one GET finds the answer: a badge with a number, in the name and announced', async () => {
    const { v, conversation } = await begun();
    await v.closeButton.click();
    await s.reply(conversation, 'first answer');
    await s.reply(conversation, 'second answer');
    v.calls.length = 0;
    await v.page.reload();
    await until(async () => (await badge(v).textContent()) === '2', 'the badge');
    assert.equal(await name(v), 'Chat with us, 2 new messages');
    assert.equal(await v.page.getByRole('status').filter({ hasText: '2 new messages' }).count(), 1);
    await v.page.waitForTimeout(1500);
    assert.equal(gets(v), 1, String(v.calls));
    assert.ok(v.calls.every((line) => line.startsWith('GET')), String(v.calls));
    await v.shot('badge');

    await v.launcher.click();
    await v.message('second answer').waitFor();
    assert.equal(await badge(v).isVisible(), false);
    assert.equal(await name(v), 'Chat with us');
    await until(async () => (await v.stored()).seen === 'msg_3', 'what was read to be kept');
    await v.page.reload();
    await v.launcher.waitFor();
    await v.page.waitForTimeout(1000);
    assert.equal(await badge(v).isVisible(), false, 'what was read is not new');
    await s.reply(conversation, 'third answer');
    await v.page.reload();
    await until(async () => (await badge(v).textContent()) === '1', 'only what came since');
    await v.context.close();
  });

  it('n11_while the page is visible and the panel closed it looks once a minute, and not while the page is hidden', async () => {
    const { v, conversation } = await begun();
    await v.page.clock.install();
    await v.page.reload();
    await until(() => gets(v) > 0, 'the look at the start');
    await v.page.waitForTimeout(300);
    v.calls.length = 0;
    await s.reply(conversation, 'an answer');
    await v.page.clock.runFor(50_000);
    await v.page.waitForTimeout(300);
    assert.equal(gets(v), 0);
    await v.page.clock.runFor(11_000);
    await until(async () => (await badge(v).textContent()) === '1', 'the badge');
    await v.page.waitForTimeout(300);
    assert.equal(gets(v), 1);
    // The page goes into the background.
    await v.page.evaluate(() => { Object.defineProperty(Document.prototype, 'hidden', { get: () => true, configurable: true }); document.dispatchEvent(new Event('visibilitychange')); });
    await v.page.clock.runFor(200_000);
    await v.page.waitForTimeout(300);
    assert.ok(gets(v) <= 1, String(v.calls));
    await s.reply(conversation, 'one more');
    await v.page.evaluate(() => { Object.defineProperty(Document.prototype, 'hidden', { get: () => false, configurable: true }); document.dispatchEvent(new Event('visibilitychange')); });
    await until(async () => (await badge(v).textContent()) === '2', 'the look when it is seen again');
    assert.equal(gets(v), 2);
    await v.context.close();
  });

  it('n11_what one tab reads is new in no other, and what the visitor wrote elsewhere counts as read', async () => {
    const { v, conversation } = await begun();
    await v.closeButton.click();
    await s.reply(conversation, 'an answer');
    const b = await s.visit(s.site, { context: v.context });
    await until(async () => (await badge(b).textContent()) === '1', 'the badge of the second tab');
    await v.page.bringToFront();
    await v.page.reload();
    await until(async () => (await badge(v).textContent()) === '1', 'the badge of the first tab');
    await v.launcher.click();
    await v.message('an answer').waitFor();
    await until(async () => (await badge(b).isVisible()) === false, 'the badge of the second tab to go');
    assert.equal(await name(b), 'Chat with us');
    assert.deepEqual(v.complaints.concat(b.complaints), []);
    await v.context.close();
  });

  it('n11_a tab that was open before the first message hears of the conversation that another began', async () => {
    const a = await s.visit();
    await a.launcher.waitFor();
    const b = await s.visit(s.site, { context: a.context });
    await b.launcher.click();
    await b.say('from the other tab');
    await b.message('from the other tab').waitFor();
    await b.closeButton.click();
    await b.page.close();
    await a.page.bringToFront();
    await s.reply((await a.stored()).conversation, 'an answer');
    await a.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await until(async () => (await badge(a).textContent()) === '1', 'the badge', 70);
    await a.context.close();
  });

  it('n11_a signed-in visitor’s function is asked at the start only where this browser has had a conversation', async () => {
    const v = await s.visit();
    await v.page.addInitScript(() => { window.asked = 0; window.clavigerIdentity = () => { window.asked++; return null; }; });
    await v.page.reload();
    await v.launcher.waitFor();
    await v.page.waitForTimeout(300);
    assert.equal(await v.page.evaluate(() => window.asked), 0);
    await v.launcher.click();
    await v.say('hello');
    await v.message('hello').waitFor();
    await s.reply((await v.stored()).conversation, 'an answer');
    await v.page.reload();
    await until(async () => (await badge(v).textContent()) === '1', 'the badge');
    await v.context.close();
  });

  it('n11_a conversation that ended meanwhile is not asked about again', async () => {
    const { v } = await begun();
    assert.equal((await v.call('POST', '/close')).status, 200);
    await v.page.clock.install();
    await v.page.reload();
    await until(async () => (await v.stored()) === null, 'the dead secret to be forgotten');
    v.calls.length = 0;
    await v.page.clock.runFor(200_000);
    await v.page.waitForTimeout(300);
    assert.deepEqual(v.calls, []);
    assert.equal(await badge(v).isVisible(), false);
    await v.context.close();
  });
});
