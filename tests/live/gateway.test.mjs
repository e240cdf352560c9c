// The gateway on the bare runtime: what a real API behind gets and what its answers become, streams, spoofs and failures.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, createServer as createListener } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { raw } from "../support/raw.mjs";
import { freePort, startWorker } from "../support/worker.mjs";

const route = (match, more = "") => `[[routes]]\nmatch = "${match}"\naccept = ["deploy_key"]\nto = "upstream"\n${more}`;
const POLICY_TOML = [
  'brand = "clv"\nunlimited = true\n',
  ...["GET", "POST", "PUT", "PATCH", "DELETE"].map((method) => route(`${method} /v1/things/{rest...}`)),
  route("POST /v1/reviewed", "review = true\n"),
].join("");
const MEGABYTES = 24;
const chunk = Buffer.alloc(1 << 20, "streamed ");

/** What the upstream has seen: every request with its body's length, the newest last. */
const seen = [];
let answers = (request, response) => response.end("hello");
const api = createServer(async (request, response) => {
  const { method, url, rawHeaders } = request;
  const headers = Array.from({ length: rawHeaders.length / 2 }, (_, at) => [rawHeaders[2 * at].toLowerCase(), rawHeaders[2 * at + 1]]);
  const call = { method, url, headers, get: (name) => headers.filter(([known]) => known === name).map(([, value]) => value) };
  seen.push(call);
  try {
    await answers(request, response, call);
  } catch (error) {
    call.error = error; // the caller has gone
  }
});

let worker, deploy;
before(async () => {
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: `http://127.0.0.1:${api.address().port}` } });
  deploy = `Authorization: Convex ${worker.deployKey}`;
});
after(async () => {
  await worker?.stop();
  api.closeAllConnections();
  api.close();
});
// Whatever happened: the next call works, and nothing of ours broke.
afterEach(async () => {
  answers = (request, response) => response.end("hello");
  const { status, text } = await worker.api("GET", "/v1/things/again");
  assert.deepEqual([status, text], [200, "hello"]);
  assert.ok(!/"reason":"internal"|panic|trap|failed:/.test(worker.log()), "something of ours broke");
});

const get = (path, ...lines) => raw(worker.url, [`GET ${path} HTTP/1.1`, "Host: a", deploy, ...lines]);
const last = () => seen.at(-1);
const whole = async (stream) => {
  let length = 0;
  for await (const part of stream) length += part.length;
  return length;
};
/** Resolves once `happened()` is true, without a clock of its own. */
async function until(happened) {
  for (let tries = 0; !happened(); tries++) {
    assert.ok(tries < 2_000, "it never happened");
    await new Promise((done) => setTimeout(done, 5));
  }
}

test("a call goes out as it came, with our word and without the credential", async () => {
  answers = async (request, response, call) => {
    call.length = await whole(request);
    response.end();
  };
  const body = JSON.stringify({ a: 1 });
  const { status } = await raw(worker.url, [
    "POST /v1/things/1?a=%20&b=c HTTP/1.1", "Host: attacker.example", deploy, "Accept: text/plain", "Content-Type: application/json", "X-Trace: 1",
    "Idempotency-Key: k1", "Cookie: __Host-claviger=a; b=c", "X-Service-Name: billing", "TE: trailers", "Keep-Alive: 5", "Proxy-Authorization: Basic eDp5",
    "Claviger-Principal: deploy_key:forged", "claviger-workspace: other", "CLAVIGER-SCOPES: admin", "Claviger_Kind: session", "Claviger-Fault: panic",
    `Content-Length: ${body.length}`, "", body,
  ].join("\r\n"));
  assert.equal(status, 200);
  const { method, url, headers, length } = last();
  assert.deepEqual([method, url, length], ["POST", "/v1/things/1?a=%20&b=c", body.length]);
  const names = headers.map(([name]) => name).sort();
  assert.deepEqual(names, [
    "accept", "cache-control", "claviger-assertion", "claviger-kind", "claviger-principal", "claviger-request-id", "content-length", "content-type", "forwarded", "host",
    "idempotency-key", "pragma", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-trace",
  ]);
  assert.deepEqual(last().get("claviger-kind"), ["deploy_key"]);
  // No cache on the way may answer one caller with what another one got.
  assert.deepEqual([last().get("cache-control"), last().get("pragma")], [["no-cache"], ["no-cache"]]);
  assert.deepEqual(last().get("host"), [new URL(worker.vars.UPSTREAM).host]);
  const line = worker.log().split("\n").find((line) => line.includes(last().get("claviger-request-id")[0]));
  const { route, credential } = JSON.parse(line);
  assert.equal(route, "POST /v1/things/{rest...}");
  assert.deepEqual(last().get("claviger-principal"), [credential]);
  assert.ok(!JSON.stringify(headers).includes(worker.deployKey.split("|")[1]), "the credential went out");
});

