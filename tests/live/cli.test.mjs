// The operator's command line against the running worker: what it makes serves, and what it ends is over.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { binary, startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";

let worker;
before(async () => {
  worker = await startWorker({ vars: { CLIENT_ADDRESS_HEADER: "X-Client" } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
});
after(() => worker?.stop());

/** Runs `claviger` with the worker's deploy key, unless `env` has another; no secret is an argument, none on standard error. */
function claviger(args, { env = {}, input = "" } = {}) {
  const variables = { CLAVIGER_URL: worker.url, CLAVIGER_KEY: worker.deployKey, ...env };
  const { status, stdout, stderr } = spawnSync(binary(), args, { env: variables, input, encoding: "utf8" });
  const key = variables.CLAVIGER_KEY || worker.deployKey;
  assert.ok(!stderr.includes(key) && !stdout.includes(key), "the calling key was printed");
  assert.doesNotMatch(stderr, /clv_wk_live_[A-Za-z0-9_-]{20}/);
  return { status, out: stdout.trimEnd(), told: stderr.trimEnd() };
}

/** The same, while this goes on: `line` waits for the first of standard output, `end` for the end. */
function start(args) {
  const child = spawn(binary(), args, { env: { CLAVIGER_URL: worker.url, CLAVIGER_KEY: worker.deployKey } });
  let told = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (told += text));
  const end = once(child, "close").then(([status]) => ({ status, told: told.trimEnd() + "\n" }));
  return { end, line: () => once(child.stdout.setEncoding("utf8"), "data").then(([text]) => text) };
}

function good(args, options) {
  const { status, out, told } = claviger(args, options);
  assert.equal(status, 0, told);
  return out;
}
const json = (args) => JSON.parse(good([...args, "--json"]));

const CREATE = ["credentials", "create", "--kind", "widget_key", "--workspace", "acme", "--environment", "live", "--origin", SITE];

/** Opens a conversation, as the page of this origin. */
const open = (key, origin = SITE) => worker.api("POST", `/w/${key}/conversations`, { key: null, headers: { origin } });

test("a widget key is made, serves, is found again, and is over when it was revoked", async () => {
  const key = good([...CREATE, "--name", "shop", "--expires-in", "90d"]);
  assert.match(key, /^clv_wk_live_[A-Za-z0-9_-]+$/);
  assert.equal((await open(key)).status, 201);
  assert.equal((await open(key, "https://other.example")).json.code, "origin_not_allowed");

  const [{ id, hint }] = json(["credentials", "list", "--workspace", "acme", "--kind", "widget_key"]).items;
  assert.ok(hint.endsWith(key.slice(-4)));
  assert.match(good(["credentials", "list", "--workspace", "acme"]), new RegExp(`^ID .* LAST USED\n${id}  widget_key  shop  active  ${hint}  `));
  const shown = json(["credentials", "show", id]);
  assert.deepEqual([shown.name, shown.origins, shown.secret], ["shop", [SITE], undefined]);
  assert.match(good(["credentials", "show", id]), /^status +active$/m);

  assert.match(good(["credentials", "revoke", id, "--reason", "the test is over"]), new RegExp(`^${id} is revoked since 20`));
  assert.equal((await open(key)).json.code, "revoked_credential");
  const { revoked_at } = json(["credentials", "revoke", id]);
  assert.equal(json(["credentials", "show", id]).revoked_at, revoked_at);
  assert.equal(json(["credentials", "list", "--workspace", "acme", "--status", "revoked"]).items.length, 1);
});

test("n13_a_plan_and_a_key_are_changed_as_they_are_shown_and_back_again", async () => {
  const plan = (...args) => json(["workspaces", "plan", "acme", ...args]).plan;
  const otherwise = json(["workspaces", "show", "acme"]).plan;
  assert.equal(otherwise.default, true);
  const own = ["--tier", "enterprise", "--tier", "free", "--limit", "1000/60"];
  const wanted = { tiers: ["enterprise", "free"], custom_limits: { requests: [{ limit: 1000, window_seconds: 60 }], tokens: [] } };
  const { tiers, custom_limits } = plan(...own);
  assert.deepEqual([tiers.sort(), custom_limits], [wanted.tiers, wanted.custom_limits]);
  assert.match(good(["workspaces", "show", "acme"]), /^plan +(enterprise, free|free, enterprise), requests 1000\/60$/m);
  assert.deepEqual(json(["workspaces", "create", "--name", "Planned", "--id", "planned", ...own]).plan.custom_limits, wanted.custom_limits);
  assert.deepEqual(plan("--default"), otherwise);

  const key = ["credentials", "create", "--kind", "server_key", "--workspace", "planned", "--environment", "live", "--name", "old"];
  const { id } = json([...key, "--scope", "messages:read", "--allowed-address", "203.0.113.0/24", "--expires-in", "1h"]);
  const change = (...args) => json(["credentials", "change", id, ...args]);
  const changed = change("--name", "new", "--scope", "messages:write", "--allowed-address", "-", "--expires-at", "2030-01-01T00:00:00Z");
  assert.deepEqual(
    [changed.name, changed.scopes, changed.allowed_addresses, changed.expires_at],
    ["new", ["messages:write"], [], "2030-01-01T00:00:00.000Z"],
  );
  const { expires_at, ...rest } = change("--expires-at", "-");
  assert.deepEqual([expires_at, rest.name, rest.scopes], [null, "new", ["messages:write"]]);
  assert.match(good(["credentials", "change", id, "--tier", "enterprise", "--limit", "7/60"]), /^limits +requests 7\/60$/m);
  assert.equal(claviger(["credentials", "change", id, "--origin", SITE]).status, 1, "a server key has no origins");
});

test("a rotation hands out another secret, and the old one works for its overlap", async () => {
  const made = json([...CREATE, "--name", "rotated"]);
  const first = made.secret;
  const { status, out: second, told } = claviger(["credentials", "rotate", made.id, "--overlap", "1h"]);
  assert.equal(status, 0, told);
  assert.match(told, new RegExp(`the old secret ${made.hint} ends at 20`));
  for (const key of [first, second]) assert.equal((await open(key)).status, 201);
  const third = good(["credentials", "rotate", made.id, "--overlap", "0s"]);
  assert.equal((await open(third)).status, 201);
  for (const key of [first, second]) assert.equal((await open(key)).json.code, "revoked_credential");
});

const SERVER_KEY = ["credentials", "create", "--kind", "server_key", "--workspace", "acme", "--environment", "live"];

/** What the key is, as the worker sees it. */
const whoami = (key) => worker.api("GET", "/v1/whoami", { key, scheme: "Bearer" });

test("a server key has the scopes and the numbers that were asked for, and one with admin may itself administer", async () => {
  const asked = ["--scope", "messages:read", "--tier", "enterprise", "--limit", "7/60", "--allowed-address", "203.0.113.0/24"];
  const { id } = json([...SERVER_KEY, "--name", "api", ...asked]);
  const { scopes, tier, limits, allowed_addresses } = json(["credentials", "show", id]);
  assert.deepEqual([scopes, tier, allowed_addresses], [["messages:read"], "enterprise", ["203.0.113.0/24"]]);
  assert.deepEqual(limits.requests, [{ limit: 7, window_seconds: 60 }]);

  const admin = good([...SERVER_KEY, "--name", "admin", "--scope", "admin"]);
  const env = { CLAVIGER_KEY: admin };
  // It belongs to one workspace, which goes without saying.
  const listed = JSON.parse(good(["credentials", "list", "--kind", "server_key", "--json"], { env }));
  assert.deepEqual(listed.items.map(({ name }) => name), ["admin", "api"]);
  const made = ["credentials", "create", "--kind", "service_token", "--environment", "live", "--name", "billing", "--service", "billing"];
  assert.match(good(made, { env }), /^clv_st_live_[A-Za-z0-9]{32}$/);
  const [, id_of_billing] = claviger(["credentials", "list", "--kind", "service_token"], { env }).out.match(/^(st_\w+) /m);
  good(["credentials", "revoke", id_of_billing], { env });
});

test("usage is told by secret and by scope, and a rotation that is watched ends the old secret once it is silent", async () => {
  const made = json([...SERVER_KEY, "--name", "busy", "--scope", "messages:read"]);
  for (let round = 0; round < 3; round++) assert.equal((await whoami(made.secret)).status, 200);
  const { total, by_secret, by_scope } = json(["credentials", "usage", made.id]);
  assert.equal(total, 3);
  assert.deepEqual(by_secret.map(({ hint, total }) => [hint, total]), [[made.hint, 3]]);
  assert.deepEqual(by_scope.map(({ scope, total }) => [scope, total]), [["messages:read", 0]]);
  assert.match(good(["credentials", "usage", made.id, "--bucket", "minute"]), /^never used: messages:read$/m);

  const watching = start(["credentials", "rotate", "--watch", made.id, "--overlap", "1h", "--silent", "3s", "--every", "1s"]);
  const fresh = (await watching.line()).trim();
  for (let round = 0; round < 4; round++) {
    assert.equal((await whoami(made.secret)).status, 200, "the old secret is in use, and works");
    assert.equal((await whoami(fresh)).status, 200);
    await sleep(1_000);
  }
  const { status, told } = await watching.end;
  assert.equal(status, 0, told);
  assert.match(told, new RegExp(`${made.hint}: last used 20\\S+, 7 in all; silent for 3s of 3s\n`));
  assert.equal((await whoami(made.secret)).json.code, "revoked_credential");
  assert.equal((await whoami(fresh)).status, 200);
  assert.match(good(["credentials", "rotate", "--only-watch", made.id]), /^$/);
});

test("what is made twice with one Idempotency-Key is made once, and a lost secret is no success", () => {
  const once = [...CREATE, "--name", "once", "--idempotency-key", "pipeline-7"];
  const key = good(once);
  const { status, out, told } = claviger(once);
  assert.deepEqual([status, out], [1, ""]);
  assert.match(told, /its secret was shown then/);
  const again = json(once);
  assert.deepEqual([again.secret_shown, again.secret, again.hint.endsWith(key.slice(-4))], [true, undefined, true]);
});

test("all pages hold every credential once", async () => {
  await worker.api("POST", "/v1/workspaces", { body: { name: "Many", id: "many" } });
  const names = ["a", "b", "c", "d", "e"];
  const create = CREATE.with(5, "many");
  for (const name of names) good([...create, "--name", name]);
  const list = ["credentials", "list", "--workspace", "many", "--limit", "2"];
  assert.equal(json(list).items.length, 2);
  const { items, next_cursor } = json([...list, "--all"]);
  assert.deepEqual([items.map(({ name }) => name), next_cursor], [names.toReversed(), null]);
});

test("a refusal is told with its code and the id that stands in the log", async () => {
  const { status, out, told } = claviger(["credentials", "list", "--workspace", "nobody"]);
  assert.deepEqual([status, out], [1, ""]);
  const [, id] = told.match(/^claviger: There is nothing here\. .* \(not_found, request (req_\w+)\)$/);
  for (const end = Date.now() + 5_000; !worker.log().includes(id); await sleep(5)) assert.ok(Date.now() < end, worker.log());
  const forged = claviger(["credentials", "list"], { env: { CLAVIGER_KEY: "dev:local|clv_dk_AAAA" } });
  assert.match(forged.told, /\(invalid_credential, request /);
  const nameless = claviger([...CREATE, "--name", worker.deployKey.slice(-60)]);
  assert.equal(nameless.status, 1);
  assert.match(nameless.told, /`name` is not valid/);
});

test("the doctor knows what the worker made, and under which root secret", () => {
  const { id, secret } = json([...CREATE, "--name", "patient"]);
  const judge = (input, env) => JSON.parse(claviger(["doctor", "--json"], { env: { CLAVIGER_KEY: "", ...env }, input }).out);
  const found = judge(secret, { ROOT_SECRETS: worker.rootSecrets });
  assert.deepEqual([found.kind, found.id, found.genuine, found.problems], ["widget_key", id, true, []]);
  const cut = judge(secret.slice(0, -3), { ROOT_SECRETS: worker.rootSecrets });
  assert.match(cut.problems.join(), /3 of its characters/);
});
