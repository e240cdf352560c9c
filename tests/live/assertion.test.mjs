// The assertion on the bare runtime: what a real API behind can check of it, over restarts, rotations and many isolates' worth of callers.

import assert from "node:assert/strict";
import { createDecipheriv, createHmac, createPrivateKey, createPublicKey, hkdfSync, verify } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { after, afterEach, before, test } from "node:test";
import { deserialize } from "node:v8";
import { filesOf, scanner } from "../support/canaries.mjs";
import { freshRootSecret, startWorker } from "../support/worker.mjs";

const POLICY_TOML = `brand = "clv"
unlimited = true
[scopes]
"things:read" = "See things"
"things:write" = "Change things"
${["GET", "POST"].map((method) => `[[routes]]\nmatch = "${method} /things"\naccept = ["server_key", "deploy_key"]\nto = "upstream"\n`).join("")}`;
const JWKS = "/.well-known/jwks.json";

/** Headers of every call that reached the upstream, the newest last. */
const seen = [];
const api = createServer((request, response) => {
  seen.push(request.headers);
  request.resume();
  response.end("hello");
});

let worker, server;
before(async () => {
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: `http://127.0.0.1:${api.address().port}` } });
});
after(async () => {
  await worker?.stop();
  api.closeAllConnections();
  api.close();
});
afterEach(() => assert.ok(!/"reason":"internal"|panic|trap|failed:/.test(worker.log()), "something of ours broke"));

const call = (options) => worker.api("POST", "/things", { body: {}, ...options });
const keySet = async () => (await worker.api("GET", JWKS, { key: null })).json;

/** Header and claims of the newest call's assertion, as the upstream checks it with nothing but the published keys. */
async function checked(set) {
  const token = seen.at(-1)["claviger-assertion"];
  const [header, claims, signature] = token.split(".");
  const read = (part) => JSON.parse(Buffer.from(part, "base64url"));
  const key = (set ?? (await keySet())).keys.find(({ kid }) => kid === read(header).kid);
  assert.ok(key, "the key is published");
  const by = { key: createPublicKey({ format: "jwk", key }), dsaEncoding: "ieee-p1363" };
  assert.ok(verify("sha256", `${header}.${claims}`, by, Buffer.from(signature, "base64url")), "the signature is good");
  return { header: read(header), claims: read(claims), token };
}

