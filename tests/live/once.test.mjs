// Idempotency-Key and records on the bare runtime: many at once, a process that dies in between, callers who go, answers that break off.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { startWorker } from "../support/worker.mjs";

const route = (match, to) =>
  `[[routes]]\nmatch = "${match}"\naccept = ["server_key"]\nto = "${to}"\n${match.startsWith("GET") ? "" : 'idempotency = "accepted"\n'}`;
const POLICY_TOML = [
  'brand = "clv"\nunlimited = true\n',
  route("POST /v1/things", "upstream"),
  ...["GET", "POST", "PUT", "DELETE"].map((method) => route(`${method} /v1/records/{rest...}`, "records")),
].join("");

/** What the upstream has done, by the Idempotency-Key that it got. */
const done = [];
let answers;
const usual = (request, response) => response.end("hello");
const api = createServer(async (request, response) => {
  const parts = [];
  try {
    for await (const part of request) parts.push(part);
    done.push({ key: request.headers["idempotency-key"], body: Buffer.concat(parts).toString() });
    await answers(request, response);
  } catch {
    // the caller has gone
  }
});

let worker, key;
before(async () => {
  answers = usual;
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: `http://127.0.0.1:${api.address().port}` } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const body = { kind: "server_key", workspace: "acme", environment: "live", name: "backend" };
  key = (await worker.api("POST", "/v1/credentials", { body })).json.secret;
});
after(async () => {
  await worker?.stop();
  api.closeAllConnections();
  api.close();
});
afterEach(() => {
  answers = usual;
  const broke = worker.log().split("\n").filter((line) => /"reason":"internal"|panic at|^trap:|^failed:/.test(line));
  assert.deepEqual(broke, [], "something of ours broke");
});

let used = 0;
const fresh = () => `key-${process.pid}-${++used}`;
const call = (method, path, id, body, headers = {}) =>
  worker.api(method, path, { key, scheme: "Bearer", headers: id ? { "idempotency-key": id, ...headers } : headers, body });
const write = (id, body = { a: 1 }) => call("POST", "/v1/things", id, body);
const isReplay = ({ headers }) => headers.get("idempotent-replayed") === "true";

/** Resolves once `happened()` is true, without a clock of its own. */
async function until(happened) {
  for (let tries = 0; !(await happened()); tries++) {
    assert.ok(tries < 2_000, "it never happened");
    await new Promise((next) => setTimeout(next, 5));
  }
}

/** A caller who goes as soon as anything has come, or at once. */
async function leave(id, waits) {
  const { hostname, port } = new URL(worker.url);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  const head = ["POST /v1/things HTTP/1.1", "Host: a", `Authorization: Bearer ${key}`, `Idempotency-Key: ${id}`, "Content-Type: application/json"];
  socket.write([...head, "Content-Length: 7", "", '{"a":1}'].join("\r\n"));
  await waits(socket);
  socket.destroy();
}

test("j2 of 32 that come at once one goes out, and all others are told to wait or what came of it", async () => {
  for (let round = 0; round < 5; round++) {
    const [id, before] = [fresh(), done.length];
    answers = async (request, response) => {
      await new Promise((next) => setTimeout(next, 30));
      response.writeHead(201, { "x-made": "1" }).end(`made ${round}`);
    };
    const all = await Promise.all(Array.from({ length: 32 }, () => write(id)));
    assert.equal(done.length, before + 1);
    const made = all.filter(({ status }) => status === 201);
    assert.equal(made.filter((answer) => !isReplay(answer)).length, 1);
    for (const { status, json, headers } of all.filter(({ status }) => status !== 201)) {
      assert.deepEqual([status, json.code, headers.get("retry-after")], [409, "idempotency_in_progress", "1"]);
    }
    for (const answer of [...made, await write(id)]) {
      assert.deepEqual([answer.status, answer.text, answer.headers.get("x-made")], [201, `made ${round}`, "1"]);
    }
  }
});

test("without a key all of them go out: the one above is the key's doing", async () => {
  const before = done.length;
  await Promise.all(Array.from({ length: 8 }, () => write()));
  assert.equal(done.length, before + 8);
});

test("j1 bytes, codings and statuses come back as they were, also after a kill", async () => {
  const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 7919) % 256));
  const cases = [
    [200, { "content-type": "application/octet-stream" }, bytes, bytes],
    [200, { "content-encoding": "gzip", "content-type": "text/plain" }, gzipSync("squeezed ".repeat(1_000)), Buffer.from("squeezed ".repeat(1_000))],
    [204, { etag: '"a"' }, undefined, Buffer.alloc(0)],
    [303, { location: "/v1/things/7" }, undefined, Buffer.alloc(0)],
    [500, { "content-type": "application/json" }, '{"error":"theirs"}', Buffer.from('{"error":"theirs"}')],
    [200, { "set-cookie": "session=theirs" }, "", Buffer.alloc(0)],
  ];
  const ids = [];
  const fetched = async (id) => {
    const headers = { authorization: `Bearer ${key}`, "idempotency-key": id };
    const answer = await fetch(`${worker.url}/v1/things`, { method: "POST", headers, body: "{}", redirect: "manual" });
    return { status: answer.status, headers: answer.headers, body: Buffer.from(await answer.arrayBuffer()) };
  };
  for (const [status, headers, body] of cases) {
    ids.push(fresh());
    answers = (request, response) => response.writeHead(status, headers).end(body);
    const { headers: came } = await fetched(ids.at(-1));
    assert.equal(came.get("set-cookie"), headers["set-cookie"] ?? null);
  }
  const before = done.length;
  answers = usual;
  await worker.restart({ signal: "SIGKILL" });
  for (const [at, [status, headers, , body]] of cases.entries()) {
    const again = await fetched(ids[at]);
    assert.deepEqual([again.status, isReplay(again)], [status, true], status);
    assert.ok(again.body.equals(body), `${status}: ${again.body.length} bytes`);
    for (const [name, value] of Object.entries(headers)) {
      assert.equal(again.headers.get(name), name === "set-cookie" ? null : value, name);
    }
  }
  assert.equal(done.length, before);
});

