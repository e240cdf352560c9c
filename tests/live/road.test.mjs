// The contract over HTTP, call by call: shapes of answers, status codes and the headers that every answer has.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { raw } from "../support/raw.mjs";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;

let worker, key, conversation, secret;
before(async () => {
  worker = await startWorker();
  assert.equal((await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } })).status, 201);
  key = (await create()).json;
  ({ conversation, history_secret: secret } = (await visit("POST", "", { key: null })).json);
});
after(() => worker?.stop());

const create = (change) =>
  worker.api("POST", "/v1/credentials", {
    body: { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE], ...change },
  });

/** A call of the widget, as a browser on the customer's page makes it. */
const visit = (method, path, options = {}) =>
  worker.api(method, `/w/${key.secret}/conversations${path}`, {
    key: secret,
    scheme: "Bearer",
    ...options,
    headers: { origin: SITE, ...options.headers },
  });

function assertRefused(answer, status, code) {
  assert.deepEqual([answer.status, answer.json?.code], [status, code], answer.text);
  const { success, error, fix, request_id, ...rest } = answer.json;
  assert.deepEqual(Object.keys(rest).sort(), ["code", ...(rest.required ? ["required"] : [])]);
  assert.equal(success, false);
  assert.ok(error);
  assert.ok(fix.endsWith(`. See ${worker.origin}/docs/errors#${code}`), fix);
  assert.equal(request_id, answer.headers.get("x-request-id"));
  const challenge = answer.headers.get("www-authenticate");
  if (status !== 401) return assert.equal(challenge, null);
  const bare = `Bearer resource_metadata="${worker.origin}/.well-known/oauth-protected-resource"`;
  assert.equal(challenge, code === "missing_credential" ? bare : `${bare}, error="invalid_token"`);
}

const assertKeys = (object, keys) => assert.deepEqual(Object.keys(object).sort(), [...keys].sort());

test("every answer names its request, forbids sniffing and is not cached unless it says so", async () => {
  const answers = await Promise.all([
    worker.api("GET", "/healthz", { key: null }),
    worker.api("GET", "/nothing", { key: null }),
    worker.api("GET", "/v1/whoami", { key: null }),
    worker.api("GET", "/v1/whoami"),
    worker.api("DELETE", "/v1/whoami"),
    worker.api("HEAD", "/v1/whoami"),
    worker.api("OPTIONS", "/healthz", { key: null }),
    visit("GET", `/${conversation}/messages`),
    visit("POST", "", { key: null, headers: { origin: "https://evil.example" } }),
    visit("OPTIONS", ""),
  ]);
  for (const { headers } of answers) {
    assert.match(headers.get("x-request-id"), /^req_[0-9a-f]{32}$/);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("cache-control"), "no-store");
  }
  assert.equal(new Set(answers.map(({ headers }) => headers.get("x-request-id"))).size, answers.length);
});

test("health and the resource's metadata answer anybody, from any origin", async () => {
  const health = await worker.api("GET", "/healthz", { key: null });
  assert.deepEqual([health.status, health.json.status], [200, "ok"]);
  assertKeys(health.json, ["status", "version"]);
  for (const suffix of ["", "/v1", "/v1/conversations"]) {
    const answer = await worker.api("GET", `/.well-known/oauth-protected-resource${suffix}`, { key: null });
    assert.equal(answer.status, 200);
    assert.equal(answer.json.resource, worker.origin + suffix);
    assert.deepEqual(answer.json.bearer_methods_supported, ["header"]);
    assert.ok(answer.json.scopes_supported.includes("messages:read"));
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  }
  for (const suffix of ["x", "/..", "//evil.example", "/%3Cb%3E", "/a/./b"]) {
    const { status } = await raw(worker.url, [`GET /.well-known/oauth-protected-resource${suffix} HTTP/1.1`, "Host: a"]);
    assert.equal(status, 404, suffix);
  }
});

