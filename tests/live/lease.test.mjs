// Leases on the runtime: the limit by the caller's own log, a kill with permits in hand, and how long a revoked key rides on.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startWorker } from "../support/worker.mjs";

const LEASE_SECONDS = 2;
const POLICY_TOML = `brand = "clv"
[scopes]
admin = { says = "All", implies = "*" }
[tiers.hot]
custom = true
lease_seconds = ${LEASE_SECONDS}
`;
const CONNECTIONS = 64;

let worker;
before(async () => {
  worker = await startWorker({ vars: { POLICY_TOML } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
});
after(() => worker?.stop());

async function create(limit, window_seconds, members = {}) {
  const limits = { requests: [{ limit, window_seconds }] };
  const body = { kind: "server_key", workspace: "acme", environment: "live", name: "hot", tier: "hot", limits, ...members };
  const made = await worker.api("POST", "/v1/credentials", { body });
  assert.equal(made.status, 201, made.text);
  return made.json;
}

/** Calls over so many connections until `isOver`: when each began and ended, and what it answered. */
async function load(secret, isOver) {
  const log = [];
  const caller = async () => {
    while (!isOver(log)) {
      const began = performance.now();
      const { status, headers } = await worker.api("GET", "/v1/whoami", { key: secret, scheme: "Bearer" }).catch(() => ({ status: 0 }));
      log.push({ began, ended: performance.now(), status, remaining: headers?.get("x-ratelimit-remaining") });
      if (status !== 200) await sleep(5);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, caller));
  return log;
}

/** The most calls that were admitted in one window for sure: they began and ended in it. */
function mostInAny(log, millis) {
  const admitted = log.filter(({ status }) => status === 200);
  return Math.max(...admitted.map(({ began }) => admitted.filter((other) => other.began >= began && other.ended <= began + millis).length));
}

/** How many of these calls the object was asked about: those that ride say what it said last. */
const asked = (log) => new Set(log.map(({ remaining }) => remaining)).size;

/** What the object has heard of by now. */
const counted = async (id) => (await worker.api("GET", `/v1/credentials/${id}/usage?bucket=minute`)).json.total;

describe("leases", { concurrency: 1 }, () => {
  test("h_64_connections_get_no_call_more_than_the_limit_out_of_any_window_and_few_of_them_ask", async () => {
    const [limit, seconds] = [1_500, 10];
    const key = await create(limit, seconds);
    const began = performance.now();
    const log = await load(key.secret, () => performance.now() - began > 2_600 * seconds);
    const most = mostInAny(log, seconds * 1_000);
    assert.ok(most <= limit, `${most} of ${limit}`);
    const admitted = log.filter(({ status }) => status === 200).length;
    assert.ok(admitted >= 2 * limit, `${admitted} in two windows and more`);
    assert.ok(asked(log.slice(0, 1_000)) < 400, `${asked(log.slice(0, 1_000))} asks for the first thousand calls`);
    assert.ok(log.some(({ status }) => status === 429));
    assert.ok(log.every(({ status }) => status === 200 || status === 429));
    // What an isolate has not told yet, it tells with its next question.
    await sleep(1_000);
    const last = (await worker.api("GET", "/v1/whoami", { key: key.secret, scheme: "Bearer" })).status === 200 ? 1 : 0;
    assert.equal(await counted(key.id), admitted + last);
  });

  test("h_a_kill_with_permits_in_hand_admits_nothing_twice", async () => {
    const [limit, seconds] = [3_000, 60];
    const key = await create(limit, seconds);
    const first = await load(key.secret, (log) => log.length >= 1_000);
    await worker.kill();
    await worker.restart();
    const second = await load(key.secret, (log) => log.some(({ status }) => status === 429));
    const admitted = [...first, ...second].filter(({ status }) => status === 200);
    // In less than a window.
    assert.ok(admitted.at(-1).ended - admitted[0].began < seconds * 1_000);
    assert.ok(admitted.length <= limit, `${admitted.length} of ${limit}`);
    assert.ok(admitted.length >= limit - limit / 10, `${admitted.length} of ${limit}: a lease or two were lost, and no more`);
  });

  test("b_a_revoked_key_is_dead_when_its_lease_is_over", async () => {
    let rode = 0;
    for (let round = 0; round < 3; round += 1) {
      const key = await create(60_000, 60);
      const { log, answered } = await revoked(key);
      const admitted = log.filter(({ status, began }) => status === 200 && began > answered);
      const late = admitted.filter(({ began }) => began > answered + 1_000 * LEASE_SECONDS);
      assert.equal(late.length, 0, "admitted after the bound");
      assert.ok(log.some(({ status, began }) => status === 401 && began > answered));
      rode = Math.max(rode, ...admitted.map(({ began }) => began - answered));
    }
    console.log(`rode on for ${rode.toFixed(0)} ms at most`);
    assert.ok(rode > 0, "nobody rode on a lease");
  });

  test("b_a_revoked_key_administers_nothing_from_the_first_moment_though_its_isolate_holds_a_lease", async () => {
    const key = await create(60_000, 60, { scopes: ["admin"] });
    const administer = () => worker.api("GET", "/v1/credentials?workspace=acme", { key: key.secret, scheme: "Bearer" });
    assert.equal((await administer()).status, 200);
    const { json } = (await revoked(key, administer)).after;
    assert.equal(json.code, "revoked_credential");
  });
});

/** A key under load that is revoked on the way: every call, and when that was answered; and what is done right after. */
async function revoked(key, then) {
  let [answered, after] = [Infinity];
  const revoke = async () => {
    await sleep(1_500);
    assert.equal((await worker.api("POST", `/v1/credentials/${key.id}/revoke`)).status, 200);
    answered = performance.now();
    after = await then?.();
  };
  const [log] = await Promise.all([load(key.secret, () => performance.now() > answered + 2_000 * LEASE_SECONDS), revoke()]);
  return { log, answered, after };
}
