// What a careful user writes: no framework, and the platform's HMAC under a key that is imported once.
import { open } from "./signed.js";
import { log, preflightHeaders, refusedBody, refusedHeaders, requestId, routeOf } from "./words.js";

export default {
  async fetch(request, env) {
    const id = requestId();
    const { pathname } = new URL(request.url);
    const [, widget, key, conversations, , messages] = pathname.split("/");
    if (widget !== "w" || conversations !== "conversations" || messages !== "messages") return new Response(null, { status: 404 });
    const fields = await open(key, "wk", env.WIDGET_SECRET, Number(env.KEY_ID));
    if (!fields) {
      log(id, routeOf("GET"), 401, { reason: "credential_forged" });
      return new Response(JSON.stringify(refusedBody(id, env.ORIGIN)), { status: 401, headers: refusedHeaders(id, env.ORIGIN) });
    }
    if (request.method !== "OPTIONS") return new Response(null, { status: 405 });
    log(id, routeOf("GET"), 204);
    return new Response(null, { status: 204, headers: preflightHeaders(id, request.headers.get("origin")) });
  },
};
