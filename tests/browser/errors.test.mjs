// The page that every error links to: with the keyboard alone, on a phone, in the dark, and under its own strict policy.
import { mkdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { contrast, stage } from './support.mjs';

const SHOTS = new URL('screenshots/', import.meta.url).pathname;

describe('the page of errors', () => {
  let s;
  before(async () => { s = await stage(); });
  after(() => s?.stop());

  /** Opens a path of the deployment in a browser profile of its own, and keeps what the browser complains of. */
  async function open(path, settings) {
    const context = await s.browser.newContext(settings);
    const page = await context.newPage();
    const complaints = [], asked = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(s.worker.url + path);
    const close = () => context.close();
    const shot = async (name, options) => {
      mkdirSync(SHOTS, { recursive: true });
      await page.screenshot({ path: `${SHOTS}errors-${name}.png`, ...options });
    };
    return { page, complaints, asked, close, shot };
  }

  it('is reached from the `fix` of an error, at the entry of its code', async () => {
    const { fix, code } = await (await fetch(`${s.worker.url}/v1/whoami`)).json();
    const link = fix.split(' ').at(-1);
    const v = await open(new URL(link).pathname + new URL(link).hash, { viewport: { width: 900, height: 700 } });
    assert.equal(v.page.url(), link);
    const entry = v.page.locator('h3:target');
    assert.equal(await entry.textContent(), code);
    const { y, height } = await entry.boundingBox();
    assert.ok(y >= 0 && y + height <= 700, `at ${y}`);
    await v.shot('entry');
    await v.close();
  });

  it('is one file that complains of nothing, and no script runs in it', async () => {
    const v = await open('/docs/errors');
    assert.deepEqual([v.asked, v.complaints], [[`${s.worker.url}/docs/errors`], []]);
    assert.equal(await v.page.title(), 'Errors · Claviger');
    assert.notEqual(await v.page.locator('main').evaluate((node) => getComputedStyle(node).maxWidth), 'none');
    await v.page.evaluate(() => {
      document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = true' }));
      document.querySelector('h1').setAttribute('style', 'color: rgb(1, 2, 3)');
    });
    assert.equal(await v.page.evaluate(() => window.ran), undefined);
    assert.notEqual(await v.page.locator('h1').evaluate((node) => getComputedStyle(node).color), 'rgb(1, 2, 3)');
    assert.ok(v.complaints.length >= 2 && v.complaints.every((text) => text.includes('Content Security Policy')), v.complaints.join('\n'));
    await v.close();
  });

  it('is walked with the keyboard alone: from the index to an entry, and on from there', async () => {
    const v = await open('/docs/errors', { viewport: { width: 900, height: 700 } });
    const { keyboard } = v.page;
    const focused = () => v.page.evaluate(() => ({
      text: document.activeElement.textContent,
      outline: getComputedStyle(document.activeElement).outlineStyle,
      above: document.activeElement.parentElement.localName,
    }));
    const index = v.page.getByRole('navigation', { name: 'Codes' }).getByRole('link');
    const codes = await index.allTextContents();
    assert.ok(codes.length > 20);
    for (const code of codes.slice(0, 5)) {
      await keyboard.press('Tab');
      const { text, outline } = await focused();
      assert.deepEqual([text, outline], [code, 'solid']);
    }
    await keyboard.press('Enter');
    assert.equal(new URL(v.page.url()).hash, `#${codes[4]}`);
    await keyboard.press('Tab');
    assert.deepEqual(await focused(), { text: codes[4], outline: 'solid', above: 'h3' });
    await keyboard.press('Tab');
    assert.equal((await focused()).text, codes[5]);
    assert.deepEqual(await v.page.getByRole('heading', { level: 3 }).allTextContents(), codes);
    await v.close();
  });

  for (const colorScheme of ['light', 'dark']) {
    it(`has contrast AA in ${colorScheme}`, async () => {
      const v = await open('/docs/errors#rate_limited', { colorScheme, viewport: { width: 900, height: 700 } });
      const pairs = await v.page.evaluate(() => {
        const style = (selector) => getComputedStyle(document.querySelector(selector));
        const paper = style('body').backgroundColor;
        return {
          text: [style('p').color, paper],
          label: [style('dt').color, paper],
          link: [style('nav a').color, paper],
          code: [style('li code').color, style('li code').backgroundColor],
          example: [style('pre').color, style('pre').backgroundColor],
          chosen: [style('h3:target').color, style('h3:target').backgroundColor],
        };
      });
      for (const [what, [front, back]] of Object.entries(pairs)) assert.ok(contrast(front, back) >= 4.5, `${what}: ${contrast(front, back).toFixed(2)}`);
      const [red] = (await v.page.locator('body').evaluate((node) => getComputedStyle(node).backgroundColor)).match(/\d+/g);
      assert.equal(Number(red) < 128, colorScheme === 'dark');
      await v.shot(`${colorScheme}-target`);
      await v.page.evaluate(() => scrollTo(0, 0));
      await v.shot(colorScheme);
      await v.close();
    });
  }

  for (const width of [320, 390]) {
    it(`fits a phone of ${width} pixels, and nothing needs scrolling sideways`, async () => {
      const v = await open('/docs/errors', { viewport: { width, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
      const wide = await v.page.evaluate(() => [...document.querySelectorAll('*')]
        .filter((node) => node.getBoundingClientRect().right > innerWidth || node.scrollWidth > Math.max(node.clientWidth, 1) && getComputedStyle(node).display !== 'inline')
        .map((node) => `${node.localName} ${node.textContent.slice(0, 40)}`));
      assert.deepEqual(wide, []);
      assert.ok(await v.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      await v.shot(`phone-${width}`);
      await v.page.locator('#invalid_credential').tap();
      await v.shot(`phone-${width}-entry`);
      await v.close();
    });
  }

  it('stands in the list of documents', async () => {
    const v = await open('/docs', { viewport: { width: 900, height: 500 } });
    assert.deepEqual(v.complaints, []);
    await v.shot('index');
    await v.page.getByRole('link', { name: 'Errors' }).click();
    assert.equal(v.page.url(), `${s.worker.url}/docs/errors`);
    await v.close();
  });
});
