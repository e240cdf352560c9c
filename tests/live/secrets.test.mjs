// Secrets are pushed through every path; none comes out in a log, an answer, a header or a file.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { raw } from "../support/raw.mjs";
import { startWorker } from "../support/worker.mjs";

const SITE = "https://shop.example";
const POLICY_TOML = `brand = "clv"
[widget]
messages_per_minute = 100000
messages_per_minute_per_conversation = 100000
conversations_per_hour = 100000
`;

/** Every answer to a request that issues no secret. */
const answers = [];
let worker, key, visitor, secrets;
before(async () => {
  worker = await startWorker({ vars: { POLICY_TOML, CLIENT_ADDRESS_HEADER: "X-Client" } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  key = (await worker.api("POST", "/v1/credentials", { body })).json;
  const rotated = (await worker.api("POST", `/v1/credentials/${key.id}/rotate`, { body: {} })).json;
  visitor = (await worker.api("POST", `/w/${key.secret}/conversations`, { key: null, headers: { origin: SITE } })).json;
  const path = `/w/${key.secret}/conversations/${visitor.conversation}`;
  const next = await worker.api("POST", `${path}/secret/rotate`, { key: visitor.history_secret, scheme: "Bearer", headers: { origin: SITE } });
  const { secret: identitySecret } = (await worker.api("POST", "/v1/workspaces/acme/identity-secrets")).json;
  const forge = (text) => text.slice(0, -4) + "AAAA";
  const [root] = worker.rootSecrets.split(",");
  secrets = {
    root: root.split(":")[1],
    deployKey: worker.deployKey,
    deployToken: worker.deployKey.split("|")[1],
    widgetKey: key.secret,
    nextWidgetKey: rotated.secret,
    historySecret: visitor.history_secret,
    nextHistorySecret: next.json.history_secret,
    identitySecret,
    forgedDeployKey: forge(worker.deployKey),
    forgedWidgetKey: forge(key.secret),
    forgedHistorySecret: forge(visitor.history_secret),
    canary: `canary-${randomBytes(12).toString("hex")}`,
  };
});
after(() => worker?.stop());

async function send(method, path, ...lines) {
  const body = lines.at(-1) instanceof Buffer ? lines.pop() : Buffer.alloc(0);
  const head = [`${method} ${path} HTTP/1.1`, "Host: a", ...lines, `Content-Length: ${body.length}`, "", ""].join("\r\n");
  const answer = await raw(worker.url, Buffer.concat([Buffer.from(head), body]));
  answers.push(answer);
  assert.ok(answer.status < 500, `${method}: ${answer.status}`);
  return answer;
}

/** What of `secret` stands in `text`: all of it, or its part that is random. */
const shows = (text, secret) => text.includes(secret) || (secret.length > 60 && text.includes(secret.slice(-40)));

function assertNothing(text, where) {
  for (const [name, secret] of Object.entries(secrets)) {
    for (const spelled of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), Buffer.from(secret).toString("base64")]) {
      assert.ok(!shows(text, spelled), `${name} stands in ${where}`);
    }
  }
}

const PATHS = [
  "/healthz", "/v1/whoami", "/v1/workspaces", "/v1/credentials", "/v1/conversations?workspace=acme", "/widget.js", "/nothing",
  "/.well-known/oauth-protected-resource", "/v1/credentials/wk_00000000000000000000_acme", "/v1/conversations/x/messages",
];

test("l6_p9_secrets_in_paths_and_queries_come_out_nowhere", async () => {
  for (const secret of Object.values(secrets)) {
    const text = encodeURIComponent(secret);
    for (const path of [
      `/${text}`, `/v1/${text}`, `/v1/credentials/${text}`, `/v1/credentials/${text}/rotate`, `/v1/workspaces/${text}`,
      `/v1/workspaces/acme/identity-secrets/${text}/revoke`,
      `/v1/conversations/${text}/messages`, `/w/${text}`, `/w/${text}/conversations`, `/w/${key.secret}/conversations/${text}/messages`,
      ...["id", "workspace", "cursor", "status", "kind", "environment", "limit", "after", "access_token", text].flatMap((name) =>
        [`/v1/credentials?workspace=acme&${name}=${text}`, `/v1/conversations?workspace=acme&${name}=${text}`, `/v1/workspaces?${name}=${text}`]),
    ]) {
      await send("GET", path, `Authorization: Convex ${worker.deployKey}`);
      await send("GET", path, `Origin: ${SITE}`);
      await send("DELETE", path);
      await send("OPTIONS", path, "Origin: https://evil.example");
    }
  }
});

test("l6_secrets_in_any_header_come_out_nowhere", async () => {
  const names = [
    ...["Authorization: Bearer ", "Authorization: Convex ", "Authorization: Basic ", "Authorization: ", "X-Api-Key: ", "X-Service-Token: "],
    ...["X-Service-Name: ", "Cookie: a=", "User-Agent: ", "Referer: https://a/?", "Origin: ", "Origin: https://", "Idempotency-Key: ", "Accept: "],
    ...["Content-Type: ", "X-Request-Id: ", "Traceparent: ", "X-Client: ", "X-Anything: ", "Access-Control-Request-Headers: ", "If-None-Match: "],
  ];
  for (const secret of Object.values(secrets)) {
    for (const name of names) {
      for (const path of PATHS) await send("GET", path, name + secret);
      const message = Buffer.from('{"text":""}');
      const lines = [`Origin: ${SITE}`, "Content-Type: application/json", `Authorization: Bearer ${secrets.nextHistorySecret}`];
      const own = lines.filter((line) => !line.startsWith(name.split(" ")[0]));
      await send("POST", `/w/${key.secret}/conversations/${visitor.conversation}/messages`, ...own, name + secret, message);
    }
  }
});