test("what a Connection header lists ends with the connection", async () => {
  await get("/v1/things/1", "Connection: close, X-Hop", "X-Hop: 1", "X-Stays: 1");
  assert.deepEqual([last().get("x-hop"), last().get("x-stays")], [[], ["1"]]);
});

test("an answer comes back as it is, without what is not theirs to say", async () => {
  answers = (request, response) => {
    response.writeHead(418, [
      ["Content-Type", "text/plain"], ["Set-Cookie", "a=1; Path=/"], ["Set-Cookie", "__Host-claviger=stolen; Path=/; Secure"], ["Set-Cookie", "b=2"],
      ["X-Hop", "1"], ["Connection", "close, X-Hop"], ["Claviger-Principal", "forged"], ["X-Request-Id", "theirs"], ["X-Theirs", "1"], ["Location", "/v1/a"],
    ].flat());
    response.end("teapot");
  };
  const answer = await get("/v1/things/1");
  assert.deepEqual([answer.status, answer.body], [418, "teapot"]);
  assert.deepEqual(answer.get("set-cookie"), ["a=1; Path=/", "b=2"]);
  for (const name of ["x-hop", "claviger-principal"]) assert.deepEqual(answer.get(name), [], name);
  assert.deepEqual([answer.get("x-theirs"), answer.get("location"), answer.get("cache-control")], [["1"], ["/v1/a"], ["no-store"]]);
  assert.match(answer.get("x-request-id").join(), /^req_[0-9a-f]{32}$/);
  assert.equal(answer.get("x-request-id")[0], last().get("claviger-request-id")[0]);
});

test("a redirect is the caller's to follow, and every status is passed on", async () => {
  for (const status of [201, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 404, 429, 500, 502, 503, 599]) {
    answers = (request, response) => response.writeHead(status, { location: "http://127.0.0.1:9/", etag: '"a"' }).end();
    const before = seen.length;
    const answer = await get("/v1/things/1");
    assert.deepEqual([answer.status, answer.get("etag"), seen.length], [status, ['"a"'], before + 1]);
  }
});

test("a HEAD is forwarded as one, with the length that a GET would have", async () => {
  answers = (request, response) => response.writeHead(200, { "content-length": 70 }).end();
  const answer = await raw(worker.url, ["HEAD /v1/things/1 HTTP/1.1", "Host: a", deploy]);
  assert.deepEqual([answer.status, answer.body, last().method], [200, "", "HEAD"]);
  assert.deepEqual(answer.get("content-length"), ["70"]);
});

