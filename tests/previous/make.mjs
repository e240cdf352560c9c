/**
 * Makes `state.tar.gz`: what a build leaves behind when it is killed in the middle of its work. Run it with the build that is to
 * be the earlier one (`build.tar.gz`): `node_modules/.bin/node tests/previous/make.mjs`.
 */

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { previousBuild, scratch, serveDeployment, SITE, startApi } from "./deployment.mjs";

const folder = scratch();
const api = await startApi();
const worker = await serveDeployment(previousBuild(), join(folder, "state"), api.origin);
const facts = {};

async function call(method, path, { status, ...options } = {}) {
  const answer = await worker.api(method, path, options);
  if (status && answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer;
}
const server = (key, method, path, options = {}) => call(method, path, { key, scheme: "Bearer", ...options });
async function credential(members) {
  const body = { kind: "server_key", workspace: "acme", environment: "live", name: "backend", ...members };
  const { id, secret } = (await call("POST", "/v1/credentials", { body, status: 201 })).json;
  return { id, secret };
}

for (const id of ["acme", "bulk"]) await call("POST", "/v1/workspaces", { body: { id, name: id }, status: 201 });

// A widget key that was rotated, and conversations: open, closed, of test.
const page = { origin: SITE, "x-client": "192.0.2.7" };
async function talk(key, ...texts) {
  const { conversation, history_secret: secret } = (await call("POST", `/w/${key}/conversations`, { key: null, headers: page, body: {}, status: 201 })).json;
  for (const text of texts)
    await call("POST", `/w/${key}/conversations/${conversation}/messages`, { key: secret, scheme: "Bearer", headers: { ...page, "idempotency-key": text }, body: { text }, status: 201 });
  return { conversation, secret, texts };
}
const widget = await credential({ kind: "widget_key", origins: [SITE] });
facts.open = await talk(widget.secret, "first", "second");
facts.closed = await talk(widget.secret, "bye");
await call("POST", `/w/${widget.secret}/conversations/${facts.closed.conversation}/close`, { key: facts.closed.secret, scheme: "Bearer", headers: page, body: {}, status: 200 });
const rotated = (await call("POST", `/v1/credentials/${widget.id}/rotate`, { body: { overlap_seconds: 604800 }, status: 201 })).json;
facts.widget = { id: widget.id, secret: rotated.secret };

// Keys: two that live, one that is over.
facts.live = await credential({ scopes: ["admin"] });
facts.test = await credential({ scopes: ["admin"], environment: "test" });
facts.dead = await credential({});
await call("POST", `/v1/credentials/${facts.dead.id}/revoke`, { body: {}, status: 200 });

// Records of both environments, and writes that are remembered.
const record = (key, body, once) => server(key, "PUT", "/v1/records/notes/one", { headers: { "idempotency-key": once }, body });
await record(facts.live.secret, { text: "kept" }, "r1");
await record(facts.test.secret, { text: "only a test" }, "r1");
facts.record = (await server(facts.live.secret, "GET", "/v1/records/notes/one", { status: 200 })).text;
facts.order = (await server(facts.live.secret, "POST", "/v1/orders", { headers: { "idempotency-key": "o1" }, body: { a: 1 }, status: 201 })).text;

// A lease that is open.
facts.hot = await credential({ tier: "hot" });
const until = Date.now() + 1_500;
await Promise.all(Array.from({ length: 16 }, async () => {
  while (Date.now() < until) await server(facts.hot.secret, "GET", "/v1/models", { status: 200 });
}));

// Tokens that are held, and a write that is under way, when the process dies.
facts.tokens = await credential({ scopes: ["completions:read"] });
server(facts.tokens.secret, "POST", "/v1/chat/completions", { body: { max_tokens: 30_000, say: "silence" } }).catch(() => {});
server(facts.live.secret, "POST", "/v1/orders", { headers: { "idempotency-key": "o2" }, body: { a: "silence" } }).catch(() => {});
await sleep(500);

// Sixty keys that end, the first of them already: the rest stand in the outbox, and in a job that is not over.
facts.bulk = [];
for (let number = 0; number < 60; number += 1) facts.bulk.push((await credential({ workspace: "bulk", name: `key ${number}` })).secret);
const begun = await call("POST", "/v1/workspaces/bulk/credentials/revoke", { body: { reason: "leaked" }, status: 202 });
await worker.kill();
facts.bulkUntil = begun.json.made_until;
facts.remaining = begun.json.remaining;

writeFileSync(join(folder, "facts.json"), JSON.stringify(facts, null, 1));
execFileSync("tar", ["-czf", join(import.meta.dirname, "state.tar.gz"), "-C", folder, "state", "facts.json"]);
console.log(`made with ${facts.remaining} of 60 keys left to end`);
api.stop();
process.exit(0);
