// Many at once: revocation, rotation, retries and limits come out as if one had come after the other.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const POLICY_TOML = `brand = "clv"
[widget]
messages_per_minute = 60
messages_per_minute_per_conversation = 1000
conversations_per_hour = 5000
conversations_per_hour_per_key = 100000
`;

let worker;
before(async () => {
  worker = await startWorker({ vars: { POLICY_TOML } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
});
after(() => worker?.stop());

const times = (count, call) => Promise.all(Array.from({ length: count }, (_, at) => call(at)));
const statuses = (answers) => Object.fromEntries(Object.entries(Object.groupBy(answers, ({ status }) => status)).map(([status, all]) => [status, all.length]));

async function create() {
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  return (await worker.api("POST", "/v1/credentials", { body })).json;
}

const call = (method, wk, path, secret, options = {}) =>
  worker.api(method, `/w/${wk}/conversations${path}`, { key: secret, scheme: "Bearer", ...options, headers: { origin: SITE, ...options.headers } });
const open = (wk) => call("POST", wk, "", null);

test("b6_p4_after_a_revoke_was_answered_no_use_is_admitted", async () => {
  const key = await create();
  const { conversation, history_secret } = (await open(key.secret)).json;
  const use = (at) => (at % 2 ? open(key.secret) : call("GET", key.secret, `/${conversation}/messages`, history_secret));
  let [revoked, admitted] = [false, 0];
  const racing = times(16, async (at) => {
    while (!revoked) admitted += (await use(at)).status < 300 ? 1 : 0;
  });
  while (admitted < 50) await use(0);
  assert.equal((await worker.api("POST", `/v1/credentials/${key.id}/revoke`)).status, 200);
  revoked = true;
  const late = (await times(20, async (lane) => {
    const answers = [];
    for (let at = 0; at < 100; at++) answers.push(await use(lane + at));
    return answers;
  })).flat();
  await racing;
  assert.deepEqual(statuses(late), { 401: 2_000 });
  assert.ok(late.every(({ json }) => json.code === "revoked_credential"));
});

test("b29_sixteen_rotations_at_once_leave_one_current_and_one_previous_secret", async () => {
  const key = await create();
  const answers = await times(16, () => worker.api("POST", `/v1/credentials/${key.id}/rotate`, { body: { overlap_seconds: 3600 } }));
  assert.deepEqual(statuses(answers), { 201: 16 });
  const secrets = [key.secret, ...answers.map(({ json }) => json.secret)];
  assert.equal(new Set(secrets).size, 17);
  const live = [];
  for (const secret of secrets) if ((await open(secret)).status === 201) live.push(secret);
  assert.equal(live.length, 2);
  const { hint, replaces } = (await worker.api("GET", `/v1/credentials/${key.id}`)).json;
  assert.deepEqual(live.map((secret) => secret.slice(-4)).sort(), [hint.slice(-4), replaces.slice(-4)].sort());
});

test("j2_thirty_posts_with_one_idempotency_key_store_one_message", async () => {
  const key = await create();
  const { conversation, history_secret } = (await open(key.secret)).json;
  const path = `/${conversation}/messages`;
  const options = { headers: { "idempotency-key": '"once"' }, body: { text: "once" } };
  const answers = await times(30, () => call("POST", key.secret, path, history_secret, options));
  assert.deepEqual(statuses(answers), { 201: 30 });
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
  assert.equal(answers.filter(({ headers }) => headers.get("idempotent-replayed") === null).length, 1);
  const { json } = await worker.api("GET", `/v1/conversations/${conversation}/messages`);
  assert.deepEqual(json.items.map(({ text }) => text), ["once"]);

  const bare = await call("POST", key.secret, path, history_secret, { ...options, headers: { "idempotency-key": "once" } });
  assert.equal(bare.headers.get("idempotent-replayed"), "true");
  const other = await call("POST", key.secret, path, history_secret, { ...options, body: { text: "twice" } });
  assert.deepEqual([other.status, other.json.code], [422, "idempotency_key_reused"]);
});

test("j5_one_idempotency_key_of_two_conversations_is_two_keys", async () => {
  const key = await create();
  for (let visitor = 0; visitor < 2; visitor++) {
    const { conversation, history_secret } = (await open(key.secret)).json;
    const options = { headers: { "idempotency-key": "shared" }, body: { text: `from ${visitor}` } };
    const answer = await call("POST", key.secret, `/${conversation}/messages`, history_secret, options);
    assert.deepEqual([answer.status, answer.json.text, answer.headers.get("idempotent-replayed")], [201, `from ${visitor}`, null]);
    const operator = await worker.api("POST", `/v1/conversations/${conversation}/messages`, options);
    assert.equal(operator.headers.get("idempotent-replayed"), null);
  }
});

test("h2_of_two_hundred_posts_at_once_exactly_the_limit_is_admitted", async () => {
  const key = await create();
  const visitors = (await times(4, () => open(key.secret))).map(({ json }) => json);
  // Addresses that a client makes up buy it nothing where no header is named for them.
  const say = (at) =>
    call("POST", key.secret, `/${visitors[at % 4].conversation}/messages`, visitors[at % 4].history_secret, {
      headers: { "cf-connecting-ip": `10.${at}.0.1`, "x-forwarded-for": `10.0.${at}.1` },
      body: { text: `${at}` },
    });
  const answers = await times(200, say);
  assert.deepEqual(statuses(answers), { 201: 60, 429: 140 });
  const stored = await Promise.all(visitors.map(({ conversation }) => worker.api("GET", `/v1/conversations/${conversation}/messages`)));
  assert.equal(stored.reduce((sum, { json }) => sum + json.items.length, 0), 60);
  for (const { status, headers, json } of answers) {
    assert.equal(headers.get("x-ratelimit-limit"), "60");
    if (status === 429) assert.ok(json.code === "rate_limited" && Number(headers.get("retry-after")) >= 1);
  }
});

test("p3_sixteen_rotations_of_a_history_secret_hand_out_one_next_secret", async () => {
  const key = await create();
  const { conversation, history_secret } = (await open(key.secret)).json;
  const rotate = (secret) => call("POST", key.secret, `/${conversation}/secret/rotate`, secret);
  const read = async (secret) => (await call("GET", key.secret, `/${conversation}/messages`, secret)).status;
  const answers = await times(16, () => rotate(history_secret));
  assert.deepEqual(statuses(answers), { 201: 16 });
  const next = [...new Set(answers.map(({ json }) => json.history_secret))];
  assert.equal(next.length, 1);
  assert.equal(await read(history_secret), 401);
  assert.equal((await rotate(history_secret)).json.history_secret, next[0]);
  assert.equal(await read(next[0]), 200);
  assert.equal((await rotate(history_secret)).json.code, "revoked_credential", "its successor was used");
});

test("conversations that are opened at once are all different and all listed", async () => {
  const key = await create();
  const opened = await times(40, () => open(key.secret));
  assert.deepEqual(statuses(opened), { 201: 40 });
  const ids = new Set(opened.map(({ json }) => json.conversation));
  assert.equal(ids.size, 40);
  assert.equal(new Set(opened.map(({ json }) => json.history_secret)).size, 40);
  let listed;
  for (let attempt = 0; attempt < 50 && listed?.length !== 40; attempt++) {
    const { items } = (await worker.api("GET", "/v1/conversations?workspace=acme&limit=100")).json;
    listed = items.filter(({ id }) => ids.has(id));
  }
  assert.equal(listed.length, 40);
});

test("a workspace is made once however many ask at once", async () => {
  const answers = await times(16, () => worker.api("POST", "/v1/workspaces", { body: { name: "Race", id: "race" } }));
  assert.deepEqual(statuses(answers), { 201: 1, 409: 15 });
});

test("twelve credentials that are made at once are all made", async () => {
  const answers = await times(12, create);
  assert.equal(answers.filter(({ secret }) => secret).length, 12);
});

test("b34_a_retry_makes_no_second_credential_and_shows_no_secret_again", async () => {
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  const post = () => worker.api("POST", "/v1/credentials", { headers: { "idempotency-key": "made-once" }, body });
  const [first, again] = [await post(), await post()];
  assert.deepEqual([again.json.id, again.json.secret, again.json.secret_shown], [first.json.id, undefined, true]);
  assert.equal(again.headers.get("idempotent-replayed"), "true");
});
