// A canary of every kind of secret, in every place of every call, in many spellings: it comes out nowhere and stays nowhere.
// `SEED=…` repeats a run, `ROUNDS=…` makes it longer.

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { Agent, request } from "node:http";
import { after, before, test } from "node:test";
import { SERVICE, SPELLINGS, bytesOf, dice, endOf, filesOf, plantCanaries, routes, scanner } from "../support/canaries.mjs";
import { startWorker } from "../support/worker.mjs";

const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));
const ROUNDS = Number(process.env.ROUNDS ?? 1);

const POLICY_TOML = `brand = "clv"
unlimited = true
[widget]
messages_per_minute = 1000000
messages_per_minute_per_conversation = 1000000
conversations_per_hour = 1000000
conversations_per_hour_per_key = 16000000
messages_per_hour_per_key = 16000000
messages_per_conversation = 1000000
[scopes]
"conversations:read" = "List conversations"
"messages:read" = "Read messages"
"messages:write" = "Reply to visitors"
admin = { says = "Full access to the workspace", implies = "*" }
`;

const PARAMETERS = ["workspace", "cursor", "status", "kind", "environment", "limit", "after", "access_token", "id", "q"];

// `Name: ` and what stands before the canary in its value.
const HEADERS = [
  ...["Authorization: ", "Authorization: Bearer ", "Authorization: Convex ", "Authorization: Deploy ", "Authorization: Basic ", "X-Api-Key: "],
  ...["X-Service-Name: ", "X-Service-Token: ", "Proxy-Authorization: Bearer ", "Cookie: session=", "User-Agent: ", "Referer: https://a.example/?t="],
  ...["Origin: ", "Origin: https://", "Idempotency-Key: ", 'Idempotency-Key: "', "Accept: ", "Accept-Language: ", "Content-Type: ", "X-Request-Id: "],
  ...["Traceparent: ", "X-Client: ", "X-Forwarded-For: ", "Forwarded: for=", "X-Anything: ", "X-Forwarded-Uri: /", "X-Forwarded-Host: ", "Access-Control-Request-Headers: ", "If-None-Match: "],
];

const MEMBERS = [
  ...["name", "id", "kind", "workspace", "environment", "origins", "expires_in", "expires_at", "overlap_seconds", "reason", "scopes", "tier"],
  ...["allowed_addresses", "limits", "service", "created_by", "made_until", "default_tier", "stage", "identity", "client_name", "unknown"],
  ...["credential", "method", "path", "scope", "origin", "address"],
];

const NEW_KEY = { kind: "widget_key", environment: "live", name: "n", origins: ["https://shop.example"] };
const BODIES = {
  "POST /v1/workspaces": { name: "Other" },
  // In a workspace that is not there: every key that is made has 16 objects. `places` makes them where the body is what counts.
  "POST /v1/credentials": { ...NEW_KEY, workspace: "nobody" },
  "POST /v1/conversations/{id}/messages": { text: "hello" },
  "POST /v1/verify": { credential: "x" },
  "POST /w/{widget_key}/conversations/{id}/messages": { text: "hello" },
};

const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const roll = dice(SEED);
const pick = (items) => items[roll(items.length)];
const seen = { answers: 0, statuses: new Set() };
let worker, world, find;

before(async () => {
  worker = await startWorker({ vars: { POLICY_TOML, CLIENT_ADDRESS_HEADER: "X-Client" } });
  world = await plantCanaries(worker);
  const made = await worker.api("POST", "/v1/credentials", { body: { kind: "deploy_key", stage: worker.vars.STAGE, name: "spare" } });
  world.secrets.madeDeployKey = made.json.secret;
  find = scanner(world.secrets);
});
after(() => {
  agent.destroy();
  return worker?.stop();
});

/** One request, with headers exactly as given; what the answer says is scanned. */
function send({ method, path, headers, body }) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(worker.url);
    const lines = body === undefined ? headers : { ...headers, "Content-Length": Buffer.byteLength(body) };
    const sent = request({ agent, hostname, port, method, path, headers: lines }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk));
      answer.on("end", () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks).toString() }));
    });
    sent.on("error", reject).end(body);
  });
}

