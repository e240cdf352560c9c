// Tokens on the bare runtime: answers of a real API behind, read while they pass, whole, in pieces, broken off and packed.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { startWorker } from "../support/worker.mjs";

const LIMIT = 40_000;
const POLICY_TOML = `brand = "clv"
[scopes]
admin = { says = "All", implies = "*" }
[tiers.free]
requests = { limit = 100_000, window_seconds = 3_600 }
tokens = { limit = ${LIMIT}, window_seconds = 3_600 }
[[routes]]
match = "POST /v1/chat/completions"
accept = ["server_key"]
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
`;
const CHAT = "/v1/chat/completions";
const STREAM = { "content-type": "text/event-stream" };
const usage = (total_tokens) => JSON.stringify({ choices: [], usage: { total_tokens } });

let answers;
const seen = [];
const api = createServer(async (request, response) => {
  seen.push(request);
  response.on("error", () => {});
  for await (const part of request) request.text = (request.text ?? "") + part;
  await answers(request, response);
});

let worker;
before(async () => {
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: `http://127.0.0.1:${api.address().port}` } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
});
after(async () => {
  await worker?.stop();
  api.closeAllConnections();
  api.close();
});

/** A key of its own for a test. */
async function key() {
  const body = { kind: "server_key", workspace: "acme", environment: "live", name: "backend" };
  const { status, json, text } = await worker.api("POST", "/v1/credentials", { body });
  assert.equal(status, 201, text);
  return json;
}

const bodyOf = (max_tokens) => JSON.stringify({ max_tokens, messages: [] });
/** What a call holds. */
const held = (max_tokens) => max_tokens + Math.ceil(bodyOf(max_tokens).length / 4);
const chat = (secret, max_tokens, more = {}) =>
  fetch(worker.url + CHAT, {
    method: "POST", body: bodyOf(max_tokens), headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" }, ...more,
  });
const header = (response, name) => Number(response.headers.get(`x-ratelimit-${name}-tokens`));
async function left(secret) {
  const { status, headers, text } = await worker.api("GET", "/v1/whoami", { key: secret, scheme: "Bearer" });
  assert.equal(status, 200, text);
  return Number(headers.get("x-ratelimit-remaining-tokens"));
}
/** Resolves once `happened()` is true, without a clock of its own. */
async function until(happened) {
  for (let tries = 0; !(await happened()); tries++) {
    assert.ok(tries < 1_000, "it never happened");
    await new Promise((done) => setTimeout(done, 5));
  }
}

test("an answer in JSON is settled by its usage before its last byte arrives", async () => {
  const { id, secret } = await key();
  answers = (request, response) => response.writeHead(200, { "content-type": "application/json" }).end(usage(321));
  const response = await chat(secret, 2_000);
  assert.deepEqual([response.status, header(response, "limit"), header(response, "remaining")], [200, LIMIT, LIMIT - held(2_000)]);
  assert.equal(await response.text(), usage(321));
  assert.equal(await left(secret), LIMIT - 321);
  // The body went on as it came, and nobody asked for a coding that could hide the usage.
  assert.deepEqual([seen.at(-1).text, seen.at(-1).headers["accept-encoding"]], [bodyOf(2_000), "identity"]);
  const { json } = await worker.api("GET", `/v1/credentials/${id}/usage`);
  assert.deepEqual(json.tokens, { used: 321 });
});

test("a stream passes as it comes, cut anywhere, and its last event settles it", async () => {
  const { secret } = await key();
  const text = `data: {"choices":[{"delta":{"content":"é"}}]}\r\n\r\ndata: {"usage":null}\n\nevent: end\ndata: ${usage(77)}\r\r: bye\n\ndata: [DONE]\n\n`;
  for (const size of [1, 3, 8, 50]) {
    const bytes = Buffer.from(text);
    let goOn;
    answers = async (request, response) => {
      response.writeHead(200, STREAM).write(bytes.subarray(0, size));
      // The caller has the first bytes before the rest is sent.
      await new Promise((done) => (goOn = done));
      for (let at = size; at < bytes.length; at += size) {
        if (!response.write(bytes.subarray(at, at + size))) await once(response, "drain");
        await new Promise(setImmediate);
      }
      response.end();
    };
    const response = await chat(secret, 100);
    const reader = response.body.getReader();
    const parts = [(await reader.read()).value];
    const before = header(response, "remaining") + held(100);
    goOn();
    for (let part; !(part = await reader.read()).done; ) parts.push(part.value);
    assert.equal(Buffer.concat(parts).toString(), text);
    assert.equal(await left(secret), before - 77, `in parts of ${size}`);
  }
});

test("a5 a caller who goes away ends the call behind, and what was held counts, or what was told where that is more", async () => {
  for (const [first, counted] of [[": hello\n\n", held(500)], [`data: ${usage(9)}\n\n`, held(500)], [`data: ${usage(900)}\n\n`, 900]]) {
    const { secret } = await key();
    let gone = false;
    answers = (request, response) => {
      response.on("close", () => (gone = true));
      response.writeHead(200, STREAM).write(first);
      const timer = setInterval(() => response.write(": more\n\n"), 5);
      response.on("close", () => clearInterval(timer));
    };
    const breaks = new AbortController();
    const response = await chat(secret, 500, { signal: breaks.signal });
    await response.body.getReader().read();
    breaks.abort();
    await until(() => gone);
    await until(async () => (await left(secret)) === LIMIT - counted);
  }
});

