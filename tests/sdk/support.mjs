/** An upstream that answers as a provider's documentation says, and a worker with the built-in policy `llm` in front of it. */

import { once } from "node:events";
import { createServer } from "node:http";
import { startWorker } from "../support/worker.mjs";

/** An upstream: each request is answered by `script(request, body, response)`; `calls` keeps what came. */
export async function startProvider(script) {
  const calls = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request)).toString();
    calls.push({ method: request.method, url: request.url, headers: request.headers, body });
    await provider.script(request, body, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const provider = {
    script,
    calls,
    origin: `http://127.0.0.1:${server.address().port}`,
    stop: () => new Promise((done) => server.close(done).closeAllConnections()),
  };
  return provider;
}

/** A worker in front of `provider`, and a server key for it. `policy` is a whole policy file, else `llm` counts. */
export async function startGateway(provider, { policy, key = {} } = {}) {
  const vars = policy ? { POLICY_TOML: policy } : { POLICY: "llm" };
  const worker = await startWorker({ vars: { UPSTREAM: provider.origin, ...vars } });
  await worker.api("POST", "/v1/workspaces", { body: { id: "acme", name: "Acme" } });
  const body = { kind: "server_key", workspace: "acme", environment: "live", name: "sdk", ...key };
  const made = await worker.api("POST", "/v1/credentials", { body });
  if (made.status !== 201) throw new Error(`no key was created: ${made.text}`);
  return { worker, key: made.json.secret };
}