/** What an answer says, without what it is there to say: the words of a message, and to a preflight, the page's own origin. */
function told({ headers, body }) {
  const rest = { ...headers };
  delete rest["access-control-allow-origin"];
  // An export has one object a line.
  const silent = (line) => JSON.stringify(JSON.parse(line), (name, value) => (name === "text" ? undefined : value));
  const json = body.startsWith("{") ? body.trimEnd().split("\n").map(silent).join("\n") : body;
  return `${JSON.stringify(rest)}\n${json}`;
}

async function sendAndScan(call, what) {
  const answer = await send(call);
  seen.answers++;
  seen.statuses.add(answer.status);
  assert.ok(answer.status < 500, `${what}: ${answer.status} ${answer.body}`);
  // A call may make a new credential and show it: that one is no canary.
  assert.deepEqual(find(told(answer)), [], `${what}, SEED=${SEED}: ${told(answer)}`);
}

/** Whoever may call a server's route, as each of them says so. */
const CALLERS = {
  deployKey: () => ({ Authorization: `Convex ${worker.deployKey}` }),
  serverKey: () => ({ Authorization: `Bearer ${world.server.secret}` }),
  apiKey: () => ({ "X-Api-Key": world.server.secret }),
  serviceToken: () => ({ "X-Service-Token": world.service, "X-Service-Name": SERVICE }),
};

/** A good call of this route; what ends its caller is called by somebody whom nobody will miss. */
function goodCall({ method, pattern }) {
  const isPage = pattern.startsWith("/w/");
  const isUsage = pattern.endsWith("/usage");
  const id = isUsage ? world.server.id : pattern.startsWith("/v1/workspaces") ? "acme" : pattern.startsWith("/v1/credentials") ? world.key.id : world.visitor.conversation;
  const path = pattern.replace("{widget_key}", world.key.secret).replace("{id}", id);
  const isList = method === "GET" && /^\/v1\/(credentials|conversations)$/.test(pattern);
  const opens = pattern === "/w/{widget_key}/conversations";
  const isEnd = pattern === "/v1/self/revoke";
  // Whatever revokes itself must not be what all other calls need.
  const ended = pick([`Bearer ${world.spare}`, `Convex ${world.secrets.madeDeployKey}`]);
  const server = isEnd ? { Authorization: ended } : CALLERS[pick(Object.keys(CALLERS))]();
  const caller = isPage ? { Authorization: `Bearer ${world.visitor.history_secret}` } : server;
  const held = pattern === "/v1/forward-auth" && { "X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/v1/a" };
  const headers = { ...(isPage && { Origin: world.site }), ...(!opens && caller), ...held, "Content-Type": "application/json" };
  const body = method === "GET" ? undefined : JSON.stringify(BODIES[`${method} ${pattern}`] ?? {});
  return { method, path: isList ? `${path}?workspace=acme` : path, headers, body };
}

/** Every place outside the body that a text can be put into, as a function from the text to the call. */
function places(route) {
  const good = () => goodCall(route);
  const [path] = good().path.split("?");
  const segments = path.slice(1).split("/");
  const found = [(text) => ({ ...good(), path: `${path}/${inUrl(text)}` }), (text) => ({ ...good(), path: `${path}?${inUrl(text)}=1` })];
  for (const at of segments.keys()) found.push((text) => ({ ...good(), path: `/${segments.with(at, inUrl(text)).join("/")}` }));
  for (const method of ["DELETE", "OPTIONS", "HEAD"]) {
    const headers = { Origin: "https://evil.example" };
    found.push((text) => ({ method, headers, path: `${path}/${inUrl(text)}` }), (text) => ({ method, headers, path: `/${inUrl(text)}` }));
  }
  for (const name of PARAMETERS) {
    found.push((text) => ({ ...good(), path: `${good().path}${good().path.includes("?") ? "&" : "?"}${name}=${inUrl(text)}` }));
  }
  for (const line of HEADERS) {
    const [name, start] = line.split(": ");
    const end = start.startsWith('"') ? '"' : "";
    // A sender's own header of that name gives way: one that is doubled would be refused for that.
    const others = () => Object.entries(good().headers).filter(([known]) => known !== name);
    found.push((text) => ({ ...good(), headers: { ...Object.fromEntries(others()), [name]: start + text + end } }));
  }
  return found;
}

