// The platform's cryptography as the core asks for it: every job on the bare runtime, held against another implementation.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createCipheriv, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import { readdirSync, rmSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { freePort } from "../support/worker.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = (
  modules = [
    (name = "main.js", esModule = "import { work } from './crypto.js'; export default { async fetch(request) { return new Response(await work(new URL(request.url).pathname.slice(1), new Uint8Array(await request.arrayBuffer()))); } };"),
    (name = "crypto.js", esModule = embed "/crypto.js"),
  ],
  compatibilityDate = "2026-04-20",
))], sockets = [(name = "http", address = "127.0.0.1:PORT", http = (), service = "main")]);`;

let url, runtime, folder;
before(async () => {
  const port = await freePort();
  folder = mkdtempSync(join(tmpdir(), "claviger-test-"));
  writeFileSync(join(folder, "config.capnp"), CONFIG.replace("PORT", port));
  const platform = readdirSync(join(ROOT, "node_modules/@cloudflare")).find((name) => name.startsWith("workerd-"));
  runtime = spawn(join(ROOT, "node_modules/@cloudflare", platform, "bin/workerd"), ["serve", join(folder, "config.capnp"), `--import-path=${join(ROOT, "edge/js")}`], { stdio: ["ignore", "ignore", "pipe"] });
  runtime.said = "";
  runtime.stderr.setEncoding("utf8").on("data", (text) => (runtime.said += text));
  url = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries++) {
    try {
      return void (await fetch(url));
    } catch (error) {
      if (tries > 200 || runtime.exitCode !== null) throw new Error(runtime.said, { cause: error });
      await new Promise((done) => setTimeout(done, 25));
    }
  }
});
after(() => {
  runtime?.kill();
  if (folder) rmSync(folder, { recursive: true });
});

const length = (part) => Buffer.from(Uint32Array.of(part.length).buffer).swap32();
async function work(job, ...parts) {
  const response = await fetch(`${url}/${job}`, { method: "POST", body: Buffer.concat(parts.flatMap((part) => [length(part), part])) });
  return Buffer.from(await response.arrayBuffer());
}

const DER = { format: "der", type: "spki" };
const P1363 = (key) => ({ key, dsaEncoding: "ieee-p1363" });
/** The uncompressed point of a public key: the end of its SPKI form. */
const pointOf = (key) => key.export(DER).subarray(-65);
const publicOf = (point) => createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x: point.subarray(1, 33).toString("base64url"), y: point.subarray(33).toString("base64url") } });

test("a key pair that the platform makes is one, and what it signs verifies elsewhere", async () => {
  const both = await work("generate_p256");
  const [point, pkcs8] = [both.subarray(0, 65), both.subarray(65)];
  assert.equal(point[0], 4);
  const own = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  assert.deepEqual(pointOf(createPublicKey(own)), point);
  for (const message of [Buffer.from(""), Buffer.from("a message"), randomBytes(5_000)]) {
    const signature = await work("sign_p256", pkcs8, message);
    assert.equal(signature.length, 64);
    assert.ok(verify("sha256", message, P1363(publicOf(point)), signature));
    assert.deepEqual(await work("verify_p256", point, message, signature), Buffer.of(1));
  }
  assert.notDeepEqual(await work("generate_p256"), both);
});

test("what is signed elsewhere verifies here, and nothing that is near it", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const [point, message] = [pointOf(publicKey), Buffer.from("a message")];
  const signature = sign("sha256", message, P1363(privateKey));
  assert.deepEqual(await work("verify_p256", point, message, signature), Buffer.of(1));
  const turned = Buffer.from(signature);
  turned[40] ^= 1;
  const near = [[message, turned], [Buffer.from("a massage"), signature], [message, Buffer.alloc(64)], [message, signature.subarray(1)], [message, Buffer.of()], [message, sign("sha256", message, privateKey)]];
  for (const [said, tag] of near) assert.deepEqual(await work("verify_p256", point, said, tag), Buffer.of(0));
  // What is no key is no answer: nobody takes that for a bad signature.
  for (const key of [Buffer.alloc(65), point.subarray(1), Buffer.of()]) assert.equal((await work("verify_p256", key, message, signature)).length, 0);
});

test("what is sealed is what another implementation seals, and opens only whole, in its place and by its key", async () => {
  const [key, nonce, data, plain] = [randomBytes(32), randomBytes(12), Buffer.from("local\ndev"), randomBytes(138)];
  const sealed = await work("seal_aes_256_gcm", key, nonce, data, plain);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(data);
  assert.deepEqual(sealed, Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]));
  assert.deepEqual(await work("open_aes_256_gcm", key, nonce, data, sealed), Buffer.concat([Buffer.of(1), plain]));
  const turned = Buffer.from(sealed);
  turned[3] ^= 1;
  for (const parts of [[key, nonce, data, turned], [key, nonce, Buffer.from("local\nprod"), sealed], [key, randomBytes(12), data, sealed], [randomBytes(32), nonce, data, sealed], [key, nonce, data, sealed.subarray(1)], [key, nonce, data, Buffer.of()]]) {
    assert.deepEqual(await work("open_aes_256_gcm", ...parts), Buffer.of(0));
  }
});

test("what cannot be done is no answer, and says nothing of what was handed in", async () => {
  const secret = Buffer.from("a-key-that-nobody-may-read-here!");
  for (const [job, ...parts] of [["sign_p256", secret, Buffer.of()], ["nothing", secret], ["seal_aes_256_gcm", secret.subarray(1), Buffer.alloc(12), secret, secret]]) {
    assert.equal((await work(job, ...parts)).length, 0, job);
  }
  assert.match(runtime.said, /no answer from the platform's sign_p256/);
  assert.ok(!runtime.said.includes("nobody") && !runtime.said.includes(secret.toString("base64").slice(4, 30)), runtime.said);
});
