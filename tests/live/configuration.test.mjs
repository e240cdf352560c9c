// Variables: one that is missing or malformed closes everything and is named; policies and root secrets do what they say.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { cli, freshRootSecret, startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const running = [];
after(() => Promise.all(running.map((worker) => worker.stop())));

async function start(vars, options) {
  const worker = await startWorker({ vars, ...options });
  running.push(worker);
  return worker;
}

async function furnish(worker, options = {}) {
  await worker.api("POST", "/v1/workspaces", { ...options, body: { name: "Acme", id: "acme" } });
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  const made = await worker.api("POST", "/v1/credentials", { ...options, body });
  return made.json;
}

const open = (worker, wk) => worker.api("POST", `/w/${wk}/conversations`, { key: null, headers: { origin: SITE } });

/** Every call is closed, and the answer says why in words that `told` matches. */
async function assertClosed(vars, told, secret) {
  const worker = await start(vars);
  for (const [method, path] of [["GET", "/healthz"], ["GET", "/v1/whoami"], ["POST", "/w/x/conversations"], ["OPTIONS", "/w/x/conversations"], ["GET", "/nothing"], ["GET", "/widget.js"]]) {
    const { status, json, headers, text } = await worker.api(method, path, { key: null, headers: { origin: SITE } });
    assert.deepEqual([status, json.code], [503, "not_configured"], text);
    assert.match(json.error, told);
    assert.equal(json.request_id, headers.get("x-request-id"));
    assert.equal(headers.get("access-control-allow-origin"), null);
    if (secret) assert.ok(!text.includes(secret) && !worker.log().includes(secret), text);
  }
  await worker.kill();
}

test("p7_a_variable_that_is_missing_closes_everything_and_is_named", async () => {
  for (const name of ["ROOT_SECRETS", "STAGE", "DEPLOYMENT"]) {
    for (const value of [undefined, ""]) await assertClosed({ [name]: value }, new RegExp(`\\b${name}\\b`));
  }
});

test("k27_root_secrets_that_are_malformed_close_everything_and_show_nothing", async () => {
  const secret = freshRootSecret().split(":")[1];
  for (const value of [
    secret, `r1:${secret.slice(0, -1)}`, `r1:${secret}=`, `r1:${secret}A`, `r1:${secret}:check-only`, `r1:${secret}:other`, `r1:${secret},r1:${secret}`,
    `r1:${secret},r2`, `r1:${secret}:x:y`, `r!:${secret}`, `:${secret}`, `r1:${secret.replace(/.$/, "!")}`, `r1=${secret}`,
  ]) {
    await assertClosed({ ROOT_SECRETS: value }, /ROOT_SECRETS/, secret.slice(0, 12));
  }
});

test("p7_a_variable_that_is_malformed_closes_everything_and_is_named", async () => {
  for (const [name, values] of Object.entries({
    STAGE: ["live", "Prod", "dev "],
    DEPLOYMENT: ["a b", "a|b", "a:b", "x".repeat(65)],
    ORIGIN: ["shop.example", "https://shop.example/", "https://shop.example/a", "ftp://shop.example", "https://u@shop.example", "https://SHOP.example", "null"],
    POLICY: ["nobody", "Default", "../default"],
    UPSTREAM: ["api.example", "https://api.example/v1"],
  })) {
    for (const value of values) await assertClosed({ [name]: value }, new RegExp(`\\b${name}\\b`));
  }
});

test("p7_a_header_name_that_cannot_be_one_closes_everything", () =>
  assertClosed({ CLIENT_ADDRESS_HEADER: "bad header" }, /CLIENT_ADDRESS_HEADER/));

test("a policy that is not sound closes everything and says in which line and why", async () => {
  for (const [text, told] of [
    ['brand = "gs"\nfoo = 1\n', /line 2: unknown key `foo`/],
    ['brand = "g"\n', /line 1: brand is 2 to 8/],
    ["\n\n[widget]\n", /line 1: `brand` is missing/],
    ['brand = "gs"\n[widget]\npage = 0\n', /line 3: `page`/],
    ['brand = "gs"\n\n[widget\n', /line [34]: /],
    ['brand = "gs"\n[[routes]]\nmatch = "GET /x"\naccept = ["widget_key"]\nto = "upstream"\n', /line 4: a widget_key is safe in browsers/],
    ['brand = "gs"\n[[routes]]\nmatch = "GET /x"\nscope = "a"\naccept = ["server_key"]\nto = "upstream"\n', /line 4: unknown scope `a`/],
  ]) {
    await assertClosed({ POLICY_TOML: text }, told);
  }
});

test("the policy named support serves its brand and its scopes", async () => {
  const worker = await start({ POLICY: "support" });
  const key = cli(["deploy-key", "--stage", "dev", "--deployment", "local"], { ROOT_SECRETS: worker.rootSecrets, POLICY: "support" });
  assert.match(key, /^dev:local\|woes_dk_/);
  const { secret } = await furnish(worker, { key });
  assert.match(secret, /^woes_wk_live_/);
  const opened = await open(worker, secret);
  assert.match(opened.json.history_secret, /^woes_hs_live_/);
  const metadata = await worker.api("GET", "/.well-known/oauth-protected-resource", { key: null });
  assert.equal(metadata.json.scopes_supported.length, 16);
  // A key of another brand is nobody's, though the same root secret made it.
  const other = cli(["deploy-key", "--stage", "dev", "--deployment", "local"], { ROOT_SECRETS: worker.rootSecrets });
  assert.match(other, /^dev:local\|clv_dk_/);
  assert.equal((await worker.api("GET", "/v1/whoami", { key: other })).json.code, "invalid_credential");
});