test("bytes that are compressed stay so, and nobody gets a coding that they did not ask for", async () => {
  const packed = gzipSync("plain ".repeat(1_000));
  answers = (request, response, call) => {
    const takes = call.get("accept-encoding").join().includes("gzip");
    response.writeHead(200, takes ? { "content-encoding": "gzip" } : {}).end(takes ? packed : "plain");
  };
  assert.deepEqual([(await get("/v1/things/1")).body, last().get("accept-encoding")], ["plain", []]);
  const socket = connect(Number(new URL(worker.url).port), "127.0.0.1");
  socket.write(`GET /v1/things/1 HTTP/1.1\r\nHost: a\r\n${deploy}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n`);
  let text = Buffer.alloc(0);
  for await (const part of socket) text = Buffer.concat([text, part]);
  assert.match(text.toString("latin1").toLowerCase(), /content-encoding: gzip/);
  const at = text.indexOf(packed.subarray(0, 10));
  assert.ok(at > 0 && text.includes(packed.subarray(0, 64)), "the same bytes");
  assert.equal((await worker.api("GET", "/v1/things/1", { headers: { "accept-encoding": "gzip" } })).text, gunzipSync(packed).toString());
});

test("headers of any characters pass both ways", async () => {
  answers = (request, response) => response.writeHead(200, { "x-name": Buffer.from("café €").toString("latin1") }).end();
  const line = Buffer.concat([Buffer.from(`GET /v1/things/1 HTTP/1.1\r\nHost: a\r\n${deploy}\r\nX-Name: café €\r\nX-Bytes: a`), Buffer.from([0xe9]), Buffer.from("b\r\n\r\n")]);
  const answer = await raw(worker.url, line);
  assert.equal(answer.status, 200);
  assert.equal(Buffer.from(last().get("x-name")[0], "latin1").toString(), "café €");
  assert.equal(Buffer.from(answer.get("x-name")[0], "latin1").toString(), "café €");
});

test(`${MEGABYTES} MB go up as they come, and none of it waits for the rest`, async () => {
  const first = Promise.withResolvers();
  answers = async (request, response, call) => {
    call.length = 0;
    for await (const part of request) {
      call.length += part.length;
      first.resolve();
    }
    response.end(String(call.length));
  };
  let sent = 0;
  const body = new ReadableStream({
    async pull(controller) {
      // The upstream has the first bytes long before the last ones exist.
      if (sent === 1) await first.promise;
      if (sent++ === MEGABYTES) controller.close();
      else controller.enqueue(chunk);
    },
  });
  const headers = { authorization: `Convex ${worker.deployKey}` };
  const response = await fetch(`${worker.url}/v1/things/up`, { method: "PUT", body, duplex: "half", headers });
  assert.deepEqual([response.status, await response.text()], [200, String(MEGABYTES << 20)]);
});

test(`${MEGABYTES} MB come down as they come, and none of it waits for the rest`, async () => {
  const goOn = Promise.withResolvers();
  answers = async (request, response) => {
    response.write(chunk);
    await goOn.promise;
    for (let sent = 1; sent < MEGABYTES; sent++) if (!response.write(chunk)) await once(response, "drain");
    response.end();
  };
  const response = await fetch(`${worker.url}/v1/things/down`, { headers: { authorization: `Convex ${worker.deployKey}` } });
  let length = 0;
  for await (const part of response.body) {
    length += part.length;
    goOn.resolve();
  }
  assert.deepEqual([response.status, length], [200, MEGABYTES << 20]);
});

test("server-sent events arrive one by one", async () => {
  let next = Promise.withResolvers();
  answers = async (request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (let event = 1; event <= 5; event++) {
      response.write(`data: ${event}\n\n`);
      await next.promise;
      next = Promise.withResolvers();
    }
    response.end();
  };
  const response = await fetch(`${worker.url}/v1/things/events`, { headers: { authorization: `Convex ${worker.deployKey}` } });
  const events = [];
  for await (const part of response.body) {
    events.push(Buffer.from(part).toString());
    next.resolve();
  }
  assert.deepEqual(events, [1, 2, 3, 4, 5].map((event) => `data: ${event}\n\n`));
});

