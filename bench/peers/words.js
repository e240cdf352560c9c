// What every peer says, word for word as Claviger says it: the same headers, bodies and log line in every case. Then
// what differs between two measurements is the work alone.

const EXPOSED = "Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id";

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

/** Headers of an answer that the page may read; with `quotas`, those of a metered one. */
export function answeredHeaders(id, caller, quotas, now) {
  const headers = { "content-type": "application/json" };
  if (quotas) {
    const tightest = quotas.reduce((least, quota) => (quota.remaining < least.remaining ? quota : least));
    headers["x-ratelimit-limit"] = String(tightest.limit);
    headers["x-ratelimit-remaining"] = String(tightest.remaining);
    headers["x-ratelimit-reset"] = String(Math.ceil(tightest.resetAt / 1_000));
    headers["ratelimit-policy"] = quotas.map(({ name, limit, window }) => `"${name}";q=${limit};w=${window}`).join(", ");
    headers.ratelimit = quotas.map(({ name, remaining, resetAt }) => `"${name}";r=${remaining};t=${Math.ceil((resetAt - now) / 1_000)}`).join(", ");
  }
  headers["cache-control"] = "no-store";
  headers["x-request-id"] = id;
  headers["x-content-type-options"] = "nosniff";
  headers["access-control-allow-origin"] = caller;
  headers["access-control-expose-headers"] = EXPOSED;
  headers.vary = "Origin";
  return headers;
}

export const whoamiHeaders = (id) => ({
  "content-type": "application/json",
  "cache-control": "no-store",
  "x-request-id": id,
  "x-content-type-options": "nosniff",
});

export const routeOf = (method) => `${method} /w/{widget_key}/conversations/{id}/messages`;
