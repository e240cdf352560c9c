// Says all that Claviger says in each case, and checks nothing: what the answer and the log line alone cost.
import { answerWhoami, LIMIT, log, preflightHeaders, quotaOf, refusedBody, refusedHeaders, requestId, routeOf, whoamiHeaders } from "./words.js";

const WHOAMI = {
  kind: "deploy_key", id: "dk_Vbfk9xnOBEkIiDOATCus", workspace: null, environment: null, stage: "dev", deployment: "local",
  scopes: [], tier: null, expires_at: "2027-02-20T04:17:29.055Z", limits: [],
};
const KEY = { id: "sk_4Wq8sLm2", workspace: "ws-bench", environment: "live", scopes: [], tier: "enterprise", expiresAt: null };

export default {
  async fetch(request, env) {
    const id = requestId();
    if (request.method === "OPTIONS") {
      log(id, routeOf("GET"), 204);
      return new Response(null, { status: 204, headers: preflightHeaders(id, request.headers.get("origin")) });
    }
    if (request.headers.get("x-case") === "whoami") {
      log(id, "GET /v1/whoami", 200, { kind: "deploy_key", credential: WHOAMI.id });
      return new Response(JSON.stringify(WHOAMI), { headers: whoamiHeaders(id) });
    }
    if (request.headers.get("x-case") === "key") {
      const now = Date.now();
      return answerWhoami(id, KEY, quotaOf(LIMIT - 1, now + 60_000), now);
    }
    log(id, routeOf("GET"), 401, { reason: "credential_forged" });
    return new Response(JSON.stringify(refusedBody(id, env.ORIGIN)), { status: 401, headers: refusedHeaders(id, env.ORIGIN) });
  },
};
