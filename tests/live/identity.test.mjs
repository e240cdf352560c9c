// Visitors whom a customer's server vouches for: signed as customers sign, with the very lines of the documentation.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freshRootSecret, startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const PATH = "/v1/workspaces/acme/identity-secrets";
const POLICY_TOML = `brand = "clv"\n[widget]\nconversations_per_hour = 100000\n`;
const guide = readFileSync(new URL("../../docs/identity.md", import.meta.url), "utf8");
const snippet = (language) => new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(guide)[1];

let worker, key, chatIdentity;
before(async () => {
  ({ chatIdentity } = await import(`data:text/javascript,${encodeURIComponent(snippet("js"))}`));
  worker = await startWorker({ vars: { POLICY_TOML } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Other", id: "other" } });
  key = await widgetKey();
});
after(() => worker?.stop());

async function widgetKey(change) {
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE], ...change };
  const made = await worker.api("POST", "/v1/credentials", { body });
  assert.equal(made.status, 201, made.text);
  return made.json.secret;
}

async function identitySecret() {
  const made = await worker.api("POST", PATH);
  assert.equal(made.status, 201, made.text);
  return made.json;
}

const open = (identity, widget = key) =>
  worker.api("POST", `/w/${widget}/conversations`, { key: null, headers: { origin: SITE }, body: { identity } });

function assertRefused(answer, status, code) {
  assert.deepEqual([answer.status, answer.json?.code], [status, code], answer.text);
  assert.equal(answer.headers.get("access-control-allow-origin"), SITE);
}

/** A token as the customer's library would make it, or a broken one. */
function sign(secret, claims = {}, header = { alg: "HS256" }) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part(header)}.${part({ sub: "user-7", aud: "acme", iat: now, exp: now + 60, ...claims })}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

let first, second;
test("the documentation's lines sign a token that is believed, in Node and in Python", async (t) => {
  first = await identitySecret();
  assert.match(first.kid, /^is_[\w-]{23}$/);
  assert.match(first.secret, /^clv_is_[\w-]{43}$/);
  const opened = await open(chatIdentity("user-7", "acme", first.kid, first.secret));
  assert.deepEqual([opened.status, opened.json.verified], [201, true], opened.text);
  const listed = (await worker.api("GET", "/v1/conversations?workspace=acme")).json.items;
  assert.deepEqual(listed.map(({ verified, subject }) => [verified, subject]), [[true, "user-7"]]);
  const read = (await worker.api("GET", `/v1/conversations/${opened.json.conversation}/messages`)).json;
  assert.deepEqual([read.verified, read.subject], [true, "user-7"]);

  const call = `import sys\nprint(chat_identity(*sys.argv[1:]))\n`;
  const python = () => execFileSync("python3", ["-c", `${snippet("python")}\n${call}`, "Zoë · 陽", "acme", first.kid, first.secret], { encoding: "utf8" });
  try {
    const byPython = await open(python().trim());
    assert.deepEqual([byPython.status, byPython.json.verified], [201, true], byPython.text);
    const [{ subject }] = (await worker.api("GET", "/v1/conversations?workspace=acme")).json.items;
    assert.equal(subject, "Zoë · 陽");
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    t.diagnostic("no Python on this machine: its lines were not run");
  }
});

test("two secrets sign at once, with a kid and without; one that was revoked signs no more", async () => {
  second = await identitySecret();
  for (const { kid, secret } of [first, second]) {
    assert.equal((await open(sign(secret))).status, 201);
    assert.equal((await open(sign(secret, {}, { alg: "HS256", kid }))).status, 201);
  }
  assertRefused(await open(sign(first.secret, {}, { alg: "HS256", kid: second.kid })), 401, "invalid_credential");
  assert.equal((await worker.api("GET", "/v1/workspaces/acme")).json.identity_secret_count, 2);

  const revoked = await worker.api("POST", `${PATH}/${first.kid}/revoke`);
  assert.deepEqual([revoked.status, revoked.json.status], [200, "revoked"], revoked.text);
  assertRefused(await open(chatIdentity("user-7", "acme", first.kid, first.secret)), 401, "invalid_credential");
  assertRefused(await open(sign(first.secret)), 401, "invalid_credential");
  assert.equal((await open(sign(second.secret))).status, 201);
  // One more beside it, and the next ends the oldest.
  const third = await identitySecret();
  assert.equal(third.replaces, undefined);
  assert.equal((await identitySecret()).replaces, second.kid);
  assertRefused(await open(sign(second.secret)), 401, "invalid_credential");
  second = third;
  const { items } = (await worker.api("GET", PATH)).json;
  assert.deepEqual(items.map(({ status }) => status), ["active", "active", "revoked", "revoked"]);
  assert.ok(items.every((item) => !("secret" in item)));
});

