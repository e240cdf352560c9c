// One line in the log for every request, of known members only, whatever stood in the request.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { plantCanaries } from "../support/canaries.mjs";
import { raw } from "../support/raw.mjs";
import { startWorker } from "../support/worker.mjs";

const PATHS = [
  "/healthz", "/v1/whoami", "/v1/workspaces", "/v1/credentials", "/v1/conversations?workspace=acme", "/widget.js", "/nothing",
  "/.well-known/oauth-protected-resource", "/v1/credentials/wk_00000000000000000000_acme", "/v1/conversations/x/messages",
];

let worker, key;
before(async () => {
  worker = await startWorker();
  ({ key } = await plantCanaries(worker));
});
after(() => worker?.stop());

async function send(method, path, ...lines) {
  const body = lines.at(-1) instanceof Buffer ? lines.pop() : Buffer.alloc(0);
  const head = [`${method} ${path} HTTP/1.1`, "Host: a", ...lines, `Content-Length: ${body.length}`, "", ""].join("\r\n");
  const answer = await raw(worker.url, Buffer.concat([Buffer.from(head), body]));
  assert.ok(answer.status < 500, `${method}: ${answer.status}`);
  return answer;
}

test("l6_a_secret_as_the_name_of_a_member_or_in_the_place_of_an_id_is_not_logged", async () => {
  // A longer one could be a key, and is not repeated.
  const [member, id] = [["member", 3], ["workspace", 12]].map(([name, bytes]) => `${name}_${randomBytes(bytes).toString("hex")}`);
  const lines = [`Authorization: Convex ${worker.deployKey}`, "Content-Type: application/json"];
  const told = await send("POST", "/v1/workspaces", ...lines, Buffer.from(JSON.stringify({ name: "a", [member]: 1 })));
  assert.ok(told.body.includes(member), "the caller is told which");
  assert.equal((await send("GET", `/v1/workspaces/${id}`, ...lines)).status, 404);
  await worker.api("GET", "/healthz", { key: null });
  assert.ok(!worker.log().includes(member), "a member's name");
  assert.ok(!worker.log().includes(id), "a workspace that is not there");
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
