// A conversation ends by its own rules; what the visitor was writing goes on into the next one.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { stage, until } from './support.mjs';

const ENDED = 'This conversation has ended. Your next message starts a new one.';

describe('a conversation that has ended', () => {
  let s;
  before(async () => { s = await stage(); });
  after(() => s?.stop());

  async function begun(settings) {
    const v = await s.visit(s.site, settings);
    await v.launcher.click();
    await v.say('in the old one');
    await v.message('in the old one').waitFor();
    return { v, old: await v.stored() };
  }

  async function goesOn(v, old) {
    await v.say('must not be lost');
    await v.log.getByText(ENDED).waitFor();
    await v.message('must not be lost').waitFor();
    const now = await v.stored();
    assert.notEqual(now.conversation, old.conversation);
    assert.deepEqual((await s.messages(now.conversation)).map(({ text }) => text), ['must not be lost']);
    assert.equal(await v.status.textContent(), '');
    assert.equal(await v.log.getByText(ENDED).count(), 1);
  }

  it('by a close in another window does not cost the message that is being sent', async () => {
    const { v, old } = await begun({ viewport: { width: 900, height: 720 } });
    assert.equal((await v.call('POST', '/close')).status, 200);
    await goesOn(v, old);
    await v.shot('ended');
    await v.context.close();
  });

  it('not by a rotation of the widget key: the page with the new key shows the same history', async () => {
    const { v, old } = await begun({ viewport: { width: 900, height: 720 } });
    const before = s.key.secret;
    const rotated = await s.admin('POST', `/v1/credentials/${s.key.id}/rotate`, { overlap_seconds: 3600 });
    try {
      s.key.secret = rotated.secret;
      const next = await s.visit(s.site, { context: v.context });
      await next.launcher.click();
      await next.message('in the old one').waitFor();
      assert.deepEqual(await next.stored(), old);
      assert.equal(next.calls.some((line) => line.includes(before)), false);
    } finally {
      await v.context.close();
    }
  });

  it('by its time does not either', async () => {
    const { v, old } = await begun();
    // A day is the shortest life that a policy can give, so this one answer is the worker's word put into its mouth.
    let times = 1;
    await v.page.route(/\/messages/, (route) => (route.request().method() !== 'POST' || times-- <= 0 ? route.fallback() : route.fulfill({
      status: 401,
      headers: { 'Access-Control-Allow-Origin': s.site },
      contentType: 'application/json',
      body: JSON.stringify({ success: false, code: 'expired_credential', error: 'This credential has expired.', request_id: 'req_0123456789ab' }),
    })));
    await goesOn(v, old);
    await v.context.close();
  });

  it('by a rotation elsewhere whose secret was lost does not either', async () => {
    const { v, old } = await begun();
    assert.equal((await v.call('POST', '/secret/rotate')).status, 201);
    await v.call('GET', '/messages');       // the old secret is dead already
    await goesOn(v, old);
    await v.context.close();
  });

  it('by a forged or foreign secret in the store does not either', async () => {
    const { v, old } = await begun();
    await v.page.evaluate((name) => {
      const kept = JSON.parse(localStorage.getItem(name));
      localStorage.setItem(name, JSON.stringify({ ...kept, history_secret: kept.history_secret.slice(0, -4) + 'AAAA' }));
    }, `claviger:${s.key.id}`);
    await v.page.reload();
    await v.launcher.click();
    await goesOn(v, old);
    await v.context.close();
  });

  it('is not ended when only another tab has a newer secret', async () => {
    const { v, old } = await begun();
    // As if the storage event had not arrived yet: the page still holds the old secret, the store has the new one.
    const { body } = await v.call('POST', '/secret/rotate');
    await v.page.evaluate(([name, value]) => localStorage.setItem(name, value),
      [`claviger:${s.key.id}`, JSON.stringify({ conversation: old.conversation, history_secret: body.history_secret, expires_at: body.expires_at })]);
    await v.say('still here');
    await v.message('still here').waitFor();
    assert.equal((await v.stored()).conversation, old.conversation);
    assert.equal(await v.log.getByText(ENDED).count(), 0);
    await v.context.close();
  });

  it('is renewed in time: with fewer than 7 days left the secret is rotated and the history stays', async () => {
    const { v, old } = await begun();
    await v.page.evaluate((name) => {
      const kept = JSON.parse(localStorage.getItem(name));
      localStorage.setItem(name, JSON.stringify({ ...kept, expires_at: new Date(Date.now() + 6 * 86400e3).toISOString() }));
    }, `claviger:${s.key.id}`);
    await v.page.reload();
    await v.launcher.click();
    await v.message('in the old one').waitFor();
    const now = await v.stored();
    assert.notEqual(now.history_secret, old.history_secret);
    assert.ok(Date.parse(now.expires_at) > Date.now() + 20 * 86400e3);
    const rotations = () => v.calls.filter((line) => line.endsWith('/secret/rotate')).length;
    assert.equal(rotations(), 1);
    await v.page.waitForTimeout(5500);      // one more poll
    assert.equal(rotations(), 1);
    await v.context.close();
  });

  it('is noticed while reading, without any message', async () => {
    const { v } = await begun();
    await v.call('POST', '/close');
    await v.log.getByText(ENDED).waitFor({ timeout: 15000 });
    await until(async () => (await v.stored()) === null, 'the dead secret to be forgotten');
    await v.context.close();
  });
});
