// A stranger costs nothing: what is forged is refused, and a preflight answered, without one object being opened.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const ROUNDS = 200;

let worker, key, visitor;
before(async () => {
  worker = await startWorker();
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  key = (await worker.api("POST", "/v1/credentials", { body })).json;
  visitor = (await worker.api("POST", `/w/${key.secret}/conversations`, { key: null, headers: { origin: SITE } })).json;
});
after(() => worker?.stop());

/** The databases that the runtime holds open: one for every object that was asked anything. */
function openObjects() {
  const folder = `/proc/${worker.pid}/fd`;
  const links = readdirSync(folder).map((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`);
    } catch {
      return ""; // closed meanwhile
    }
  });
  return new Set(links.filter((link) => /\.sqlite(-wal|-shm)?$/.test(link)));
}

/** The same text with another tag. */
function forge(text, number) {
  const bytes = Buffer.from(text.slice(-43), "base64url");
  bytes[number % 30] ^= 1 + (number % 255);
  return text.slice(0, -43) + bytes.toString("base64url").slice(0, 43);
}

test("p3_forged_credentials_of_every_kind_and_preflights_open_no_object", { skip: !existsSync("/proc/self/fd") && "no /proc" }, async () => {
  const { deployKey } = worker;
  await worker.restart();
  // Alarms that were due wake their objects: once that is over, nobody but a call opens another one.
  await sleep(2_500);
  const before = openObjects();
  const messages = (wk) => `/w/${wk}/conversations/${visitor.conversation}/messages`;
  const bearer = { key: visitor.history_secret, scheme: "Bearer", headers: { origin: SITE } };
  for (let number = 0; number < ROUNDS; number++) {
    const answers = await Promise.all([
      worker.api("GET", messages(forge(key.secret, number)), bearer),
      worker.api("POST", messages(forge(key.secret, number)), { ...bearer, body: { text: "hi" } }),
      worker.api("POST", `/w/${forge(key.secret, number)}/conversations`, { key: null, headers: { origin: SITE } }),
      worker.api("GET", messages(key.secret), { ...bearer, key: forge(visitor.history_secret, number) }),
      worker.api("GET", "/v1/whoami", { key: forge(deployKey, number) }),
      worker.api("POST", "/v1/workspaces", { key: forge(deployKey, number), body: { name: "x" } }),
    ]);
    assert.deepEqual(answers.map(({ status, json }) => [status, json.code]), answers.map(() => [401, "invalid_credential"]));
    const asked = await worker.api("OPTIONS", messages(key.secret), { key: null, headers: { origin: SITE, "access-control-request-method": "POST" } });
    assert.equal(asked.status, 204);
  }
  assert.deepEqual([...openObjects().difference(before)], [], "no object was asked");
  // The measure measures: a new conversation is an object more.
  assert.equal((await worker.api("POST", `/w/${key.secret}/conversations`, { key: null, headers: { origin: SITE } })).status, 201);
  assert.ok(openObjects().difference(before).size > 0);
});
