// WebSockets through the gateway on the bare runtime: who may open one, what passes both ways, and how each end learns that the other has gone.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { until } from "../support/upstream.mjs";
import { BINARY, CLOSE, open, PING, PONG, startWebSockets, TEXT } from "../support/websocket.mjs";
import { startWorker } from "../support/worker.mjs";

const route = (match) => `[[routes]]\nmatch = "${match}"\naccept = ["server_key", "deploy_key"]\nto = "upstream"\n`;
const POLICY_TOML = `brand = "clv"\n[tiers.few]\nrequests = { limit = 3, window_seconds = 60 }\n[tiers.many]\nrequests = { limit = 1000, window_seconds = 60 }\n${route("GET /v1/live/{id}")}${route("POST /v1/live/{id}")}`;

let api, worker, deploy;
const keys = {};
/** What each end of the API does with what comes: here it says it again. */
async function echo(end) {
  for (;;) {
    const [opcode, payload] = await end.next();
    if (opcode === CLOSE) return;
    end.send(opcode, payload);
  }
}
before(async () => {
  api = await startWebSockets({
    accept: (end, { url }) => (url.endsWith("/mute") ? undefined : echo(end)),
    refuse: ({ url }) => (url.endsWith("/refused") ? ["426 Upgrade Required", "no", "Sec-WebSocket-Version: 99\r\nX-Why: 1\r\n"] : undefined),
    protocol: ({ headers }) => headers["sec-websocket-protocol"]?.split(", ").at(-1),
  });
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: api.origin } });
  deploy = `Authorization: Convex ${worker.deployKey}`;
  await worker.api("POST", "/v1/workspaces", { body: { name: "w", id: "w" } });
  for (const tier of ["few", "many"]) {
    const body = { kind: "server_key", workspace: "w", environment: "live", name: tier, scopes: [], tier };
    const { status, json, text } = await worker.api("POST", "/v1/credentials", { body });
    assert.equal(status, 201, text);
    keys[tier] = json.secret;
  }
});
after(async () => {
  await worker?.stop();
  api.stop();
  assert.ok(!/"reason":"internal"|panic|trap|failed:/.test(worker.log()), worker.log());
});
const last = () => api.ends.at(-1);

test("it opens like any call: authorised, metered, with our word, and without the credential", async () => {
  const { status, head, end } = await open(worker.url, "/v1/live/1?a=b", [`Authorization: Bearer ${keys.many}`, "Claviger-Principal: forged", "X-A: 1", "Cookie: a=b", "Sec-WebSocket-Protocol: chat, v2"]);
  assert.equal(status, 101);
  const { request } = last();
  assert.deepEqual([request.url, request.headers["x-a"], request.headers.cookie, request.headers.authorization], ["/v1/live/1?a=b", "1", undefined, undefined]);
  assert.match(request.headers["claviger-principal"], /^sk_/);
  assert.deepEqual([request.headers["claviger-kind"], request.headers["claviger-workspace"], request.headers["sec-websocket-protocol"]], ["server_key", "w", "chat, v2"]);
  assert.ok(!JSON.stringify(request.rawHeaders).includes(keys.many.slice(-20)));
  assert.match(head, /x-ratelimit-remaining: 999/i);
  assert.match(head, /sec-websocket-protocol: v2/i);
  assert.match(head, /set-cookie: ok=1/i);
  assert.doesNotMatch(head, /__Host-claviger|claviger-kind/i);
  assert.equal(head.match(/sec-websocket-accept/gi).length, 1);
  end.send(TEXT, "hello");
  assert.deepEqual(await end.next(), [TEXT, Buffer.from("hello")]);
  end.close(1000);
  await end.closed;
  const line = JSON.parse(worker.log().split("\n").find((line) => line.includes(request.headers["claviger-request-id"])));
  assert.deepEqual([line.status, line.route, line.kind], [101, "GET /v1/live/{id}", "server_key"]);
});

test("frames pass both ways as they are: text, bytes, nothing, large ones, in parts, and pings", async () => {
  const { end } = await open(worker.url, "/v1/live/1", [deploy]);
  for (const [opcode, payload] of [
    [TEXT, Buffer.from("café € \u{1f511}")],
    [BINARY, Buffer.from([0, 255, 1, 254])],
    [TEXT, Buffer.alloc(0)],
    [BINARY, Buffer.alloc(0)],
    [BINARY, randomBytes(125)],
    [BINARY, randomBytes(126)],
    [BINARY, randomBytes(65_536)],
    [BINARY, randomBytes(900_000)],
  ]) {
    end.send(opcode, payload);
    const [came, bytes] = await end.next();
    assert.deepEqual([came, bytes.equals(payload)], [opcode, true], `${payload.length} bytes`);
  }
  end.sendInParts(TEXT, ["in ", "three ", "parts"]);
  assert.deepEqual(await end.next(), [TEXT, Buffer.from("in three parts")]);
  end.send(PING, "p");
  assert.deepEqual(await end.next(), [PONG, Buffer.from("p")]);
  // Many, in order.
  for (let number = 0; number < 1_000; number++) end.send(TEXT, String(number));
  for (let number = 0; number < 1_000; number++) assert.equal((await end.next())[1].toString(), String(number));
  end.close();
  await end.closed;
});

test("the API may speak first, and both may speak at once", async () => {
  const { end } = await open(worker.url, "/v1/live/mute", [deploy]);
  const theirs = last();
  theirs.send(TEXT, "from the API");
  end.send(TEXT, "from the caller");
  assert.deepEqual([await end.next(), await theirs.next()], [[TEXT, Buffer.from("from the API")], [TEXT, Buffer.from("from the caller")]]);
  end.close(1000);
  await end.closed;
});

