// A stranger costs nothing: what is forged is refused, and a preflight answered, without one object being opened.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const ROUNDS = 200;

let worker, key, visitor, serverKey, token;
before(async () => {
  worker = await startWorker();
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  key = (await worker.api("POST", "/v1/credentials", { body })).json;
  const server = { workspace: "acme", environment: "live", name: "backend" };
  serverKey = (await worker.api("POST", "/v1/credentials", { body: { ...server, kind: "server_key" } })).json;
  token = (await worker.api("POST", "/v1/credentials", { body: { ...server, kind: "service_token", service: "spine" } })).json;
  visitor = (await worker.api("POST", `/w/${key.secret}/conversations`, { key: null, headers: { origin: SITE } })).json;
});
after(() => worker?.stop());

/** The same text with another tag. */
function forge(text, number) {
  const bytes = Buffer.from(text.slice(-43), "base64url");
  bytes[number % 30] ^= 1 + (number % 255);
  return text.slice(0, -43) + bytes.toString("base64url").slice(0, 43);
}

/** The same opaque text with another letter in its secret or its check; the locator stays, so it would find its object. */
function forgeOpaque(text, number) {
  const at = text.length - 1 - (number % 24);
  const other = String.fromCharCode(97 + (number % 26));
  return text.slice(0, at) + (text[at] === other ? "0" : other) + text.slice(at + 1);
}

test("p3_forged_credentials_of_every_kind_and_preflights_open_no_object", { skip: !existsSync("/proc/self/fd") && "no /proc" }, async () => {
  const { deployKey } = worker;
  await worker.restart();
  // Alarms that were due wake their objects: once that is over, nobody but a call opens another one.
  await sleep(2_500);
  const messages = (wk) => `/w/${wk}/conversations/${visitor.conversation}/messages`;
  const bearer = { key: visitor.history_secret, scheme: "Bearer", headers: { origin: SITE } };
  // The uses of the deploy key are told when their minute is over, whatever else happens; and beside a genuine widget key the key's
  // shard, which there is, says whether the page may read the refusal.
  assert.equal((await worker.api("GET", "/v1/workspaces", { key: deployKey })).status, 200);
  assert.equal((await worker.api("GET", messages(key.secret), { ...bearer, key: forge(visitor.history_secret, 1) })).status, 401);
  const before = worker.openObjects();
  for (let number = 0; number < ROUNDS; number++) {
    const answers = await Promise.all([
      worker.api("GET", messages(forge(key.secret, number)), bearer),
      worker.api("POST", messages(forge(key.secret, number)), { ...bearer, body: { text: "hi" } }),
      worker.api("POST", `/w/${forge(key.secret, number)}/conversations`, { key: null, headers: { origin: SITE } }),
      worker.api("GET", messages(key.secret), { ...bearer, key: forge(visitor.history_secret, number) }),
      worker.api("GET", "/v1/whoami", { key: forge(deployKey, number) }),
      worker.api("POST", "/v1/workspaces", { key: forge(deployKey, number), body: { name: "x" } }),
      worker.api("GET", "/v1/whoami", { key: forgeOpaque(serverKey.secret, number), scheme: "Bearer" }),
      worker.api("GET", "/v1/whoami", { key: null, headers: { "x-api-key": forgeOpaque(serverKey.secret, number) } }),
      worker.api("GET", "/v1/whoami", { key: null, headers: { "x-service-name": "spine", "x-service-token": forgeOpaque(token.secret, number) } }),
    ]);
    assert.deepEqual(answers.map(({ status, json }) => [status, json.code]), answers.map(() => [401, "invalid_credential"]));
    const asked = await worker.api("OPTIONS", messages(key.secret), { key: null, headers: { origin: SITE, "access-control-request-method": "POST" } });
    assert.equal(asked.status, 204);
  }
  assert.deepEqual([...worker.openObjects().difference(before)], [], "no object was asked");
  // The measure measures: a new conversation is an object more.
  assert.equal((await worker.api("POST", `/w/${key.secret}/conversations`, { key: null, headers: { origin: SITE } })).status, 201);
  const opened = worker.openObjects();
  assert.ok(opened.difference(before).size > 0);
  assert.equal((await worker.api("GET", "/v1/whoami", { key: serverKey.secret, scheme: "Bearer" })).status, 200);
  assert.ok(worker.openObjects().difference(opened).size > 0, "so is a genuine server key");
});
