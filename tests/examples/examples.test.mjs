// The example services behind a real Claviger: who calls reaches them, and what does not come from Claviger is refused.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { freePort, startWorker } from "../support/worker.mjs";

const FOLDER = resolve(import.meta.dirname, "../../examples");
const EXAMPLES = {
  express: () => [process.execPath, "server.mjs"],
  fastapi: (port) => [join(FOLDER, "fastapi/.venv/bin/uvicorn"), "main:app", "--port", port, "--no-access-log"],
};

const running = new Set();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** Starts an example that believes the assertions of `claviger` for `self`; answers its origin once it answers. */
async function start(name, { claviger, port, self = `http://127.0.0.1:${port}` }) {
  const [command, ...args] = EXAMPLES[name](String(port));
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, CLAVIGER: claviger, SELF: self, PORT: String(port), PYTHONDONTWRITEBYTECODE: "1" };
  const child = spawn(command, args, { cwd: join(FOLDER, name), env, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
  let ended = false;
  child.once("close", () => (ended = true));
  child.once("error", (error) => (said += error.message));
  for (let tries = 0; ; tries++) {
    try {
      await fetch(`http://127.0.0.1:${port}/notes`);
      return `http://127.0.0.1:${port}`;
    } catch (error) {
      if (ended || tries > 600) throw new Error(`examples/${name} does not answer: ${said}`, { cause: error });
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const TYPE = "claviger-assertion+jwt";

/** Somebody who publishes keys and signs, as Claviger does: so that every way to get it wrong can be tried, and one to get it right. */
async function issuer() {
  const [own, other] = [0, 1].map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));
  const jwk = { ...own.publicKey.export({ format: "jwk" }), kid: "k1", alg: "ES256", use: "sig" };
  const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify({ keys: [jwk] }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${server.address().port}`;
  const token = ({ header, claims, key = own.privateKey } = {}) => {
    const unsigned = `${encode({ alg: "ES256", typ: TYPE, kid: "k1", ...header })}.${encode(claims)}`;
    return `${unsigned}.${sign("sha256", unsigned, { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  };
  return { origin, server, jwk, token, other: other.privateKey, pem: own.publicKey.export({ format: "pem", type: "spki" }) };
}

for (const name of Object.keys(EXAMPLES)) {
  describe(`examples/${name}`, () => {
    let worker, service, keys;
    const last = {};
    const secrets = {};
    before(async () => {
      const [port, place] = [await freePort(), await freePort()];
      const claviger = `http://127.0.0.1:${port}`;
      // Between the two, only to see what passes.
      last.proxy = createServer(async (request, response) => {
        const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !/^(host|connection|content-length|transfer-encoding)$/.test(name)));
        last.assertion = headers["claviger-assertion"];
        const body = request.method === "GET" ? undefined : Buffer.concat(await Array.fromAsync(request));
        const answer = await fetch(service + request.url, { method: request.method, headers, body });
        response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") }).end(await answer.text());
      }).listen(0, "127.0.0.1");
      await once(last.proxy, "listening");
      const self = `http://127.0.0.1:${last.proxy.address().port}`;
      const POLICY_TOML = readFileSync(join(FOLDER, name, "policy.toml"), "utf8");
      [service, worker] = await Promise.all([
        start(name, { claviger, port: place, self }),
        startWorker({ port, vars: { POLICY_TOML, UPSTREAM: self } }),
      ]);
      for (const workspace of ["acme", "globex"]) {
        await worker.api("POST", "/v1/workspaces", { body: { id: workspace, name: workspace } });
        const body = { kind: "server_key", workspace, environment: "live", name: "backend", scopes: ["notes:write"] };
        secrets[workspace] = (await worker.api("POST", "/v1/credentials", { body })).json;
      }
      keys = await issuer();
    });
    after(async () => {
      for (const child of running) child.kill();
      last.proxy?.close();
      keys?.server.close();
      await worker?.stop();
    });

    const through = (workspace, method, body) => worker.api(method, "/notes", { key: secrets[workspace].secret, scheme: "Bearer", body });
    const direct = async (origin, assertion) => (await fetch(`${origin}/notes`, { headers: assertion === undefined ? {} : { "claviger-assertion": assertion } })).status;

    test("a good call gets through, and the service knows who called", async () => {
      const written = await through("acme", "POST", { text: "hello" });
      assert.deepEqual([written.status, written.json], [201, { text: "hello", by: secrets.acme.id }]);
      assert.deepEqual((await through("acme", "GET")).json, { items: [{ text: "hello", by: secrets.acme.id }] });
      assert.deepEqual((await through("globex", "GET")).json, { items: [] }, "another workspace has its own notes");
    });

    test("a13_a_body_that_is_no_note_is_refused_without_a_word_about_the_inside", async () => {
      await through("acme", "GET");
      const headers = { "claviger-assertion": last.assertion };
      const json = { ...headers, "content-type": "application/json" };
      for (const [what, init] of Object.entries({
        "no body": { headers },
        "another type": { headers: { ...headers, "content-type": "text/plain" }, body: "{}" },
        "no text": { headers: json, body: "{}" },
        "broken": { headers: json, body: '{"text":' },
        "no object": { headers: json, body: "null" },
      })) {
        const answer = await fetch(`${service}/notes`, { method: "POST", ...init });
        assert.ok([400, 415, 422].includes(answer.status), `${what}: ${answer.status}`);
        assert.doesNotMatch(await answer.text(), /node_modules|Traceback|at .*\(/, what);
      }
    });

    test("without Claviger nothing is believed: no assertion, and none that was touched", async () => {
      await through("acme", "GET");
      const genuine = last.assertion;
      const [header, claims, signature] = genuine.split(".");
      assert.equal(await direct(service, genuine), 200, "the check is the assertion's, and of nothing else");
      const forged = encode({ ...JSON.parse(Buffer.from(claims, "base64url")), workspace: "globex" });
      for (const [what, assertion] of [["none", undefined], ["empty", ""], ["nonsense", "a.b.c"], ["unsigned", `${header}.${claims}.`], ["forged", `${header}.${forged}.${signature}`]]) {
        assert.equal(await direct(service, assertion), 401, what);
      }
      const plain = await fetch(`${service}/notes`, { headers: { "claviger-principal": secrets.acme.id, "claviger-workspace": "acme" } });
      assert.equal(plain.status, 401, "headers that anybody can write are not believed");
      assert.equal((await worker.api("GET", "/notes", { key: null })).status, 401);
    });

    test("every way to get an assertion wrong is refused", async () => {
      const place = await freePort();
      const own = await start(name, { claviger: keys.origin, port: place });
      const now = Math.floor(Date.now() / 1_000);
      const claims = { iss: keys.origin, aud: own, sub: "sk_1_acme", kind: "server_key", workspace: "acme", environment: "live", iat: now, exp: now + 60 };
      assert.equal(await direct(own, keys.token({ claims })), 200, "one that is right is taken");
      const without = (name) => Object.fromEntries(Object.entries(claims).filter(([known]) => known !== name));
      const wrong = {
        "expired": { claims: { ...claims, iat: now - 120, exp: now - 60 } },
        "without an end": { claims: without("exp") },
        "for another service": { claims: { ...claims, aud: "http://127.0.0.1:1" } },
        "for nobody": { claims: without("aud") },
        "by another Claviger": { claims: { ...claims, iss: "http://127.0.0.1:1" } },
        "by nobody": { claims: without("iss") },
        "of nobody": { claims: without("sub") },
        "by another key": { claims, key: keys.other },
        "by a key that is not published": { claims, key: keys.other, header: { kid: "k2" } },
        "of another type": { claims, header: { typ: "at+jwt" } },
        "of no type": { claims, header: { typ: undefined } },
      };
      for (const [what, parts] of Object.entries(wrong)) assert.equal(await direct(own, keys.token(parts)), 401, what);
      const none = `${encode({ alg: "none", typ: TYPE, kid: "k1" })}.${encode(claims)}`;
      for (const token of [`${none}.`, none]) assert.equal(await direct(own, token), 401, "without an algorithm");
      const hashed = `${encode({ alg: "HS256", typ: TYPE, kid: "k1" })}.${encode(claims)}`;
      for (const secret of [keys.pem, JSON.stringify(keys.jwk)]) {
        const tag = createHmac("sha256", secret).update(hashed).digest("base64url");
        assert.equal(await direct(own, `${hashed}.${tag}`), 401, "with the public key as a secret");
      }
    });
  });
}
