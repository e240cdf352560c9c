// The way to the upstream on the bare runtime: waiting, hanging up, being left alone, its health, and APIs that answer like an attacker.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { raw } from "../support/raw.mjs";
import { says, startUpstream, until } from "../support/upstream.mjs";
import { startWorker } from "../support/worker.mjs";

const route = (match, more = "") => `[[routes]]\nmatch = "${match}"\naccept = ["deploy_key"]\nto = "upstream"\n${more}`;
const POLICY_TOML = [
  'brand = "clv"\nunlimited = true\n',
  ...["GET", "POST", "PUT"].map((method) => route(`${method} /v1/things/{rest...}`)),
  route("GET /v1/quick/{rest...}", "timeout_seconds = 1\n"),
  route("POST /v1/quick/{rest...}", 'timeout_seconds = 1\nidempotency = "accepted"\n'),
].join("");

const well = (socket, call) => api.reply(socket, call, says("hello"));
let api, worker, deploy;
before(async () => {
  api = await startUpstream();
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: api.origin } });
  deploy = `Authorization: Convex ${worker.deployKey}`;
});
after(async () => {
  await worker?.stop();
  await api.stop();
});
// Whatever the API said: the next call works, and nothing of ours broke.
afterEach(async () => {
  api.answer = well;
  const { status, text } = await worker.api("GET", "/v1/things/again");
  assert.deepEqual([status, text], [200, "hello"], worker.log());
  assert.ok(!/"reason":"internal"|panic|trap|failed:/.test(worker.log()), "something of ours broke");
});

const get = (path, ...lines) => raw(worker.url, [`GET ${path} HTTP/1.1`, "Host: a", deploy, ...lines]);
const code = ({ status, json }) => [status, json?.code];
const lastLine = () => JSON.parse(worker.log().trim().split("\n").findLast((line) => line.startsWith("{")));

test("an API that does not begin to answer in time is 504, and its connection is closed", async () => {
  api.answer = () => {};
  for (const [method, headers, body] of [["GET", {}], ["POST", {}, { a: 1 }], ["POST", { "idempotency-key": "k1" }, { a: 1 }]]) {
    const began = performance.now();
    assert.deepEqual(code(await worker.api(method, "/v1/quick/slow", { headers, body })), [504, "upstream_timeout"]);
    const took = performance.now() - began;
    assert.ok(took > 900 && took < 5_000, `${took} ms`);
    assert.equal(lastLine().reason, "upstream_timed_out");
    await until(() => api.calls.at(-1).closed, "the end of the call");
  }
});

test("heads without an end are cut at the same time", async () => {
  for (const drip of ["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "x"]) {
    api.answer = (socket) => {
      if (drip === "x") socket.write("HTTP/1.1 200 OK\r\nX-Long: ");
      const more = () => !socket.destroyed && socket.write(drip, () => setTimeout(more, drip === "x" ? 20 : 0));
      more();
    };
    assert.deepEqual(code(await worker.api("GET", "/v1/quick/drip")), [504, "upstream_timeout"]);
    await until(() => api.calls.at(-1).closed, "the end of the call");
  }
});

test("an answer that has begun may take its time", async () => {
  api.answer = (socket, call) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    setTimeout(() => api.reply(socket, call, "cd"), 1_500);
  };
  assert.equal((await worker.api("GET", "/v1/quick/body")).text, "abcd");
});

test("a26_a_caller_who_goes_away_before_the_answer_ends_the_call", async () => {
  api.answer = () => {};
  const [before, lines] = [api.calls.length, worker.log().length];
  const port = Number(new URL(worker.url).port);
  const sockets = ["GET /v1/things/gone HTTP/1.1\r\nHost: a", "POST /v1/things/gone HTTP/1.1\r\nContent-Length: 40\r\nHost: a"].map((head) => {
    const socket = connect(port, "127.0.0.1").on("error", () => {});
    socket.write(`${head}\r\n${deploy}\r\n\r\n`);
    return socket;
  });
  await until(() => api.calls.length === before + 2, "both calls");
  for (const socket of sockets) socket.resetAndDestroy();
  await until(() => api.calls.slice(before).every(({ closed }) => closed), "the end of both calls");
  // Both are ended and logged, and are no failure of the API.
  await until(() => worker.log().slice(lines).split('"status":400,"reason":"invalid_request"').length === 3, "the log lines");
});