test("l6_secrets_in_bodies_that_are_refused_come_out_nowhere", async () => {
  const lines = [`Authorization: Convex ${worker.deployKey}`, "Content-Type: application/json"];
  for (const secret of Object.values(secrets)) {
    const text = JSON.stringify(secret);
    const bodies = [secret, text, `{"name":${text}`, `{${text}`, `{"name":"a","id":${JSON.stringify(secret.slice(0, 64) + "/")}}`, `[${text}]`];
    for (const body of bodies) await send("POST", "/v1/workspaces", ...lines, Buffer.from(body));
    for (const field of ["kind", "workspace", "environment", "expires_in", "unknown"]) {
      const body = { kind: "widget_key", workspace: "acme", environment: "live", name: "a", origins: [SITE], [field]: secret };
      await send("POST", "/v1/credentials", ...lines, Buffer.from(JSON.stringify(body)));
    }
    const origins = JSON.stringify({ origins: [secret, `https://${secret}`] });
    await send("PATCH", `/v1/credentials/${key.id}`, ...lines, Buffer.from(origins));
    const identity = Buffer.from(JSON.stringify({ identity: secret }));
    await send("POST", `/w/${key.secret}/conversations`, `Origin: ${SITE}`, "Content-Type: application/json", identity);
  }
});

test("p9_no_answer_and_no_line_of_the_log_shows_a_secret", async () => {
  assert.ok(answers.length > 3_000);
  for (const { headers, body, status } of answers) {
    // A preflight echoes the origin to the page that sent it.
    const told = headers.filter(([name]) => name !== "access-control-allow-origin");
    assertNothing(`${JSON.stringify(told)} ${body}`, `an answer with ${status}`);
  }
  await worker.api("GET", "/healthz", { key: null });
  // The names of workspaces are no secrets; one that is not there is looked at in the next test.
  assertNothing(worker.log().replaceAll(/"workspace":"[^"]*"/g, ""), "the log");
});

test("l6_a_secret_as_the_name_of_a_member_or_in_the_place_of_an_id_is_not_logged", async () => {
  const [member, id] = ["member", "workspace"].map((name) => `${name}-${randomBytes(12).toString("hex")}`);
  const lines = [`Authorization: Convex ${worker.deployKey}`, "Content-Type: application/json"];
  const told = await send("POST", "/v1/workspaces", ...lines, Buffer.from(JSON.stringify({ name: "a", [member]: 1 })));
  assert.ok(told.body.includes(member), "the caller is told which");
  assert.equal((await send("GET", `/v1/workspaces/${id}`, ...lines)).status, 404);
  await worker.api("GET", "/healthz", { key: null });
  assert.ok(!worker.log().includes(member), "a member's name");
  assert.ok(!worker.log().includes(id), "a workspace that is not there");
});

test("p9_no_file_of_the_state_holds_a_secret", async () => {
  const path = `/w/${key.secret}/conversations/${visitor.conversation}/messages`;
  const headers = { origin: SITE, "idempotency-key": secrets.canary, "user-agent": secrets.canary };
  const marker = `marker-${randomBytes(12).toString("hex")}`;
  const said = await worker.api("POST", path, { key: secrets.nextHistorySecret, scheme: "Bearer", headers, body: { text: marker } });
  assert.equal(said.status, 201);
  await worker.api("POST", `/v1/credentials/${key.id}/revoke`);
  const files = readdirSync(worker.state, { recursive: true }).map((name) => join(worker.state, name)).filter((name) => statSync(name).isFile());
  const contents = files.map((name) => readFileSync(name));
  assert.ok(contents.some((bytes) => bytes.includes(marker)), "this test would see it");
  for (const [at, bytes] of contents.entries()) {
    assertNothing(bytes.toString("latin1"), files[at]);
    for (const [name, secret] of Object.entries(secrets)) {
      const tag = Buffer.from(secret.split("_").at(-1), "base64url");
      assert.ok(tag.length < 24 || !bytes.includes(tag.subarray(-32)), `${name} stands decoded in ${files[at]}`);
    }
  }
});

test("l5_every_request_has_one_line_in_the_log_and_its_answer_the_same_id", async () => {
  const from = worker.log().length;
  const asked = [];
  for (const path of [...PATHS, `/w/${key.secret}/conversations`, "/%0a%0d%1b[31m"]) {
    for (const method of ["GET", "POST", "OPTIONS", "HEAD"]) {
      const answer = await send(method, path, "User-Agent: a\u2028b", `Authorization: Convex ${worker.deployKey}`);
      asked.push([answer.get("x-request-id")[0], answer.status]);
    }
  }
  const written = () => worker.log().slice(from).split("\n").filter(Boolean);
  for (let wait = 0; wait < 100 && written().length < asked.length; wait++) await worker.api("GET", "/healthz", { key: null });
  const lines = written().map((line) => JSON.parse(line));
  for (const { at, request_id, route, status, ...rest } of lines) {
    assert.match(at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.ok(request_id.startsWith("req_") && route.length > 0 && Number.isInteger(status));
    assert.ok(Object.keys(rest).every((name) => ["reason", "detail", "kind", "credential", "workspace"].includes(name)), JSON.stringify(rest));
  }
  const logged = lines.map(({ request_id, status }) => [request_id, status]);
  assert.deepEqual(logged.slice(0, asked.length), asked);
});
