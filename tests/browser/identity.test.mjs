// Visitors who are signed in: each has a conversation of their own, on a shared computer too, and the operator sees who it is.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stage, until } from './support.mjs';
import { seed } from '../../tools/dev/seed.mjs';
import { startDemo } from '../../tools/dev/server.mjs';

const view = { colorScheme: 'light', viewport: { width: 1180, height: 760 } };
const UNCONFIRMED = 'Your sign-in could not be confirmed. Reload the page and try again.';

/** What the customer's server would sign. */
function sign({ kid, secret }, sub, { age = 0, life = 300 } = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const iat = Math.floor(Date.now() / 1000) - age;
  const signed = `${part({ alg: 'HS256', kid })}.${part({ sub, aud: 'demo', iat, exp: iat + life })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

const shown = (v) => v.log.locator('.message').evaluateAll((rows) => rows.map((row) => row.querySelector('p').textContent));

describe('the widget of a signed-in visitor', () => {
  let s, identity;
  before(async () => {
    s = await stage();
    identity = await s.admin('POST', '/v1/workspaces/demo/identity-secrets');
  });
  after(() => s?.stop());

  /** A page whose server says who is signed in; `tokens` are handed out by its function one after the other, then again. */
  async function page(tokens) {
    const opened = await s.visit(s.site, view);
    await opened.page.addInitScript((list) => {
      window.asked = 0;
      window.tokens = list;
      window.clavigerIdentity = async () => window.tokens[Math.min(window.asked++, window.tokens.length - 1)];
    }, tokens);
    await opened.page.reload();
    return Object.assign(opened, {
      asked: () => opened.page.evaluate(() => window.asked),
      become: (...next) => opened.page.evaluate((list) => { window.asked = 0; window.tokens = list; window.claviger.identify(); }, next),
    });
  }
  const newest = async () => (await s.conversations())[0];

  it('is verified with what stands in the page, and keeps one person’s conversation from the next', async () => {
    const context = await s.browser.newContext(view);
    const open = async (path) => { const v = await s.visit(s.site, { context, path }); await v.launcher.click(); return v; };
    const ada = await open(`/signed-in/${sign(identity, 'ada')}`);
    await ada.say('I am Ada');
    await ada.message('I am Ada').waitFor();
    const { verified, subject } = await newest();
    assert.deepEqual([verified, subject], [true, 'ada']);
    await ada.page.close();

    // The same browser, later: somebody else, nobody, and Ada again with a token of her own.
    const bo = await open(`/signed-in/${sign(identity, 'bo')}`);
    await bo.say('I am Bo');
    await bo.message('I am Bo').waitFor();
    assert.deepEqual(await shown(bo), ['I am Bo']);
    await bo.page.close();
    const nobody = await open('/');
    await nobody.say('I am nobody');
    await nobody.message('I am nobody').waitFor();
    assert.deepEqual(await shown(nobody), ['I am nobody']);
    await nobody.page.close();
    const again = await open(`/signed-in/${sign(identity, 'ada')}`);
    await again.message('I am Ada').waitFor();
    assert.deepEqual(await shown(again), ['I am Ada']);
    assert.deepEqual((await s.conversations()).slice(0, 3).map((item) => item.subject), [null, 'bo', 'ada']);

    const names = await again.page.evaluate(() => Object.keys(localStorage));
    assert.equal(names.length, 3);
    assert.ok(!names.some((name) => /ada|bo/.test(name.split(':')[2] ?? '')), `the names say who: ${names}`);
    assert.deepEqual(ada.complaints.concat(bo.complaints, nobody.complaints, again.complaints), []);
    await context.close();
  });

  it('asks the page’s function when the panel opens and not before, and again when the token has expired', async () => {
    const v = await page([sign(identity, 'cy', { age: 400 }), sign(identity, 'cy')]);
    await v.launcher.waitFor();
    await v.page.waitForTimeout(300);
    assert.equal(await v.asked(), 0);
    await v.launcher.click();
    await until(async () => (await v.asked()) === 1, 'the question who is signed in');
    assert.deepEqual(v.calls, []);
    await v.say('hello');
    await v.message('hello').waitFor();
    assert.equal(await v.asked(), 2);
    assert.equal((await newest()).subject, 'cy');
    await v.say('and more');
    await v.message('and more').waitFor();
    assert.equal(await v.asked(), 2, 'a conversation that is open needs no token');
    await v.context.close();
  });

  it('takes everything off the screen when somebody else signs in without a reload', async () => {
    const v = await page([sign(identity, 'dee')]);
    await v.launcher.click();
    await v.say('secret of Dee');
    await v.message('secret of Dee').waitFor();
    await v.input.fill('half a sentence of Dee');
    // A message of hers that is still on its way must not come back to the screen, nor go out under another name.
    await v.page.route(/\/messages$/, async (route) => {
      if (route.request().method() !== 'POST') return route.continue();
      await new Promise((wake) => setTimeout(wake, 800));
      return route.continue().catch(() => {});
    });
    await v.say('last words of Dee');
    await v.message('last words', 'pending').waitFor();
    await v.become(sign(identity, 'eve'));
    assert.deepEqual(await shown(v), []);
    assert.equal(await v.input.inputValue(), '');
    await v.page.waitForTimeout(1200);
    assert.deepEqual(await shown(v), []);
    await v.page.unrouteAll({ behavior: 'ignoreErrors' });
    await v.say('I am Eve');
    await v.message('I am Eve').waitFor();
    assert.equal((await newest()).subject, 'eve');
    assert.deepEqual((await s.messages((await newest()).id)).map(({ text }) => text), ['I am Eve']);

    await v.become(null);
    assert.deepEqual(await shown(v), []);
    await v.say('nobody now');
    await v.message('nobody now').waitFor();
    assert.deepEqual([(await newest()).verified, (await newest()).subject], [false, null]);
    await v.become(sign(identity, 'dee'));
    await v.message('secret of Dee').waitFor();
    await v.message('last words of Dee').waitFor();
    assert.deepEqual(await shown(v), ['secret of Dee', 'last words of Dee']);
    assert.equal(await v.page.locator('claviger-chat').count(), 1);
    assert.deepEqual(v.complaints, []);
    await v.context.close();
  });

  it('says so when a sign-in is not confirmed, and opens nothing as nobody instead', async () => {
    const before = (await s.conversations()).length;
    for (const token of ['', 'x', sign({ ...identity, secret: 'guess' }, 'ada'), sign(identity, 'ada', { age: 400 })]) {
      const v = await page([token]);
      await v.launcher.click();
      await v.say('hello');
      await v.status.filter({ hasText: UNCONFIRMED }).waitFor();
      await v.message('hello', 'failed').waitFor();
      assert.ok(v.complaints.some((text) => /Claviger: no conversation could be opened: (in|ex)/.test(text)), String(v.complaints));
      await v.context.close();
    }
    assert.equal((await s.conversations()).length, before);
  });

  it('gives nobody’s message to somebody whom the page did not announce', async () => {
    const v = await page([sign(identity, 'ada', { age: 400 }), sign(identity, 'bo')]);
    await v.launcher.click();
    await v.say('written as Ada');
    await v.status.filter({ hasText: UNCONFIRMED }).waitFor();
    assert.notEqual((await newest())?.subject, 'bo');
    await v.context.close();
  });
});

describe('a widget that is for signed-in visitors only', () => {
  let s;
  before(async () => { s = await stage({ widget: { identity: '"required"' } }); });
  after(() => s?.stop());

  it('asks the visitor to sign in', async () => {
    const v = await s.visit(s.site, view);
    await v.launcher.click();
    await v.say('hello');
    await v.status.filter({ hasText: 'Please sign in to use the chat.' }).waitFor();
    await v.shot('sign-in-required');
    const identity = await s.admin('POST', '/v1/workspaces/demo/identity-secrets');
    await v.page.evaluate((token) => window.claviger.identify(token), sign(identity, 'ada'));
    await v.say('hello again');
    await v.message('hello again').waitFor();
    assert.deepEqual((await s.conversations()).map(({ subject }) => subject), ['ada']);
    await v.context.close();
  });
});

describe('the demo’s customers', () => {
  let s, demo, folder, seeded;
  before(async () => {
    s = await stage();
    folder = await mkdtemp(join(tmpdir(), 'claviger-demo-'));
    const probe = createServer().listen(0, '127.0.0.1');
    const port = await new Promise((found) => probe.once('listening', () => { const { port } = probe.address(); probe.close(() => found(port)); }));
    const facts = { worker: s.worker.url, deployKey: s.worker.deployKey, stateFile: join(folder, 'seed.json'), origins: [`http://127.0.0.1:${port}`] };
    seeded = await seed(facts);
    demo = await startDemo({ ...seeded, worker: s.worker.url, widgetKey: seeded.widgetKey.secret, deployKey: s.worker.deployKey, port });
  });
  after(async () => {
    await demo?.stop();
    await s?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  for (const colorScheme of ['light', 'dark']) {
    it(`are known to the operator by what the shop’s server signed, in ${colorScheme}`, async () => {
      const settings = { ...view, colorScheme };
      const shop = await s.visit(demo.url, settings);
      const panel = shop.page.getByRole('dialog', { name: 'Chat with Fernweh' });
      const say = async (text) => {
        await panel.getByRole('textbox').fill(text);
        await panel.getByRole('textbox').press('Enter');
        await panel.locator('[data-state=sent]').filter({ hasText: text }).waitFor();
      };
      await shop.page.getByRole('button', { name: 'Chat with Fernweh' }).click();
      await say('Just looking. Do you ship to Norway?');
      await shop.page.getByRole('button', { name: 'Sign in as Ada' }).click();
      await shop.page.getByText('Signed in: ada@fernweh.example').waitFor();
      await say('Where is my order?');
      assert.equal(await panel.getByText('Norway').count(), 0);
      await shop.shot(`signed-in-${colorScheme}`);

      // A name that would be markup, if it were not text.
      const markup = '<img src=x onerror="alert(1)">';
      const body = JSON.stringify({ identity: sign(seeded.identity, markup) });
      const headers = { Origin: demo.url, 'Content-Type': 'application/json' };
      const opened = await fetch(`${s.worker.url}/w/${seeded.widgetKey.secret}/conversations`, { method: 'POST', headers, body });
      assert.equal(opened.status, 201);

      const pane = await s.visit(demo.url, { ...settings, path: '/operator' });
      const list = pane.page.getByRole('navigation', { name: 'Conversations' });
      await list.getByText('ada@fernweh.example').first().waitFor();
      await list.getByText(markup).first().waitFor();
      assert.equal(await pane.page.locator('img').count(), 0);
      const facts = await list.getByRole('link').evaluateAll((links) => links.map((link) => link.lastChild.textContent));
      assert.ok(facts.includes('✓ verified ada@fernweh.example') && facts.includes('not verified'), String(facts));
      await list.getByRole('link').filter({ hasText: 'not verified' }).first().click();
      await pane.page.locator('#identity').filter({ hasText: 'not verified' }).waitFor();
      await list.getByRole('link').filter({ hasText: 'ada@' }).first().click();
      await pane.page.locator('#identity').filter({ hasText: '✓ verified ada@fernweh.example' }).waitFor();
      await pane.page.getByRole('log').getByText('Where is my order?').waitFor();
      await pane.shot(`operator-verified-${colorScheme}`);
      assert.deepEqual(shop.complaints.concat(pane.complaints), []);
      await Promise.all([shop.context.close(), pane.context.close()]);
    });
  }

  it('sign their tokens for their own pages alone', async () => {
    const cookie = { Cookie: 'customer=ada' };
    const ask = async (headers) => (await fetch(`${demo.url}/chat-identity`, { headers: { ...cookie, ...headers } })).status;
    assert.deepEqual([await ask({ 'Sec-Fetch-Site': 'same-origin' }), await ask({ 'Sec-Fetch-Site': 'cross-site' }), await ask({ 'Sec-Fetch-Site': 'same-site' })], [200, 403, 403]);
    const nobody = await fetch(`${demo.url}/chat-identity`, { headers: { 'Sec-Fetch-Site': 'same-origin', Cookie: 'customer=constructor' } });
    assert.deepEqual(await nobody.json(), { token: null });
  });
});