test("f16_metadata_names_the_configured_origin_whatever_host_was_asked", async () => {
  const lines = ["GET /.well-known/oauth-protected-resource HTTP/1.1", "Host: evil.example", "X-Forwarded-Host: evil.example"];
  const { body } = await raw(worker.url, lines);
  assert.equal(JSON.parse(body).resource, worker.origin);
});

test("whoami tells a deploy key who it is", async () => {
  const { status, json } = await worker.api("GET", "/v1/whoami");
  assert.equal(status, 200);
  assert.deepEqual([json.kind, json.workspace, json.environment, json.tier], ["deploy_key", null, null, null]);
  assert.deepEqual([json.stage, json.deployment, json.scopes, json.limits], ["dev", "local", [], []]);
  assert.match(json.id, /^dk_[0-9A-Za-z]{20}$/);
  assert.match(json.expires_at, MOMENT);
  assert.equal((await worker.api("GET", "/v1/whoami", { scheme: "Deploy" })).status, 200);
});

test("a1_a_call_without_a_credential_is_told_where_to_read_on", async () => {
  for (const path of ["/v1/whoami", "/v1/workspaces", "/v1/credentials/x", "/v1/conversations"]) {
    assertRefused(await worker.api("GET", path, { key: null }), 401, "missing_credential");
  }
  assertRefused(await visit("GET", `/${conversation}/messages`, { key: null }), 401, "missing_credential");
});

test("refusals come as problem details to whoever asks for them", async () => {
  const answer = await worker.api("GET", "/v1/whoami", { key: null, headers: { accept: "application/problem+json" } });
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  const { type, title, status, detail, code, request_id } = answer.json;
  assert.deepEqual([type, status, code], [`${worker.origin}/docs/errors#missing_credential`, 401, "missing_credential"]);
  assert.ok(title && detail);
  assert.equal(request_id, answer.headers.get("x-request-id"));
});

test("a workspace is made once, listed page by page and read", async () => {
  const made = await worker.api("POST", "/v1/workspaces", { body: { name: "Unnamed" } });
  assert.equal(made.status, 201);
  assertKeys(made.json, ["id", "name", "created_at"]);
  assert.match(made.json.created_at, MOMENT);
  assert.deepEqual((await worker.api("GET", `/v1/workspaces/${made.json.id}`)).json, { ...made.json, default_tier: null, identity_secret_count: 0, plan: { tiers: ["free"], custom_limits: null, default: true } });
  assertRefused(await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } }), 409, "conflict");

  const seen = [];
  for (let cursor = ""; cursor !== null; ) {
    const { json } = await worker.api("GET", `/v1/workspaces?limit=1${cursor && `&cursor=${cursor}`}`);
    assertKeys(json, ["items", "next_cursor"]);
    seen.push(...json.items.map(({ id }) => id));
    cursor = json.next_cursor;
  }
  assert.deepEqual(seen, ["acme", made.json.id]);
  for (const id of ["nobody", "..", "a%20b"]) assert.equal((await worker.api("GET", `/v1/workspaces/${id}`)).status, 404, id);
  for (const body of [{}, { name: "" }, { name: "a\nb" }, { name: "a", id: "-a" }, { name: "a", id: "a/b" }, { name: "a", x: 1 }]) {
    assertRefused(await worker.api("POST", "/v1/workspaces", { body }), 400, "invalid_request");
  }
});

