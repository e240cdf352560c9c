// The official OpenAI client against a running worker.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import OpenAI from "openai";
import { startGateway, startProvider } from "./support.mjs";

describe("the OpenAI client", () => {
  let provider, gateway, client;
  before(async () => {
    provider = await startProvider((request, body, response) =>
      response.setHeader("content-type", "application/json").end(JSON.stringify({ object: "list", data: [{ id: "m", object: "model" }] })),
    );
    gateway = await startGateway(provider, { key: { scopes: ["completions:read"] } });
    client = new OpenAI({ apiKey: gateway.key, baseURL: `${gateway.worker.url}/v1`, maxRetries: 0 });
  });
  after(async () => {
    await gateway?.worker.stop();
    await provider?.stop();
  });

  test("lists models with a server key", async () => {
    const models = await client.models.list();
    assert.deepEqual(models.data.map(({ id }) => id), ["m"]);
    assert.equal(provider.calls.at(-1).headers.authorization, undefined);
  });
});
