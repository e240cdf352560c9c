// A worker that fails on purpose: the failure stays in its request, and every object keeps what it knew.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { startWorker } from "../support/worker.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const SITE = "https://shop.example";
const AT_THE_EDGE = ["panic", "overflow"];
const FAULTS = [...AT_THE_EDGE, "object-panic", "object-half"];
const POLICY_TOML = `brand = "clv"
[widget]
messages_per_minute = 100000
messages_per_minute_per_conversation = 100000
conversations_per_hour = 100000
page = 500
`;

let worker, key, conversation, secret;
before(async () => {
  worker = await startWorker({ build: "build-faults", vars: { POLICY_TOML } });
  ({ key, conversation, secret } = await furnish(worker));
});
after(() => worker?.stop());

async function furnish(of) {
  await of.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  const made = (await of.api("POST", "/v1/credentials", { body })).json;
  const opened = await of.api("POST", `/w/${made.secret}/conversations`, { key: null, headers: { origin: SITE } });
  return { key: made, conversation: opened.json.conversation, secret: opened.json.history_secret };
}

const say = (text, headers = {}) =>
  worker.api("POST", `/w/${key.secret}/conversations/${conversation}/messages`, {
    key: secret,
    scheme: "Bearer",
    headers: { origin: SITE, ...headers },
    body: { text },
  });
const reply = (text, headers) => worker.api("POST", `/v1/conversations/${conversation}/messages`, { body: { text }, headers });
const texts = async () => (await worker.api("GET", `/v1/conversations/${conversation}/messages`)).json.items.map(({ text }) => text);

function assertFailure(answer, statuses, about) {
  assert.ok(statuses.includes(answer.status), `${about}: ${answer.status} ${answer.text}`);
  assert.equal(answer.json.code, answer.status === 500 ? "internal" : "unavailable");
  assert.deepEqual(Object.keys(answer.json).sort(), ["code", "error", "fix", "request_id", "success"]);
  assert.ok(answer.json.fix.endsWith(`. See ${worker.origin}/docs/errors#${answer.json.code}`), answer.json.fix);
  assert.match(answer.json.request_id, /^req_[0-9a-f]{32}$/);
  assert.equal(answer.json.request_id, answer.headers.get("x-request-id"));
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.doesNotMatch(answer.text + JSON.stringify([...answer.headers]), /panic|purpose|wasm|\.rs|stack|unreachable|bounds|sqlite/i);
}

test("a29_l11_a_failure_is_answered_in_the_error_shape_and_the_next_request_is_served", async () => {
  let stored = 0;
  for (const fault of FAULTS) {
    const statuses = AT_THE_EDGE.includes(fault) ? [500] : [500, 503];
    for (const call of [say, reply]) {
      assertFailure(await call("lost", { "claviger-fault": fault }), statuses, fault);
      assert.equal((await call(`kept ${++stored}`)).status, 201, fault);
    }
  }
  assert.deepEqual(await texts(), Array.from({ length: stored }, (_, at) => `kept ${at + 1}`));
});

test("a panic in an object is answered with 500", async () => {
  assertFailure(await reply("lost", { "claviger-fault": "object-panic" }), [500], "object-panic");
});

test("i6_a_change_that_fails_half_way_leaves_neither_half", async () => {
  const before = await texts();
  const at = `/v1/credentials/${key.id}`;
  const known = (await worker.api("GET", at)).json;
  const fault = { headers: { "claviger-fault": "object-half" } };
  for (const idempotency of ["half-1", "half-2"]) {
    assertFailure(await reply("half", { ...fault.headers, "idempotency-key": idempotency }), [503], "append");
  }
  assertFailure(await worker.api("POST", `${at}/rotate`, { ...fault, body: {} }), [503], "rotate");
  assertFailure(await worker.api("POST", `${at}/revoke`, fault), [503], "revoke");
  assertFailure(await worker.api("PATCH", at, { ...fault, body: { origins: ["https://evil.example"] } }), [503], "change");
  assertFailure(await worker.api("POST", "/v1/workspaces", { ...fault, body: { name: "Half", id: "half" } }), [503], "create");

  assert.deepEqual(await texts(), before);
  assert.deepEqual((await worker.api("GET", at)).json, known);
  assert.equal((await worker.api("GET", "/v1/workspaces/half")).status, 404);
  assert.equal((await worker.api("POST", "/v1/workspaces", { body: { name: "Half", id: "half" } })).status, 201);
  // The key of a half-written message stands for nothing: its retry is the first to store.
  const retried = await reply("half", { "idempotency-key": "half-1" });
  assert.deepEqual([retried.status, retried.headers.get("idempotent-replayed")], [201, null]);
  assert.deepEqual(await texts(), [...before, "half"]);
});

test("a failure takes no object's state with it, also of objects that did not fail", async () => {
  const other = await furnish(worker);
  await say("before");
  for (const fault of FAULTS) await say("lost", { "claviger-fault": fault });
  const { status, json } = await worker.api("GET", `/v1/conversations/${other.conversation}/messages`);
  assert.deepEqual([status, json.items], [200, []]);
  assert.equal((await texts()).at(-1), "before");
  await worker.restart({ signal: "SIGKILL" });
  assert.equal((await texts()).at(-1), "before");
});

test("twenty failures among fifty good requests: every good one is served or told to try again", async () => {
  const before = (await texts()).length;
  const good = Array.from({ length: 50 }, (_, at) => () => say(`good ${at}`, { "idempotency-key": `good-${at}` }));
  const bad = Array.from({ length: 20 }, (_, at) => () => say("lost", { "claviger-fault": FAULTS[at % FAULTS.length] }));
  const mixed = [...good, ...bad].map((call, at) => ({ call, at: (at * 37) % 70, isGood: at < 50 })).sort((a, b) => a.at - b.at);
  const answers = await Promise.all(mixed.map(async ({ call, isGood }) => ({ isGood, answer: await call() })));

  for (const { isGood, answer } of answers) {
    if (!isGood) assertFailure(answer, [500, 503], "bad");
    else if (answer.status !== 201) assertFailure(answer, [503], "good");
  }
  const again = await Promise.all(good.map((call) => call()));
  assert.deepEqual([...new Set(again.map(({ status }) => status))], [201]);
  const stored = (await texts()).slice(before);
  assert.deepEqual([...stored].sort(), good.map((_, at) => `good ${at}`).sort(), "each stored once, none of the failed ones");
});

const contains = (build, text) => readdirSync(join(ROOT, build)).some((file) => readFileSync(join(ROOT, build, file)).includes(text));

test("n12_the_module_that_is_deployed_has_no_trace_of_the_faults", () => {
  assert.ok(contains("build-faults", "on purpose"), "this test would see it");
  assert.ok(!contains("build", "on purpose"));
});

test("n12_the_module_that_is_deployed_does_not_fail_on_purpose", async () => {
  assert.ok(contains("build-faults", "claviger-fault") && !contains("build", "claviger-fault"));
  const sound = await startWorker();
  for (const fault of FAULTS) {
    const { status } = await sound.api("GET", "/v1/whoami", { headers: { "claviger-fault": fault } });
    assert.equal(status, 200, fault);
  }
  await sound.stop();
});
