// The demo that `make dev` starts: the shop, the seeding, and the operator's pane with its guarded proxy.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:net';
import { stage, until } from './support.mjs';
import { seed } from '../../tools/dev/seed.mjs';
import { startDemo } from '../../tools/dev/server.mjs';

const freePort = () => new Promise((found) => {
  const probe = createServer().listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => found(port)); });
});

describe('the demo', () => {
  let s, demo, folder, seeded;
  before(async () => {
    s = await stage();
    folder = await mkdtemp(join(tmpdir(), 'claviger-demo-'));
    const port = await freePort();
    const facts = { worker: s.worker.url, deployKey: s.worker.deployKey, stateFile: join(folder, '.dev/seed.json'), origins: [`http://127.0.0.1:${port}`] };
    seeded = await seed(facts);
    assert.deepEqual(await seed(facts), seeded, 'a second seeding finds the first one’s key');
    assert.notEqual((await seed({ ...facts, stateFile: join(folder, 'other.json'), origins: ['http://127.0.0.1:1'] })).widgetKey.id, seeded.widgetKey.id);
    demo = await startDemo({ worker: s.worker.url, widgetKey: seeded.widgetKey.secret, identity: seeded.identity, deployKey: s.worker.deployKey, port });
  });
  after(async () => {
    await demo?.stop();
    await s?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function talk(v, button = 'Chat with Fernweh') {
    await v.page.getByRole('button', { name: button }).click();
    const panel = v.page.getByRole('dialog', { name: button });
    return {
      panel,
      async say(text) {
        await panel.getByRole('textbox').fill(text);
        await panel.getByRole('textbox').press('Enter');
        await panel.locator('[data-state=sent]').filter({ hasText: text }).waitFor();
      },
      hears: (text) => panel.locator('.operator').filter({ hasText: text }).waitFor(),
    };
  }

  for (const colorScheme of ['light', 'dark']) {
    it(`lets the visitor of the shop and the operator talk, in ${colorScheme}, without one console error`, async () => {
      const settings = { colorScheme, viewport: { width: 1180, height: 760 } };
      const shop = await s.visit(demo.url, settings);
      const visitor = await talk(shop);
      await visitor.say('Hello! Does the rucksack fit a 16 inch laptop?');

      const pane = await s.visit(demo.url, { ...settings, path: '/operator' });
      const first = pane.page.getByRole('navigation', { name: 'Conversations' }).getByRole('link').first();
      await first.click();
      const log = pane.page.getByRole('log', { name: 'Messages' });
      await log.getByText('16 inch').waitFor();
      await pane.page.keyboard.type('It does, with a finger’s width to spare.');
      await pane.page.keyboard.press('Enter');
      await log.getByText('finger’s width').waitFor();
      await visitor.hears('finger’s width');
      await visitor.say('Wonderful. And if a seam goes one day?');
      await log.getByText('if a seam goes').waitFor();
      await pane.page.getByRole('textbox', { name: 'Reply' }).fill('Then we mend it, for as long as the bag lives.');
      await pane.page.getByRole('button', { name: 'Send' }).click();
      await visitor.hears('as long as the bag lives');
      await until(async () => (await pane.page.getByRole('textbox', { name: 'Reply' }).inputValue()) === '', 'an empty reply box');
      await shop.shot(`shop-${colorScheme}`);
      await pane.shot(`operator-${colorScheme}`);
      assert.deepEqual(shop.complaints.concat(pane.complaints), []);
      await Promise.all([shop.context.close(), pane.context.close()]);
    });
  }

  it('shows the shop on a phone', async () => {
    const shop = await s.visit(demo.url, { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true });
    await shop.page.getByRole('button', { name: 'Chat with Fernweh' }).waitFor();
    assert.ok(await shop.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing to scroll sideways');
    await shop.shot('shop-phone');
    await shop.context.close();
  });

  it('works on a phone: list, conversation, and back', async () => {
    const pane = await s.visit(demo.url, { path: '/operator', viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true });
    const list = pane.page.getByRole('navigation', { name: 'Conversations' });
    await list.getByRole('link').first().click();
    await pane.page.getByRole('log', { name: 'Messages' }).getByText('16 inch').waitFor();
    assert.equal(await list.isVisible(), false);
    await pane.shot('operator-phone');
    await pane.page.getByRole('link', { name: 'All conversations' }).click();
    // The address changes first, and the page when it hears of that.
    await list.waitFor({ state: 'visible' });
    await pane.context.close();
  });

  it('never gives the deploy key or the identity secret to the browser', async () => {
    const secret = s.worker.deployKey.split('|').pop();
    for (const path of ['/', '/demo.js', '/session', '/chat-identity', '/operator', '/operator.js', '/operator/api/conversations']) {
      const answer = await fetch(demo.url + path, { headers: { 'Sec-Fetch-Site': 'same-origin', Cookie: 'customer=ada' } });
      assert.equal(answer.status, 200, path);
      const text = await answer.text();
      assert.ok(!text.includes(secret) && !text.includes(seeded.identity.secret), path);
      assert.ok(![...answer.headers.values()].some((value) => value.includes(secret)), path);
    }
    assert.ok(!(await readFile(join(folder, '.dev/seed.json'), 'utf8')).includes(secret));
  });

  /** `fetch` sets Host and Sec-Fetch-* itself, so the guard is asked with a plain request. */
  const ask = (path, { method = 'GET', headers = {}, body } = {}) => new Promise((done, failed) => {
    const call = request(demo.url + path, { method, headers }, (answer) => { answer.resume(); answer.on('end', () => done(answer.statusCode)); });
    call.on('error', failed).end(body);
  });

  it('refuses the proxy to every page but its own', async () => {
    const [{ id }] = await s.conversations();
    const path = `/operator/api/conversations/${id}/messages`;
    const own = { 'Sec-Fetch-Site': 'same-origin' };
    assert.equal(await ask(path, { headers: own }), 200);
    assert.equal(await ask(path, { headers: { Origin: demo.url } }), 200);
    assert.equal(await ask(path), 403);
    for (const site of ['cross-site', 'same-site', 'none']) assert.equal(await ask(path, { headers: { 'Sec-Fetch-Site': site, Origin: demo.url } }), 403);
    for (const origin of ['https://evil.example', 'null']) assert.equal(await ask(path, { headers: { Origin: origin } }), 403);
    assert.equal(await ask(path, { headers: { ...own, Host: 'evil.example' } }), 421);

    const post = (headers) => ask(path, { method: 'POST', headers: { ...own, ...headers }, body: '{"text":"x"}' });
    assert.equal(await post({ 'Content-Type': 'text/plain' }), 415);
    assert.equal(await post({ 'Content-Type': 'application/x-www-form-urlencoded' }), 415);
    assert.equal(await post({ 'Content-Type': 'application/json' }), 201);
  });

  it('reaches only three calls of the worker', async () => {
    const headers = { 'Sec-Fetch-Site': 'same-origin', 'Content-Type': 'application/json' };
    for (const path of ['/operator/api/credentials', '/operator/api/conversations/../credentials', '/operator/api/conversations/a%2Fb/messages', '/operator/api/']) {
      assert.equal(await ask(path, { headers }), 404, path);
    }
    assert.equal(await ask('/operator/api/conversations', { method: 'POST', headers, body: '{}' }), 405);
    assert.equal(await ask('/operator/api/conversations/x/messages', { method: 'DELETE', headers }), 405);
    assert.equal(await ask('/../package.json'), 404);
  });
});
