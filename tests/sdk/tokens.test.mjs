// Tokens with the official clients: what they send is held by its largest bound, and what they get counts as the provider says.

import Anthropic from "@anthropic-ai/sdk";
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import OpenAI from "openai";
import { startGateway, startProvider } from "./support.mjs";

const LIMIT = 40_000;
const recorded = (name) => readFile(new URL(`../dialects/${name}`, import.meta.url), "utf8");
const EVENTS = "text/event-stream";

let provider, gateway;
before(async () => {
  provider = await startProvider(() => {});
  gateway = await startGateway(provider, { key: { tier: "free", scopes: ["completions:read"] } });
});
after(async () => {
  await gateway?.worker.stop();
  await provider?.stop();
});

/** The upstream answers with this, in parts that cut events anywhere. */
function says(text, { status = 200, type = "application/json", size = 40 } = {}) {
  provider.script = async (request, body, response) => {
    response.writeHead(status, { "content-type": type });
    for (let at = 0; at < text.length; at += size) {
      response.write(text.slice(at, at + size));
      await new Promise(setImmediate);
    }
    response.end();
  };
}

/** A key of its own, and a client of each kind that has it. */
async function clients() {
  const body = { kind: "server_key", workspace: "acme", environment: "live", name: "sdk", tier: "free", scopes: ["completions:read"] };
  const { status, json, text } = await gateway.worker.api("POST", "/v1/credentials", { body });
  assert.equal(status, 201, text);
  const key = json.secret;
  const left = async () => {
    const { headers } = await gateway.worker.api("GET", "/v1/whoami", { key, scheme: "Bearer" });
    return Number(headers.get("x-ratelimit-remaining-tokens"));
  };
  const openai = new OpenAI({ apiKey: key, baseURL: `${gateway.worker.url}/v1`, maxRetries: 0 });
  const anthropic = new Anthropic({ apiKey: key, baseURL: gateway.worker.url, maxRetries: 0 });
  /** Resolves once so many tokens count: a settlement comes before the last byte, or soon after a caller who has gone. */
  const counts = async (used) => {
    for (let tries = 0; tries < 400 && LIMIT - (await left()) !== used; tries++) await new Promise((done) => setTimeout(done, 10));
    assert.equal(LIMIT - (await left()), used);
  };
  return { openai, anthropic, left, counts };
}

const messages = [{ role: "user", content: "Say hello." }];

describe("the OpenAI client", () => {
  test("f5 a chat completion counts its usage, whole and as a stream", async () => {
    const { openai, counts } = await clients();
    says(await recorded("openai_chat.json"));
    const answer = await openai.chat.completions.create({ model: "m", messages, max_completion_tokens: 100 });
    assert.equal(answer.usage.total_tokens, 29);
    await counts(29);
    says(await recorded("openai_chat_stream.txt"), { type: EVENTS });
    const stream = await openai.chat.completions.create({
      model: "m", messages, max_tokens: 100, stream: true, stream_options: { include_usage: true },
    });
    let usage;
    for await (const chunk of stream) usage = chunk.usage ?? usage;
    assert.equal(usage.total_tokens, 915);
    await counts(29 + 915);
  });

  test("f5 a response counts its usage, whole and as a stream, and so does an embedding", async () => {
    const { openai, counts } = await clients();
    says(await recorded("openai_response.json"));
    await openai.responses.create({ model: "m", input: "Say hello.", max_output_tokens: 200 });
    await counts(123);
    says(await recorded("openai_responses_stream.txt"), { type: EVENTS });
    const stream = await openai.responses.create({ model: "m", input: "Say hello.", max_output_tokens: 200, stream: true });
    let last;
    for await (const event of stream) last = event.type;
    assert.equal(last, "response.completed");
    await counts(123 + 48);
    says(await recorded("openai_embedding.json"));
    await openai.embeddings.create({ model: "m", input: "Say hello.", encoding_format: "float" });
    await counts(123 + 48 + 5);
  });

  test("f1 of twelve streams at once no more are admitted than fit, and a second name lowers nothing", async () => {
    const { openai, left } = await clients();
    const before = provider.calls.length;
    let end;
    const ended = new Promise((done) => (end = done));
    provider.script = async (request, body, response) => {
      response.writeHead(200, { "content-type": EVENTS }).write(": begun\n\n");
      await ended;
      response.end('data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":29990,"total_tokens":30000}}\n\ndata: [DONE]\n\n');
    };
    const call = () => openai.chat.completions.create({ model: "m", messages, max_completion_tokens: 30_000, stream: true });
    const tried = await Promise.allSettled(Array.from({ length: 12 }, call));
    const admitted = tried.filter(({ status }) => status === "fulfilled");
    assert.equal(admitted.length, 1);
    assert.equal(provider.calls.length - before, 1);
    assert.deepEqual([...new Set(tried.map(({ reason }) => reason?.status))].sort(), [429, undefined]);
    end();
    for await (const chunk of admitted[0].value) assert.equal(chunk.usage.total_tokens, 30_000);
    assert.equal(await left(), 10_000);
    for (const more of [{ max_tokens: 1, max_completion_tokens: 100_000 }, { max_tokens: 400, n: 128 }]) {
      await assert.rejects(openai.chat.completions.create({ model: "m", messages, ...more }), { status: 413 });
    }
    await assert.rejects(openai.completions.create({ model: "m", prompt: Array(200).fill("a"), max_tokens: 1_000 }), { status: 413 });
  });

  test("a5 a caller who breaks off before the usage comes pays what was held", async () => {
    const { openai, counts } = await clients();
    const text = await recorded("openai_chat_stream.txt");
    provider.script = (request, body, response) => {
      response.on("error", () => {});
      response.writeHead(200, { "content-type": EVENTS }).write(text.slice(0, text.indexOf('"choices":[],')));
      const timer = setInterval(() => response.write(": more\n\n"), 5);
      response.on("close", () => clearInterval(timer));
    };
    const stream = await openai.chat.completions.create({ model: "m", messages, max_tokens: 2_000, stream: true });
    for await (const chunk of stream) if (chunk.choices[0].finish_reason) break;
    const body = provider.calls.at(-1).body;
    await counts(2_000 + Math.ceil(body.length / 4));
  });
});

describe("the Anthropic client", () => {
  test("f5 a message counts question, caches and answer, whole and as a stream", async () => {
    const { anthropic, counts } = await clients();
    says(await recorded("anthropic_message.json"));
    const answer = await anthropic.messages.create({ model: "m", messages, max_tokens: 1_024 });
    assert.equal(answer.usage.output_tokens, 503);
    await counts(95 + 200 + 1_500 + 503);
    says(await recorded("anthropic_stream.txt"), { type: EVENTS });
    const stream = anthropic.messages.stream({ model: "m", messages, max_tokens: 1_024 });
    const message = await stream.finalMessage();
    assert.deepEqual([message.usage.input_tokens, message.usage.output_tokens], [500, 15]);
    await counts(95 + 200 + 1_500 + 503 + 915);
    assert.equal(provider.calls.at(-1).headers["x-api-key"], undefined, "the credential stays here");
  });

  test("an upstream that is overloaded locks nobody out, however often the client tries again", async () => {
    const { anthropic, counts } = await clients();
    says('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', { status: 529 });
    const before = provider.calls.length;
    const call = anthropic.messages.create({ model: "m", messages, max_tokens: 30_000, stream: true }, { maxRetries: 2 });
    await assert.rejects(call, { status: 529 });
    assert.equal(provider.calls.length - before, 3, "no attempt was refused here, though the client waits for no error's end");
    await counts(0);
  });
});
