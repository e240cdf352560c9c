// What a caller makes up becomes no file, and a conversation that is deleted is gone for good, over a restart too.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const POLICY_TOML = `brand = "clv"
[scopes]
"messages:read" = "Read messages"
"messages:write" = "Reply"
admin = { says = "Everything", implies = "*" }
[tiers.free]
requests = { limit = 100000, window_seconds = 60 }
[widget]
conversations_per_hour = 1000
messages_per_conversation = 3
`;

let worker, key, serverKey;
before(async () => {
  worker = await startWorker({ vars: { POLICY_TOML } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const body = { workspace: "acme", environment: "live", name: "shop" };
  key = (await worker.api("POST", "/v1/credentials", { body: { ...body, kind: "widget_key", origins: [SITE] } })).json;
  const scopes = ["messages:read", "messages:write", "admin"];
  serverKey = (await worker.api("POST", "/v1/credentials", { body: { ...body, kind: "server_key", scopes } })).json.secret;
});
after(() => worker?.stop());

/** The databases in the state folder: one for every object that was ever asked anything. */
const files = () => new Set(readdirSync(worker.state, { recursive: true }).filter((name) => name.endsWith(".sqlite")));

/** Twenty base62 characters that nobody made here. */
const madeUp = () => randomBytes(60).toString("base64").replace(/[^0-9A-Za-z]/g, "").slice(0, 20);

const server = (method, path, body) => worker.api(method, path, { key: serverKey, scheme: "Bearer", body });
const open = async () =>
  (await worker.api("POST", `/w/${key.secret}/conversations`, { key: null, headers: { origin: SITE } })).json;
const visit = (visitor, method, body) =>
  worker.api(method, `/w/${key.secret}/conversations/${visitor.conversation}/messages`, {
    key: visitor.history_secret, scheme: "Bearer", headers: { origin: SITE }, body,
  });

test("a8_three_hundred_made_up_names_become_no_file", async () => {
  await open();
  assert.equal((await server("GET", "/v1/whoami")).status, 200);
  const before = files();
  for (let round = 0; round < 50; round++) {
    const [id, nowhere] = [`conv_${madeUp()}_acme`, `nowhere-${round}`];
    const answers = await Promise.all([
      server("GET", `/v1/conversations/${id}/messages`),
      server("POST", `/v1/conversations/${id}/messages`, { text: "x" }),
      server("DELETE", `/v1/conversations/${id}`),
      worker.api("GET", `/v1/conversations/conv_${madeUp()}_${nowhere}/messages`),
      worker.api("GET", `/v1/credentials?workspace=${nowhere}`),
      worker.api("GET", `/v1/credentials/sk_${madeUp()}_${nowhere}`),
      worker.api("GET", `/v1/workspaces/${nowhere}`),
      worker.api("GET", `/v1/audit?workspace=${nowhere}`),
      worker.api("POST", `/v1/credentials/dk_${madeUp()}/revoke`),
    ]);
    assert.deepEqual(answers.map(({ status, json }) => [status, json.code]), answers.map(() => [404, "not_found"]));
  }
  assert.deepEqual([...files().difference(before)], []);
  // The measure measures.
  await open();
  assert.equal(files().difference(before).size, 1);
});

test("a7_a_conversation_that_is_full_says_so_and_one_that_is_deleted_stays_so_over_a_restart", async () => {
  const visitor = await open();
  for (let number = 0; number < 3; number++) assert.equal((await visit(visitor, "POST", { text: "hello" })).status, 201);
  const full = await visit(visitor, "POST", { text: "hello" });
  assert.deepEqual([full.status, full.json.code], [409, "conflict"]);
  for (let times = 0; times < 2; times++) {
    const deleted = await server("DELETE", `/v1/conversations/${visitor.conversation}`);
    assert.deepEqual([deleted.status, deleted.json], [200, { id: visitor.conversation, deleted: true }]);
  }
  await worker.restart();
  assert.equal((await visit(visitor, "GET")).json.code, "revoked_credential");
  assert.equal((await server("GET", `/v1/conversations/${visitor.conversation}/messages`)).json.code, "gone");
  const list = await worker.api("GET", "/v1/conversations?workspace=acme&limit=100");
  assert.ok(list.json.items.every((item) => item.id !== visitor.conversation));
  const audit = await worker.api("GET", "/v1/audit?workspace=acme&action=conversation.delete");
  assert.deepEqual(audit.json.items.map((event) => event.target), [visitor.conversation]);
});