test("a26_what_must_be_known_here_goes_on_without_its_caller", async () => {
  const [arrived, goOn] = [Promise.withResolvers(), Promise.withResolvers()];
  api.answer = (socket, call) => {
    arrived.resolve(call);
    goOn.promise.then(() => api.reply(socket, call, says("done")));
  };
  const socket = connect(Number(new URL(worker.url).port), "127.0.0.1").on("error", () => {});
  socket.write(`POST /v1/quick/once HTTP/1.1\r\nHost: a\r\n${deploy}\r\nIdempotency-Key: k2\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`);
  const call = await arrived.promise;
  assert.match(call.head, /accept-encoding: identity/i);
  const lines = worker.log().length;
  socket.resetAndDestroy();
  // The runtime has noticed: a call that came after it is answered, and this one still waits.
  api.answer = well;
  await worker.api("GET", "/v1/things/meanwhile");
  assert.equal(call.closed, false);
  goOn.resolve();
  await until(() => worker.log().slice(lines).includes('"route":"POST /v1/quick/{rest...}","status":200'), "its end");
});

test("a26_a_caller_who_leaves_in_the_middle_of_an_answer_ends_the_connection_behind", async () => {
  api.answer = (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const more = () => !socket.destroyed && socket.write(`10000\r\n${"x".repeat(65_536)}\r\n`, () => setImmediate(more));
    more();
  };
  for (const end of ["destroy", "resetAndDestroy"]) {
    const socket = connect(Number(new URL(worker.url).port), "127.0.0.1").on("error", () => {});
    let length = 0;
    socket.on("data", (part) => (length += part.length));
    socket.write(`GET /v1/things/endless HTTP/1.1\r\nHost: a\r\n${deploy}\r\n\r\n`);
    await until(() => length > 1_000_000, "the answer's beginning");
    socket[end]();
    await until(() => api.calls.at(-1).closed, "the end of the connection behind");
  }
});

test("a body that is cut on its way, or held back for too long, does not look whole to the API", async () => {
  api.answer = (socket, call) => {
    call.all = call.rest;
    call.body = (part) => (call.all += part.toString("latin1"));
  };
  for (const [body, end, status] of [
    ["5\r\nhello\r\n5\r\nhe", "end", 502], ["5\r\nhello\r\n", "end", 502], ["5\r\nhello\r\n", "zz\r\n", 502], ["5\r\nhello\r\n5\r\nhe", "resetAndDestroy", undefined],
    ["5\r\nhello\r\n", "", 504],
  ]) {
    const before = api.calls.length;
    const socket = connect(Number(new URL(worker.url).port), "127.0.0.1").on("error", () => {});
    let text = "";
    socket.on("data", (part) => (text += part));
    socket.write(`POST /v1/quick/cut HTTP/1.1\r\nHost: a\r\n${deploy}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`);
    await until(() => api.calls[before]?.all.includes("hello"), "its beginning");
    if (end.includes("zz")) socket.write(end);
    else if (end) socket[end]();
    await until(() => api.calls[before].closed, "the end of the call");
    assert.doesNotMatch(api.calls[before].all, /\r\n0\r\n/, JSON.stringify(body));
    if (status) await until(() => text.startsWith(`HTTP/1.1 ${status} `), `${status}`);
    socket.destroy();
    // An answer between them: what is cut counts for nothing, and nothing need count together here.
    assert.equal(api.calls.length, before + 1);
  }
});

// --- the circuit and the health ---

