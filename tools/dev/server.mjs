// A shop that embeds the chat widget, and the operator's pane that answers it: what a customer would build, for trying it out.
//
// The shop stands on an origin of its own, as a customer's site does. The pane's server part holds the deploy key, so the
// browser never sees it; three checks keep other pages from using it: the Host header (DNS rebinding), Fetch Metadata or
// Origin (cross-site requests), and the content type (forms cannot send JSON).
//
// The shop has two customers who sign in without a password. Its server signs for the widget who is signed in, with the
// workspace's identity secret, as docs/identity.md shows.
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

const FILES = {
  '/': ['demo.html', 'text/html'],
  '/demo.css': ['demo.css', 'text/css'],
  '/demo.js': ['demo.js', 'text/javascript'],
  '/operator': ['operator.html', 'text/html'],
  '/operator.css': ['operator.css', 'text/css'],
  '/operator.js': ['operator.js', 'text/javascript'],
};
const MESSAGES = /^\/operator\/api\/conversations\/([\w-]{1,200})\/messages$/;
const MAX_BODY = 64 * 1024;
const CUSTOMERS = { ada: 'ada@fernweh.example', bo: 'bo@fernweh.example' };

const escape = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Who is signed in, as the widget hands it over: a JWT that lives for five minutes. */
function signIdentity({ kid, secret }, subject, workspace) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT', kid })}.${part({ sub: subject, aud: workspace, iat: now, exp: now + 300 })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

/** Starts the server; `worker` is the origin that the visitor's browser will use. Answers `{url, stop}`. */
export async function startDemo({ worker, widgetKey, identity, deployKey, port = 8788, workspace = 'demo', environment = 'test' }) {
  const policy = (script, connect) => `default-src 'none'; script-src ${script}; connect-src ${connect}; style-src 'self'; `
    + "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
  const shop = policy(`${worker} 'self'`, `${worker} 'self'`);
  const pane = policy("'self'", "'self'");

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      console.error(`demo: ${request.method} ${request.url}: ${error.message}`);
      if (!response.headersSent) json(response, 502, { success: false, code: 'upstream_error', error: 'The worker did not answer.' });
      else response.destroy();
    });
  });
  await new Promise((ready, failed) => server.once('error', failed).listen(port, '127.0.0.1', ready));
  const bound = server.address().port;
  const hosts = [`127.0.0.1:${bound}`, `localhost:${bound}`];

  async function answer(request, response) {
    if (!hosts.includes(request.headers.host)) return json(response, 421, { success: false, code: 'invalid_request', error: 'Unknown host.' });
    const { pathname, searchParams } = new URL(request.url, 'http://local');
    if (pathname === '/favicon.ico') return response.writeHead(204).end();
    if (pathname === '/session' || pathname === '/chat-identity') return customer(request, response, pathname, searchParams);
    if (pathname.startsWith('/operator/api/')) return proxy(request, response, pathname, searchParams);
    if (!Object.hasOwn(FILES, pathname) || !['GET', 'HEAD'].includes(request.method)) return json(response, 404, { success: false, code: 'not_found', error: 'No such page.' });
    const [name, type] = FILES[pathname];
    const text = await readFile(new URL(name, import.meta.url), 'utf8');
    response.writeHead(200, {
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Security-Policy': pathname === '/' ? shop : pane,
      'Cache-Control': 'no-store',
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
    });
    response.end(text.replaceAll('{{worker}}', () => escape(worker)).replaceAll('{{widget_key}}', () => escape(widgetKey)));
  }

  function sameOrigin({ headers }) {
    const site = headers['sec-fetch-site'];
    return site ? site === 'same-origin' : headers.origin === `http://${headers.host}`;
  }

  /** Signing in and out, and the token for the widget: all for the shop's own pages alone. */
  function customer(request, response, pathname, query) {
    const refuse = (status, code, error) => json(response, status, { success: false, code, error });
    if (!sameOrigin(request)) return refuse(403, 'csrf_rejected', 'Only the shop itself may call this.');
    const name = /(?:^|;\s*)customer=(\w+)/.exec(request.headers.cookie ?? '')?.[1];
    const subject = Object.hasOwn(CUSTOMERS, name ?? '') && identity ? CUSTOMERS[name] : null;
    if (request.method === 'GET') return json(response, 200, pathname === '/session' ? { subject } : { token: subject && signIdentity(identity, subject, workspace) });
    const wanted = query.get('as');
    if (request.method !== 'POST' || pathname !== '/session' || (wanted && !Object.hasOwn(CUSTOMERS, wanted))) return refuse(404, 'not_found', 'No such call.');
    response.setHeader('Set-Cookie', `customer=${wanted ?? ''}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${wanted ? 86400 : 0}`);
    return json(response, 200, { subject: wanted && identity ? CUSTOMERS[wanted] : null });
  }

  /** Three calls and no others; what the browser sends decides the id, the cursor and the text, never the address. */
  async function proxy(request, response, pathname, query) {
    const refuse = (status, code, error) => json(response, status, { success: false, code, error });
    if (!sameOrigin(request)) return refuse(403, 'csrf_rejected', 'Only the operator’s pane itself may call this.');
    const id = MESSAGES.exec(pathname)?.[1];
    if (!id && pathname !== '/operator/api/conversations') return refuse(404, 'not_found', 'No such call.');
    if (request.method !== 'GET' && !(id && request.method === 'POST')) return refuse(405, 'method_not_allowed', 'Not here.');

    const url = new URL(id ? `/v1/conversations/${id}/messages` : '/v1/conversations', worker);
    url.searchParams.set('workspace', workspace);
    if (!id) url.searchParams.set('environment', environment);
    for (const name of ['after', 'cursor']) if (query.has(name)) url.searchParams.set(name, query.get(name));

    const headers = { Authorization: `Convex ${deployKey}` };
    let body;
    if (request.method === 'POST') {
      if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) return refuse(415, 'unsupported_media_type', 'JSON, please.');
      const parts = [];
      let size = 0;
      for await (const part of request) {
        size += part.length;
        if (size > MAX_BODY) return refuse(413, 'payload_too_large', 'Too long.');
        parts.push(part);
      }
      body = Buffer.concat(parts);
      headers['Content-Type'] = 'application/json';
      if (request.headers['idempotency-key']) headers['Idempotency-Key'] = request.headers['idempotency-key'];
    }
    const upstream = await fetch(url, { method: request.method, headers, body, redirect: 'error', signal: AbortSignal.timeout(10_000) });
    response.writeHead(upstream.status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
    response.end(Buffer.from(await upstream.arrayBuffer()));
  }

  return {
    url: `http://127.0.0.1:${bound}`,
    stop: () => new Promise((done) => { server.close(done); server.closeAllConnections(); }),
  };
}

function json(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(JSON.stringify(body));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { WORKER = 'http://127.0.0.1:8787', WIDGET_KEY, DEPLOY_KEY, IDENTITY_KID, IDENTITY_SECRET, DEMO_PORT = '8788' } = process.env;
  if (!WIDGET_KEY || !DEPLOY_KEY) {
    console.error('The demo needs WIDGET_KEY and DEPLOY_KEY; `make dev` makes both.');
    process.exit(1);
  }
  const identity = IDENTITY_SECRET && { kid: IDENTITY_KID, secret: IDENTITY_SECRET };
  const { url } = await startDemo({ worker: WORKER, identity, widgetKey: WIDGET_KEY, deployKey: DEPLOY_KEY, port: Number(DEMO_PORT) });
  console.log(`shop ${url}/   operator ${url}/operator`);
}
