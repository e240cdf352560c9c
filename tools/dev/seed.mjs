// Makes what the demo needs in a fresh worker, and finds it again in one that was seeded before: a workspace, a widget key,
// and the identity secret with which the shop’s server says who is signed in.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** Waits until the worker answers its health check; `stopped` may end the waiting early by throwing. */
export async function healthy(worker, seconds = 60, stopped = () => {}) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    stopped();
    const answer = await fetch(`${worker}/healthz`, { signal: AbortSignal.timeout(2000) }).catch(() => null);
    if (answer?.status === 200) return;
    const reason = answer ? await answer.text().catch(() => '') : 'no answer';
    if (reason.includes('"not_configured"')) throw new Error(`The worker lacks a variable: ${reason.slice(0, 500)}`);
    if (Date.now() > end) throw new Error(`${worker}/healthz is not well after ${seconds} s: ${answer?.status ?? ''} ${reason.slice(0, 300)}`);
    await sleep(200);
  }
}

/** Answers `{widgetKey: {id, secret}, identity: {kid, secret}}`; the key is active and lists the `origins` given, or more. */
export async function seed({ worker, deployKey, stateFile, origins, stopped }) {
  await healthy(worker, 180, stopped);       // wrangler compiles first

  async function call(method, path, body) {
    const answer = await fetch(worker + path, {
      method,
      headers: { Authorization: `Convex ${deployKey}`, ...(body && { 'Content-Type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    let json = {};
    try { json = JSON.parse(text); } catch { json.error = text.slice(0, 300); }
    return { status: answer.status, json };
  }
  const complain = (what, { status, json }) => {
    throw new Error(`${what}: ${status} ${json.code ?? ''} ${json.error ?? ''} ${json.fix ?? ''} (request id ${json.request_id ?? 'unknown'})`);
  };

  const workspace = await call('POST', '/v1/workspaces', { id: 'demo', name: 'Demo' });
  if (workspace.status !== 201 && workspace.status !== 409) complain('The demo workspace could not be made', workspace);

  async function widgetKey({ id, secret } = {}) {
    if (id) {
      const { status, json } = await call('GET', `/v1/credentials/${encodeURIComponent(id)}?workspace=demo`);
      if (status === 200 && json.status === 'active' && origins.every((origin) => json.origins?.includes(origin))) return { id, secret };
    }
    const made = await call('POST', '/v1/credentials', {
      kind: 'widget_key', workspace: 'demo', environment: 'test', name: 'Demo widget', origins,
    });
    if (made.status !== 201) complain('The widget key could not be made', made);
    return { id: made.json.id, secret: made.json.secret };
  }

  async function identity({ kid, secret } = {}) {
    if (kid) {
      const { json } = await call('GET', '/v1/workspaces/demo/identity-secrets');
      if (json.items?.some((known) => known.kid === kid && known.status === 'active')) return { kid, secret };
    }
    const made = await call('POST', '/v1/workspaces/demo/identity-secrets');
    if (made.status !== 201) complain('The identity secret could not be made', made);
    return { kid: made.json.kid, secret: made.json.secret };
  }

  const remembered = await readFile(stateFile, 'utf8').then(JSON.parse).catch(() => null);
  const seeded = { widgetKey: await widgetKey(remembered?.widgetKey), identity: await identity(remembered?.identity) };
  await mkdir(dirname(stateFile), { recursive: true });
  await writeFile(stateFile, `${JSON.stringify(seeded, null, 2)}\n`, { mode: 0o600 });
  return seeded;
}
