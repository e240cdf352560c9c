// What one object must tell others arrives everywhere, though one of them does not answer for a while.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const DEAD_MILLIS = 8_000; // an object that was told to die, does not answer for so long

let worker, key;
before(async () => {
  worker = await startWorker({ build: "build-faults", vars: { CLIENT_ADDRESS_HEADER: "X-Client" } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  key = (await worker.api("POST", "/v1/credentials", { body })).json;
});
after(() => worker?.stop());

/** A call that asks the key's shard for `network` and writes nothing. */
const ask = (secret, network, headers = {}) =>
  worker.api("GET", `/w/${secret}/conversations/conv_00000000000000000000_acme/messages`, {
    key: visitor.history_secret,
    scheme: "Bearer",
    headers: { origin: SITE, "x-client": network, ...headers },
  });
let visitor;

test("one_dead_shard_holds_up_no_other_and_learns_of_the_revocation_when_it_lives_again", async () => {
  const opened = await worker.api("POST", `/w/${key.secret}/conversations`, { key: null, headers: { origin: SITE, "x-client": "10.0.0.1" } });
  visitor = opened.json;
  const died = Date.now();
  assert.equal((await ask(key.secret, "10.0.0.1", { "claviger-fault": "object-dead" })).status, 503);

  const revoking = worker.api("POST", `/v1/credentials/${key.id}/revoke`, { body: {} });
  // All the others know long before the answer, which waits for the dead one.
  await sleep(1_000);
  const others = Array.from({ length: 40 }, (_, number) => `10.0.${number + 1}.1`);
  const said = await Promise.all(others.map((network) => ask(key.secret, network)));
  const codes = said.map(({ json }) => json.code);
  assert.ok(codes.filter((code) => code === "revoked_credential").length > 30, codes.join());
  assert.deepEqual([...new Set(codes)].filter((code) => !["revoked_credential", "unavailable"].includes(code)), []);

  const answer = await revoking;
  assert.deepEqual([answer.status, answer.json.code, answer.json.pending], [503, "unavailable", true]);
  assert.ok(Date.now() - died >= 5_000, "it waited five seconds");
  // Nobody gets in by way of the dead shard, neither now nor later.
  while (Date.now() < died + DEAD_MILLIS) {
    assert.equal((await ask(key.secret, "10.0.0.1")).status, 503);
    await sleep(500);
  }
  const end = Date.now() + 15_000;
  let last;
  while ((last = await ask(key.secret, "10.0.0.1")).json.code !== "revoked_credential") {
    if (Date.now() > end) assert.fail(`the shard was not told: ${last.status} ${last.text}`);
    await sleep(200);
  }
  const again = await worker.api("POST", `/v1/credentials/${key.id}/revoke`, { body: {} });
  assert.deepEqual([again.status, again.json.status], [200, "revoked"]);
});