test("b33_a_credential_shows_its_secret_once_and_its_hint_for_ever", async () => {
  const { status, json: made } = await create({ environment: "test", origins: [SITE, "http://localhost:3000"], expires_in: 3600 });
  assert.equal(status, 201);
  const { secret: shown, ...rest } = made;
  assert.match(shown, /^clv_wk_test_[\w-]{60,}$/);
  assertKeys(rest, [
    ...["id", "kind", "hint", "name", "workspace", "scopes", "origins", "environment", "tier", "status"],
    ...["created_at", "created_by", "expires_at", "last_used_at"],
  ]);
  assert.equal(rest.hint, `clv_wk_test_…${shown.slice(-4)}`);
  assert.deepEqual([rest.kind, rest.workspace, rest.environment, rest.scopes], ["widget_key", "acme", "test", []]);
  assert.equal(Date.parse(rest.expires_at) - Date.parse(rest.created_at), 3_600_000);
  assert.equal(rest.status, "expiring");

  const read = await worker.api("GET", `/v1/credentials/${made.id}`);
  assert.deepEqual([read.status, read.json], [200, rest]);
  const list = await worker.api("GET", "/v1/credentials?workspace=acme&kind=widget_key&status=expiring");
  assert.deepEqual(list.json, { items: [rest], next_cursor: null });
  assert.ok(!read.text.includes(shown) && !list.text.includes(shown));
});

test("a credential is changed, rotated and revoked, and each answer says what is true from then on", async () => {
  const made = (await create()).json;
  const at = `/v1/credentials/${made.id}`;
  const end = `${new Date().getUTCFullYear() + 9}-01-01T00:00:00Z`;
  const changed = await worker.api("PATCH", at, { body: { name: "new", origins: [`${SITE}:8443`], expires_at: end } });
  assert.deepEqual([changed.status, changed.json.name, changed.json.origins], [200, "new", [`${SITE}:8443`]]);
  assert.equal(Date.parse(changed.json.expires_at), Date.parse(end));
  assert.equal((await worker.api("PATCH", at, { body: { expires_at: null } })).json.expires_at, null);

  const rotated = await worker.api("POST", `${at}/rotate`, { body: { overlap_seconds: 60 } });
  assert.equal(rotated.status, 201);
  assert.equal(rotated.json.id, made.id);
  assert.notEqual(rotated.json.secret, made.secret);
  assert.equal(rotated.json.replaces, made.hint);
  const overlap = Date.parse(rotated.json.old_expires_at) - Date.now();
  assert.ok(overlap > 50_000 && overlap <= 60_000, String(overlap));

  const revoked = await worker.api("POST", `${at}/revoke`, { body: { reason: "lost" } });
  assert.equal(revoked.status, 200);
  assertKeys(revoked.json, ["status", "revoked_at"]);
  assert.deepEqual((await worker.api("POST", `${at}/revoke`)).json, revoked.json);
  const { json } = await worker.api("GET", at);
  assert.deepEqual([json.status, json.revoked_at], ["revoked", revoked.json.revoked_at]);
  assertRefused(await worker.api("POST", `${at}/rotate`), 409, "conflict");
  assertRefused(await worker.api("PATCH", at, { body: { name: "alive" } }), 409, "conflict");
});

test("b28_a_key_that_was_rotated_without_overlap_is_dead_when_the_answer_comes", async () => {
  const made = (await create()).json;
  const next = (await worker.api("POST", `/v1/credentials/${made.id}/rotate`, { body: { overlap_seconds: 0 } })).json;
  const open = (wk) => worker.api("POST", `/w/${wk}/conversations`, { key: null, headers: { origin: SITE } });
  assertRefused(await open(made.secret), 401, "revoked_credential");
  assert.equal((await open(next.secret)).status, 201);
});

