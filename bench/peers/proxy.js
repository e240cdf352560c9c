// A proxy by hand for an API that knows nothing of keys: it looks the key up in its object, which counts; says who is asking; keeps what
// belongs to the connection and what is a credential from passing; and writes a line.
import { open } from "./server-key.js";
import worker, { Key } from "./row-object.js";
import { log, passedHeaders, quotaOf, refuseKey, requestId } from "./words.js";

export { Key };

const HOPS = ["connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
const NEVER_OUT = new Set([...HOPS, "host", "content-length", "expect", "authorization", "x-api-key", "cookie"]);
const NEVER_BACK = new Set(HOPS);
const ROUTE = /^\/v1\/bodies\/[^/]+$/;

function filtered(headers, never) {
  const passing = new Headers();
  for (const [name, value] of headers) if (!never.has(name) && !name.startsWith("claviger-")) passing.append(name, value);
  return passing;
}

export default {
  async fetch(request, env) {
    const id = requestId();
    const { pathname, search } = new URL(request.url);
    if (pathname === "/fill") return worker.fetch(request, env);
    if (!ROUTE.test(pathname) || request.method !== "GET") return new Response(null, { status: 404 });
    const bearer = request.headers.get("authorization") ?? "";
    const key = bearer.startsWith("Bearer ") && (await open(bearer.slice(7), env.KEY_SECRET));
    const admitted = key && (await env.KEY.getByName(key.locator).admit(key.digest, key.environment));
    if (!admitted) return refuseKey(id, env.ORIGIN);
    const headers = filtered(request.headers, NEVER_OUT);
    headers.set("claviger-principal", admitted.id);
    headers.set("claviger-kind", "server_key");
    headers.set("claviger-workspace", admitted.workspace);
    headers.set("claviger-environment", admitted.environment);
    headers.set("claviger-request-id", id);
    const answer = await fetch(env.UPSTREAM + pathname + search, { headers, redirect: "manual", cache: "no-store" });
    const passed = passedHeaders(filtered(answer.headers, NEVER_BACK), id, [quotaOf(admitted.remaining, admitted.resetAt)], Date.now());
    passed.append("vary", "Authorization, X-Api-Key, X-Service-Token");
    log(id, "GET /v1/bodies/{name}", answer.status, { kind: "server_key", credential: admitted.id, workspace: admitted.workspace });
    return new Response(answer.body, { status: answer.status, headers: passed });
  },
};
