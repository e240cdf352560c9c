// Requests by the byte: what no client library would send is refused, stores nothing, and the next good request works.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { raw } from "../support/raw.mjs";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const POLICY_TOML = `brand = "clv"
unlimited = true
[widget]
messages_per_minute = 100000
messages_per_minute_per_conversation = 100000
conversations_per_hour = 100000
`;

let worker, key, conversation, secret, deploy;
before(async () => {
  worker = await startWorker({ vars: { POLICY_TOML } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  key = (await worker.api("POST", "/v1/credentials", { body })).json.secret;
  const opened = await worker.api("POST", `/w/${key}/conversations`, { key: null, headers: { origin: SITE } });
  ({ conversation, history_secret: secret } = opened.json);
  deploy = `Authorization: Convex ${worker.deployKey}`;
  assert.equal((await say(JSON.stringify({ text: "first" }))).status, 201);
});
after(() => worker?.stop());

// After every case: one good request works, nothing was stored, and nobody was told that we failed.
afterEach(async () => {
  const { status, json } = await worker.api("GET", `/v1/conversations/${conversation}/messages`);
  assert.deepEqual([status, json.items.map(({ text }) => text)], [200, ["first"]]);
  const { items } = (await worker.api("GET", "/v1/workspaces")).json;
  assert.deepEqual(items.map(({ id }) => id), ["acme"]);
  assert.doesNotMatch(worker.log(), /"status":5\d\d|panic|trap/);
});

const get = (path, ...headers) => raw(worker.url, [`GET ${path} HTTP/1.1`, "Host: a", ...headers]);
const bytes = (...parts) => raw(worker.url, Buffer.concat(parts.map((part) => Buffer.from(part))));
const read = (authorization) => get(`/w/${key}/conversations/${conversation}/messages`, `Origin: ${SITE}`, authorization);
const head = (path, ...lines) => [`POST ${path} HTTP/1.1`, "Host: a", ...lines, "", ""].join("\r\n");

/** A message as the visitor writes it, with a body of any bytes. */
const say = (body, type = "application/json", ...lines) => {
  const headers = [`Origin: ${SITE}`, `Authorization: Bearer ${secret}`, `Content-Type: ${type}`, ...lines];
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  return bytes(head(`/w/${key}/conversations/${conversation}/messages`, ...headers, length), body);
};

function assertRefused(answer, status, code, about = "") {
  const told = answer.body.startsWith("{") ? JSON.parse(answer.body).code : answer.body;
  assert.deepEqual([answer.status, told], [status, code], about);
}

test("a2_a3_a4_two_credentials_are_never_one", async () => {
  const bearer = `Authorization: Bearer ${secret}`;
  for (const lines of [
    [deploy, deploy], [deploy, bearer], [bearer, "authorization: x"], [deploy, `x-api-key: ${key}`], [deploy, "x-api-key:"],
    [`x-api-key: ${key}`, `X-API-KEY: ${key}`], [deploy, "X-Service-Token: a", "X-Service-Name: b"], [`${bearer}, Bearer ${secret}`],
  ]) {
    assertRefused(await get("/v1/whoami", ...lines), 400, "ambiguous_credential", lines.join());
    assertRefused(await get(`/w/${key}/conversations/${conversation}/messages`, `Origin: ${SITE}`, ...lines), 400, "ambiguous_credential");
  }
});

test("a6_b27_a_credential_in_the_query_is_refused", async () => {
  for (const value of [secret, key, worker.deployKey, "clv_live_abc"]) {
    assertRefused(await get(`/v1/whoami?x=${encodeURIComponent(value)}`, deploy), 400, "invalid_request");
  }
  assertRefused(await get("/v1/whoami?access_token=x", deploy), 400, "invalid_request");
  assertRefused(await get("/v1/whoami?access_token=x"), 401, "missing_credential");
});

test("a7_to_a15_there_is_one_spelling_of_a_credential", async () => {
  assert.equal((await read(`Authorization: bEaReR ${secret}`)).status, 200);
  assert.equal((await read(`Authorization:   Bearer ${secret}  `)).status, 200);
  const digit = secret.search(/\d/);
  const fullWidth = String.fromCodePoint(0xff10 + Number(secret[digit]));
  const swapped = secret.slice(0, 20) + secret.slice(20).replace(/[a-z]/i, (c) => (c < "a" ? c.toLowerCase() : c.toUpperCase()));
  for (const token of [
    ...[`${secret},x`, ` ${secret}`, `\t${secret}`, `${secret}=`, `${secret}A`, secret.slice(0, -1), `"${secret}"`, "", swapped],
    secret.slice(0, digit) + fullWidth + secret.slice(digit + 1), secret.replace("c", "\u0441"), `${secret}\u00e9`, `\u200b${secret}`,
    secret.replace("_live_", "_test_"), secret.replace("clv_hs_", "clv_wk_"), secret.replace("clv_hs_", "clv_at_"),
  ]) {
    assertRefused(await read(`Authorization: Bearer ${token}`), 401, "invalid_credential", token);
  }
  for (const value of [secret, `Bearer\t${secret}`, `Token ${secret}`, `Digest ${secret}`, `Negotiate ${secret}`, `Convex ${secret}`, "Bearer"]) {
    assertRefused(await read(`Authorization: ${value}`), 401, "invalid_credential", value);
  }
  const basic = Buffer.from(`u:${secret}`).toString("base64");
  assertRefused(await read(`Authorization: Basic ${basic}`), 401, "invalid_credential");
});

test("a14_bytes_that_are_not_utf8_equal_nothing", async () => {
  for (const byte of [0x80, 0xe9, 0xff]) {
    const lines = `GET /v1/whoami HTTP/1.1\r\nHost: a\r\nAuthorization: Convex ${worker.deployKey.slice(0, -1)}`;
    assertRefused(await bytes(lines, [byte], "\r\n\r\n"), 401, "invalid_credential");
  }
});

test("b1_b2_b11_every_changed_character_of_a_key_and_every_truncation_is_refused", async () => {
  const changed = [...key].map((c, at) => key.slice(0, at) + (c === "A" ? "B" : "A") + key.slice(at + 1));
  const cut = [...key].map((_, at) => key.slice(0, at));
  const before = readdirSync(worker.state, { recursive: true }).length;
  const all = [...changed, ...cut].filter((text) => text !== key);
  const statuses = await Promise.all(all.map(async (text) => (await get(`/w/${text}/conversations/x/messages`)).status));
  assert.deepEqual([...new Set(statuses)], [401]);
  assert.equal(readdirSync(worker.state, { recursive: true }).length, before, "a stranger makes no object");
});

test("a2_to_b2_a_servers_credential_has_one_spelling_in_its_own_header_and_a_stranger_makes_no_object", async () => {
  const order = { kind: "server_key", workspace: "acme", environment: "live", name: "n" };
  const server = (await worker.api("POST", "/v1/credentials", { body: order })).json.secret;
  const body = { ...order, kind: "service_token", service: "spine" };
  const token = (await worker.api("POST", "/v1/credentials", { body })).json.secret;
  const named = "X-Service-Name: spine";
  const bearer = `Authorization: Bearer ${server}`;
  for (const lines of [
    // The runtime takes blanks around a value away.
    [bearer], [`Authorization:\t  bEARER ${server} \t`], [`x-api-key: ${server}`], [`X-API-KEY:   ${server}  `],
    [`X-Service-Token: ${token}`, named], [`x-service-token:  ${token} `, "X-SERVICE-NAME:  spine "], [bearer, named],
  ]) {
    assert.equal((await get("/v1/whoami", ...lines)).status, 200, lines.join());
  }
  const before = readdirSync(worker.state, { recursive: true }).length;
  for (const lines of [
    [bearer, bearer], [bearer, `X-Api-Key: ${server}`], [bearer, "X-Api-Key:"], [`X-Api-Key: ${server}`, `x-api-key: ${server}`],
    [bearer, `X-Service-Token: ${token}`, named], [`X-Service-Token: ${token}`, named, named], [`${bearer}, Bearer ${server}`],
  ]) {
    assertRefused(await get("/v1/whoami", ...lines), 400, "ambiguous_credential", lines.join());
  }
  const wrong = [` ${server}`, `\t${server}`, `${server},`, `${server}\u00e9`, `\u200b${server}`, server.replace("_live_", "_test_"), token, "%63" + server.slice(1)];
  for (const text of wrong) assertRefused(await get("/v1/whoami", `Authorization: Bearer ${text}`), 401, "invalid_credential", text);
  for (const scheme of ["Bearer\t", "Bearer", "Basic ", "Convex ", "Token ", ""]) {
    assertRefused(await get("/v1/whoami", `Authorization: ${scheme}${server}`), 401, "invalid_credential", scheme);
  }
  const changed = [server, token].flatMap((text) => [...text].map((c, at) => text.slice(0, at) + (c === "A" ? "B" : "A") + text.slice(at + 1)));
  const cut = [server, token].flatMap((text) => [...text].map((_, at) => text.slice(0, at)));
  const all = [...changed, ...cut].filter((text) => text !== server && text !== token);
  const sent = all.flatMap((text) => [[`Authorization: Bearer ${text}`], [`X-Api-Key: ${text}`], [`X-Service-Token: ${text}`, named]]);
  const statuses = new Set();
  for (let at = 0; at < sent.length; at += 50) {
    const answers = await Promise.all(sent.slice(at, at + 50).map((lines) => get("/v1/whoami", ...lines)));
    for (const { status } of answers) statuses.add(status);
  }
  assert.deepEqual([...statuses], [401]);
  assert.equal(readdirSync(worker.state, { recursive: true }).length, before, "a stranger makes no object");
  assertRefused(await get("/v1/whoami", bearer, `Origin: ${SITE}`), 403, "server_key_in_browser");
  assertRefused(await get(`/w/${server}/conversations/x/messages`, `Origin: ${SITE}`), 403, "server_key_in_browser");
  assertRefused(await read(bearer), 403, "server_key_in_browser");
});

test("a19_b17_b35_a_kind_opens_only_what_takes_it", async () => {
  assertRefused(await get("/v1/whoami", `Authorization: Bearer ${worker.deployKey}`), 401, "invalid_credential");
  assertRefused(await get("/v1/whoami", `x-api-key: ${worker.deployKey}`), 401, "invalid_credential");
  for (const line of [`Authorization: Bearer ${key}`, `Authorization: Bearer ${secret}`, `x-api-key: ${key}`]) {
    assertRefused(await get("/v1/whoami", line), 403, "credential_kind_not_allowed", line);
    assertRefused(await get("/v1/conversations?workspace=acme", line), 403, "credential_kind_not_allowed", line);
  }
  assertRefused(await get("/v1/whoami", `x-api-key: ${secret}`), 401, "invalid_credential");
  assertRefused(await read(`x-api-key: ${secret}`), 401, "invalid_credential");
  assertRefused(await read(deploy), 403, "server_key_in_browser");
  assertRefused(await read(`Authorization: Bearer ${key}`), 403, "credential_kind_not_allowed");
  assertRefused(await get(`/w/${secret}/conversations/x/messages`), 403, "credential_kind_not_allowed");
  assertRefused(await get(`/w/${worker.deployKey}/conversations/x/messages`), 401, "invalid_credential");
});

test("a server's credential is refused from a browser", async () => {
  for (const line of [`Origin: ${SITE}`, "Origin: null", "Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"]) {
    assertRefused(await get("/v1/whoami", deploy, line), 403, "server_key_in_browser", line);
  }
  assert.equal((await get("/v1/whoami", deploy, "Sec-Fetch-Mode: cors")).status, 200);
});

test("a16_a17_a_header_over_8_kib_is_refused_whatever_its_name", async () => {
  for (const name of ["X-Anything", "Authorization", "Cookie", "User-Agent", "Origin", "Idempotency-Key", "Accept"]) {
    assertRefused(await get("/healthz", `${name}: ${"a".repeat(8_193)}`), 431, "header_too_large", name);
  }
  assert.equal((await get("/healthz", `X-Anything: ${"a".repeat(8_192)}`)).status, 200);
  assertRefused(await get("/v1/whoami", `Authorization: Bearer ${"a".repeat(300_000)}`), 431, "header_too_large");
  assertRefused(await get("/v1/whoami", ...Array(400).fill(deploy)), 431, "header_too_large");
  assert.equal((await get("/v1/whoami", deploy, ...Array.from({ length: 1_000 }, (_, at) => `X-H${at}: 1`))).status, 200);
});

test("a16_the_limit_counts_bytes", async () => {
  assertRefused(await get("/healthz", `X-Anything: ${"€".repeat(2_731)}`), 431, "header_too_large");
});

test("keys of no length and of any length are refused, in the path as in the header", async () => {
  assertRefused(await get("/w//conversations/x/messages"), 401, "invalid_credential");
  assertRefused(await get(`/w/${"a".repeat(8_000)}/conversations/x/messages`), 401, "invalid_credential");
  assert.equal((await get(`/w/${"a".repeat(100_000)}/conversations/x/messages`)).status, 414);
  assertRefused(await get("/v1/whoami", `x-api-key: ${"a".repeat(100_000)}`), 431, "header_too_large");
});

test("a22_a_path_has_one_spelling", async () => {
  for (const path of [
    "/v1/%77hoami", "/v1/../v1/whoami", "/v1/./whoami", "//v1/whoami", "/v1//whoami", "/v1/whoami/", "/v1/whoami;x", "/v1/whoami%00",
    "/v1\\whoami", "/v1/%2e/whoami", "/v1%2fwhoami", "/v1/%252e/whoami", "/V1/whoami", "/v1/whoami%0d%0aX:1", "/v1/whoami%3f",
    "/v1/wh\u00f6ami", "/healthz/../v1/whoami", "/healthz%2f..%2fv1/whoami", "//evil.example/v1/whoami",
  ]) {
    assertRefused(await get(path, deploy), 404, "not_found", path);
  }
  for (const path of ["\\v1\\whoami", "v1/whoami", "?/v1/whoami"]) assert.equal((await get(path, deploy)).status, 400, path);
});

test("a21_an_absolute_target_counts_by_its_path_only", async () => {
  assert.equal((await get("http://evil.example/v1/whoami", deploy)).status, 200);
  assertRefused(await get("http://do/state", deploy), 404, "not_found");
  const { body } = await get("http://evil.example/.well-known/oauth-protected-resource");
  assert.equal(JSON.parse(body).resource, worker.origin);
});

test("a21_the_host_header_has_no_say_in_the_path", async () => {
  for (const host of ["x/healthz?", "x/healthz#", "x/v1/workspaces?"]) {
    const { body } = await raw(worker.url, ["GET /v1/whoami HTTP/1.1", `Host: ${host}`, deploy]);
    assert.ok(/"kind":"deploy_key"|"success":false/.test(body), `${host}: ${body}`);
  }
});

test("a23_a24_headers_that_claim_another_method_address_or_workspace_are_not_believed", async () => {
  const claims = [
    "X-HTTP-Method-Override: DELETE", "X-Method-Override: POST", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: evil.example",
    "X-Forwarded-Proto: http", "Forwarded: for=127.0.0.1", "CF-Connecting-IP: 127.0.0.1", "CF-Worker: a", "X-Original-URL: /healthz",
    "X-Rewrite-URL: /healthz", "X-Service-Name: admin", "X-Workspace-Id: acme", "Claviger-Principal: deploy_key:x", "Claviger-Fault: panic",
  ];
  for (const claim of claims) {
    assertRefused(await get("/v1/workspaces", claim), 401, "missing_credential", claim);
    assert.equal((await get("/v1/workspaces", claim, deploy)).status, 200, claim);
  }
});

test("a12_a13_a20_the_runtime_refuses_torn_heads_and_executes_no_second_request", async () => {
  for (const lines of [`Authorization : Convex ${worker.deployKey}`, `Authorization: Convex\r\n ${worker.deployKey}`, `${deploy}\0`]) {
    assert.equal((await get("/v1/whoami", lines)).status, 400);
  }
  assert.equal((await bytes(`GET /v1/whoami HTTP/1.1\nHost: a\n${deploy}\n\n`)).status, 200);
  const json = [deploy, "Content-Type: application/json"];
  const smuggled = head("/v1/workspaces", ...json, "Content-Length: 27") + '{"name":"smuggled","id":"x"}';
  const both = head("/v1/workspaces", ...json, "Content-Length: 5", "Transfer-Encoding: chunked");
  assertRefused(await bytes(both, `0\r\n\r\n${smuggled}`), 400, "invalid_request");
  for (const lines of [["Content-Length: 2", "Content-Length: 3"], ["Content-Length: -1"], ["Content-Length: 0x2"], ["Transfer-Encoding: xchunked"]]) {
    assert.equal((await bytes(head("/v1/workspaces", ...json, ...lines), "{}")).status, 400, lines.join());
  }
});

test("a27_a_body_over_the_limit_is_answered_and_not_waited_for", async () => {
  const json = [deploy, "Content-Type: application/json"];
  const path = "/v1/workspaces";
  assertRefused(await bytes(head(path, ...json, "Content-Length: 1048577"), "{"), 413, "payload_too_large");
  const chunk = `10000\r\n${" ".repeat(65_536)}\r\n`;
  assertRefused(await bytes(head(path, ...json, "Transfer-Encoding: chunked"), chunk.repeat(17)), 413, "payload_too_large");
  const whole = " ".repeat(1_048_576);
  assertRefused(await bytes(head(path, ...json, `Content-Length: ${whole.length}`), whole), 400, "invalid_request");
  assertRefused(await say(JSON.stringify({ text: "é".repeat(8_193) })), 413, "payload_too_large");
});

test("a27_a28_bodies_that_are_not_one_sound_json_object_are_refused", async () => {
  for (const body of [
    "{", "[]", "null", '"a"', "{}", '{"text":1}', '{"text":""}', '{"text":" "}', '{"text":"a","text":"b"}', '{"text":"a","x":1}', '\ufeff{"text":"a"}',
    '{"text":"\\ud800"}', '{"text":"a"}{}', '{"text":NaN}', '{"text":1e400}', "[".repeat(100_000), '{"text":'.repeat(10_000), '{"__proto__":{"text":"a"}}',
    Buffer.from('{"text":"\xff"}', "latin1"), gzipSync('{"text":"a"}'), `{${Array.from({ length: 65 }, (_, at) => `"m${at}":1`)}}`,
  ]) {
    assertRefused(await say(body), 400, "invalid_request", String(body).slice(0, 40));
  }
  for (const type of [
    "text/plain", "text/plain; x=application/json", "application/jsonx", "application/json, text/plain", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=a", "application/json; charset=utf-16", "",
  ]) {
    assertRefused(await say('{"text":"a"}', type), 415, "unsupported_media_type", type);
  }
});

test("a body with a content encoding is refused", async () => {
  assertRefused(await say(JSON.stringify({ text: 1 }), "application/json", "Content-Encoding: gzip"), 415, "unsupported_media_type");
});

test("j6_an_idempotency_key_that_is_not_one_sound_key_is_refused", async () => {
  for (const value of ["", "a".repeat(256), "a b", '"a', 'a"b', '"a"b', "é", "a, b"]) {
    assertRefused(await say('{"text":"a"}', "application/json", `Idempotency-Key: ${value}`), 400, "idempotency_key_invalid", value);
  }
  assertRefused(await say('{"text":"a"}', "application/json", "Idempotency-Key: a", "Idempotency-Key: b"), 400, "idempotency_key_invalid");
});

test("a26_a_client_that_leaves_half_way_stores_nothing", async () => {
  const lines = [`Origin: ${SITE}`, `Authorization: Bearer ${secret}`, "Content-Type: application/json", "Content-Length: 4000"];
  const half = head(`/w/${key}/conversations/${conversation}/messages`, ...lines) + '{"text":"half';
  await Promise.all(
    Array.from({ length: 20 }, async (_, at) => {
      const socket = connect(Number(new URL(worker.url).port), "127.0.0.1").on("error", () => {});
      socket.write(half.slice(0, half.length - at));
      await sleep(5 * at);
      socket.destroy();
    }),
  );
});

test("a26_a_body_that_breaks_off_is_the_client's_fault", async () => {
  const lines = [deploy, "Content-Type: application/json", "Transfer-Encoding: chunked"];
  const answer = await bytes(head("/v1/workspaces", ...lines), 'zz\r\n{"name":"a"}\r\n0\r\n\r\n');
  assert.ok(answer.status >= 400 && answer.status < 500, String(answer.status));
});