test("an answer that breaks off breaks off for the caller too, and what was held counts", async () => {
  const { secret } = await key();
  answers = (request, response) => {
    response.writeHead(200, STREAM).write(`data: {"choices":[]}\n\ndata: ${usage(9)}`);
    setTimeout(() => response.destroy(), 20);
  };
  const response = await chat(secret, 500);
  await assert.rejects(response.text());
  await until(async () => (await left(secret)) === LIMIT - held(500));
  // The connection is cut before there is any answer: it may have run.
  answers = (request) => request.socket.destroy();
  assert.equal((await chat(secret, 500)).status, 502);
  assert.equal(await left(secret), LIMIT - 2 * held(500));
  // An answer that says no has used nothing.
  answers = (request, response) => response.writeHead(422, { "content-type": "application/json" }).end('{"error":{}}');
  assert.equal((await chat(secret, 500)).status, 422);
  await until(async () => (await left(secret)) === LIMIT - 2 * held(500));
});

test("an answer that is packed though nobody asked passes as it is and cannot be read, and one without a body counts too", async () => {
  const { secret } = await key();
  const packed = gzipSync(usage(55));
  answers = (request, response) => response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip", "content-length": packed.length }).end(packed);
  const response = await chat(secret, 500);
  assert.equal(await response.text(), usage(55));
  await until(async () => (await left(secret)) === LIMIT - held(500));
  answers = (request, response) => response.writeHead(204).end();
  assert.equal((await chat(secret, 100)).status, 204);
  assert.equal(await left(secret), LIMIT - held(500) - held(100));
});

test("of 64 streams at a time as many are admitted as fit, and every token comes back", async () => {
  const { secret } = await key();
  const waiting = [];
  answers = async (request, response) => {
    response.writeHead(200, STREAM).write(": begun\n\n");
    await new Promise((done) => waiting.push(done));
    response.end(`data: ${usage(JSON.parse(request.text).max_tokens % 100)}\n\n`);
  };
  const bounds = Array.from({ length: 64 }, (_, number) => 901 + number);
  const responses = await Promise.all(bounds.map((bound) => chat(secret, bound)));
  const admitted = bounds.filter((_, number) => responses[number].status === 200);
  const sum = admitted.reduce((sum, bound) => sum + held(bound), 0);
  assert.ok(sum <= LIMIT && sum + held(bounds.at(-1)) > LIMIT, `${sum} of ${LIMIT} are held by ${admitted.length}`);
  assert.equal(await left(secret), LIMIT - sum);
  for (const response of responses.filter(({ status }) => status !== 200)) {
    assert.equal(response.status, 429);
    assert.ok(Number(response.headers.get("retry-after")) >= 1);
    assert.equal((await response.json()).code, "token_rate_limited");
  }
  waiting.forEach((goOn) => goOn());
  await Promise.all(responses.filter(({ status }) => status === 200).map((response) => response.text()));
  assert.equal(await left(secret), LIMIT - admitted.reduce((sum, bound) => sum + (bound % 100), 0));
});

test("what is held survives a kill, and a caller with a body that never ends is none", async () => {
  const { secret } = await key();
  answers = (request, response) => response.writeHead(200, STREAM).write(": begun\n\n");
  const response = await chat(secret, 3_000);
  await response.body.getReader().read();
  assert.equal(await left(secret), LIMIT - held(3_000));
  await worker.restart({ signal: "SIGKILL" });
  assert.equal(await left(secret), LIMIT - held(3_000), "nobody knows what became of it");
  answers = (request, response) => response.writeHead(200, { "content-type": "application/json" }).end(usage(10));
  await (await chat(secret, 100)).text();
  assert.equal(await left(secret), LIMIT - held(3_000) - 10);
  // While a body is on its way, nothing is held and nothing goes out.
  const before = seen.length;
  const slow = httpRequest(worker.url + CHAT, {
    method: "POST", headers: { authorization: `Bearer ${secret}`, "content-type": "application/json", "content-length": 1_000 },
  });
  slow.on("error", () => {});
  slow.write('{"max_tokens":');
  assert.deepEqual([await left(secret), seen.length], [LIMIT - held(3_000) - 10, before]);
  slow.destroy();
});

test("more than the limit is 413, and a body that bounds nothing 400: neither goes out", async () => {
  const { secret } = await key();
  const before = seen.length;
  const most = await chat(secret, LIMIT);
  assert.deepEqual([most.status, (await most.json()).code], [413, "payload_too_large"]);
  for (const body of ['{"max_tokens":-1}', '{"max_tokens":"5"}', '{"max_tokens":1,"max_tokens":2}', "{"]) {
    const response = await chat(secret, 0, { body });
    assert.deepEqual([response.status, (await response.json()).code], [400, "invalid_request"], body);
  }
  assert.deepEqual([await left(secret), seen.length], [LIMIT, before]);
  assert.ok(!/"reason":"internal"|^(panic|trap|failed:|after an answer)/m.test(worker.log()), "something of ours broke");
});