test("an API that is down is left alone: nothing is sent there, the caller is told when to come back, and one call finds out that it is well again", async () => {
  const sick = await startUpstream((socket) => socket.resetAndDestroy());
  const other = await startWorker({ vars: { POLICY_TOML, UPSTREAM: sick.origin } });
  const health = async () => {
    const { status, json } = await other.api("GET", "/healthz?upstream", { key: null });
    return [status, json.status, json.upstream.status];
  };
  let failures = 0;
  for (; failures < 5; failures++) assert.deepEqual(code(await other.api("GET", "/v1/things/1")), [502, "upstream_error"]);
  const before = sick.calls.length;
  for (let calls = 0; calls < 50; calls++) {
    const { status, json, headers } = await other.api("GET", `/v1/things/${calls}`);
    assert.deepEqual([status, json.code], [502, "upstream_error"]);
    assert.match(json.fix, /^Nothing was forwarded\. Try again in [1-5] s\./);
    assert.match(headers.get("retry-after"), /^[1-5]$/);
  }
  assert.deepEqual([await health(), (await other.api("GET", "/healthz")).status], [[503, "failing", "failing"], 200]);
  // It was one customer's calls that failed: so its health is asked, once.
  assert.equal(sick.calls.length, before + 1, "somebody was sent there");
  sick.answer = (socket, call) => sick.reply(socket, call, says("well"));
  const began = performance.now();
  let answer;
  do answer = await other.api("GET", "/v1/things/1");
  while (answer.status !== 200 && performance.now() - began < 20_000);
  assert.equal(answer.text, "well");
  assert.ok(performance.now() - began < 6_000, "it was left alone for too long");
  assert.deepEqual(await health(), [200, "ok", "ok"]);
  assert.equal((await other.api("POST", "/v1/things/1", { body: {} })).text, "well");
  await other.stop();
  await sick.stop();
});

test("whoever holds back or cuts their own bodies does not shut the API to others", async () => {
  api.answer = (socket, call) => (call.method === "GET" ? well(socket, call) : undefined);
  const sockets = Array.from({ length: 12 }, (_, at) => {
    const socket = connect(Number(new URL(worker.url).port), "127.0.0.1").on("error", () => {});
    socket.write(`POST /v1/quick/held HTTP/1.1\r\nHost: a\r\n${deploy}\r\nContent-Length: 100\r\n\r\nhalf`);
    if (at % 2) socket.end();
    return socket;
  });
  const lines = worker.log().length;
  await until(() => worker.log().slice(lines).split('"route":"POST /v1/quick/{rest...}"').length > 12, "their end");
  for (const socket of sockets) socket.destroy();
  assert.equal((await worker.api("GET", "/v1/things/1")).text, "hello");
});

