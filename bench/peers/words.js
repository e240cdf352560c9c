// What every peer says, word for word as Claviger says it: the same headers, bodies and log line in every case. Then
// what differs between two measurements is the work alone.

const EXPOSED = "Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id";

/** What a server key is held to here: so much that nothing is refused. */
export const LIMIT = 4_000_000_000;
export const WINDOW_SECONDS = 60;

export const requestId = () => `req_${crypto.randomUUID().replaceAll("-", "")}`;

/** One line a request. `more` is what is known of who asked. */
export function log(id, route, status, more) {
  console.log(JSON.stringify({ at: new Date().toISOString(), request_id: id, route, status, ...more }));
}

export function refusedHeaders(id, origin) {
  return {
    "content-type": "application/json",
    "www-authenticate": `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource", error="invalid_token"`,
    "cache-control": "no-store",
    "x-request-id": id,
    "x-content-type-options": "nosniff",
    vary: "Origin",
  };
}

export function refusedBody(id, origin) {
  return {
    success: false,
    code: "invalid_credential",
    error: "This credential is not valid.",
    fix: `Check that it was copied whole, belongs to this deployment, and stands in the right header. See ${origin}/docs/errors#invalid_credential`,
    request_id: id,
  };
}

export function preflightHeaders(id, caller) {
  return {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key",
    "access-control-max-age": "7200",
    "cache-control": "no-store",
    "x-request-id": id,
    "x-content-type-options": "nosniff",
    "access-control-allow-origin": caller,
    "access-control-expose-headers": EXPOSED,
    vary: "Origin",
  };
}

// The limits as they stand, the tightest one in three headers of its own.
function limited(headers, quotas, now) {
  const tightest = quotas.reduce((least, quota) => (quota.remaining < least.remaining ? quota : least));
  headers["x-ratelimit-limit"] = String(tightest.limit);
  headers["x-ratelimit-remaining"] = String(tightest.remaining);
  headers["x-ratelimit-reset"] = String(Math.ceil(tightest.resetAt / 1_000));
  headers["ratelimit-policy"] = quotas.map(({ name, limit, window }) => `"${name}";q=${limit};w=${window}`).join(", ");
  headers.ratelimit = quotas.map(({ name, remaining, resetAt }) => `"${name}";r=${remaining};t=${Math.ceil((resetAt - now) / 1_000)}`).join(", ");
}

/** Headers of an answer that the page may read; with `quotas`, those of a metered one. */
export function answeredHeaders(id, caller, quotas, now) {
  const headers = { "content-type": "application/json" };
  if (quotas) limited(headers, quotas, now);
  headers["cache-control"] = "no-store";
  headers["x-request-id"] = id;
  headers["x-content-type-options"] = "nosniff";
  headers["access-control-allow-origin"] = caller;
  headers["access-control-expose-headers"] = EXPOSED;
  headers.vary = "Origin";
  return headers;
}

/** Headers of an answer that no page reads; with `quotas`, those of a metered one. */
export function whoamiHeaders(id, quotas, now) {
  const headers = { "content-type": "application/json" };
  if (quotas) limited(headers, quotas, now);
  headers["cache-control"] = "no-store";
  headers["x-request-id"] = id;
  headers["x-content-type-options"] = "nosniff";
  return headers;
}

/** Headers of an answer that only passes: those of the API behind, and of a metered answer. */
export function passedHeaders(theirs, id, quotas, now) {
  const ours = {};
  limited(ours, quotas, now);
  if (!theirs.has("cache-control")) ours["cache-control"] = "no-store";
  ours["x-request-id"] = id;
  ours["x-content-type-options"] = "nosniff";
  for (const name in ours) theirs.set(name, ours[name]);
  return theirs;
}

/** The one limit of a server key as it stands. */
export const quotaOf = (remaining, resetAt) => ({ name: "requests", limit: LIMIT, window: WINDOW_SECONDS, remaining, resetAt });

/** Who a server key is, by its record, and its limit. */
export function whoamiBody({ id, workspace, environment, scopes, tier, expiresAt }, { name, limit, window, remaining, resetAt }) {
  const limits = [{ name, limit, window_seconds: window, remaining, reset_at: new Date(resetAt).toISOString() }];
  return { kind: "server_key", id, workspace, environment, scopes, tier, expires_at: expiresAt, limits };
}

/** The whole answer to a server key that was admitted, and its log line. */
export function answerWhoami(id, record, quota, now) {
  log(id, "GET /v1/whoami", 200, { kind: "server_key", credential: record.id, workspace: record.workspace });
  return new Response(JSON.stringify(whoamiBody(record, quota)), { headers: whoamiHeaders(id, [quota], now) });
}

/** The answer to one that was not. */
export function refuseKey(id, origin) {
  log(id, "GET /v1/whoami", 401, { reason: "credential_forged" });
  const { vary, ...headers } = refusedHeaders(id, origin);
  return new Response(JSON.stringify(refusedBody(id, origin)), { status: 401, headers });
}

export const routeOf = (method) => `${method} /w/{widget_key}/conversations/{id}/messages`;