test("a22_a_path_that_servers_read_in_two_ways_leads_nowhere", async () => {
  const before = seen.length;
  for (const tail of [
    "../secret", "a/../b", "a/./b", "a//b", "%2e%2e", "a%2fb", "a%2Fb", "a%5cb", "a\\b", "a;b", "a%3bb", "a%00", "%252e%252e", "a%0d%0aX:1", "%", "%zz", "a%7f",
    "a/..%2f..", "\u00f6", "a|b", "{a}",
  ]) {
    const answer = await get(`/v1/things/${tail}`);
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [404, "not_found"], tail);
  }
  for (const path of ["//v1/things/a", "/v1//things/a", "/V1/things/a", "/v1/%74hings/a", "/v1/things", "/v1/things/"]) {
    assert.equal((await get(path)).status, 404, path);
  }
  assert.equal((await get("/v1/things/a\0")).status, 400);
  assert.equal(seen.length, before);
  for (const tail of ["a%20b", "caf%C3%A9", "a%40b.example", "a.b/", "a:b@c,d+e=f&g$h!i*j'k(l)~_-", "a?x=/../..//%2f;y&q=|%00"]) {
    assert.equal((await get(`/v1/things/${tail}`)).status, 200, tail);
    assert.equal(last().url.split("?")[0], `/v1/things/${tail}`.split("?")[0]);
  }
  assert.equal((await get("http://evil.example/v1/things/a")).status, 200, "an absolute target counts by its path");
  assert.deepEqual(last().get("host"), [new URL(worker.vars.UPSTREAM).host]);
});

test("nothing goes out without a credential, from a browser, or where this version would leave something out", async () => {
  const before = seen.length;
  for (const [lines, status, code] of [
    [[], 401, "missing_credential"],
    [[`${deploy.slice(0, -4)}AAAA`], 401, "invalid_credential"],
    [[deploy, deploy], 400, "ambiguous_credential"],
    [[deploy, "Origin: https://shop.example"], 403, "server_key_in_browser"],
    [[deploy, "Content-Length: 2"], 400, "invalid_request"],
    [[deploy, "Transfer-Encoding: chunked"], 400, "invalid_request"],
  ]) {
    const answer = await raw(worker.url, `${["GET /v1/things/1 HTTP/1.1", "Host: a", ...lines].join("\r\n")}\r\n\r\n${lines.at(-1)?.endsWith("chunked") ? "2\r\n{}\r\n0\r\n\r\n" : "{}"}`);
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [status, code], lines.join());
  }
  const { json } = await worker.api("POST", "/v1/reviewed", { body: {} });
  assert.deepEqual([json.code, json.error], ["not_configured", "This version cannot serve this route: its writes wait for a person's approval."]);
  assert.equal(seen.length, before);
});

test("an upgrade to anything but a WebSocket is not passed on", async () => {
  for (const upgrade of ["h2c", "TLS/1.0", "foo, bar"]) {
    await get("/v1/things/1", "Connection: Upgrade, HTTP2-Settings", `Upgrade: ${upgrade}`, "HTTP2-Settings: AAMAAABkAAQAAP__");
    assert.deepEqual([last().get("upgrade"), last().get("http2-settings")], [[], []], upgrade);
  }
});

test("a connection that is cut before the answer is 502, and what may have had an effect is not tried again", async () => {
  answers = (request) => request.socket.resetAndDestroy();
  // The runtime tries once more what RFC 9110 §9.2.2 lets it: an idempotent method, without a body, on a connection that it had before.
  for (const [method, body, tries] of [["GET", undefined, 2], ["POST", undefined, 1], ["POST", { a: 1 }, 1], ["PATCH", { a: 1 }, 1], ["PUT", { a: 1 }, 1]]) {
    const before = seen.length;
    const { status, json } = await worker.api(method, "/v1/things/1", { body });
    assert.deepEqual([status, json.code], [502, "upstream_error"], method);
    assert.ok(seen.length - before <= tries && seen.length > before, `${method}: ${seen.length - before}`);
  }
  const log = worker.log().split("\n").filter((line) => line.includes("upstream_failed"));
  assert.equal(log.length, 5);
});

