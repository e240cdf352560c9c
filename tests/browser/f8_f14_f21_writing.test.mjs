// What a visitor writes, in any script and with any input method, is sent as it was meant.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { stage } from './support.mjs';

describe('writing', () => {
  let s;
  before(async () => {
    s = await stage({
      pages: (path, { worker, key }) => (path.startsWith('/rtl')
        ? `<!doctype html><html lang="he" dir="rtl"><head><title>x</title><style>body, claviger-chat { direction: rtl !important; unicode-bidi: bidi-override !important; text-align: right; letter-spacing: 3px }</style></head>
<body><h1>אתר</h1><script async src="${worker}/widget.js" data-key="${key}" data-title="${path === '/rtl-title' ? 'שלום!' : 'Chat with us'}"></script></body></html>`
        : undefined),
    });
  });
  after(() => s?.stop());

  /** Events as engines dispatch them: `[type, members]`. */
  const dispatch = (v, events) => v.input.evaluate((node, list) => {
    for (const [type, { composing, ...members }] of list) {
      const event = type.startsWith('composition') ? new CompositionEvent(type, { bubbles: true, composed: true, data: members.data })
        : new KeyboardEvent(type, { bubbles: true, composed: true, cancelable: true, isComposing: composing, ...members });
      node.dispatchEvent(event);
    }
  }, events);
  const enter = (keyCode, composing) => ['keydown', { key: 'Enter', code: 'Enter', keyCode, composing }];
  const ORDERS = {
    'WebKit: the end of the composition, then Enter with 229': [['compositionstart', {}], ['compositionend', { data: 'にほん' }], enter(229, false)],
    'Chromium and Gecko: Enter while composing, then the end': [['compositionstart', {}], enter(229, true), ['compositionend', { data: 'にほん' }]],
    'Enter while composing that only says so itself': [['compositionstart', {}], enter(13, true), ['compositionend', { data: 'にほん' }]],
    'Enter while composing that does not say so': [['compositionstart', {}], enter(13, false), ['compositionend', { data: 'にほん' }]],
    'a key that the input method has taken': [['keydown', { key: 'Process', keyCode: 229 }], ['keydown', { key: 'Unidentified', keyCode: 229 }]],
    'Enter with 229 and nothing else': [enter(229, false)],
  };
  for (const [name, events] of Object.entries(ORDERS)) {
    it(`f8_${name}: the half-written word is not sent, and the next Enter sends it`, async () => {
      const v = await s.visit();
      await v.launcher.click();
      await v.input.fill('にほん');
      await dispatch(v, events);
      assert.equal(await v.input.inputValue(), 'にほん');
      assert.equal(await v.log.locator('.message').count(), 0);
      await dispatch(v, [['compositionstart', {}], ['keydown', { key: 'Escape', keyCode: 229, composing: false }], ['compositionend', {}]]);
      await v.dialog.waitFor();
      await dispatch(v, [enter(13, false)]);
      await v.message('にほん').waitFor();
      await v.context.close();
    });
  }

  it('f8_a composition that never ended does not hold Enter for ever', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await dispatch(v, [['compositionstart', {}]]);
    await v.closeButton.focus();
    await v.say('afterwards');
    await v.message('afterwards').waitFor();
    await v.context.close();
  });

  const LONE = { 'a cut emoji at the end': 'see you \ud83d', 'the second half alone': '\ude00 hello', 'halves in the wrong order': 'a\ude00\ud83db', 'a whole one between halves': '\ud83d😀\ude00' };
  for (const [name, text] of Object.entries(LONE)) {
    it(`f14_${name} is sent well-formed`, async () => {
      const v = await s.visit();
      await v.launcher.click();
      await v.input.evaluate((node, value) => { node.value = value; }, text);
      await v.input.press('Enter');
      await v.log.locator('.message[data-state=sent]').waitFor();
      const sent = await s.messages((await v.stored()).conversation);
      assert.deepEqual(sent.map((message) => message.text), [text.toWellFormed()]);
      assert.equal(await v.log.locator('.message p').textContent(), text.toWellFormed());
      await v.context.close();
    });
  }

  it('f14_what an earlier version left unsent in the store is sent well-formed, too', async () => {
    const v = await s.visit();
    await v.page.evaluate((name) => sessionStorage.setItem(name, '[{"text":"cut \\ud83d","key":"k-1"}]'), `claviger:${s.key.id}`);
    await v.page.reload();
    await v.launcher.click();
    await v.message('cut').waitFor();
    assert.deepEqual((await s.messages((await v.stored()).conversation)).map(({ text }) => text), ['cut \ufffd']);
    await v.context.close();
  });

  it('f14_an identity and a title with half a character are well-formed', async () => {
    const v = await s.visit();
    await v.launcher.click();
    await v.page.evaluate(() => window.claviger.identify('x\ud83d'));
    const bodies = [];
    await v.page.route(/\/conversations$/, (route) => { bodies.push(route.request().postData()); return route.fallback(); });
    await v.say('hello');
    await v.message('hello', 'failed').waitFor();
    assert.deepEqual(JSON.parse(bodies[0]), { identity: 'x\ufffd' });
    await v.context.close();
  });

  it('f21_the direction follows what is written, line by line, and nothing of the page’s leaks in', async () => {
    for (const path of ['/', '/rtl']) {
      const v = await s.visit(s.site, { path });
      await v.launcher.click();
      const direction = (locator) => locator.evaluate((node) => getComputedStyle(node).direction);
      await v.input.fill('שלום!');
      assert.equal(await direction(v.input), 'rtl', path);
      await v.input.press('Enter');
      await v.message('שלום').waitFor();
      assert.equal(await direction(v.log.locator('.message p').first()), 'rtl');
      await v.input.fill('Hello!');
      assert.equal(await direction(v.input), 'ltr');
      await v.input.press('Enter');
      await v.message('Hello!').waitFor();
      assert.equal(await direction(v.log.locator('.message p').last()), 'ltr');
      assert.equal(await direction(v.status), 'ltr');
      const style = await v.dialog.evaluate((node) => { const own = getComputedStyle(node); const host = getComputedStyle(node.getRootNode().host); return [own.direction, own.letterSpacing, host.direction, host.unicodeBidi]; });
      assert.deepEqual(style, ['ltr', 'normal', 'ltr', 'isolate']);
      for (const node of [v.input, v.log.locator('.message p').first()]) assert.equal(await node.evaluate((one) => getComputedStyle(one).unicodeBidi), 'plaintext');
      const box = await v.dialog.boundingBox();
      assert.ok(box.x > 200, 'at the right, as everywhere');
      await v.shot(path === '/' ? 'hebrew' : 'rtl');
      await v.context.close();
    }
  });

  it('f21_a title has its own direction', async () => {
    const v = await s.visit(s.site, { path: '/rtl-title' });
    await v.page.getByRole('button', { name: 'שלום!' }).click();
    assert.equal(await v.page.locator('.title').evaluate((node) => getComputedStyle(node).direction), 'rtl');
    await v.shot('rtl-title');
    await v.context.close();
  });
});
