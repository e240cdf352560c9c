// The library that most on Node would take: better-auth with its plugin for API keys, behind Node's own server, in a
// process of its own. Its database is Node's SQLite in memory. PORT says where it listens.
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { LIMIT, log, quotaOf, refusedBody, refusedHeaders, requestId, WINDOW_SECONDS, whoamiBody, whoamiHeaders } from "./words.js";

const auth = betterAuth({
  baseURL: process.env.ORIGIN,
  secret: process.env.KEY_SECRET,
  database: new DatabaseSync(":memory:"),
  emailAndPassword: { enabled: true },
  logger: { disabled: true },
  telemetry: { enabled: false },
  plugins: [apiKey({ defaultPrefix: "clv_live_", enableMetadata: true, rateLimit: { enabled: true, timeWindow: WINDOW_SECONDS * 1_000, maxRequests: LIMIT } })],
});
const { runMigrations } = await getMigrations(auth.options);
await runMigrations();
const email = "bench@shop.example";
const { user } = await auth.api.signUpEmail({ body: { email, password: "correct horse battery", name: "bench" } });
const { key } = await auth.api.createApiKey({ body: { name: "bench", userId: user.id, metadata: { workspace: "ws-bench" } } });

async function serve(request, response) {
  const send = (status, headers, body) => response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) }).end(body);
  const id = requestId();
  if (request.url === "/healthz") return send(200, {}, "ok");
  if (request.url === "/fill") return send(200, {}, JSON.stringify({ key }));
  const bearer = request.headers.authorization ?? "";
  const { valid, key: found } = await auth.api.verifyApiKey({ body: { key: bearer.slice(7) } });
  if (!valid) {
    log(id, "GET /v1/whoami", 401, { reason: "credential_forged" });
    return send(401, refusedHeaders(id, process.env.ORIGIN), JSON.stringify(refusedBody(id, process.env.ORIGIN)));
  }
  const now = Date.now();
  const { workspace } = found.metadata;
  const record = { id: found.id, workspace, environment: "live", scopes: [], tier: "enterprise", expiresAt: null };
  const quota = quotaOf(found.rateLimitMax - found.requestCount, now + found.rateLimitTimeWindow);
  log(id, "GET /v1/whoami", 200, { kind: "server_key", credential: record.id, workspace });
  return send(200, whoamiHeaders(id, [quota], now), JSON.stringify(whoamiBody(record, quota)));
}

createServer((request, response) => {
  serve(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
}).listen(Number(process.env.PORT), "127.0.0.1");