test("the keys are there for anybody before anything was signed, and no private part is", async () => {
  const { status, headers, json } = await worker.api("GET", JWKS, { key: null, headers: { origin: "https://any.example" } });
  assert.deepEqual([status, headers.get("content-type"), headers.get("access-control-allow-origin")], [200, "application/json", "*"]);
  assert.equal(headers.get("cache-control"), "public, max-age=60");
  assert.deepEqual(Object.keys(json.keys[0]).sort(), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
  const head = await fetch(worker.url + JWKS, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
  assert.equal((await fetch(worker.url + JWKS, { method: "OPTIONS" })).status, 204);
});

test("an API behind verifies who called, by another implementation and the published keys alone", async () => {
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const made = { kind: "server_key", workspace: "acme", environment: "live", name: "backend", scopes: ["things:read", "things:write"] };
  server = (await worker.api("POST", "/v1/credentials", { body: made })).json;
  const before = Math.floor(Date.now() / 1_000);
  assert.equal((await call({ key: server.secret, scheme: "Bearer", headers: { "claviger-assertion": "a.b.c" } })).status, 200);
  const { header, claims, token } = await checked();
  assert.deepEqual(header, { alg: "ES256", typ: "claviger-assertion+jwt", kid: header.kid });
  const { iat, exp, ...rest } = claims;
  assert.ok(iat >= before && iat <= Date.now() / 1_000 && exp === iat + 60);
  assert.deepEqual(rest, {
    iss: worker.origin, aud: worker.vars.UPSTREAM, sub: server.id, kind: "server_key", workspace: "acme", environment: "live",
    scope: "things:read things:write",
  });
  // The same again for the same facts; another one for another caller.
  await call({ key: server.secret, scheme: "Bearer" });
  assert.equal(seen.at(-1)["claviger-assertion"], token);
  await call();
  const { claims: other } = await checked();
  assert.deepEqual([other.kind, other.workspace], ["deploy_key", undefined]);
});

test("many callers at once are told apart, and every one is signed for", async () => {
  const set = await keySet();
  const made = await Promise.all(
    Array.from({ length: 40 }, (_, at) => {
      const body = { kind: "server_key", workspace: "acme", environment: at % 2 ? "live" : "test", name: `k${at}`, scopes: ["things:read"] };
      return worker.api("POST", "/v1/credentials", { body });
    }),
  );
  const from = seen.length;
  await Promise.all(made.flatMap(({ json }) => Array.from({ length: 5 }, () => call({ key: json.secret, scheme: "Bearer" }))));
  assert.equal(seen.length, from + 200);
  for (const headers of seen.splice(from)) {
    seen.push(headers);
    const { claims } = await checked(set);
    assert.deepEqual([claims.sub, claims.environment], [headers["claviger-principal"], headers["claviger-environment"]]);
  }
});

test("a restart keeps the key, and a power failure too", async () => {
  await call();
  const { header } = await checked();
  const set = await keySet();
  for (const signal of ["SIGTERM", "SIGKILL"]) {
    await worker.restart({ signal });
    await call();
    assert.equal((await checked(set)).header.kid, header.kid);
    assert.deepEqual(await keySet(), set);
  }
});

test("whoever rotates has another key at once, and the old one is published no more", async () => {
  await call();
  const { header: old } = await checked();
  const { status, json } = await worker.api("POST", "/v1/assertion-keys/rotate", { body: {} });
  assert.deepEqual([status, json.published, json.signs_from], [201, [json.kid], json.created_at]);
  await call();
  const { header } = await checked();
  assert.deepEqual([header.kid, (await keySet()).keys.map(({ kid }) => kid)], [json.kid, [json.kid]]);
  assert.notEqual(old.kid, json.kid);
  const gentle = await worker.api("POST", "/v1/assertion-keys/rotate", { body: { keep_old: true } });
  assert.deepEqual(gentle.json.published, [json.kid, gentle.json.kid]);
  await call();
  assert.equal((await checked()).header.kid, json.kid, "the next one is published first");
  const events = (await worker.api("GET", "/v1/audit")).json.items.filter(({ action }) => action.startsWith("assertion_key."));
  assert.deepEqual(events.map(({ action }) => action).sort(), ["assertion_key.create", "assertion_key.rotate", "assertion_key.rotate"]);
});

test("a demoted root secret opens no key: another one signs, and what the old one sealed is published no more", async () => {
  await call();
  const { header: old } = await checked();
  await worker.restart({ vars: { ROOT_SECRETS: `${freshRootSecret("r2")},${worker.rootSecrets}:check-only` } });
  const from = seen.length;
  // The deploy key was signed by the demoted one; a server key lives on.
  assert.equal((await call({ key: server.secret, scheme: "Bearer" })).status, 200);
  assert.equal(seen.length, from + 1);
  const { header } = await checked();
  assert.notEqual(header.kid, old.kid);
  assert.deepEqual((await keySet()).keys.map(({ kid }) => kid), [header.kid]);
});

/** A value as it is stored: CBOR (RFC 8949) of numbers, texts and lists. */
function decode(bytes) {
  let at = 0;
  const one = () => {
    const [kind, low] = [bytes[at] >> 5, bytes[at++] & 31];
    const width = low < 24 ? 0 : 1 << (low - 24);
    const number = width ? Number(bytes.subarray(at, at + width).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)) : low;
    at += width;
    if (kind === 4) return Array.from({ length: number }, one);
    if (kind === 3) return bytes.subarray(at, (at += number)).toString();
    return number;
  };
  return one();
}

/** The rows of the keys, in whatever object's database they are. */
function keyRows() {
  const rows = filesOf(worker.state).filter(({ path }) => path.endsWith(".sqlite")).flatMap(({ path }) => {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      return database.prepare("SELECT key, value FROM _cf_KV WHERE key LIKE 'assertion-key/%'").all();
    } catch {
      return []; // no object's
    } finally {
      database.close();
    }
  });
  return rows.map(({ value }) => decode(Buffer.from(deserialize(value))));
}

test("l6_the_private_key_is_sealed_as_it_is_said_and_stands_nowhere_as_it_is", async () => {
  await call({ key: server.secret, scheme: "Bearer" });
  const { keys: [published] } = await keySet();
  await worker.stop();
  const rows = keyRows();
  assert.equal(rows.length, 1, "what was withdrawn is deleted");
  const [[kid, x, y, , sealed]] = rows[0];
  assert.deepEqual([kid, x, y], [published.kid, published.x, published.y]);
  // By the root secret, and by nothing less: as another implementation opens it.
  const root = Buffer.from(worker.rootSecrets.split(",")[0].split(":")[1], "base64url");
  const open = (secret, place) => {
    const subKey = Buffer.from(hkdfSync("sha256", secret, "", "claviger/1/assertion_key", 32));
    const bytes = Buffer.from(sealed);
    const cipher = createDecipheriv("aes-256-gcm", createHmac("sha256", subKey).update(kid).digest(), bytes.subarray(0, 12));
    cipher.setAAD(Buffer.from(place)).setAuthTag(bytes.subarray(-16));
    return Buffer.concat([cipher.update(bytes.subarray(12, -16)), cipher.final()]);
  };
  const pkcs8 = open(root, `local\ndev\n${kid}`);
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" }).export({ format: "jwk" });
  assert.deepEqual([key.x, key.y], [x, y]);
  for (const place of [`other\ndev\n${kid}`, `local\nprod\n${kid}`, `local\ndev\n${published.x}`]) assert.throws(() => open(root, place), place);
  assert.throws(() => open(Buffer.alloc(32), `local\ndev\n${kid}`));
  // And so it can be looked for everywhere, in every spelling.
  const find = scanner({ scalar: key.d, pkcs8: pkcs8.toString("base64url"), hex: Buffer.from(key.d, "base64url").toString("hex") });
  assert.deepEqual(find(`a ${key.d} b`), ["scalar"], "it would be found");
  assert.deepEqual(find(worker.log()), []);
  for (const { path, bytes } of filesOf(worker.state)) assert.deepEqual(find(bytes), [], path);
  assert.deepEqual(find(JSON.stringify(seen)), []);
});
