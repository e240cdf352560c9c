// What one caller of the gateway can do to others, on the bare runtime: nothing. And what is left of a caller who has gone: nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { raw } from "../support/raw.mjs";
import { says, startUpstream, until } from "../support/upstream.mjs";
import { startWorker } from "../support/worker.mjs";

const route = (match, more = "") => `[[routes]]\nmatch = "${match}"\naccept = ["server_key"]\nto = "upstream"\n${more}`;
const POLICY_TOML = [
  'brand = "clv"\n[scopes]\nadmin = { says = "All", implies = "*" }\n',
  "[tiers.free]\nrequests = { limit = 100_000, window_seconds = 60 }\ntokens = { limit = 1_000_000, window_seconds = 60 }\n",
  route("GET /v1/things/{rest...}"),
  route("GET /v1/quick/{rest...}", "timeout_seconds = 1\n"),
  route("POST /v1/once", 'idempotency = "accepted"\n'),
  route("POST /v1/tokens", 'tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }\n'),
].join("");
const well = (socket, call) => api.reply(socket, call, says("hello"));

let api, worker;
const keys = {};
before(async () => {
  api = await startUpstream(well);
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: api.origin } });
  for (const workspace of ["one", "two", "three"]) {
    await worker.api("POST", "/v1/workspaces", { body: { id: workspace, name: workspace } });
    const body = { kind: "server_key", workspace, environment: "live", name: "backend", tier: "free" };
    keys[workspace] = (await worker.api("POST", "/v1/credentials", { body })).json.secret;
  }
});
after(async () => {
  await worker?.stop();
  await api.stop();
});

const get = (workspace, path) => raw(worker.url, [`GET ${path} HTTP/1.1`, "Host: a", `Authorization: Bearer ${keys[workspace]}`]);

test("a15_calls_of_a_customer_that_fail_close_one_way_of_that_customer_and_nothing_else", async () => {
  api.answer = (socket, call) => (call.target.includes("/quick/") ? undefined : well(socket, call));
  const slow = await Promise.all(Array.from({ length: 5 }, () => get("one", "/v1/quick/slow")));
  assert.deepEqual(slow.map(({ status }) => status), [504, 504, 504, 504, 504]);
  const own = await get("one", "/v1/quick/slow");
  assert.deepEqual([own.status, JSON.parse(own.body).code], [502, "upstream_error"]);
  assert.match(own.get("retry-after").join(), /^[1-5]$/);
  const went = api.calls.length;
  for (let tries = 0; tries < 10; tries++) assert.equal((await get("two", "/v1/things/x")).status, 200);
  assert.equal(api.calls.length, went + 10);
  // Two customers that fail on the same route are no reason either; and their other routes are open.
  await Promise.all(Array.from({ length: 5 }, () => get("two", "/v1/quick/slow")));
  assert.equal((await get("three", "/v1/quick/slow")).status, 504);
  for (const workspace of ["one", "two"]) assert.equal((await get(workspace, "/v1/things/x")).status, 200);
  assert.equal((await fetch(`${worker.url}/healthz?upstream`)).status, 200);
});

test("a caller who goes while the API says nothing ends the call behind, and whose answer must be known is read on", async () => {
  const silent = (socket) =>
    socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n");
  api.answer = silent;
  const leave = async (path, line) => {
    const socket = connect(Number(new URL(worker.url).port), "127.0.0.1").on("error", () => {});
    socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${keys.three}\r\n${line}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`);
    let text = "";
    while (!text.includes("data:")) text += (await once(socket, "data"))[0];
    socket.resetAndDestroy();
    return api.calls.at(-1);
  };
  const call = await leave("/v1/tokens", "");
  await until(() => call.closed, "the call behind ends");
  const kept = await leave("/v1/once", "Idempotency-Key: k\r\n");
  const again = () => worker.api("POST", "/v1/once", { key: keys.three, scheme: "Bearer", body: {}, headers: { "idempotency-key": "k" } });
  assert.equal((await again()).json.code, "idempotency_in_progress");
  kept.socket.write("5\r\n done\r\n0\r\n\r\n");
  let answer = await again();
  for (let tries = 0; answer.status === 409 && tries < 500; tries++) answer = await again();
  assert.deepEqual([answer.text, answer.headers.get("idempotent-replayed")], ["data: done", "true"]);
  api.answer = well;
});

test("a length that no answer can have leaves nothing behind: the next call works", async () => {
  api.answer = (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9007199254740993\r\n\r\nabc", () => socket.destroy());
  const body = { max_tokens: 5 };
  await worker.api("POST", "/v1/tokens", { key: keys.three, scheme: "Bearer", body }).catch(() => {});
  api.answer = well;
  const { status, text } = await worker.api("POST", "/v1/tokens", { key: keys.three, scheme: "Bearer", body });
  assert.deepEqual([status, text], [200, "hello"]);
  assert.ok(!/"reason":"internal"|panic|trap|failed:/.test(worker.log()), "something of ours broke");
});