test("b31_b32_what_a_widget_key_cannot_have_is_refused_by_name", async () => {
  const wrong = {
    kind: "history_secret", environment: "prod", name: "", scopes: ["admin"], origins: [], expires_in: 0, tier: "free", workspaceId: "x",
    allowed_addresses: ["::/0"],
  };
  for (const [field, value] of Object.entries(wrong)) {
    const answer = await create({ [field]: value });
    assertRefused(answer, 400, "invalid_request");
    assert.ok(answer.json.error.includes(`\`${field}\``), answer.text);
  }
  for (const origin of ["null", "*", "https://*.com", "https://*.github.io", "http://shop.example", `${SITE}/`, "https://SHOP.example"]) {
    assertRefused(await create({ origins: [origin] }), 400, "invalid_request");
  }
  assertRefused(await create({ workspace: undefined }), 400, "invalid_request");
  assertRefused(await create({ workspace: "nobody" }), 404, "not_found");
  for (const query of ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "status=dead", "kind=history_secret", "cursor=x"]) {
    assertRefused(await worker.api("GET", `/v1/credentials?workspace=acme&${query}`), 400, "invalid_request");
  }
  assertRefused(await worker.api("GET", "/v1/credentials/wk_00000000000000000000_acme"), 404, "not_found");
  for (const overlap_seconds of [-1, 604_801, 1.5, "60", true]) {
    const answer = await worker.api("POST", `/v1/credentials/${key.id}/rotate`, { body: { overlap_seconds } });
    assertRefused(answer, 400, "invalid_request");
  }
});

test("a visitor and the operator read one conversation, each message once and in order", async () => {
  const opened = await visit("POST", "", { key: null });
  assert.equal(opened.status, 201);
  assertKeys(opened.json, ["conversation", "history_secret", "expires_at", "verified"]);
  assert.equal(opened.json.verified, false);
  const { conversation: id, history_secret } = opened.json;
  const messages = `/${id}/messages`;
  const said = await visit("POST", messages, { key: history_secret, body: { text: "Hello  \u0000 💬\n" } });
  assert.equal(said.status, 201);
  assertKeys(said.json, ["id", "at", "from", "text"]);
  assert.deepEqual([said.json.id, said.json.from, said.json.text], ["msg_1", "visitor", "Hello  \u0000 💬\n"]);
  const replied = await worker.api("POST", `/v1/conversations/${id}/messages`, { body: { text: "Hi" } });
  assert.deepEqual([replied.status, replied.json.from], [201, "operator"]);

  const items = [said.json, replied.json];
  const read = await visit("GET", messages, { key: history_secret });
  assert.deepEqual([read.status, read.json], [200, { items, next: null }]);
  assert.deepEqual((await visit("GET", `${messages}?after=msg_1`, { key: history_secret })).json.items, [replied.json]);
  assert.deepEqual((await worker.api("GET", `/v1/conversations/${id}/messages?workspace=acme`)).json, { items, next: null, verified: false, subject: null });
  assertRefused(await worker.api("GET", `/v1/conversations/${id}/messages?workspace=other`), 404, "not_found");
  assertRefused(await visit("GET", `${messages}?after=1`, { key: history_secret }), 400, "invalid_request");

  const list = await worker.api("GET", "/v1/conversations?workspace=acme&environment=live&limit=1");
  assertKeys(list.json.items[0], ["id", "environment", "status", "verified", "subject", "created_at", "expires_at", "last_message_at"]);
  assert.deepEqual([list.json.items[0].id, list.json.items[0].status], [id, "open"]);
  assert.deepEqual((await worker.api("GET", "/v1/conversations?workspace=acme&environment=test")).json.items, []);

  const closed = await visit("POST", `/${id}/close`, { key: history_secret });
  assert.equal(closed.status, 200);
  assertRefused(await visit("GET", messages, { key: history_secret }), 401, "revoked_credential");
  assertRefused(await worker.api("POST", `/v1/conversations/${id}/messages`, { body: { text: "?" } }), 410, "gone");
});

test("metered answers carry the limits, the other ones do not", async () => {
  const metered = [await visit("POST", "", { key: null }), await visit("POST", `/${conversation}/messages`, { body: { text: "a" } })];
  for (const { headers } of metered) {
    const [limit, remaining, reset] = ["limit", "remaining", "reset"].map((name) => Number(headers.get(`x-ratelimit-${name}`)));
    assert.ok(limit >= 1 && remaining < limit && Number.isInteger(remaining));
    assert.ok(reset * 1000 > Date.now());
    assert.match(headers.get("ratelimit"), /^"\w+";r=\d+;t=\d+, "\w+";r=\d+;t=\d+$/);
    assert.match(headers.get("ratelimit-policy"), /^"\w+";q=\d+;w=\d+, "\w+";q=\d+;w=\d+$/);
  }
  assert.equal((await visit("GET", `/${conversation}/messages`)).headers.get("x-ratelimit-limit"), null);
});