test("an answer that is cut in its middle does not look whole", async () => {
  for (const head of [{ "content-length": 2_000_000 }, {}]) {
    answers = async (request, response) => {
      response.writeHead(200, head);
      response.write(Buffer.alloc(1_000_000), () => request.socket.resetAndDestroy());
    };
    const response = await fetch(`${worker.url}/v1/things/1`, { headers: { authorization: `Convex ${worker.deployKey}` } });
    assert.equal(response.status, 200);
    await assert.rejects(response.arrayBuffer(), JSON.stringify(head));
  }
});

test("what is no HTTP is 502", async () => {
  const port = await freePort();
  const listener = createListener((socket) => socket.on("error", () => {}).end("220 mail.example ESMTP\r\n"));
  listener.listen(port, "127.0.0.1");
  await once(listener, "listening");
  const other = await startWorker({ vars: { POLICY_TOML, UPSTREAM: `http://127.0.0.1:${port}` } });
  assert.equal((await other.api("GET", "/v1/things/1")).json.code, "upstream_error");
  // Nobody is there at all, any more.
  listener.close();
  for (const method of ["GET", "POST"]) {
    const { status, json } = await other.api(method, "/v1/things/1", { body: method === "POST" ? { a: 1 } : undefined });
    assert.deepEqual([status, json.code, json.error], [502, "upstream_error", "The upstream did not answer."]);
  }
  assert.equal((await other.api("GET", "/healthz")).status, 200);
  await other.stop();
});

test("without UPSTREAM whoever may call is told so, and all else works", async () => {
  const other = await startWorker({ vars: { POLICY_TOML } });
  const { status, json } = await other.api("GET", "/v1/things/1");
  assert.deepEqual([status, json.code, json.error], [502, "upstream_error", "This gateway has no upstream: the variable UPSTREAM is not set."]);
  assert.equal((await other.api("GET", "/v1/things/1", { key: null })).json.code, "missing_credential");
  assert.equal((await other.api("GET", "/v1/whoami")).status, 200);
  await other.stop();
});

test("a29_a_panic_elsewhere_while_the_api_behind_is_waited_for_is_503_and_the_next_call_works", async () => {
  const faulty = await startWorker({ build: "build-faults", vars: { POLICY_TOML, UPSTREAM: worker.vars.UPSTREAM } });
  const [arrived, goOn] = [Promise.withResolvers(), Promise.withResolvers()];
  answers = async (request, response) => {
    arrived.resolve();
    await goOn.promise;
    response.end("late");
  };
  const waiting = faulty.api("POST", "/v1/things/1", { body: { a: 1 } });
  await arrived.promise;
  assert.equal((await faulty.api("GET", "/healthz", { headers: { "claviger-fault": "panic" } })).status, 500);
  goOn.resolve();
  const { status, json } = await waiting;
  assert.deepEqual([status, json.code], [503, "unavailable"]);
  assert.equal((await faulty.api("GET", "/v1/things/1")).text, "late");
  await faulty.stop();
});

test("a26_callers_who_go_away_break_nothing_and_the_api_behind_learns_of_it", async () => {
  let begun = 0, ended = 0;
  answers = async (request, response) => {
    begun++;
    request.on("error", () => {});
    response.on("close", () => ended++);
    if (request.method === "GET") for (;;) if (!response.write(chunk)) await Promise.race([once(response, "drain"), once(response, "close").then(() => { throw new Error("gone"); })]);
  };
  const port = Number(new URL(worker.url).port);
  const sockets = Array.from({ length: 20 }, (_, at) => {
    const socket = connect(port, "127.0.0.1").on("error", () => {});
    const up = `POST /v1/things/gone HTTP/1.1\r\nHost: a\r\n${deploy}\r\nContent-Length: 4000\r\n\r\nhalf`;
    socket.write(at % 2 ? up : `GET /v1/things/gone HTTP/1.1\r\nHost: a\r\n${deploy}\r\n\r\n`);
    return socket;
  });
  await until(() => begun === sockets.length);
  for (const socket of sockets) socket.destroy();
  await until(() => ended === sockets.length);
});