test("a close passes with its code and its words, whoever closes", async () => {
  for (const [code, reason] of [[1000, ""], [1001, "leaving"], [3000, "x"], [4001, "café"]]) {
    const one = await open(worker.url, "/v1/live/mute", [deploy]);
    const behind = last();
    one.end.close(code, reason);
    assert.deepEqual(await behind.next(), [CLOSE, code, reason]);
    assert.equal(await one.end.closed, code);

    const other = await open(worker.url, "/v1/live/mute", [deploy]);
    last().close(code, reason);
    assert.deepEqual(await other.end.next(), [CLOSE, code, reason]);
  }
});

test("an end without a word reaches the other end", async () => {
  for (const how of ["destroy", "resetAndDestroy"]) {
    const one = await open(worker.url, "/v1/live/mute", [deploy]);
    const behind = last();
    one.end.socket[how]();
    await behind.closed;

    const other = await open(worker.url, "/v1/live/mute", [deploy]);
    last().socket[how]();
    await other.end.closed;
  }
  // In the middle of a message, too.
  const { end } = await open(worker.url, "/v1/live/mute", [deploy]);
  const behind = last();
  end.socket.write(Buffer.from([0x82, 0xfe, 0xff, 0xff, 1, 2, 3, 4, 5]), () => end.socket.destroy());
  await behind.closed;
  assert.deepEqual(behind.messages.filter(([opcode]) => opcode !== CLOSE), []);
});

// They may reach the API, whose parser they are for: the connection is this caller's alone.
test("frames that are none trouble nobody else", async () => {
  const { end: neighbour } = await open(worker.url, "/v1/live/1", [deploy]);
  for (const bytes of [[0x83, 0x80, 1, 2, 3, 4], [0xf2, 0x80, 1, 2, 3, 4], [0x82, 0x01, 0x41], [0x80, 0x80, 1, 2, 3, 4], [0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]) {
    const { end } = await open(worker.url, "/v1/live/mute", [deploy]);
    const behind = last();
    end.socket.write(Buffer.from(bytes), () => end.socket.destroy());
    await behind.closed;
    neighbour.send(TEXT, "still here");
    assert.deepEqual(await neighbour.next(), [TEXT, Buffer.from("still here")]);
  }
  neighbour.close(1000);
  await neighbour.closed;
});

test("an API that refuses says so itself, and may be asked plainly", async () => {
  const refused = await open(worker.url, "/v1/live/refused", [deploy]);
  assert.deepEqual([refused.status, await refused.body()], [426, "no"]);
  assert.match(refused.head, /x-why: 1/i);
  assert.match(refused.head, /sec-websocket-version: 99/i);
  assert.equal((await worker.api("GET", "/v1/live/1")).text, "plain");
});

test("nobody opens one without a credential, from a browser, over the limit, or on a path without a route", async () => {
  const before = api.ends.length;
  for (const [path, lines, status, code] of [
    ["/v1/live/1", [], 401, "missing_credential"],
    ["/v1/live/1", [`${deploy.slice(0, -4)}AAAA`], 401, "invalid_credential"],
    ["/v1/live/1", [deploy, "Origin: https://shop.example"], 403, "server_key_in_browser"],
    ["/v1/live/1", [deploy, "Sec-Fetch-Mode: websocket", "Sec-Fetch-Site: same-origin"], 403, "server_key_in_browser"],
    [`/v1/live/1?access_token=${encodeURIComponent(worker.deployKey)}`, [], 400, "invalid_request"],
    ["/v1/other", [deploy], 404, "not_found"],
    ["/v1/live/%2e%2e", [deploy], 404, "not_found"],
  ]) {
    const answer = await open(worker.url, path, lines);
    assert.deepEqual([answer.status, JSON.parse(await answer.body()).code], [status, code], lines.join());
  }
  assert.equal(api.ends.length, before);
  // Each costs one call of the limit.
  const bearer = `Authorization: Bearer ${keys.few}`;
  for (const left of [2, 1, 0]) {
    const { status, head, end } = await open(worker.url, "/v1/live/mute", [bearer]);
    assert.equal(status, 101);
    assert.match(head, new RegExp(`x-ratelimit-remaining: ${left}`, "i"));
    end.close(1000);
  }
  const over = await open(worker.url, "/v1/live/mute", [bearer]);
  assert.deepEqual([over.status, JSON.parse(await over.body()).code], [429, "rate_limited"]);
  assert.match(over.head, /retry-after: \d+/i);
});

test("what Claviger answers itself is no WebSocket", async () => {
  const before = api.ends.length;
  for (const [path, status] of [["/healthz", 200], ["/v1/whoami", 200]]) {
    const answer = await open(worker.url, path, [deploy]);
    assert.equal(answer.status, status);
    await answer.body();
  }
  assert.equal(api.ends.length, before);
});

test("many are open at once, and all end with the runtime", async () => {
  const other = await startWorker({ vars: { POLICY_TOML, UPSTREAM: api.origin } });
  const line = `Authorization: Convex ${other.deployKey}`;
  const opened = await Promise.all(Array.from({ length: 100 }, () => open(other.url, "/v1/live/1", [line])));
  opened.forEach(({ end }, number) => end.send(TEXT, String(number)));
  const said = await Promise.all(opened.map(({ end }) => end.next()));
  assert.deepEqual(said.map(([, payload]) => Number(payload)), opened.map((_, number) => number));
  const behind = api.ends.slice(-100);
  await other.kill();
  await Promise.all([...opened.map(({ end }) => end.closed), ...behind.map((end) => end.closed)]);
  await until(() => behind.every(({ socket }) => socket.destroyed), "their end");
});
