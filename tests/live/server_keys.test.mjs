// Server keys and service tokens over HTTP: every way of presenting them, and limits, usage and ends that are exact under load.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startWorker } from "../support/worker.mjs";

const POLICY_TOML = `brand = "clv"
[scopes]
"conversations:read" = "List conversations"
admin = { says = "All", implies = "*" }
[tiers.free]
requests = { limit = 60, window_seconds = 60 }
[tiers.custom]
custom = true
`;

/** Keys that are revoked and used at once; REVOCATIONS=10000 for a long run. */
const REVOCATIONS = Number(process.env.REVOCATIONS || 500);
/** As many keys as one workspace may get. */
const KEYS_EACH = 5_000;
const CONNECTIONS = 64;

let worker;
before(async () => {
  worker = await startWorker({ vars: { POLICY_TOML } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
});
after(() => worker?.stop());

const times = (count, call) => Promise.all(Array.from({ length: count }, (_, at) => call(at)));

async function create(members = {}) {
  const body = { kind: "server_key", workspace: "acme", environment: "live", name: "backend", ...members };
  const made = await worker.api("POST", "/v1/credentials", { body });
  assert.equal(made.status, 201, made.text);
  return made.json;
}

/** A tier of its own for a key: pairs of a limit and the seconds of its window. */
const custom = (...windows) => ({ tier: "custom", limits: { requests: windows.map(([limit, window_seconds]) => ({ limit, window_seconds })) } });
const whoami = (secret) => worker.api("GET", "/v1/whoami", { key: secret, scheme: "Bearer" });
const act = (id, what, body = {}) => worker.api("POST", `/v1/credentials/${id}/${what}`, { body });
const usage = async (id) => (await worker.api("GET", `/v1/credentials/${id}/usage?bucket=minute`)).json;
const remaining = ({ headers }) => Number(headers.get("x-ratelimit-remaining"));

describe("server keys", { concurrency: 4 }, () => {
  test("a key is made, used in each of its headers, rotated, counted and revoked", async () => {
    const key = await create({ scopes: ["conversations:read"] });
    const forms = [{ authorization: `Bearer ${key.secret}` }, { "x-api-key": key.secret }];
    for (const [used, headers] of forms.entries()) {
      const answer = await worker.api("GET", "/v1/whoami", { key: null, headers });
      assert.deepEqual([answer.status, answer.json.kind, answer.json.id, remaining(answer)], [200, "server_key", key.id, 59 - used]);
    }
    assert.equal((await worker.api("GET", "/v1/conversations", { key: key.secret, scheme: "Bearer" })).status, 200);
    const next = (await act(key.id, "rotate", { overlap_seconds: 600 })).json;
    assert.deepEqual([remaining(await whoami(next.secret)), remaining(await whoami(key.secret))], [56, 55]);
    assert.equal((await act(key.id, "rotate/finish")).status, 200);
    assert.equal((await whoami(key.secret)).json.code, "revoked_credential");
    assert.equal((await whoami(next.secret)).status, 200);
    const counted = await usage(key.id);
    assert.deepEqual([counted.total, counted.denied], [6, 1]);
    assert.deepEqual(counted.by_secret.map(({ hint, total }) => [hint, total]), [[next.hint, 2], [key.hint, 4]]);
    assert.deepEqual(counted.by_scope.map(({ scope, total }) => [scope, total]), [["conversations:read", 1]]);
    assert.equal(counted.series.reduce((sum, { total }) => sum + total, 0), 6);
    const self = await worker.api("POST", "/v1/self/revoke", { key: next.secret, scheme: "Bearer" });
    assert.deepEqual([self.status, (await whoami(next.secret)).json.code], [200, "revoked_credential"]);
    const { items } = (await worker.api("GET", "/v1/audit?workspace=acme&limit=100")).json;
    const acts = items.filter(({ target }) => target === key.id).map(({ action }) => action);
    for (const action of ["credential.create", "credential.rotate", "credential.rotate_finish", "credential.revoke"]) {
      assert.equal(acts.filter((known) => known === action).length, 1, `${action} in ${acts}`);
    }
  });

  test("a service token is good beside the name of its service and nowhere else", async () => {
    const token = await create({ kind: "service_token", service: "capture-spine" });
    const call = (headers) => worker.api("GET", "/v1/whoami", { key: null, headers });
    const both = { "x-service-name": "capture-spine", "x-service-token": token.secret };
    const answer = await call(both);
    assert.deepEqual([answer.status, answer.json.kind, remaining(answer)], [200, "service_token", 59]);
    for (const headers of [{ ...both, "x-service-name": "other" }, { "x-service-token": token.secret }, { "x-api-key": token.secret }]) {
      const refused = await call(headers);
      assert.deepEqual([refused.status, refused.json.code], [401, "invalid_credential"]);
    }
    assert.equal((await act(token.id, "revoke")).status, 200);
    assert.equal((await call(both)).json.code, "revoked_credential");
  });

  test("h_64_connections_get_no_call_more_than_the_limit_out_of_any_window_across_a_rotation", async () => {
    const windows = [[600, 10], [90, 1]];
    const keys = await Promise.all(windows.map((window) => create(custom(window))));
    const logs = keys.map(() => ({ admitted: [], refused: 0, secrets: [] }));
    keys.forEach(({ secret }, at) => logs[at].secrets.push(secret));
    const end = performance.now() + 12_000;
    const lanes = times(CONNECTIONS, async (lane) => {
      const log = logs[lane % 2];
      for (let call = 0; performance.now() < end; call++) {
        const invoked = performance.now();
        const { status, text } = await whoami(log.secrets[call % log.secrets.length]);
        if (status === 200) log.admitted.push([invoked, performance.now()]);
        else if (status === 429) log.refused++;
        else assert.fail(text);
      }
    });
    await sleep(5_000);
    await Promise.all(keys.map(async ({ id }, at) => logs[at].secrets.push((await act(id, "rotate", { overlap_seconds: 600 })).json.secret)));
    await lanes;
    for (const [at, [limit, seconds]] of windows.entries()) {
      const { admitted, refused } = logs[at];
      // Only what lies wholly in a window is in it for certain.
      const inside = ([start]) => admitted.filter(([invoked, returned]) => invoked >= start && returned <= start + seconds * 1_000).length;
      const most = Math.max(...admitted.map(inside));
      assert.ok(most <= limit, `${most} of ${limit} in ${seconds} s`);
      assert.ok(refused > 0 && admitted.length > limit, `${admitted.length} admitted, ${refused} refused: the limit was reached and came back`);
      const counted = await usage(keys[at].id);
      assert.deepEqual([counted.total, counted.denied], [admitted.length, refused]);
      assert.ok(counted.by_secret.every(({ total }) => total > 0));
      console.log(`limit ${limit} in ${seconds} s: at most ${most}; ${admitted.length} admitted, ${refused} refused`);
    }
  });

  test("h_an_evicted_object_has_given_back_its_block_and_resets_nothing", { skip: !existsSync("/proc/self/fd") && "no /proc" }, async () => {
    const other = await startWorker({ vars: { POLICY_TOML } });
    try {
      await other.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
      const body = { kind: "server_key", workspace: "acme", environment: "live", name: "n", ...custom([1_000, 120]) };
      const key = (await other.api("POST", "/v1/credentials", { body })).json;
      const call = () => other.api("GET", "/v1/whoami", { key: key.secret, scheme: "Bearer" });
      let last;
      for (let calls = 0; calls < 200; calls++) last = await call();
      assert.equal(remaining(last), 800);
      const before = other.openObjects().size;
      for (const end = Date.now() + 60_000; other.openObjects().size > 0 && Date.now() < end; ) await sleep(500);
      assert.ok(before > 0 && other.openObjects().size === 0, "all objects were evicted");
      assert.equal(remaining(await call()), 799);
      const counted = (await other.api("GET", `/v1/credentials/${key.id}/usage`)).json;
      assert.equal(counted.total, 201);
    } finally {
      await other.stop();
    }
  });
});

test(`b6_of_${REVOCATIONS}_keys_none_is_admitted_after_its_revocation_was_answered`, { timeout: 7_200_000 }, async () => {
  const workspaces = Math.ceil(REVOCATIONS / KEYS_EACH);
  await times(workspaces, (at) => worker.api("POST", "/v1/workspaces", { body: { name: "Pairs", id: `pairs-${at}` } }));
  let [next, late, refused] = [0, 0, 0];
  await times(16, async () => {
    while (next < REVOCATIONS) {
      const key = await create({ workspace: `pairs-${next++ % workspaces}` });
      assert.equal((await whoami(key.secret)).status, 200);
      assert.equal((await act(key.id, "revoke")).status, 200);
      for (const { status, json } of await times(2, () => whoami(key.secret))) {
        if (status === 200) late++;
        else if (json.code === "revoked_credential") refused++;
      }
    }
  });
  assert.deepEqual([late, refused], [0, 2 * REVOCATIONS]);
});
