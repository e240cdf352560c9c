// What the official clients make of refusals: those of the upstream, which they repeat with the same key, and ours, which they read.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { startGateway, startProvider } from "./support.mjs";

const POLICY = `
brand = "gs"
[scopes]
chat = "Chat"
[tiers.free]
requests = { limit = 1000, window_seconds = 60 }
tokens = { limit = 1000, window_seconds = 60 }
[tiers.narrow]
requests = { limit = 1, window_seconds = 60 }
[[routes]]
match = "POST /v1/chat/completions"
accept = ["server_key"]
scope = "chat"
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
idempotency = "accepted"
idempotency_frees = [408, 425, 503]
errors = "openai"
[[routes]]
match = "POST /v1/messages"
accept = ["server_key"]
scope = "chat"
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.output_tokens" }
errors = "anthropic"
`;

const CHAT = { model: "m", max_tokens: 10, messages: [{ role: "user", content: "hello" }] };
const DONE = { id: "c", object: "chat.completion", model: "m", choices: [], usage: { total_tokens: 10 } };

describe("the official clients", () => {
  let provider, gateway, script;
  const answers = (...list) => (script = list);
  const openai = (apiKey, maxRetries = 0) => new OpenAI({ apiKey, baseURL: `${gateway.worker.url}/v1`, maxRetries });
  const anthropic = (apiKey) => new Anthropic({ apiKey, baseURL: gateway.worker.url, maxRetries: 0 });
  const created = async (members) => {
    const body = { kind: "server_key", workspace: "acme", environment: "live", name: "sdk", ...members };
    return (await gateway.worker.api("POST", "/v1/credentials", { body })).json.secret;
  };
  const refused = (call) => call.then(() => assert.fail("it was admitted"), (error) => error);

  before(async () => {
    provider = await startProvider((request, body, response) => {
      const [status, headers, answer] = script.shift() ?? [500, {}, {}];
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(answer));
    });
    gateway = await startGateway(provider, { policy: POLICY, key: { scopes: ["chat"] } });
  });
  after(async () => {
    await gateway?.worker.stop();
    await provider?.stop();
  });

  const limited = [429, { "retry-after": "0" }, { error: { message: "slow down", type: "requests", code: "rate_limit_exceeded" } }];
  for (const [name, first] of [
    ["429", limited],
    ["503 with Retry-After", [503, { "retry-after": "0" }, {}]],
    ["408", [408, {}, {}]],
  ]) {
    test(`f3_a client that repeats with the same key after ${name} succeeds, and one effect happens`, async () => {
      const before = provider.calls.length;
      answers(first, [200, {}, DONE], [200, {}, { ...DONE, id: "another" }]);
      const headers = { "Idempotency-Key": `key-${name.replaceAll(" ", "-")}` };
      const made = await openai(gateway.key, 2).chat.completions.create(CHAT, { headers });
      assert.equal(made.id, "c");
      const calls = provider.calls.slice(before);
      assert.equal(calls.length, 2);
      const ids = calls.map((call) => call.headers["idempotency-key"]);
      assert.match(ids[0], /^idk_[0-9a-f]{64}$/);
      assert.equal(ids[0], ids[1]);
      // Whoever repeats it once more gets what was done.
      assert.equal((await openai(gateway.key).chat.completions.create(CHAT, { headers })).id, "c");
      assert.equal(provider.calls.length, before + 2);
    });
  }

  test("f3_what may have been done is not made again, and the client is told", async () => {
    answers([524, {}, {}], [200, {}, DONE]);
    const before = provider.calls.length;
    const headers = { "Idempotency-Key": "key-524" };
    const error = await refused(openai(gateway.key, 1).chat.completions.create(CHAT, { headers }));
    assert.ok(error instanceof OpenAI.ConflictError, String(error));
    assert.equal(error.code, "conflict");
    assert.equal(provider.calls.length, before + 1);
  });

  test("f11_the OpenAI client knows a wrong key, and what to do about it", async () => {
    const error = await refused(openai("gs_live_wrong").chat.completions.create(CHAT));
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, "invalid_credential");
    assert.equal(error.type, "authentication_error");
    assert.match(error.message, /not valid\. Check that it was copied whole.*\/docs\/errors#invalid_credential/);
    assert.match(error.error.fix, /docs\/errors#invalid_credential$/);
    assert.equal(error.error.request_id, error.requestID);
    const none = await refused(openai(await created({})).chat.completions.create(CHAT));
    assert.ok(none instanceof OpenAI.PermissionDeniedError);
    assert.deepEqual([none.code, none.error.required], ["insufficient_scope", ["chat"]]);
    const wrong = await refused(openai(gateway.key).chat.completions.create({ ...CHAT, max_tokens: "many" }));
    assert.ok(wrong instanceof OpenAI.BadRequestError);
    assert.deepEqual([wrong.code, wrong.param], ["invalid_request", "max_tokens"]);
  });

  test("f11_the OpenAI client can tell the limit of requests from that of tokens", async () => {
    const spent = await created({ scopes: ["chat"] });
    answers([200, {}, { ...DONE, usage: { total_tokens: 900 } }]);
    await openai(spent).chat.completions.create({ ...CHAT, max_tokens: 900 });
    const tokens = await refused(openai(spent).chat.completions.create({ ...CHAT, max_tokens: 900 }));
    const narrow = await created({ scopes: ["chat"], tier: "narrow" });
    answers([200, {}, DONE]);
    await openai(narrow).chat.completions.create(CHAT);
    const requests = await refused(openai(narrow).chat.completions.create(CHAT));
    for (const error of [tokens, requests]) {
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.ok(Number(error.headers.get("retry-after")) > 0);
    }
    assert.deepEqual([tokens.code, tokens.type], ["token_rate_limited", "tokens"]);
    assert.deepEqual([requests.code, requests.type], ["rate_limited", "requests"]);
  });

  test("f11_the Anthropic client knows its errors too", async () => {
    const message = { model: "m", max_tokens: 900, messages: [{ role: "user", content: "hello" }] };
    const error = await refused(anthropic("gs_live_wrong").messages.create(message));
    assert.ok(error instanceof Anthropic.AuthenticationError);
    assert.equal(error.error.type, "error");
    assert.deepEqual([error.error.error.type, error.error.error.code], ["authentication_error", "invalid_credential"]);
    assert.match(error.error.error.fix, /docs\/errors#invalid_credential$/);
    assert.match(error.error.request_id, /^req_/);
    const spent = await created({ scopes: ["chat"] });
    answers([200, {}, { id: "m", type: "message", role: "assistant", content: [], model: "m", usage: { input_tokens: 1, output_tokens: 900 } }]);
    await anthropic(spent).messages.create(message);
    const tokens = await refused(anthropic(spent).messages.create(message));
    assert.ok(tokens instanceof Anthropic.RateLimitError);
    assert.equal(tokens.error.error.code, "token_rate_limited");
  });
});
