// When something is wrong the widget says what, loses no message and sends none twice.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { stage, until } from './support.mjs';

const OFFLINE = 'You are offline. Messages are kept and sent when you are back.';
const REFUSED = 'Chat is not available on this site.';
const view = { viewport: { width: 900, height: 720 } };

/** Answers the next `times` calls that match as a broken or busy server would; the rest reach the worker. */
async function instead(v, origin, method, times, answer) {
  await v.page.route(/\/w\/.*\/messages/, (route) => {
    if (route.request().method() !== method || times-- <= 0) return route.fallback();
    if (answer === 'swallow') return route.fetch().then(() => route.abort());      // it counted, and the visitor never hears
    return route.fulfill({
      status: answer.status,
      headers: { 'Access-Control-Allow-Origin': origin, 'Access-Control-Expose-Headers': 'Retry-After', ...answer.headers },
      contentType: 'application/json',
      body: JSON.stringify({ success: false, request_id: 'req_0123456789ab', ...answer.body }),
    });
  });
}

describe('the widget when something is wrong', () => {
  let s;
  before(async () => { s = await stage(); });
  after(() => s?.stop());

  it('says on a site that is not listed that chat is not available, tells its owner why, and stores nothing', async () => {
    const v = await s.visit(s.elsewhere, view);
    await v.launcher.click();
    await v.say('anybody there?');
    await v.status.filter({ hasText: REFUSED }).waitFor();
    await v.message('anybody there?', 'failed').waitFor();
    assert.equal(await v.retry.count(), 1);
    assert.equal(await v.stored(), null);
    const hints = v.complaints.filter((text) => text.includes('Claviger'));
    assert.equal(hints.length, 1);
    assert.ok(hints[0].includes(s.elsewhere), hints[0]);
    await v.shot('refused');
    await v.context.close();
  });

  it('is refused in a frame without an origin', async () => {
    const v = await s.visit(s.site, { path: '/outer' });
    const frame = v.page.frameLocator('iframe');
    await frame.getByRole('button', { name: 'Chat with us' }).click();
    const input = frame.getByRole('textbox', { name: 'Your message' });
    await input.fill('from nowhere');
    await input.press('Enter');
    await frame.getByRole('status').filter({ hasText: REFUSED }).waitFor();
    assert.ok(v.complaints.some((text) => text.includes('no origin')));
    await v.context.close();
  });

  it('names the policy of the page when that is what stops it', async () => {
    const v = await s.visit(s.site, { path: '/no-connect' });
    await v.launcher.click();
    await v.say('hello');
    await v.status.filter({ hasText: REFUSED }).waitFor();
    assert.ok(v.complaints.some((text) => /Claviger.*connect-src/.test(text)));
    await v.context.close();
  });

  it('keeps a message that was written offline, and sends it once when the visitor is back', async () => {
    const v = await s.visit(s.site, view);
    await v.launcher.click();
    await v.say('one');
    await v.message('one').waitFor();
    await v.context.setOffline(true);
    await v.say('two');
    await v.status.filter({ hasText: OFFLINE }).waitFor();
    await v.message('two', 'pending').waitFor();
    await v.shot('offline');
    await v.context.setOffline(false);
    await v.message('two').waitFor();
    assert.equal(await v.status.textContent(), '');
    const { conversation } = await v.stored();
    assert.deepEqual((await s.messages(conversation)).map(({ text }) => text), ['one', 'two']);
    await v.context.close();
  });

  it('keeps an unsent message over a reload', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await v.say('one');
    await v.message('one').waitFor();
    await v.page.route(/\/w\/|\/healthz/, (route) => route.abort());
    await v.say('two');
    await v.status.filter({ hasText: OFFLINE }).waitFor();
    await v.page.unroute(/\/w\/|\/healthz/);
    await v.page.reload();
    await v.launcher.click();
    await v.message('two').waitFor();
    assert.deepEqual((await s.messages((await v.stored()).conversation)).map(({ text }) => text), ['one', 'two']);
    await v.context.close();
  });

  it('sends while the worker is away as soon as it is back', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await v.say('one');
    await v.message('one').waitFor();
    await s.worker.kill();
    await v.say('two');
    await v.status.filter({ hasText: OFFLINE }).waitFor();
    await s.worker.restart();
    await v.message('two').waitFor();
    assert.deepEqual((await s.messages((await v.stored()).conversation)).map(({ text }) => text), ['one', 'two']);
    await v.context.close();
  });

  it('does not double a message whose answer was lost', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await v.say('one');
    await v.message('one').waitFor();
    await instead(v, s.site, 'POST', 1, 'swallow');
    await v.say('two');
    await v.message('two').waitFor();
    assert.deepEqual((await s.messages((await v.stored()).conversation)).map(({ text }) => text), ['one', 'two']);
    assert.equal(await v.log.locator('.message').count(), 2);
    await v.context.close();
  });

  it('shows the request id when the server fails, and sends on Retry', async () => {
    const v = await s.visit(s.site, view);
    await v.launcher.click();
    await v.say('one');
    await v.message('one').waitFor();
    await instead(v, s.site, 'POST', 1, { status: 500, body: { code: 'internal', error: 'Something broke.' } });
    await v.say('two');
    await v.status.filter({ hasText: 'Chat has a problem (request id req_0123456789ab).' }).waitFor();
    await v.message('two', 'failed').waitFor();
    await v.shot('server-error');
    await v.retry.click();
    await v.message('two').waitFor();
    assert.equal(await v.status.textContent(), '');
    assert.deepEqual((await s.messages((await v.stored()).conversation)).map(({ text }) => text), ['one', 'two']);
    await v.context.close();
  });

  it('does not call a visitor offline, nor a site unlisted, when the worker itself is ill', async () => {
    const v = await s.visit();
    await v.page.route(/\/w\//, (route) => route.abort());
    await v.page.route(/\/healthz$/, (route) => route.fulfill({ status: 503, headers: { 'Access-Control-Allow-Origin': '*' }, body: '{}' }));
    await v.launcher.click();
    await v.say('hello');
    await v.status.filter({ hasText: /^Chat has a problem\.$/ }).waitFor();
    await v.page.unrouteAll();
    await v.retry.click();
    await v.message('hello').waitFor();
    assert.ok(!v.complaints.some((text) => text.includes('Claviger')));
    await v.context.close();
  });

  it('counts down after too many messages and then sends by itself', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await v.say('one');
    await v.message('one').waitFor();
    await instead(v, s.site, 'POST', 1, { status: 429, headers: { 'Retry-After': '2' }, body: { code: 'rate_limited' } });
    await v.say('two');
    await v.status.filter({ hasText: /^Too many messages\. Sending continues in [12] s\.$/ }).waitFor();
    await v.message('two').waitFor();
    assert.equal(await v.status.textContent(), '');
    await v.context.close();
  });

  it('hands over the identity that the page’s server signed, keeps it apart, and says when it is not confirmed', async () => {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const identity = `${part({ alg: 'HS256' })}.${part({ sub: 'customer-7' })}.c2ln`;
    const v = await s.visit(s.site, { path: `/signed-in/${identity}` });
    const answers = [
      { status: 401, body: { success: false, code: 'invalid_credential', request_id: 'req_0123456789ab' } },
      { status: 201, body: { conversation: 'cnv_x', history_secret: 'clv_hs_test_x', expires_at: new Date(Date.now() + 30 * 86400e3).toISOString(), verified: true } },
    ];
    const bodies = [];
    await v.page.route(/\/conversations$/, (route) => {
      bodies.push(route.request().postDataJSON());
      const { status, body } = answers.shift();
      return route.fulfill({ status, headers: { 'Access-Control-Allow-Origin': s.site }, contentType: 'application/json', body: JSON.stringify(body) });
    });
    await v.page.route(/\/messages/, (route) => route.abort());
    await v.launcher.click();
    await v.say('it is me');
    await v.status.filter({ hasText: 'Your sign-in could not be confirmed. Reload the page and try again.' }).waitFor();
    await v.retry.click();
    const names = () => v.page.evaluate(() => Object.keys(localStorage));
    await until(async () => (await names()).length > 0, 'a store of this customer’s own');
    assert.match(String(await names()), new RegExp(`^claviger:${s.key.id}:[\\w+/]{24}$`), 'which does not say whose');
    assert.deepEqual(bodies, [{ identity }, { identity }]);
    assert.equal(await v.stored(), null);
    await v.context.close();
  });

  it('refuses a message that is too long before it is sent, and keeps what was written', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await v.input.fill('ü'.repeat(8193));
    await v.input.press('Enter');
    await v.status.filter({ hasText: 'too long' }).waitFor();
    assert.equal((await v.input.inputValue()).length, 8193);
    assert.deepEqual(v.calls, []);
    await v.context.close();
  });
});

describe('the widget under the policy limit of 2 messages a minute', () => {
  let s;
  before(async () => { s = await stage({ widget: { messages_per_minute: 2 } }); });
  after(() => s?.stop());

  it('hears from the worker how long to wait', async () => {
    const v = await s.visit(s.site, view);
    await v.launcher.click();
    for (const text of ['one', 'two']) { await v.say(text); await v.message(text).waitFor(); }
    await v.say('three');
    await v.status.filter({ hasText: /^Too many messages\. Sending continues in \d+ s\.$/ }).waitFor();
    assert.ok(Number(/(\d+) s/.exec(await v.status.textContent())[1]) <= 61);
    await v.message('three', 'pending').waitFor();
    await v.shot('rate-limited');
    assert.equal((await s.messages((await v.stored()).conversation)).length, 2);
    await until(async () => (await v.message('three').count()) === 1, 'the third message after the countdown', 75);
    await v.context.close();
  });
});
