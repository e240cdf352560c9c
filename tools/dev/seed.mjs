// Makes what the demo needs in a fresh worker, and finds it again in one that was seeded before: a workspace and a widget key.
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

/** Answers `{id, secret}` of a widget key that is active and lists exactly the `origins` given, or more. */
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

  const remembered = await readFile(stateFile, 'utf8').then(JSON.parse).catch(() => null);
  if (remembered?.widget_key?.id) {
    const { status, json } = await call('GET', `/v1/credentials/${encodeURIComponent(remembered.widget_key.id)}?workspace=demo`);
    if (status === 200 && json.status === 'active' && origins.every((origin) => json.origins?.includes(origin))) return remembered.widget_key;
  }

  const made = await call('POST', '/v1/credentials', {
    kind: 'widget_key', workspace: 'demo', environment: 'test', name: 'Demo widget', origins,
  });
  if (made.status !== 201) complain('The widget key could not be made', made);
  const widgetKey = { id: made.json.id, secret: made.json.secret };
  await mkdir(dirname(stateFile), { recursive: true });
  await writeFile(stateFile, `${JSON.stringify({ widget_key: widgetKey }, null, 2)}\n`, { mode: 0o600 });
  return widgetKey;
}