/** The same in the body: in every member, in a list there, as its name, and where a body makes no sense. */
function bodyPlaces(route) {
  if (route.method === "GET") return [];
  const good = goodCall(route);
  const body = { ...JSON.parse(good.body), ...(route.pattern === "/v1/credentials" && { workspace: "acme" }) };
  const json = (text) => `"${text.includes("\\u") ? text : JSON.stringify(text).slice(1, -1)}"`;
  const write = (name, value) => JSON.stringify({ ...body, [name]: "?" }).replace('"?"', () => value);
  const bodies = [
    ...MEMBERS.flatMap((name) => [(text) => write(name, json(text)), (text) => write(name, `[${json(text)}]`)]),
    (text) => text,
    json,
    (text) => `{${json(text)}:1}`,
    (text) => `{"name":"a",${json(text)}:1}`,
    (text) => `{"unknown":{"deep":[${json(text)}]}}`,
    (text) => `{"text":${json(text)}`,
  ];
  return bodies.map((write) => (text) => ({ ...good, body: write(text) }));
}

/** What no client can send in a request line, it sends encoded. */
const inUrl = (text) => text.replace(/[\s\\#?]/g, (c) => encodeURIComponent(c));

/** A workspace's id is a name that somebody chose: a bare root secret has the shape of one, and nobody can tell. */
const isChosenName = (call, name) => call.path === "/v1/workspaces" && call.method === "POST" && /"id":"[\w-]{1,64}"/.test(call.body) && /[rR]oot/.test(name);

test(`l6_p8_no_secret_comes_back_from_any_place_of_any_call (SEED=${SEED})`, async () => {
  const pairs = Object.keys(world.secrets).flatMap((name) => Object.keys(SPELLINGS).map((spelling) => [name, spelling]));
  const all = [...routes(), { method: "GET", pattern: "/v1/forward-auth" }];
  assert.ok(all.length >= 21, `only ${all.length} calls`);
  // What ends the widget key or the conversation goes last, for good calls would not be good ones any more.
  const ends = ({ method, pattern }) => method === "DELETE" || /\/(rotate|close|revoke)$/.test(pattern);
  const lasting = all.filter((route) => !ends(route));
  const names = Object.keys(world.secrets);
  const used = new Set();
  const push = (route, place, name, spelling) => {
    used.add(`${name} ${spelling}`);
    const call = place(SPELLINGS[spelling](world.secrets[name]));
    if (isChosenName(call, name)) return;
    return sendAndScan(call, `${route.method} ${route.pattern} with ${spelling} ${name}: ${JSON.stringify(call).slice(0, 600)}`);
  };
  for (const route of [...Array(ROUNDS).fill(lasting).flat(), ...all.filter(ends)]) {
    // Bodies first, with every kind: what they say may be kept, and a revocation has its reason only once.
    for (const name of names) {
      await Promise.all(bodyPlaces(route).map((place) => push(route, place, name, roll(2) ? "raw" : pick(Object.keys(SPELLINGS)))));
    }
    await Promise.all(places(route).map((place) => push(route, place, ...pick(pairs))));
  }
  assert.ok(seen.answers > 5_000, `only ${seen.answers} answers`);
  assert.ok(used.size > 0.99 * pairs.length, `only ${used.size} of ${pairs.length} secrets and spellings`);
  for (const status of [200, 201, 400, 401, 403, 404]) assert.ok(seen.statuses.has(status), `no answer was ${status}`);
});

test("l6_p8_no_secret_stands_in_a_log_an_audit_or_a_file_afterwards", async () => {
  for (const path of ["/v1/audit", "/v1/audit?workspace=acme", "/v1/audit/export", "/v1/audit/export?workspace=acme", "/v1/credentials?workspace=acme", "/v1/conversations?workspace=acme", "/v1/workspaces"]) {
    const answer = await worker.api("GET", path);
    assert.equal(answer.status, 200, path);
    assert.deepEqual(find(answer.text), [], path);
  }
  assert.ok(worker.log().split("\n").length > seen.answers, "the log has a line for every request");
  assert.deepEqual(find(worker.log()), [], `the log, SEED=${SEED}`);
  for (const { path, bytes } of filesOf(worker.state)) assert.deepEqual(find(bytes), [], `${path}, SEED=${SEED}`);
  agent.destroy();
  await worker.restart();
  for (const { path, bytes } of filesOf(worker.state)) assert.deepEqual(find(bytes), [], `${path} after a restart, SEED=${SEED}`);
});

test("the_scanner_finds_a_planted_secret_in_an_answer_in_the_log_and_in_a_file", async () => {
  // Another shop's: a message is what its writer wrote, and a workspace's id is logged once it exists.
  const made = { kind: "widget_key", workspace: "acme", environment: "live", name: "planted", origins: [world.site] };
  const answer = await worker.api("POST", "/v1/credentials", { body: made });
  const planted = { widgetKey: answer.json.secret, chosen: `w${world.secrets.strangersRootSecret.slice(0, 41)}` };
  const finds = scanner(planted);
  assert.deepEqual(finds(told({ headers: {}, body: answer.text })), ["widgetKey"], "in the answer that shows it");

  await worker.api("POST", "/v1/workspaces", { body: { name: "a", id: planted.chosen } });
  for (let wait = 0; wait < 100 && !finds(worker.log()).length; wait++) await worker.api("GET", "/healthz", { key: null });
  assert.deepEqual(finds(worker.log()), ["chosen"], "in the log");

  const page = { key: null, headers: { origin: world.site } };
  const visitor = (await worker.api("POST", `/w/${planted.widgetKey}/conversations`, page)).json;
  const path = `/w/${planted.widgetKey}/conversations/${visitor.conversation}/messages`;
  const say = { key: visitor.history_secret, scheme: "Bearer", headers: { origin: world.site } };
  assert.equal((await worker.api("POST", path, { ...say, body: { text: planted.widgetKey } })).status, 201);
  const holding = () => filesOf(worker.state).filter(({ bytes }) => finds(bytes).includes("widgetKey")).map(({ path }) => path);
  assert.ok(holding().some((path) => path.endsWith("-wal")), `in a file that is not yet merged: ${holding()}`);
  const heard = await worker.api("GET", path, say);
  assert.deepEqual([finds(heard.text), finds(told({ headers: {}, body: heard.text }))], [["widgetKey"], []], "a message is the one exception");
});

test("the_scanner_finds_every_kind_in_every_spelling", () => {
  for (const [name, secret] of Object.entries(world.secrets)) {
    for (const [spelling, spell] of Object.entries(SPELLINGS)) {
      assert.ok(find(`x${spell(secret)}x`).includes(name), `${name} ${spelling}`);
    }
    const decoded = bytesOf(secret);
    if (decoded) assert.ok(find(Buffer.concat([Buffer.from([0xff, 0]), decoded])).includes(name), `${name} decoded`);
    assert.ok(find(endOf(secret)).includes(name), `the end of ${name}`);
  }
  assert.deepEqual(find(`{"id":"${world.key.id}","hint":"clv_wk_live_…${world.key.secret.slice(-4)}"}`), []);
  assert.deepEqual(find(`{"hint":"clv_live_…${world.server.secret.slice(-4)}","object":"sk_live_${world.server.secret.slice(9, 17)}"}`), []);
});
