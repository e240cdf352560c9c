// Work before trust, on the bare runtime: what callers whom nobody knows can make it hold or do, while others go on.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, mock, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { reading } from "../../edge/js/reading.js";
import { raw } from "../support/raw.mjs";
import { startUpstream } from "../support/upstream.mjs";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const POLICY_TOML = `brand = "clv"
[scopes]
admin = { says = "All", implies = "*" }
[widget]
messages_per_minute = 100000
messages_per_minute_per_conversation = 100000
conversations_per_hour = 100000
[[routes]]
match = "POST /v1/once"
accept = ["server_key"]
to = "upstream"
idempotency = "accepted"
[[routes]]
match = "GET /v1/any/{rest...}"
accept = ["server_key"]
to = "upstream"
`;

let worker, api, widget, visitor, server, revoked;
before(async () => {
  api = await startUpstream((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"));
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: api.origin } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const make = async (body) => (await worker.api("POST", "/v1/credentials", { body: { workspace: "acme", environment: "live", name: "a", ...body } })).json;
  widget = (await make({ kind: "widget_key", origins: [SITE] })).secret;
  server = (await make({ kind: "server_key", scopes: ["admin"] })).secret;
  const other = await make({ kind: "server_key", scopes: ["admin"] });
  revoked = other.secret;
  assert.equal((await worker.api("POST", `/v1/credentials/${other.id}/revoke`)).status, 200);
  visitor = (await worker.api("POST", `/w/${widget}/conversations`, { key: null, headers: { origin: SITE } })).json;
});
after(async () => {
  await worker?.stop();
  await api?.stop();
  // The runtime says so of a tunnel, which it opens for nobody.
  const log = worker.log().split("\n").filter((line) => !line.includes("connect()")).join("\n");
  assert.ok(!/"reason":"internal"|panic|trap|failed:/.test(log), log.slice(-3_000));
});

/** Megabytes that the runtime holds by itself; where the system does not tell, none. */
const memory = () => (process.platform === "linux" ? Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${worker.pid}/status`, "utf8"))[1]) / 1_024 : 0);

/** Opens a connection, writes a head, and answers `{said, closed, socket}` as they come. */
function hold(lines) {
  const socket = connect(Number(new URL(worker.url).port), "127.0.0.1");
  const held = { socket, said: "", closed: false, began: Date.now() };
  socket.on("error", () => {});
  socket.on("data", (part) => (held.said += part));
  socket.on("close", () => Object.assign(held, { closed: true, after: Date.now() - held.began }));
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  return held;
}

const head = (path, origin, ...more) => [`POST ${path} HTTP/1.1`, "Host: a", "Content-Type: application/json", ...(origin ? [`Origin: ${origin}`] : []), ...more];
const messages = () => `/w/${widget}/conversations/${visitor.conversation}/messages`;

/** Waits until it is so, and fails after `seconds`. */
async function until(seconds, isSo, about) {
  for (const end = Date.now() + 1_000 * seconds; !isSo(); await sleep(50)) assert.ok(Date.now() < end, about());
}

/** A call of somebody who may: as fast as ever. */
async function goesOn() {
  const said = await worker.api("POST", messages(), { key: visitor.history_secret, scheme: "Bearer", headers: { origin: SITE }, body: { text: "hello" } });
  assert.equal(said.status, 201, said.text);
  const once = await worker.api("POST", "/v1/once", { key: server, scheme: "Bearer", body: { a: "x".repeat(200_000) }, headers: { "idempotency-key": crypto.randomUUID() } });
  assert.equal(once.status, 200, once.text);
}

test("a6_300_connections_of_callers_who_may_not_are_refused_on_the_head_and_hold_little", async () => {
  await goesOn();
  const before = memory();
  const secret = `Authorization: Bearer ${visitor.history_secret}`;
  const kinds = [
    [head(messages(), "https://evil.example", secret, "Content-Length: 100000"), 403, "origin_not_allowed"],
    [head(messages(), "https://evil.example", secret, "Transfer-Encoding: chunked"), 403, "origin_not_allowed"],
    [head(messages(), "https://evil.example", secret, "Content-Length: 9000"), 403, "origin_not_allowed"],
    [head(`/w/${widget}/conversations`, "https://evil.example", "Content-Length: 16000"), 403, "origin_not_allowed"],
    [head("/v1/credentials", "", `Authorization: Bearer ${revoked}`, "Content-Length: 1048576"), 401, "revoked_credential"],
    [head("/v1/once", "", `Authorization: Bearer ${revoked}`, "Idempotency-Key: k", "Content-Length: 1048576"), 401, "revoked_credential"],
  ];
  const all = Array.from({ length: 300 }, (_, at) => ({ ...kinds[at % kinds.length], held: hold(kinds[at % kinds.length][0]) }));
  // Each sends what it can of its body, and never the end.
  const trickle = setInterval(() => all.forEach(({ held }) => held.socket.writable && held.socket.write("1\r\n1\r\n")), 200);
  let most = before;
  const watching = setInterval(() => (most = Math.max(most, memory())), 20);
  try {
    await until(60, () => all.every(({ held }) => held.said.includes("\r\n\r\n{")), () => `${all.filter(({ held }) => !held.said).length} were not answered`);
    await goesOn();
    await until(30, () => all.every(({ held }) => held.closed), () => "they stay open");
  } finally {
    clearInterval(trickle);
    clearInterval(watching);
    all.forEach(({ held }) => held.socket.destroy());
  }
  for (const [at, { held }] of all.entries()) {
    const [, status, code] = kinds[at % kinds.length];
    assert.ok(held.said.startsWith(`HTTP/1.1 ${status} `) && held.said.includes(`"${code}"`), held.said);
  }
  if (process.env.SHOW) console.log(`${(most - before).toFixed(1)} MB`);
  assert.ok(most - before < 64, `${(most - before).toFixed(0)} MB more`);
});

test("a6_a_caller_who_may_and_sends_a_byte_at_a_time_holds_the_bytes_and_ends", async () => {
  const secret = `Authorization: Bearer ${visitor.history_secret}`;
  const before = memory();
  const slow = Array.from({ length: 20 }, () => hold(head(messages(), SITE, secret, "Content-Length: 90000")));
  for (let sent = 0; sent < 1_500; sent += 1) {
    for (const { socket } of slow) if (socket.writable) socket.write(" ");
    if (sent % 20 === 0) await sleep(1);
  }
  const more = memory() - before;
  if (process.env.SHOW) console.log(`${more.toFixed(1)} MB`);
  assert.ok(more < 40, `${more.toFixed(0)} MB more`);
  await goesOn();
  // From here on they say nothing.
  await until(60, () => slow.every(({ closed }) => closed), () => "they stay open");
  for (const { said, after } of slow) {
    assert.ok(said.startsWith("HTTP/1.1 400 ") && said.includes("did not arrive in time"), said);
    assert.ok(said.toLowerCase().includes(`access-control-allow-origin: ${SITE}`), said);
    assert.ok(after > 29_000 && after < 60_000, String(after));
  }
});

test("a1_what_is_too_long_is_refused_before_it_is_read", async () => {
  const get = (path, ...headers) => raw(worker.url, [`GET ${path} HTTP/1.1`, "Host: a", ...headers]);
  const refused = async (answer, status, code) => {
    const { status: came, body } = await answer;
    assert.deepEqual([came, JSON.parse(body).code], [status, code]);
  };
  const brands = ".clv_st_".repeat(2_000);
  await refused(get(`/v1/whoami?x=${brands.slice(0, 8_100)}`), 401, "missing_credential");
  await refused(get(`/v1/whoami?x=${brands}`), 414, "uri_too_long");
  assert.equal((await get(`/v1/any/x?x=${"a".repeat(16_300)}`, `Authorization: Bearer ${server}`)).status, 200);
  await refused(get(`/v1/any/x?x=${"a".repeat(16_400)}`, `Authorization: Bearer ${server}`), 414, "uri_too_long");
  await refused(get(`/v1/any/x?x=${"a".repeat(40_000)}`), 414, "uri_too_long");
  await refused(get("/v1/whoami", ...Array.from({ length: 12 }, (_, at) => `X-${at}: ${"a".repeat(6_000)}`)), 431, "header_too_large");
  await refused(get("/v1/whoami", `X-A: ${"a".repeat(9_000)}`), 431, "header_too_large");
});

test("f25_what_is_no_call_of_ours_is_refused", async () => {
  const say = (lines) => raw(worker.url, lines);
  const deploy = `Authorization: Convex ${worker.deployKey}`;
  const twice = await say(["GET /v1/whoami HTTP/1.1", "Host: a", "Host: b", deploy]);
  assert.equal(twice.status, 400, twice.body);
  const same = await say(["GET /v1/whoami HTTP/1.1", "Host: a", "Host: a", deploy]);
  assert.equal(same.status, 400, same.body);
  for (const method of ["TRACE", "PROPFIND", "PURGE", "DELETE", "OPTIONS"]) {
    const { status, get } = await say([`${method} /v1/whoami HTTP/1.1`, "Host: a", deploy]);
    assert.deepEqual([status, get("allow")], [405, ["GET, HEAD"]], method);
  }
  // What never reaches us the runtime refuses: a method that it does not know, and a tunnel.
  for (const method of ["FOO", "get"]) assert.equal((await say([`${method} /v1/whoami HTTP/1.1`, "Host: a", deploy])).status, 501, method);
  assert.ok((await say(["CONNECT evil.example:443 HTTP/1.1", "Host: evil.example:443", deploy])).status >= 400);
});

test("n12_a_listed_page_reads_why_its_history_secret_is_refused", async () => {
  const forged = `${visitor.history_secret.slice(0, -10)}${visitor.history_secret.at(-10) === "A" ? "B" : "A"}${visitor.history_secret.slice(-9)}`;
  const read = (origin) => fetch(worker.url + messages(), { headers: { origin, authorization: `Bearer ${forged}` } });
  const refused = await read(SITE);
  assert.deepEqual([refused.status, refused.headers.get("access-control-allow-origin"), (await refused.json()).code], [401, SITE, "invalid_credential"]);
  const elsewhere = await read("https://evil.example");
  assert.deepEqual([elsewhere.status, elsewhere.headers.get("access-control-allow-origin")], [403, null]);
});

/** A body that sends each part after so many milliseconds of a clock that is turned by hand. */
async function readBy(parts, line, holds = () => true) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  try {
    const source = { cancelled: false };
    const body = new ReadableStream(
      {
        pull: async (controller) => {
          const next = parts.shift();
          if (!next) return controller.close();
          await new Promise((done) => setTimeout(done, next[0]));
          controller.enqueue(next[1]);
        },
        cancel: () => void (source.cancelled = true),
      },
      { highWaterMark: 0 },
    );
    const road = { body };
    const read = async (line) => {
      let came;
      reading(road, line, holds).then((value) => (came = value));
      for (let round = 0; round < 3_000 && came === undefined; round += 1) {
        for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
        mock.timers.tick(100);
        await new Promise((done) => setImmediate(done));
      }
      return came;
    };
    return { came: await read(line), read, source };
  } finally {
    mock.timers.reset();
  }
}

const part = (length) => new Uint8Array(length).fill(97);

test("a6_a_body_ends_after_30_s_without_a_byte_and_after_120_s_in_all", async () => {
  const line = "1000 1000 999999 30000 120000";
  assert.equal((await readBy([[29_000, part(10)], [29_000, part(10)]], line)).came.length, 20);
  const paused = await readBy([[10, part(10)], [31_000, part(10)]], line);
  assert.deepEqual([paused.came, paused.source.cancelled], ["slow", true]);
  assert.equal((await readBy(Array.from({ length: 200 }, () => [1_000, part(1)]), line)).came, "slow");
  assert.equal((await readBy(Array.from({ length: 100 }, () => [1_000, part(1)]), line)).came.length, 100);
  assert.equal((await readBy([[1, part(1_001)]], line)).came, "long");
  assert.equal((await readBy([[1, part(10)], [1, part(10)]], line, (bytes) => bytes > 10)).came, "full");
  assert.equal((await readBy([], line)).came.length, 0);
});

test("a6_a_body_that_does_not_come_soon_or_is_not_small_is_left_for_later_and_loses_nothing", async () => {
  const slow = await readBy([[10, part(3)], [2_000, part(4)], [10, part(5)]], "1000 100 500 30000 120000");
  assert.equal(slow.came, "later");
  const long = await readBy([[10, part(150)], [10, part(4)]], "1000 100 500 30000 120000");
  assert.equal(long.came, "later");
  assert.ok(!long.source.cancelled);
  assert.equal((await readBy([[10, part(50)], [10, part(40)]], "1000 100 500 30000 120000")).came.length, 90);
});
