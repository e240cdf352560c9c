// The audit over the real runtime: what was acknowledged is in the chain, over kills too, and anybody can verify an export.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { cli, startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const ROOT = resolve(import.meta.dirname, "../..");

let worker, id, secret;
const start = async (options) => {
  await worker?.stop();
  worker = await startWorker(options);
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  ({ id, secret } = (await worker.api("POST", "/v1/credentials", { body })).json);
};
beforeEach(() => start());
afterEach(() => worker?.stop());

let names = 0;
/** Another name each time: a change to what already is would be no event. */
const change = (headers = {}) =>
  worker.api("PATCH", `/v1/credentials/${id}`, { body: { name: `another ${++names}` }, headers });
const read = async (query) => {
  const answer = await worker.api("GET", `/v1/audit${query}`);
  assert.equal(answer.status, 200, answer.text);
  return answer;
};
const actions = async (query = "") => (await read(`?workspace=acme&limit=100${query}`)).json.items.map(({ action }) => action);

/** Writes an export to a file and answers its name. */
function keep(text, name) {
  const file = join(worker.state, `${name}.ndjson`);
  writeFileSync(file, text);
  return file;
}

const verify = (...files) => JSON.parse(cli(["audit", "verify", "--json", ...files], { ROOT_SECRETS: worker.rootSecrets }));

/** The script of the document, as its readers copy it. */
function script() {
  const document = readFileSync(join(ROOT, "docs/audit.md"), "utf8");
  return document.match(/```js\n([^`]*(?:`[^`]+`[^`]*)*)```/)[1];
}

const run = (text, input) =>
  execFileSync(process.execPath, ["--input-type=module", "--eval", text], { input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });

test("an export is verified by the command line and by the script of the document, and an edited one by neither", async () => {
  for (let round = 0; round < 5; round++) assert.equal((await change()).status, 200);
  const { text, headers } = await read("/export?workspace=acme");
  assert.equal(headers.get("content-type"), "application/x-ndjson");
  assert.ok(text.endsWith("\n") && !text.includes("\u001e"));
  const lines = text.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.slice(0, 7).map(({ seq }) => seq), [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(lines.length, 9);
  const found = verify(keep(text, "whole"));
  assert.deepEqual([found.valid, found.count, found.checkpoints.sound], [true, 7, 1]);
  assert.match(run(script(), text), new RegExp(`^7 events are sound; the head is ${found.head.hash}\n$`));

  const edited = text.replace("credential.change", "credential.rotate");
  assert.throws(() => verify(keep(edited, "edited")), ({ status, stdout }) => status === 1 && JSON.parse(stdout).first_bad_line === 3);
  assert.throws(() => run(script(), edited), /event 3 is not sound/);
  const shortened = text.split("\n").toSpliced(3, 1).join("\n");
  assert.throws(() => verify(keep(shortened, "shortened")), ({ status }) => status === 1);
  assert.throws(() => run(script(), shortened), /event 4 is not sound/);
  assert.deepEqual(await read("/verify?workspace=acme").then(({ json }) => [json.valid, json.count]), [true, 7]);
});

test("l4_what_was_acknowledged_is_in_the_chain_once_and_the_chain_is_whole_over_kills", async () => {
  let acknowledged = 0;
  for (let round = 0; round < 6; round++) {
    assert.equal((await change()).status, 200);
    const cut = change().then(({ status }) => (acknowledged += Number(status === 200)), () => undefined);
    await sleep(3 * round);
    await worker.restart({ signal: "SIGKILL" });
    await cut;
    acknowledged += 1;
  }
  const changes = (await actions("&action=credential.change")).length;
  assert.ok(changes >= acknowledged && changes <= 12, `${changes} of ${acknowledged} to 12`);
  const { json } = await read("/verify?workspace=acme");
  assert.deepEqual([json.valid, json.count], [true, changes + 2], JSON.stringify(json));
  const { text } = await read("/export?workspace=acme");
  assert.equal(verify(keep(text, "after-kills")).count, changes + 2);
  // The registry and the record say the same.
  const { version, name } = (await worker.api("GET", `/v1/credentials/${id}`)).json;
  assert.equal(version, undefined);
  assert.ok([`another ${names - 1}`, `another ${names}`].includes(name), name);
});

test("l4_an_act_whose_transaction_failed_half_way_is_neither_done_nor_recorded", async () => {
  await start({ build: "build-faults" });
  const before = await actions();
  assert.equal((await change({ "claviger-fault": "workspace-half" })).status, 503);
  assert.equal((await worker.api("GET", `/v1/credentials/${id}`)).json.name, "shop");
  assert.deepEqual(await actions(), before);
  assert.equal((await change()).status, 200);
  assert.deepEqual(await actions(), [...before, "credential.change"]);
});

test("l7_refusals_and_uses_reach_their_chains_when_the_minute_is_over_also_after_a_kill", async () => {
  // Not across the end of a minute: then it would be two events.
  const left = 60_000 - (Date.now() % 60_000);
  if (left < 5_000) await sleep(left);
  const open = () => worker.api("POST", `/w/${secret}/conversations`, { key: null, headers: { origin: "https://other.example" } });
  for (let round = 0; round < 16; round++) assert.equal((await open()).json.code, "origin_not_allowed");
  await worker.restart({ signal: "SIGKILL" });
  const end = Date.now() + 75_000;
  let refusals = [];
  while (refusals.length === 0 && Date.now() < end) {
    await sleep(500);
    refusals = (await read("?workspace=acme&action=credential.refuse")).json.items;
  }
  assert.deepEqual(refusals.map(({ actor, reason, count }) => [actor, reason, count]), [[`widget_key:${id}`, "origin_not_allowed", 16]]);
  const own = await read("?action=deploy_key.use&limit=100");
  const uses = own.json.items.filter(({ target }) => target === "POST /v1/credentials");
  assert.deepEqual(uses.map(({ count }) => count), [1]);
  assert.equal((await read("/verify")).json.valid, true);
});