test("j10 j11 the process dies after the effect and before the answer: nobody makes it again", async () => {
  const [id, before] = [fresh(), done.length];
  answers = () => new Promise(() => {});
  const lost = write(id).catch((error) => error);
  await until(() => done.length > before);
  await worker.restart({ signal: "SIGKILL" });
  assert.ok((await lost) instanceof Error);
  answers = usual;
  for (let tries = 0; tries < 3; tries++) assert.equal((await write(id)).json.code, "idempotency_in_progress");
  assert.equal(done.length, before + 1);
  api.closeAllConnections();
});

test("no answer comes: it is unknown at once, recorded, and never made again", async () => {
  const [id, before] = [fresh(), done.length];
  answers = (request) => request.socket.destroy();
  assert.equal((await write(id)).json.code, "upstream_error");
  answers = usual;
  const again = await write(id);
  assert.deepEqual([again.status, again.json.code], [409, "conflict"]);
  assert.match(again.json.error, /answer was lost/);
  assert.equal(done.length, before + 1);
  await until(async () => {
    const { json } = await worker.api("GET", "/v1/audit?workspace=acme&action=upstream.unknown");
    return json.items.some(({ target, outcome }) => target === "POST /v1/things" && outcome === "unknown");
  });
});

test("the caller goes before the answer, or in the middle of it: the answer is kept for when they come back", async () => {
  for (const [when, wait] of [
    ["before it", (socket, before) => until(() => done.length > before)],
    ["in its middle", (socket) => once(socket, "data")],
  ]) {
    const [id, before] = [fresh(), done.length];
    let go;
    const gone = new Promise((next) => (go = next));
    answers = async (request, response) => {
      response.writeHead(200, { "content-type": "text/plain" });
      if (when === "in its middle") response.write("first ".repeat(100));
      await gone;
      await new Promise((next) => setTimeout(next, 100));
      for (let part = 0; part < 20; part++) response.write("more ".repeat(1_000));
      response.end("end");
    };
    await leave(id, (socket) => wait(socket, before));
    go();
    let again;
    await until(async () => (again = await write(id)).status !== 409);
    assert.deepEqual([again.status, isReplay(again), done.length], [200, true, before + 1], when);
    assert.ok(again.text.endsWith("more end") && again.text.length > 100_000, when);
  }
});

test("an answer that is too long passes whole, one that breaks off breaks off, and neither is made again", async () => {
  const long = Buffer.alloc((1 << 20) + 1, "long ");
  const [id, cut, before] = [fresh(), fresh(), done.length];
  answers = (request, response) => response.end(long);
  assert.equal((await write(id)).text.length, long.length);
  answers = (request, response) => {
    response.writeHead(201, { "content-length": 100 });
    response.write("only so much");
    setTimeout(() => response.destroy(), 20);
  };
  await assert.rejects(write(cut));
  answers = usual;
  const told = [/status 200, and that answer was too long to be kept/, /status 201, and that answer broke off/];
  for (const [at, again] of [await write(id), await write(cut)].entries()) {
    assert.deepEqual([again.status, again.json.code], [409, "conflict"]);
    assert.match(again.json.error, told[at]);
  }
  assert.equal(done.length, before + 2);
});

test("the API behind gets an id of ours, and the body to the byte", async () => {
  const [id, before] = [fresh(), done.length];
  await write(id, "{ \"a\" : 1 }\n");
  assert.match(done[before].key, /^idk_[0-9a-f]{64}$/);
  assert.equal(done[before].body, "{ \"a\" : 1 }\n");
});

test("a record is written once by 32 at once, and is there after a kill with what its key remembers", async () => {
  const id = fresh();
  const all = await Promise.all(Array.from({ length: 32 }, () => call("POST", "/v1/records/notes", id, { text: "ä ok" })));
  assert.deepEqual([...new Set(all.map(({ status, text }) => `${status} ${text}`))].length, 1);
  assert.equal(all.filter((answer) => !isReplay(answer)).length, 1);
  const made = all[0].json;
  const put = await call("PUT", `/v1/records/notes/${made.id}`, fresh(), '{\n "text": "changed",\n "n": 1.0 }', { "content-type": "application/json" });
  assert.deepEqual([put.status, put.json.version], [200, 2]);
  await worker.restart({ signal: "SIGKILL" });
  const { json } = await call("GET", "/v1/records/notes");
  assert.deepEqual([json.items.length, json.items[0], json.next_cursor], [1, put.json, null]);
  const again = await call("POST", "/v1/records/notes", id, { text: "ä ok" });
  assert.deepEqual([again.status, again.json, isReplay(again)], [201, made, true]);
  const most = JSON.stringify({ text: "x".repeat((1 << 20) - 11) });
  assert.equal((await call("PUT", "/v1/records/notes/fat", null, most, { "content-type": "application/json" })).status, 201);
  assert.equal((await call("GET", "/v1/records/notes/fat")).json.text.length, (1 << 20) - 11);
  assert.equal((await call("PUT", "/v1/records/notes/fat", null, most + " ", { "content-type": "application/json" })).status, 413);
  assert.deepEqual([(await call("DELETE", `/v1/records/notes/${made.id}`)).status, (await call("DELETE", `/v1/records/notes/${made.id}`)).status], [204, 404]);
});
