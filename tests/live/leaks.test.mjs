// GitHub's reports on the bare runtime: signatures made by node's own cryptography, and keys from a server that this file runs.

import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";
import { filesOf } from "../support/canaries.mjs";
import { raw } from "../support/raw.mjs";
import { startWorker } from "../support/worker.mjs";

const FOUND_AT = "https://github.com/octocat/hello/blob/12345600b9cbe38a219f39a9941c9319b600c002/.env";
const ORIGIN = "https://shop.example";

/** GitHub's keys, by name. */
const pairs = Object.fromEntries(["aa01", "aa02", "aa03"].map((name) => [name, generateKeyPairSync("ec", { namedCurve: "P-256" })]));
const published = (...names) => ({
  public_keys: names.map((name) => ({ key_identifier: name, key: pairs[name].publicKey.export({ type: "spki", format: "pem" }), is_current: true })),
});

/** The server of the keys: what it was asked, and how it answers. */
let asked = [];
let answers;
const json = (...names) => (request, response) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(published(...names)));
const server = createServer((request, response) => {
  asked.push(request);
  answers(request, response);
});

let worker, url;
before(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${server.address().port}/keys`;
  answers = json("aa01");
  worker = await startWorker({ vars: { GITHUB_KEYS_URL: url } });
  assert.equal((await worker.api("POST", "/v1/workspaces", { body: { name: "acme", id: "acme" } })).status, 201);
});
after(async () => {
  await worker?.stop();
  server.closeAllConnections();
  server.close();
});
// A new isolate, which knows no key.
beforeEach(async () => {
  await worker.restart();
  answers = json("aa01");
  asked = [];
});

const list = (tokens) => JSON.stringify(tokens.map((token) => ({ token, type: "clv_key", url: FOUND_AT, source: "content" })));
const signature = (body, name) => sign("sha256", Buffer.from(body), pairs[name].privateKey).toString("base64");

/** A report as GitHub sends it. */
function report(tokens, { name = "aa01", by = name, body = list(tokens), sent = body } = {}) {
  const headers = { "Github-Public-Key-Identifier": name, "Github-Public-Key-Signature": signature(body, by), "content-type": "application/json" };
  return worker.api("POST", "/v1/leaks/github", { key: null, body: sent, headers });
}

const labels = ({ status, json, text }) => {
  assert.equal(status, 200, text);
  return json.map(({ label }) => label);
};

async function make(members = {}) {
  const body = { kind: "server_key", workspace: "acme", environment: "live", name: "backend", ...members };
  const { status, json, text } = await worker.api("POST", "/v1/credentials", { body });
  assert.equal(status, 201, text);
  return json;
}

const whoami = async (key) => (await worker.api("GET", "/v1/whoami", { key, scheme: "Bearer" })).status;

test("every kind that leaked is dead when GitHub has its answer, and what is none stays", async () => {
  const key = await make();
  const token = await make({ kind: "service_token", service: "spine" });
  const page = await make({ kind: "widget_key", origins: [ORIGIN] });
  const deploy = await make({ kind: "deploy_key", stage: "dev", workspace: undefined, environment: undefined });
  const opened = await worker.api("POST", `/w/${page.secret}/conversations`, { key: null, body: {}, headers: { origin: ORIGIN } });
  const { conversation, history_secret: secret } = opened.json;
  const forged = key.secret.slice(0, -1) + (key.secret.endsWith("A") ? "B" : "A");

  const tokens = [key.secret, token.secret, deploy.secret.split("|")[1], secret, page.secret, forged, "NMIfyYncKcRALEXAMPLE"];
  const answer = await report(tokens);
  assert.deepEqual(labels(answer), [...Array(4).fill("true_positive"), ...Array(3).fill("false_positive")]);
  const hashes = tokens.map((text) => createHash("sha256").update(text).digest("hex"));
  assert.deepEqual(answer.json.map(({ token_hash }) => token_hash), hashes);

  assert.equal(await whoami(key.secret), 401);
  const service = { "x-service-token": token.secret, "x-service-name": "spine" };
  assert.equal((await worker.api("GET", "/v1/whoami", { key: null, headers: service })).json.code, "revoked_credential");
  assert.equal((await worker.api("GET", "/v1/whoami", { key: deploy.secret })).json.code, "revoked_credential");
  const path = `/w/${page.secret}/conversations/${conversation}/messages`;
  const read = await worker.api("GET", path, { key: secret, scheme: "Bearer", headers: { origin: ORIGIN } });
  assert.equal(read.json.code, "revoked_credential");
  const again = await worker.api("POST", `/w/${page.secret}/conversations`, { key: null, body: {}, headers: { origin: ORIGIN } });
  assert.equal(again.status, 201, "a widget key is public");

  const { json } = await worker.api("GET", "/v1/audit?workspace=acme&actor=github:secret-scanning");
  assert.deepEqual(new Set(json.items.map(({ reason }) => reason)), new Set([`leaked: ${FOUND_AT}`]));
  assert.deepEqual(json.items.map(({ target }) => target).sort(), [conversation, key.id, token.id].sort());
  assert.equal((await worker.api("GET", "/v1/audit/verify?workspace=acme")).json.valid, true);
  const own = await worker.api("GET", "/v1/audit?actor=github:secret-scanning");
  assert.deepEqual(own.json.items.map(({ target }) => target), [deploy.id]);

  // Nothing of them stands anywhere: neither in the log nor in what is stored.
  const places = [worker.log(), answer.text, ...filesOf(worker.state).map(({ bytes }) => bytes.toString("latin1"))];
  assert.ok(places.length > 5);
  for (const text of tokens.slice(0, 6)) assert.ok(!places.some((place) => place.includes(text)), "a secret stands where it must not");
  const { headers } = asked[0];
  assert.equal(asked.length, 1);
  assert.ok(headers["user-agent"], "GitHub answers nobody who does not say who asks");
  assert.ok(!("authorization" in headers || "cookie" in headers));
});

test("what GitHub did not sign, byte for byte, does nothing", async () => {
  const { secret } = await make();
  const body = list([secret]);
  const refused = async (answer) => {
    const { status, json, headers } = await answer;
    assert.deepEqual([status, json?.code], [401, "invalid_signature"]);
    assert.equal(headers.get("www-authenticate"), "Github-Public-Key-Signature");
  };
  await refused(report([secret], { sent: `${body} ` }));
  await refused(report([secret], { sent: body.replace("content", "commit ") }));
  await refused(report([secret], { by: "aa02" }));
  await refused(report([secret], { name: "aa02" }));
  await refused(worker.api("POST", "/v1/leaks/github", { body }));
  // A header twice, as lines of their own.
  const [identifier, value] = ["Github-Public-Key-Identifier: aa01", `Github-Public-Key-Signature: ${signature(body, "aa01")}`];
  for (const lines of [[identifier, identifier, value], [identifier, value, value], [identifier], [value]]) {
    const head = ["POST /v1/leaks/github HTTP/1.1", "Host: a", ...lines, "Content-Type: application/json", `Content-Length: ${body.length}`];
    assert.equal((await raw(worker.url, [...head, "", body].join("\r\n"))).status, 401, lines.join("; "));
  }
  assert.equal(await whoami(secret), 200);
  const head = ["POST /v1/leaks/github HTTP/1.1", "Host: a", identifier, value, `Content-Length: ${body.length}`];
  assert.equal((await raw(worker.url, [...head, "", body].join("\r\n"))).status, 200, "the control");
  assert.equal(await whoami(secret), 401);
});

test("a megabyte is read and not a byte more", async () => {
  const padded = (length) => `[${" ".repeat(length - 2)}]`;
  assert.deepEqual(labels(await report([], { body: padded(1 << 20) })), []);
  assert.equal((await report([], { body: padded((1 << 20) + 1) })).status, 413);
});

test("64 reports of one key at once end it once", async () => {
  const { id, secret } = await make();
  assert.deepEqual(labels(await report([])), []);
  const all = await Promise.all(Array.from({ length: 64 }, () => report([secret])));
  for (const answer of all) assert.deepEqual(labels(answer), ["true_positive"]);
  assert.equal(await whoami(secret), 401);
  const { json } = await worker.api("GET", "/v1/audit?workspace=acme&action=credential.revoke");
  assert.equal(json.items.filter(({ target }) => target === id).length, 1);
  const before = (await worker.api("GET", `/v1/credentials/${id}`)).text;
  assert.deepEqual(labels(await report([secret])), ["true_positive"]);
  assert.equal((await worker.api("GET", `/v1/credentials/${id}`)).text, before, "replayed");
  assert.equal(asked.length, 1);
});

test("64 reports at once to a new isolate fetch the keys once", async () => {
  const { secret } = await make();
  const all = await Promise.all(Array.from({ length: 64 }, () => report([secret])));
  const statuses = all.map(({ status }) => status);
  assert.ok(statuses.includes(200) && statuses.every((status) => status === 200 || status === 503), statuses.join());
  for (const { status, headers } of all) assert.equal(headers.get("retry-after"), status === 503 ? "1" : null);
  assert.equal(asked.length, 1);
  assert.deepEqual(labels(await report([secret])), ["true_positive"]);
  assert.equal(await whoami(secret), 401);
});

test("a key that nobody knows makes nobody ask twice, and a key that was rotated out is not believed", async () => {
  assert.equal((await report([], { name: "aa02" })).status, 401);
  assert.equal(asked.length, 1);
  answers = json("aa02", "aa03");
  for (let tries = 0; tries < 5; tries++) assert.equal((await report([], { name: "aa02" })).status, 401);
  assert.deepEqual(labels(await report([])), [], "what is remembered is believed");
  assert.equal(asked.length, 1, "not again for ten minutes");
  await worker.restart();
  for (const name of ["aa02", "aa03"]) assert.deepEqual(labels(await report([], { name })), []);
  assert.equal((await report([])).status, 401);
  assert.equal(asked.length, 2);
});

const hundred = Buffer.alloc(100 << 20, " ");
/** Servers of keys that give none. */
const BAD = {
  "is down": (request) => request.socket.destroy(),
  "answers an error": (request, response) => response.writeHead(500).end(JSON.stringify(published("aa01"))),
  "redirects, which is not followed": (request, response) =>
    response.writeHead(302, { location: request.url === "/keys" ? "/elsewhere" : "/keys" }).end(JSON.stringify(published("aa01"))),
  "answers without end": (request, response) => {
    response.writeHead(200);
    const more = () => response.write(" ".repeat(16_384), (error) => error || setImmediate(more));
    more();
  },
  "answers a bomb": (request, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(hundred)),
  "breaks off": (request, response) => {
    response.writeHead(200, { "content-length": 10_000 });
    response.write(JSON.stringify(published("aa01")), () => response.destroy());
  },
  "lists nothing that is a key": (request, response) => response.end(JSON.stringify({ public_keys: [{ key_identifier: "aa01", key: "-" }] })),
};
for (const [what, bad] of Object.entries(BAD)) {
  test(`a server of keys that ${what}: GitHub is told to come again`, async () => {
    const { secret } = await make();
    answers = bad;
    for (let tries = 0; tries < 3; tries++) {
      const { status, json, headers } = await report([secret]);
      assert.deepEqual([status, json.code, headers.get("retry-after")], [503, "unavailable", "1"]);
    }
    assert.equal(asked.length, 1, "and the server is not asked by each of them");
    assert.equal(await whoami(secret), 200);
    assert.ok(!/"reason":"internal"|panic|trap:|failed:/.test(worker.log()), "something of ours broke");
  });
}

test("a server of keys that is slow, at the start or in the middle, is waited for five seconds in all", async () => {
  const slow = [
    () => {},
    (request, response) => {
      response.writeHead(200);
      response.write("{");
      const drip = setInterval(() => response.write(" "), 500);
      response.once("close", () => clearInterval(drip));
    },
  ];
  for (const answer of slow) {
    await worker.restart();
    answers = answer;
    const start = performance.now();
    assert.equal((await report([])).status, 503);
    const seconds = (performance.now() - start) / 1_000;
    assert.ok(seconds > 4.5 && seconds < 9, `${seconds} s`);
    // Nobody else waits for it.
    assert.equal((await worker.api("GET", "/healthz")).status, 200);
  }
});

test("what the operator did not name is never fetched through the network that reaches private addresses", async (context) => {
  const { fetching } = await import("../../edge/js/fetching.js");
  const through = [];
  const network = (name) => (to) => through.push(`${name} ${to}`) && Promise.resolve(new Response("hello"));
  context.mock.method(globalThis, "fetch", network("public"));
  const fetched = async (line, env) => Buffer.from(await fetching(env, line)).toString("latin1");
  const UPSTREAM_NETWORK = { fetch: network("private") };
  const hello = "\0\xc8hello";
  assert.equal(await fetched("public 5 1000 https://a.example/", { UPSTREAM_NETWORK }), hello);
  assert.equal(await fetched("configured 5 1000 https://b.example/", { UPSTREAM_NETWORK }), hello);
  // On the platform there is one network, and it reaches nothing private.
  assert.equal(await fetched("configured 5 1000 https://c.example/", {}), hello);
  assert.equal(await fetched("configured 4 1000 https://d.example/", {}), "", "longer than wanted");
  assert.deepEqual(through, ["public https://a.example/", "private https://b.example/", "public https://c.example/", "public https://d.example/"]);
});