test("a whole policy in a variable comes before the name of one; without a widget there is none", async () => {
  const worker = await start({ POLICY: "support", POLICY_TOML: 'brand = "gs"\n[schemes]\ndeploy_key = ["Door"]\n' });
  const key = cli(["deploy-key", "--stage", "dev", "--deployment", "local"], {
    ROOT_SECRETS: worker.rootSecrets,
    POLICY_TOML: worker.vars.POLICY_TOML,
  });
  assert.equal((await worker.api("GET", "/v1/whoami", { key, scheme: "Door" })).status, 200);
  assert.equal((await worker.api("GET", "/v1/whoami", { key, scheme: "Convex" })).json.code, "invalid_credential");
  const { secret } = await furnish(worker, { key, scheme: "Door" });
  assert.match(secret, /^gs_wk_live_/);
  assert.equal((await open(worker, secret)).json.code, "not_found");
  for (const [method, path] of [["OPTIONS", `/w/${secret}/conversations`], ["GET", "/widget.js"]]) {
    assert.equal((await worker.api(method, path, { key: null, headers: { origin: SITE } })).status, 404, path);
  }
});

test("without an upstream and without a client address everything else works", async () => {
  const worker = await start({ UPSTREAM: undefined, CLIENT_ADDRESS_HEADER: undefined });
  assert.equal((await open(worker, (await furnish(worker)).secret)).status, 201);
});

test("the client's network buckets limits only where its header is named", async () => {
  const worker = await start({
    CLIENT_ADDRESS_HEADER: "X-Client",
    POLICY_TOML: 'brand = "clv"\n[widget]\nconversations_per_hour = 1\n',
  });
  const { secret } = await furnish(worker);
  const from = async (address, name = "x-client") =>
    (await worker.api("POST", `/w/${secret}/conversations`, { key: null, headers: { origin: SITE, [name]: address } })).status;
  assert.deepEqual([await from("192.0.2.1"), await from("192.0.2.9"), await from("::ffff:192.0.2.7")], [201, 429, 429]);
  assert.deepEqual([await from("2001:db8::1"), await from("2001:DB8:0::ffff"), await from("2001:db8:0:1::1")], [201, 429, 201]);
  // What is no address shares one bucket, and so does a header that nobody named.
  assert.deepEqual([await from("nonsense"), await from("'"), await from("192.0.2.1", "cf-connecting-ip")], [201, 429, 429]);
});

test("b35_a_deploy_key_of_another_stage_or_deployment_opens_nothing", async () => {
  const worker = await start({});
  for (const [stage, deployment] of [["prod", "local"], ["staging", "local"], ["dev", "other"]]) {
    const key = cli(["deploy-key", "--stage", stage, "--deployment", deployment], { ROOT_SECRETS: worker.rootSecrets });
    assert.deepEqual((await worker.api("GET", "/v1/workspaces", { key })).json.code, "wrong_stage");
    const relabelled = key.replace(/^[^|]*/, "dev:local");
    assert.equal((await worker.api("GET", "/v1/workspaces", { key: relabelled })).json.code, "invalid_credential");
  }
  const brief = cli(["deploy-key", "--stage", "dev", "--deployment", "local", "--expires-in", "1s"], { ROOT_SECRETS: worker.rootSecrets });
  assert.equal((await worker.api("GET", "/v1/workspaces", { key: brief })).status, 200);
  await sleep(1_100);
  assert.equal((await worker.api("GET", "/v1/workspaces", { key: brief })).json.code, "expired_credential");
  const foreign = cli(["deploy-key", "--stage", "dev", "--deployment", "local"], { ROOT_SECRETS: freshRootSecret() });
  assert.equal((await worker.api("GET", "/v1/workspaces", { key: foreign })).json.code, "invalid_credential");
});

test("b28_a_root_secret_is_rotated_and_a_leaked_one_demoted", async () => {
  const [old, fresh] = [freshRootSecret("r1"), freshRootSecret("r2")];
  const worker = await start({ ROOT_SECRETS: old });
  const before = worker.deployKey;
  const key = await furnish(worker);
  const visitor = (await open(worker, key.secret)).json;
  const path = `/conversations/${visitor.conversation}/messages`;
  const say = (wk) =>
    worker.api("POST", `/w/${wk}${path}`, { key: visitor.history_secret, scheme: "Bearer", headers: { origin: SITE }, body: { text: "kept" } });
  assert.equal((await say(key.secret)).status, 201);

  await worker.restart({ vars: { ROOT_SECRETS: `${fresh},${old}` } });
  assert.equal((await worker.api("GET", "/v1/whoami", { key: before })).status, 200);
  assert.equal((await say(key.secret)).status, 201);
  const renewed = await worker.api("POST", `/v1/credentials/${key.id}/rotate`, { key: before, body: {} });

  await worker.restart({ vars: { ROOT_SECRETS: `${fresh},${old}:check-only` } });
  assert.equal((await worker.api("GET", "/v1/whoami", { key: before })).json.code, "invalid_credential");
  assert.equal((await say(key.secret)).json.code, "invalid_credential");
  assert.equal((await say(renewed.json.secret)).json.code, "invalid_credential", "the history secret is of the old root");
  assert.equal((await open(worker, renewed.json.secret)).status, 201, "the key was renewed under the new root");
  const now = cli(["deploy-key", "--stage", "dev", "--deployment", "local"], { ROOT_SECRETS: worker.rootSecrets });
  const messages = await worker.api("GET", `/v1${path}`, { key: now });
  assert.deepEqual(messages.json.items.map(({ text }) => text), ["kept", "kept"]);
});