test("however many ask for its health, the API is asked once", async () => {
  const fresh = await startUpstream((socket, call) => fresh.reply(socket, call, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
  const other = await startWorker({ vars: { POLICY_TOML, UPSTREAM: fresh.origin } });
  const answers = await Promise.all(Array.from({ length: 100 }, () => other.api("GET", "/healthz?upstream", { key: null })));
  for (const { status, json } of answers) assert.deepEqual([status, json.status, json.upstream.status], [200, "ok", "ok"]);
  assert.equal(fresh.calls.length, 1);
  assert.match(fresh.calls[0].head, /^HEAD \/ HTTP\/1\.1\r\n/);
  assert.doesNotMatch(fresh.calls[0].head, /authorization|claviger-/i);
  await other.stop();
  await fresh.stop();
});

// --- what it answers ---

test("heads that are no HTTP are 502, and what stands in them reaches nobody", async () => {
  for (const bytes of [
    "HTTP/1.1 200 OK\r\nX-A: a\r\n b: c\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX-A: a\rX-Injected: b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX A: a\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nokokok",
    "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok",
    "HTTP/1.1 600 X\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 999 X\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 99 X\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 2e2 X\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhello",
    "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    `HTTP/1.1 200 OK\r\nX-Long: ${"a".repeat(4_000_000)}\r\nContent-Length: 2\r\n\r\nok`,
    `HTTP/1.1 200 OK\r\n${"X-Many: a\r\n".repeat(200_000)}Content-Length: 2\r\n\r\nok`,
    "220 mail.example ESMTP\r\n",
    "\r\n\r\n\r\n\r\n",
    "",
  ]) {
    api.answer = (socket) => socket.end(bytes);
    const answer = await get("/v1/things/1");
    const what = bytes.slice(0, 80);
    assert.deepEqual([answer.status, JSON.parse(answer.body).code, answer.get("x-injected")], [502, "upstream_error", []], what);
    // Between them it is well: so each of them counts for itself.
    api.answer = well;
    assert.equal((await get("/v1/things/1")).body, "hello", what);
  }
});

test("a long head passes whole, and a thousand early hints before it do not", async () => {
  const long = "a".repeat(30_000);
  api.answer = (socket, call) => api.reply(socket, call, `${"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n".repeat(1_000)}${says("ok", `X-Long: ${long}`)}`);
  const answer = await get("/v1/things/1");
  assert.deepEqual([answer.status, answer.body, answer.get("x-long"), answer.get("x-early")], [200, "ok", [long], []]);
});

test("what comes behind a whole answer is not taken for the next one", async () => {
  api.answer = (socket, call) => {
    if (call.target.endsWith("/poison")) socket.write(`${says("ok")}${says("poison", "X-Poison: 1")}`);
    else well(socket, call);
    call.isOver = true;
  };
  for (let tries = 0; tries < 10; tries++) {
    assert.equal((await get("/v1/things/poison")).body, "ok");
    const next = await get("/v1/things/next");
    assert.deepEqual([next.body === "poison", next.get("x-poison")], [false, []]);
  }
});

test("headers in our name, of the connection and our cookie do not come through, however they are spelled", async () => {
  const lines = [
    "CLAVIGER-Principal: forged", "Claviger_Scopes: admin", "claviger-assertion: x", "X-Request-ID: theirs", "Set-Cookie: __Host-claviger=a; Path=/; Secure",
    "Set-Cookie: __HOST-CLAVIGER=a", "Set-Cookie: =__Host-claviger=a", "Set-Cookie: ok=1", "Connection: X-Hop, X_Hop2, keep-alive", "X-Hop: 1", "X_Hop2: 1",
    "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Trailer: X-T", "Upgrade: h2c", "TE: trailers", "X-RateLimit-Limit: 9", "X-Theirs: 1",
  ];
  api.answer = (socket, call) => api.reply(socket, call, says("ok", ...lines));
  const answer = await get("/v1/things/1");
  const came = answer.headers.map(([name]) => name).filter((name) => !["content-length", "cache-control", "x-content-type-options"].includes(name));
  assert.deepEqual(came.sort(), ["set-cookie", "vary", "x-request-id", "x-theirs"]);
  assert.deepEqual(answer.get("set-cookie"), ["ok=1"]);
  assert.match(answer.get("x-request-id").join(), /^req_/);
});

test("a length that is a lie, and chunks that break, do not look whole", async () => {
  for (const [bytes, began] of [
    ["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "half"],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "half"],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", "half"],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhalf", ""],
  ]) {
    for (const end of ["end", "resetAndDestroy"]) {
      api.answer = (socket) => socket.write(bytes, () => setTimeout(() => socket[end](), 50));
      const response = await fetch(`${worker.url}/v1/things/1`, { headers: { authorization: `Convex ${worker.deployKey}` } });
      await assert.rejects(response.text(), `${bytes} ${end} ${began}`);
    }
  }
  // More than was announced is not the answer's.
  api.answer = (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nokokokok");
  assert.equal((await get("/v1/things/1")).body, "okok");
  // A body where none can be is none.
  for (const status of ["204 No Content", "304 Not Modified"]) {
    api.answer = (socket) => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\nok`);
    assert.equal((await get("/v1/things/1")).body, "");
  }
});

test("the API behind may answer before it has read the whole body", async () => {
  api.answer = (socket) => socket.end("HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch");
  const answer = await raw(worker.url, `POST /v1/things/early HTTP/1.1\r\nHost: a\r\n${deploy}\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(1_000)}`);
  assert.deepEqual([answer.status, answer.body], [413, "much"]);
});
