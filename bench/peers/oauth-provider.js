// The platform's own OAuth library, asked with an access token that it gave out. It does not count: the limits that it
// says are made up, so that its answer has the same words.
import { OAuthProvider } from "@cloudflare/workers-oauth-provider";
import { memoryKv } from "./memory-kv.js";
import { answerWhoami, LIMIT, quotaOf, requestId, WINDOW_SECONDS } from "./words.js";

const ORIGIN = "https://keys.example.com";
const SCOPE = [];
const CALLBACK = "https://client.example/callback";

const api = {
  fetch(request, env, ctx) {
    const now = Date.now();
    const { workspace } = ctx.props;
    const record = { id: ctx.auth.clientId, workspace, environment: "live", scopes: ctx.auth.scope, tier: "enterprise", expiresAt: null };
    return answerWhoami(requestId(), record, quotaOf(LIMIT - 1, now + WINDOW_SECONDS * 1_000), now);
  },
};

const provider = new OAuthProvider({
  apiRoute: "/v1/whoami",
  apiHandler: api,
  defaultHandler: { fetch: (request, env, ctx) => (new URL(request.url).pathname === "/fill" ? fill(env, ctx) : new Response(null, { status: 404 })) },
  authorizeEndpoint: "/oauth/authorize",
  tokenEndpoint: "/oauth/token",
  scopesSupported: SCOPE,
  resourceMetadata: { resource: `${ORIGIN}/v1/whoami`, authorization_servers: [ORIGIN] },
  accessTokenTTL: 86_400,
});

export default {
  fetch(request, env, ctx) {
    // Without a binding the values are in the worker's own memory: faster than any KV.
    return provider.fetch(request, env.OAUTH_KV ? env : { ...env, OAUTH_KV: memoryKv }, ctx);
  },
};

// Only here: a person's consent and a client's exchange of the code, both at once.
async function fill(env, ctx) {
  const oauth = env.OAUTH_PROVIDER;
  const { clientId } = await oauth.createClient({ redirectUris: [CALLBACK], tokenEndpointAuthMethod: "none" });
  const verifier = "v".repeat(43);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier)));
  const challenge = btoa(String.fromCharCode(...hash)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const asks = new URL(`${ORIGIN}/oauth/authorize`);
  const fields = {
    response_type: "code", client_id: clientId, redirect_uri: CALLBACK, scope: SCOPE.join(" "), state: "s",
    code_challenge: challenge, code_challenge_method: "S256", resource: `${ORIGIN}/v1/whoami`,
  };
  for (const [name, value] of Object.entries(fields)) asks.searchParams.set(name, value);
  const request = await oauth.parseAuthRequest(new Request(asks));
  const { redirectTo } = await oauth.completeAuthorization({ request, userId: "user", metadata: {}, scope: SCOPE, props: { workspace: "ws-bench" } });
  const code = new URL(redirectTo).searchParams.get("code");
  const body = new URLSearchParams({ grant_type: "authorization_code", code, client_id: clientId, redirect_uri: CALLBACK, code_verifier: verifier, resource: fields.resource });
  const answer = await provider.fetch(new Request(`${ORIGIN}/oauth/token`, { method: "POST", body }), env, ctx);
  const { access_token: token, ...refused } = await answer.json();
  return token ? Response.json({ key: token }) : Response.json(refused, { status: 500 });
}
