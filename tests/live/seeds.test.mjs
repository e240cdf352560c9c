// The calls that products print in their documents, typed as printed (only the host is another), under the policy of each.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { raw } from "../support/raw.mjs";
import { startWorker } from "../support/worker.mjs";

/** The upstream: says what it was asked, and by whom. */
const api = createServer((request, response) => {
  const { method, url, headers } = request;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ method, url, headers }));
});

const workers = [];
let upstream;
before(async () => {
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  upstream = `http://127.0.0.1:${api.address().port}`;
});
after(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  api.close();
});

/** A deployment under this policy, with one workspace. */
async function deployment(POLICY) {
  const worker = await startWorker({ vars: { POLICY, UPSTREAM: upstream } });
  workers.push(worker);
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  return worker;
}

async function make(worker, members) {
  const body = { workspace: "acme", environment: "live", name: "seed", ...members };
  const { status, json } = await worker.api("POST", "/v1/credentials", { body });
  assert.equal(status, 201, JSON.stringify(json));
  return json.secret;
}

/** Types `line` into a shell, as a reader of the document would. */
async function shell(line, env) {
  const { stdout } = await promisify(execFile)("bash", ["-c", line], { env: { PATH: process.env.PATH, ...env } });
  const [body, code] = stdout.split("\n#");
  return { status: Number(code), json: JSON.parse(body) };
}

test("`GET /v1/models` with a Bearer key, and with a service's name and token, reaches the API behind", async () => {
  const worker = await deployment("llm");
  const key = await make(worker, { kind: "server_key" });
  assert.match(key, /^gs_live_[A-Za-z0-9]{32}$/);
  const bearer = await raw(worker.url, ["GET /v1/models HTTP/1.1", "Host: a", `Authorization: Bearer ${key}`]);
  assert.equal(bearer.status, 200, bearer.body);
  const seen = JSON.parse(bearer.body);
  assert.deepEqual([seen.method, seen.url], ["GET", "/v1/models"]);
  assert.equal(seen.headers["claviger-kind"], "server_key");
  assert.equal(seen.headers["claviger-workspace"], "acme");
  assert.equal(seen.headers.authorization, undefined, "the credential stays here");
  const token = await make(worker, { kind: "service_token", service: "capture-spine" });
  const service = await raw(worker.url, ["GET /v1/models HTTP/1.1", "Host: a", "X-Service-Name: capture-spine", `X-Service-Token: ${token}`]);
  assert.equal(service.status, 200, service.body);
  assert.equal(JSON.parse(service.body).headers["x-service-token"], undefined);
  assert.equal(service.get("x-ratelimit-limit")[0], "60");
});

test("both curl forms of an analytics product work, and a key without the scope is told which one", async () => {
  const worker = await deployment("analytics");
  const env = { API: worker.url, DATABUDDY_API_KEY: await make(worker, { kind: "server_key", scopes: ["read:data"] }) };
  const tail = ` $API/v1/query/websites -s -w '\\n#%{http_code}'`;
  for (const line of [`curl -H "x-api-key: $DATABUDDY_API_KEY"`, `curl -H "Authorization: Bearer $DATABUDDY_API_KEY"`]) {
    const { status, json } = await shell(line + tail, env);
    assert.deepEqual([status, json.url], [200, "/v1/query/websites"]);
    assert.equal(json.headers["claviger-scopes"], "read:data");
    assert.equal(json.headers["x-api-key"] ?? json.headers.authorization, undefined);
  }
  const narrow = { ...env, DATABUDDY_API_KEY: await make(worker, { kind: "server_key", scopes: ["track:events"] }) };
  const refused = await shell(`curl -H "x-api-key: $DATABUDDY_API_KEY"` + tail, narrow);
  assert.deepEqual([refused.status, refused.json.success, refused.json.code], [403, false, "insufficient_scope"]);
  assert.deepEqual(refused.json.required, ["read:data"]);
  const cold = await shell(`curl` + tail, env);
  assert.deepEqual([cold.status, cold.json.code], [401, "missing_credential"]);
});