test("a23_head_is_get_without_a_body_and_other_methods_are_told_which_there_are", async () => {
  for (const path of ["/healthz", "/v1/whoami", "/widget.js", "/docs/errors", `/v1/credentials/${key.id}`]) {
    const [get, head] = [await worker.api("GET", path), await worker.api("HEAD", path)];
    assert.deepEqual([head.status, head.text], [get.status, ""]);
    assert.equal(head.headers.get("content-type"), get.headers.get("content-type"));
  }
  assert.equal((await worker.api("HEAD", "/v1/whoami", { key: null })).status, 401);
  const allowed = {
    "/healthz": "GET, HEAD, OPTIONS", "/docs/errors": "GET, HEAD, OPTIONS", "/v1/whoami": "GET, HEAD", "/v1/workspaces": "GET, POST, HEAD",
    [`/v1/credentials/${key.id}`]: "GET, PATCH, HEAD", [`/v1/credentials/${key.id}/rotate`]: "POST",
    [`/w/${key.secret}/conversations`]: "POST, OPTIONS", [`/w/${key.secret}/conversations/${conversation}/messages`]: "GET, POST, HEAD, OPTIONS",
  };
  for (const [path, allow] of Object.entries(allowed)) {
    const answer = await worker.api("PUT", path, { body: {} });
    assertRefused(answer, 405, "method_not_allowed");
    assert.equal(answer.headers.get("allow"), allow);
  }
  assertRefused(await worker.api("OPTIONS", "/v1/workspaces"), 405, "method_not_allowed");
});

test("the pages are served to anybody, as they stand in the folder, and a link in a refusal leads to its entry", async () => {
  for (const [path, name] of [["/docs", "index"], ["/docs/errors", "errors"]]) {
    const { status, headers, text } = await worker.api("GET", path, { key: null });
    assert.equal(status, 200);
    assert.equal(text, readFileSync(new URL(`../../www/docs/${name}.html`, import.meta.url), "utf8"));
    assert.equal(headers.get("content-type"), "text/html; charset=utf-8");
    assert.equal(headers.get("cache-control"), "public, max-age=300");
    assert.equal(headers.get("access-control-allow-origin"), "*");
    assert.match(headers.get("content-security-policy"), /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; /);
  }
  const { json } = await worker.api("GET", "/v1/whoami", { key: null });
  const link = new URL(json.fix.split(" ").at(-1));
  const page = await (await fetch(link)).text();
  assert.ok(page.includes(` id="${link.hash.slice(1)}"`) && link.hash === "#missing_credential", link.href);
});

test("the widget's script is served to every page, and nothing else of that folder is", async () => {
  const script = await worker.api("GET", "/widget.js", { key: null });
  assert.equal(script.status, 200);
  const { headers } = script;
  assert.equal(headers.get("content-type"), "text/javascript; charset=utf-8");
  assert.equal(headers.get("cache-control"), "public, max-age=300");
  assert.equal(headers.get("access-control-allow-origin"), "*");
  assert.equal(headers.get("cross-origin-resource-policy"), "cross-origin");
  assert.ok(script.text.length > 1_000);
  for (const path of ["/public-suffixes.txt", "/www", "/www/widget.js", "/widget", "/widget.js/", "/widget.js/..", "/index.html", "/.", "/widget.js%00", "/WIDGET.JS", "/assets", "/../www/widget.js", "/console/", "/docs/", "/docs/errors/", "/docs/errors.html", "/docs/index.html", "/docs/index"]) {
    const answer = await raw(worker.url, [`GET ${path} HTTP/1.1`, "Host: a"]);
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [404, "not_found"], path);
  }
});
