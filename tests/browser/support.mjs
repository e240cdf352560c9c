// What every browser test needs: the worker, a real Chromium, and sites on origins of their own that embed the widget.
import { createServer } from 'node:http';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const SHOTS = new URL('screenshots/', import.meta.url).pathname;

function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const found = process.env.PATH.split(delimiter).flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync);
  if (!found) throw new Error('No Chromium on PATH. Install one, or name it in the variable CHROMIUM.');
  return found;
}

/** A site whose pages are what `page` answers for their path: `{html, policy?, type?, headers?}`. */
async function site(page) {
  const server = createServer((request, response) => {
    if (request.url === '/favicon.ico') return response.writeHead(204).end();
    const { html, policy, type = 'text/html', headers } = page(request.url);
    response.writeHead(200, { 'Content-Type': `${type}; charset=utf-8`, ...(policy && { 'Content-Security-Policy': policy }), ...headers }).end(html);
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return { origin: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

/** An origin that must hear nothing: it keeps what it is sent, and answers as a worker would, so that whoever asks it goes on. */
export async function eavesdropper() {
  const heard = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    // What markup fetches by itself (an image, a frame) says nothing about the widget.
    if (/\/w\/|healthz/.test(request.url)) heard.push(`${request.method} ${request.url} ${body}`);
    const origin = request.headers.origin;
    response.writeHead(request.method === 'OPTIONS' ? 204 : 201, {
      'Content-Type': 'application/json',
      ...(origin && { 'Access-Control-Allow-Origin': origin, 'Access-Control-Allow-Headers': '*, authorization', 'Access-Control-Allow-Methods': '*' }),
    }).end(request.method === 'OPTIONS' ? '' : JSON.stringify({ conversation: 'conv_evil', history_secret: 'clv_hs_evil', expires_at: '2099-01-01T00:00:00Z', id: 'msg_1', at: '2026-01-01T00:00:00Z', from: 'visitor', items: [] }));
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return { origin: `http://127.0.0.1:${server.address().port}`, heard, stop: () => { server.close(); server.closeAllConnections(); } };
}

/** The default policy with limits of its own for the widget: a whole test file is one visitor's network. */
function policyWith(widget) {
  const [rest] = readFileSync(new URL('../../policies/default.toml', import.meta.url), 'utf8').split(/^\[widget\]$/m);
  return `${rest}[widget]\n${Object.entries(widget).map(([name, value]) => `${name} = ${value}\n`).join('')}`;
}

/**
 * Starts everything once per test file; `widget` is what the policy says under that name.
 * `site` is on the key's list, `elsewhere` is not; `visit` opens a page in a browser profile of its own. Its pages have the
 * strictest policy that the widget promises to work under: no inline style, Trusted Types on. `pages(path, facts)` may answer
 * others: `facts` are `{worker, key}`.
 */
export async function stage({ widget: limits, pages, ...options } = {}) {
  const { startWorker } = await import(process.env.WORKER_SUPPORT ?? '../support/worker.mjs');
  const generous = { messages_per_minute: 600, messages_per_minute_per_conversation: 300, conversations_per_hour: 600 };
  const worker = await startWorker({ ...options, vars: { ...options.vars, POLICY_TOML: policyWith({ ...generous, ...limits }) } });
  const key = { id: null, secret: null };
  const policy = `default-src 'none'; script-src ${worker.url}; connect-src ${worker.url}; frame-src 'self'; base-uri 'none'; require-trusted-types-for 'script'`;
  const embed = (path) => {
    const other = pages?.(path, { worker: worker.url, key: key.secret });
    if (other) return typeof other === 'string' ? { html: other } : other;
    if (path === '/outer') return { policy, html: '<!doctype html><title>outer</title><iframe sandbox="allow-scripts" src="/" title="inner"></iframe>' };
    const strict = path === '/no-connect' ? policy.replace(/connect-src [^;]+;/, '') : policy;
    const identity = path.startsWith('/signed-in/') ? ` data-identity="${path.slice(11)}"` : '';
    return { policy: strict, html: `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>A site</title>
<h1>A site</h1><p><a href="#x">A link of the site</a></p><script async src="${worker.url}/widget.js" data-key="${key.secret}"${identity}></script></html>` };
  };
  const [listed, unlisted, browser] = await Promise.all([site(embed), site(embed), chromium.launch({ executablePath: executable(), args: FLAGS })]);
  async function stop() {
    listed.stop();
    unlisted.stop();
    await browser.close();
    await worker.stop();
  }

  async function admin(method, path, body) {
    const answer = await fetch(worker.url + path, {
      method,
      headers: { Authorization: `Convex ${worker.deployKey}`, ...(body && { 'Content-Type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const json = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(json)}`);
    return json;
  }
  try {
    await admin('POST', '/v1/workspaces', { id: 'demo', name: 'Demo' });
    Object.assign(key, await admin('POST', '/v1/credentials', {
      kind: 'widget_key', workspace: 'demo', environment: 'test', name: 'Browser tests', origins: [listed.origin],
    }));
  } catch (error) {
    await stop();       // what still listens would keep the test's process from ending
    throw error;
  }

  async function visit(origin = listed.origin, { path = '/', context, ...settings } = {}) {
    context ??= await browser.newContext(settings);
    const page = await context.newPage();
    const calls = [], complaints = [];
    page.on('request', (request) => { if (request.url().includes('/w/') || request.url().endsWith('/healthz')) calls.push(`${request.method()} ${new URL(request.url()).pathname}`); });
    page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(origin + path);
    return Object.assign(widget(page, key.secret, key.id), { page, context, calls, complaints });
  }

  return {
    worker, browser, key, admin, visit, site: listed.origin, elsewhere: unlisted.origin,
    conversations: async () => (await admin('GET', '/v1/conversations?workspace=demo&environment=test')).items,
    messages: async (id) => (await admin('GET', `/v1/conversations/${id}/messages?workspace=demo`)).items,
    reply: (id, text) => admin('POST', `/v1/conversations/${id}/messages?workspace=demo`, { text }),
    stop,
  };
}

/** The widget as a visitor meets it: by role and name only, so that these locators are the accessibility test too. */
function widget(page, key, id) {
  const launcher = page.getByRole('button', { name: 'Chat with us' });
  const dialog = page.getByRole('dialog', { name: 'Chat with us' });
  const log = dialog.getByRole('log', { name: 'Messages' });
  const input = dialog.getByRole('textbox', { name: 'Your message' });
  return {
    launcher, dialog, log, input,
    status: dialog.getByRole('status'),
    sendButton: dialog.getByRole('button', { name: 'Send', exact: true }),
    closeButton: dialog.getByRole('button', { name: 'Close chat' }),
    retry: log.getByRole('button', { name: 'Retry' }),
    message: (text, state = 'sent') => log.locator(`.message[data-state=${state}]`).filter({ hasText: text }),
    async say(text) { await input.fill(text); await input.press('Enter'); },
    stored: () => page.evaluate((name) => JSON.parse(localStorage.getItem(name)), `claviger:${id}`),
    /** A call with the visitor's own secret, as another tab would make it; answers its status. */
    call: (method, path) => page.evaluate(async ([name, key, method, path]) => {
      const { conversation, history_secret } = JSON.parse(localStorage.getItem(name));
      const worker = new URL(document.querySelector('script[data-key]').src).origin;
      const answer = await fetch(`${worker}/w/${key}/conversations/${conversation}${path}`, {
        method,
        headers: { Authorization: `Bearer ${history_secret}`, 'Content-Type': 'application/json' },
        body: method === 'POST' ? '{}' : undefined,
      });
      return { status: answer.status, body: await answer.json() };
    }, [`claviger:${id}`, key, method, path]),
    async shot(name) {
      mkdirSync(SHOTS, { recursive: true });
      await page.waitForTimeout(250);        // the opening animation
      await page.screenshot({ path: join(SHOTS, `${name}.png`) });
    },
  };
}

/** Waits until `probe` answers something true; the tests' only way to wait for the server's side. */
export async function until(probe, what, seconds = 15) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for: ${what}`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

/** WCAG 2 contrast ratio of two computed colours. */
export function contrast(a, b) {
  const light = (color) => {
    const [r, g, b2] = color.match(/[\d.]+/g).map((part) => { const c = part / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b2;
  };
  const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}
