// A page whose scripts change every call: the chat works, or the page's owner reads the true reason.
import { after, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { stage } from './support.mjs';

const wrap = (code) => `<script>{ const own = window.fetch; window.fetch = async (input, init) => { ${code} }; }</script>`;
const WRAPPED = {
  'adds headers of tracing': wrap(`const headers = new Headers(init?.headers); for (const name of ['traceparent', 'tracestate', 'baggage', 'sentry-trace', 'x-datadog-trace-id', 'newrelic', 'X-B3-TraceId']) headers.set(name, '1'); return own(input, { ...init, headers });`),
  'adds X-Requested-With to a Request of its own': wrap(`const request = new Request(input, init); request.headers.set('X-Requested-With', 'XMLHttpRequest'); request.headers.set('x-csrf-token', 'abc'); return own(request);`),
  'adds a header that nobody has heard of': wrap(`return own(input, { ...init, headers: { ...init?.headers, 'X_Strange.Name~1': 'y' } });`),
  'writes into the headers that it is handed': wrap(`init.headers = init.headers ?? {}; init.headers['request-id'] = '|1.2'; return own(input, init);`),
};
const BROKEN = {
  'sends cookies along': wrap(`return own(input, { ...init, credentials: 'include' });`),
  'refuses every call': wrap(`throw new TypeError('blocked until you consent');`),
  'sends cookies along with what it posts': wrap(`return own(input, init?.method === 'POST' ? { ...init, credentials: 'include' } : init);`),
  'takes the Authorization header away': [wrap(`const headers = new Headers(init?.headers); headers.delete('authorization'); return own(input, { ...init, headers });`), /Authorization header/],
};

describe('f4: a page that changes the calls', () => {
  let s;
  before(async () => {
    s = await stage({
      pages(path, { worker, key }) {
        const [, kind, at] = path.split('/');
        const scripts = { wrapped: WRAPPED, broken: BROKEN }[kind];
        if (kind === 'strict') {
          return { policy: `default-src 'none'; script-src 'nonce-n1'; connect-src ${worker}; require-trusted-types-for 'script'; trusted-types 'none'`,
            html: `<!doctype html><html lang="en"><title>x</title><body>${Object.values(BROKEN)[1].replace('<script', '<script nonce="n1"')}<script nonce="n1" async src="${worker}/widget.js" data-key="${key}"></script></body></html>` };
        }
        return scripts && `<!doctype html><html lang="en"><title>x</title><body>${[Object.values(scripts)[at]].flat()[0]}<script async src="${worker}/widget.js" data-key="${key}"></script></body></html>`;
      },
    });
  });
  after(() => s?.stop());

  Object.keys(WRAPPED).forEach((name, at) => {
    it(`f4_a script that ${name} stops no message`, async () => {
      const v = await s.visit(s.site, { path: `/wrapped/${at}` });
      await v.launcher.click();
      await v.say('hello');
      await v.message('hello').waitFor();
      await v.page.reload();
      await v.launcher.click();
      await v.message('hello').waitFor();
      assert.deepEqual(v.complaints, []);
      assert.equal(await v.status.textContent(), '');
      // The health of the worker and its other documents may be asked with such headers, too.
      assert.equal(await v.page.evaluate((url) => fetch(url, { method: 'GET', headers: {} }).then(({ status }) => status), `${s.worker.url}/healthz`), 200);
      await v.context.close();
    });
  });

  Object.entries(BROKEN).forEach(([name, wanted], at) => {
    it(`f4_a script that ${name} is named in the console, and the visitor is not called offline`, async () => {
      const v = await s.visit(s.site, { path: `/broken/${at}` });
      // What a worker answers a listed page whose calls come without the visitor's secret.
      await v.page.route(/\/messages/, async (route) => {
        if (route.request().method() === 'OPTIONS' || (await route.request().allHeaders()).authorization) return route.fallback();
        return route.fulfill({ status: 401, headers: { 'Access-Control-Allow-Origin': s.site, Vary: 'Origin' }, contentType: 'application/json', body: '{"success":false,"code":"missing_credential","request_id":"req_0123456789ab"}' });
      });
      await v.launcher.click();
      await v.say('hello');
      await v.message('hello', 'failed').waitFor({ timeout: 15_000 });
      assert.doesNotMatch(await v.status.textContent(), /offline/);
      const words = v.complaints.filter((text) => /^Claviger: a script of this page, or its service worker, changes the calls/.test(text));
      assert.equal(words.length, 1, String(v.complaints));
      if (Array.isArray(wanted)) assert.match(words[0], wanted[1]);
      assert.ok(!v.complaints.some((text) => text.includes('does not allow this site')), String(v.complaints));
      assert.equal(await v.page.evaluate(() => document.querySelector('claviger-chat').shadowRoot.querySelectorAll('iframe').length), 0);
      await v.context.close();
    });
  });

  it('f4_the reason is found under a policy that allows no frame, too', async () => {
    const v = await s.visit(s.site, { path: '/strict' });
    await v.launcher.click();
    await v.say('hello');
    await v.message('hello', 'failed').waitFor({ timeout: 15_000 });
    assert.ok(v.complaints.some((text) => /changes the calls of the chat: they fail.*blocked until you consent/.test(text)), String(v.complaints));
    await v.context.close();
  });

  it('f4_who is really offline is told so, on a page that changes its calls as on any other', async () => {
    const v = await s.visit(s.site, { path: '/wrapped/0' });
    await v.launcher.click();
    await v.page.route(/\/w\/|\/healthz/, (route) => route.abort());
    await v.say('hello');
    await v.status.filter({ hasText: 'You are offline.' }).waitFor();
    await v.page.unrouteAll();
    await v.message('hello').waitFor();
    assert.ok(!v.complaints.some((text) => text.startsWith('Claviger')), String(v.complaints));
    await v.context.close();
  });

  it('f4_a policy that only reports is not taken for one that stops the calls', async () => {
    const v = await s.visit(s.site, { path: '/wrapped/0' });
    await v.launcher.click();
    await v.page.evaluate((blockedURI) => document.dispatchEvent(new SecurityPolicyViolationEvent('securitypolicyviolation', {
      effectiveDirective: 'connect-src', violatedDirective: 'connect-src', disposition: 'report', blockedURI, documentURI: location.href, originalPolicy: '', statusCode: 200,
    })), s.worker.url);
    await v.page.route(/\/w\/|\/healthz/, (route) => route.abort());
    await v.say('hello');
    await v.status.filter({ hasText: 'You are offline.' }).waitFor();
    await v.context.close();
  });
});
