// Which pages may read which answers: the preflight, the origins on a key's list, and refusals.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { raw } from "../support/raw.mjs";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const WILD = "https://*.shop.example:8443";
const EVIL = "https://evil.example";
const POLICY_TOML = `brand = "clv"
[widget]
messages_per_minute = 1000
messages_per_minute_per_conversation = 2
conversations_per_hour = 1000
`;

let worker, key, conversation, secret;
before(async () => {
  worker = await startWorker({ vars: { POLICY_TOML } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  key = await create([SITE, WILD]);
  ({ conversation, secret } = await open(key.secret));
});
after(() => worker?.stop());

async function create(origins, environment = "live") {
  const body = { kind: "widget_key", workspace: "acme", environment, name: "shop", origins };
  return (await worker.api("POST", "/v1/credentials", { body })).json;
}

async function open(wk, origin = SITE) {
  const { json } = await worker.api("POST", `/w/${wk}/conversations`, { key: null, headers: { origin } });
  return { conversation: json.conversation, secret: json.history_secret };
}

const messages = (id = conversation, wk = key.secret) => `/w/${wk}/conversations/${id}/messages`;
const read = (origin, path = messages(), bearer = secret) =>
  worker.api("GET", path, { key: bearer, scheme: "Bearer", headers: origin === undefined ? {} : { origin } });
const say = (bearer, path) => worker.api("POST", path, { key: bearer, scheme: "Bearer", headers: { origin: SITE }, body: { text: "a" } });
const preflight = (path, origin = EVIL) =>
  worker.api("OPTIONS", path, {
    key: null,
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type" },
  });

function assertReadable(answer, status, code, origin = SITE) {
  assert.deepEqual([answer.status, answer.json?.code], [status, code], answer.text);
  assert.equal(answer.headers.get("access-control-allow-origin"), origin);
  assert.equal(answer.headers.get("access-control-allow-credentials"), null);
  assert.match(answer.headers.get("vary"), /\bOrigin\b/);
  const exposed = answer.headers.get("access-control-expose-headers").toLowerCase().split(", ");
  for (const name of ["x-request-id", "retry-after", "www-authenticate", "x-ratelimit-remaining"]) assert.ok(exposed.includes(name), name);
}

function assertUnreadable(answer, status, code) {
  assert.deepEqual([answer.status, answer.json?.code], [status, code], answer.text);
  for (const name of answer.headers.keys()) assert.ok(!name.startsWith("access-control-"), name);
  assert.match(answer.headers.get("vary"), /\bOrigin\b/);
}

test("a preflight for a genuine key lets any page ask, without credentials and without touching state", async () => {
  const before = readdirSync(worker.state, { recursive: true }).length;
  const paths = ["", `/${conversation}/messages`, `/${conversation}/secret/rotate`, `/${conversation}/close`];
  for (const origin of [SITE, EVIL, "null", "https://a.b.c"]) {
    for (const path of paths) {
      const { status, text, headers } = await preflight(`/w/${key.secret}/conversations${path}`, origin);
      assert.deepEqual([status, text, headers.get("access-control-allow-origin")], [204, "", origin]);
      assert.equal(headers.get("access-control-max-age"), "7200");
      assert.equal(headers.get("access-control-allow-credentials"), null);
      assert.match(headers.get("access-control-allow-methods"), /GET.*POST/);
      assert.match(headers.get("access-control-allow-headers"), /authorization.*content-type.*idempotency-key/i);
      assert.match(headers.get("vary"), /\bOrigin\b/);
    }
  }
  const { status, headers } = await worker.api("OPTIONS", `/w/${key.secret}/conversations`, { key: null });
  assert.deepEqual([status, headers.get("access-control-allow-origin")], [204, null]);
  assert.equal(readdirSync(worker.state, { recursive: true }).length, before);
});

test("f4_a_preflight_allows_the_headers_that_a_page_adds_and_repeats_no_secret", async () => {
  const allowed = async (path, asked) => {
    const headers = { origin: EVIL, "access-control-request-method": "GET", "access-control-request-headers": asked };
    const answer = await worker.api("OPTIONS", path, { key: null, headers });
    assert.equal(answer.status, 204);
    return answer.headers.get("access-control-allow-headers");
  };
  const [call, own] = [`/w/${key.secret}/conversations`, "Authorization, Content-Type, Idempotency-Key"];
  assert.equal(await allowed(call, "authorization,baggage,sentry-trace,traceparent"), `${own}, baggage, sentry-trace, traceparent`);
  assert.equal(await allowed("/healthz", "x-datadog-trace-id,x-requested-with"), "x-datadog-trace-id, x-requested-with");
  for (const asked of ["*", `x-a,${secret}`, key.secret.toUpperCase(), "x a", "x".repeat(1_025)]) {
    assert.deepEqual([await allowed(call, asked), await allowed("/healthz", asked)], [own, null]);
  }
});

test("a preflight for a key that was never made lets nobody ask", async () => {
  const forged = key.secret.slice(0, -2) + (key.secret.endsWith("AA") ? "BB" : "AA");
  for (const wk of [forged, "x", "clv_wk_live_", secret]) {
    const answer = await preflight(`/w/${wk}/conversations`, SITE);
    assertUnreadable(answer, wk === secret ? 403 : 401, wk === secret ? "credential_kind_not_allowed" : "invalid_credential");
  }
  assertUnreadable(await read(SITE, messages(conversation, forged)), 401, "invalid_credential");
});

test("m5_m6_a_listed_page_reads_answers_and_only_it_does", async () => {
  assertReadable(await read(SITE), 200, undefined);
  const opened = await worker.api("POST", `/w/${key.secret}/conversations`, { key: null, headers: { origin: SITE } });
  assertReadable(opened, 201, undefined);
});

test("b19_b20_a_page_that_is_not_listed_reads_nothing", async () => {
  for (const origin of [
    ...[EVIL, "null", "", "file://", "data:text/html", "https://shop.example.evil.com", "https://evilshop.example", "https://shop.example."],
    ...["http://shop.example", "https://shop.example:443", "https://shop.example:8443", "https://shop.example@evil.com", "https://SHOP.example"],
    ...["https://shop.example/", "https://xn--shop-exa.example", `${SITE}, ${EVIL}`, `${SITE} ${EVIL}`, "https://shop.example%00", "*"],
    ...["https://shop%2eexample", "chrome-extension://shop.example", undefined],
  ]) {
    assertUnreadable(await read(origin), 403, "origin_not_allowed");
  }
});

test("b21_two_origins_are_none", async () => {
  for (const second of [SITE, EVIL]) {
    const lines = [`POST /w/${key.secret}/conversations HTTP/1.1`, "Host: a", `Origin: ${SITE}`, `Origin: ${second}`, "Content-Length: 0"];
    const answer = await raw(worker.url, lines);
    assert.deepEqual([answer.status, JSON.parse(answer.body).code], [403, "origin_not_allowed"]);
    assert.deepEqual(answer.get("access-control-allow-origin"), []);
  }
});

test("b22_a_wildcard_admits_one_label_with_its_port", async () => {
  assertReadable(await read("https://a.shop.example:8443"), 200, undefined, "https://a.shop.example:8443");
  for (const origin of [
    ...["https://shop.example:8443", "https://a.b.shop.example:8443", "https://.shop.example:8443", "https://a.shop.example"],
    ...["http://a.shop.example:8443", "https://*.shop.example:8443", "https://evil.com/.shop.example:8443", "https://A.shop.example:8443"],
  ]) {
    assertUnreadable(await read(origin), 403, "origin_not_allowed");
  }
});

test("plain http is for loopback and test keys only", async () => {
  const page = "http://localhost:3000";
  const trial = await create([page], "test");
  const opened = await open(trial.secret, page);
  assertReadable(await read(page, messages(opened.conversation, trial.secret), opened.secret), 200, undefined, page);
  for (const origins of [["http://shop.example"], ["http://localhost.evil.com"], ["http://10.0.0.1"]]) {
    assert.equal((await create(origins, "test")).code, "invalid_request");
  }
  assert.equal((await create([page], "live")).code, "invalid_request");
});

test("b24_b25_a_listed_page_may_read_why_a_secret_does_not_fit", async () => {
  const other = await open(key.secret);
  assertReadable(await read(SITE, messages(other.conversation)), 403, "wrong_conversation");
  assertReadable(await read(SITE, messages("conv_x")), 403, "wrong_conversation");
  const trial = await create([SITE], "test");
  assertReadable(await read(SITE, messages(conversation, trial.secret)), 403, "wrong_environment");
  await worker.api("POST", "/v1/workspaces", { body: { name: "Other", id: "other" } });
  const body = { kind: "widget_key", workspace: "other", environment: "live", name: "shop", origins: [SITE] };
  const foreign = (await worker.api("POST", "/v1/credentials", { body })).json;
  assertReadable(await read(SITE, messages(conversation, foreign.secret)), 403, "wrong_workspace");
  assertUnreadable(await read(EVIL, messages(other.conversation)), 403, "origin_not_allowed");
});

test("a listed page may read that it writes too much", async () => {
  const own = await open(key.secret);
  for (let at = 0; at < 2; at++) assertReadable(await say(own.secret, messages(own.conversation)), 201, undefined);
  const refused = await say(own.secret, messages(own.conversation));
  assertReadable(refused, 429, "rate_limited");
  const wait = Number(refused.headers.get("retry-after"));
  assert.ok(Number.isInteger(wait) && wait >= 1 && wait <= 62, String(wait));
  assert.equal(refused.headers.get("x-ratelimit-remaining"), "0");
});

test("a listed page may read that a key or a secret was revoked", async () => {
  const dying = await create([SITE]);
  const own = await open(dying.secret);
  assert.equal((await worker.api("POST", `/v1/credentials/${dying.id}/revoke`)).status, 200);
  assertReadable(await read(SITE, messages(own.conversation, dying.secret), own.secret), 401, "revoked_credential");
  assert.equal((await read(EVIL, messages(own.conversation, dying.secret), own.secret)).headers.get("access-control-allow-origin"), null);

  const closed = await open(key.secret);
  await worker.api("POST", `/w/${key.secret}/conversations/${closed.conversation}/close`, { key: closed.secret, scheme: "Bearer", headers: { origin: SITE } });
  assertReadable(await read(SITE, messages(closed.conversation), closed.secret), 401, "revoked_credential");
});

test("a listed page may read that a key has expired, and a key comes back to life with a later end", async () => {
  const ending = await create([SITE]);
  const own = await open(ending.secret);
  const end = (moment) => worker.api("PATCH", `/v1/credentials/${ending.id}`, { body: { expires_at: new Date(moment).toISOString() } });
  assert.equal((await end(Date.now() - 1)).json.status, "expired");
  assertReadable(await read(SITE, messages(own.conversation, ending.secret), own.secret), 401, "expired_credential");
  assert.equal((await end(Date.now() + 60_000)).json.status, "expiring");
  assertReadable(await read(SITE, messages(own.conversation, ending.secret), own.secret), 200, undefined);
});

test("a page that was taken off the list reads nothing any more", async () => {
  const moving = await create([SITE, EVIL]);
  const own = await open(moving.secret);
  assertReadable(await read(EVIL, messages(own.conversation, moving.secret), own.secret), 200, undefined, EVIL);
  await worker.api("PATCH", `/v1/credentials/${moving.id}`, { body: { origins: [SITE] } });
  assertUnreadable(await read(EVIL, messages(own.conversation, moving.secret), own.secret), 403, "origin_not_allowed");
});

test("m9_calls_of_servers_are_readable_by_no_page", async () => {
  for (const path of ["/v1/whoami", "/v1/workspaces", `/v1/conversations/${conversation}/messages`]) {
    for (const method of ["GET", "OPTIONS"]) {
      const { headers } = await worker.api(method, path, { headers: { origin: SITE } });
      assert.equal(headers.get("access-control-allow-origin"), null);
    }
  }
});