test("what proves nothing is refused by its code, and opens nothing", async () => {
  const before = (await worker.api("GET", "/v1/conversations?workspace=acme")).json.items.length;
  const now = Math.floor(Date.now() / 1000);
  const good = sign(second.secret);
  for (const identity of ["", "x", "user-7", good.slice(0, -1), `${good}=`, `${good}.`, sign(second.kid), sign(key), sign(second.secret, {}, { alg: "none" }), "x".repeat(9_000)]) {
    assertRefused(await open(identity), 401, "invalid_credential");
  }
  assertRefused(await open(sign(second.secret, { iat: now - 120, exp: now - 1 })), 401, "expired_credential");
  assertRefused(await open(sign(second.secret, { aud: "other" })), 403, "wrong_workspace");
  assertRefused(await open(sign(second.secret, { exp: now + 3_700 })), 400, "invalid_request");
  assertRefused(await open(sign(second.secret, { sub: undefined })), 400, "invalid_request");
  assertRefused(await open(good, await widgetKey({ workspace: "other" })), 401, "invalid_credential");
  assert.equal((await open(good, await widgetKey({ environment: "test" }))).status, 201);
  const live = (await worker.api("GET", "/v1/conversations?workspace=acme&environment=live")).json.items;
  assert.equal(live.length, before);
});

test("a token changed in any one place is refused", async () => {
  const good = sign(second.secret);
  for (let at = 0; at < good.length; at += 3) {
    const other = good[at] === "A" ? "B" : "A";
    assertRefused(await open(good.slice(0, at) + other + good.slice(at + 1)), 401, "invalid_credential");
  }
});

test("an idempotency key makes one secret and shows it once", async () => {
  const headers = { "idempotency-key": "one" };
  const made = await worker.api("POST", PATH, { headers });
  const again = await worker.api("POST", PATH, { headers });
  assert.deepEqual([again.status, again.json.kid, again.json.secret_shown], [201, made.json.kid, true]);
  assert.equal(again.json.secret, undefined);
  assert.equal(again.headers.get("idempotent-replayed"), "true");
  second = made.json;
});

test("no secret and no token stands in a file or in the log", async () => {
  const token = sign(second.secret, { sub: `canary-${randomBytes(8).toString("hex")}` });
  assert.equal((await open(token)).status, 201);
  const files = readdirSync(worker.state, { recursive: true }).map((name) => join(worker.state, name)).filter((name) => statSync(name).isFile());
  const contents = [Buffer.from(worker.log()), ...files.map((name) => readFileSync(name))];
  const { sub } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  assert.ok(contents.some((bytes) => bytes.includes(sub)) && !contents[0].includes(sub), "the subject is kept, and not logged");
  for (const secret of [first.secret, second.secret, token]) {
    const end = secret.slice(-36); // of the random part: 43 characters
    for (const bytes of contents) {
      assert.ok(!bytes.includes(end) && !bytes.includes(Buffer.from(end, "base64url")), "in a file or in the log");
    }
  }
});

test("a root secret that was demoted takes its identity secrets with it", async () => {
  assert.equal((await open(sign(second.secret))).status, 201);
  const old = worker.rootSecrets;
  // Under a second root the first one's live on; demoted, it derives none.
  const fresh = freshRootSecret("r2");
  const { deployKey } = worker;
  await worker.restart({ vars: { ROOT_SECRETS: `${fresh},${old}` } });
  assert.equal((await open(sign(second.secret))).status, 201);
  const third = (await worker.api("POST", PATH, { key: deployKey })).json;
  const nextKey = await widgetKey();
  await worker.restart({ vars: { ROOT_SECRETS: `${fresh},${old}:check-only` } });
  assertRefused(await open(sign(second.secret), nextKey), 401, "invalid_credential");
  assertRefused(await open(sign(second.secret, {}, { alg: "HS256", kid: second.kid }), nextKey), 401, "invalid_credential");
  const opened = await open(sign(third.secret), nextKey);
  assert.deepEqual([opened.status, opened.json.verified], [201, true], opened.text);
});
