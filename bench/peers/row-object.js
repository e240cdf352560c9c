// A server key by hand, as fast as it gets with one object per key: the worker checks the text, makes one call, and the
// object reads the key's row and counts in memory. What it has counted is lost when it sleeps or its process ends.
import { DurableObject } from "cloudflare:workers";
import { issue, open } from "./server-key.js";
import { answerWhoami, LIMIT, quotaOf, refuseKey, requestId, WINDOW_SECONDS } from "./words.js";

export class Key extends DurableObject {
  #slots = [];
  #used = 0;

  store(row) {
    this.ctx.storage.kv.put("row", row);
  }

  admit(digest, environment) {
    const row = this.ctx.storage.kv.get("row");
    if (!row || row.status !== "active" || row.digest !== digest || row.environment !== environment) return undefined;
    const quota = this.count(Date.now());
    return quota && { ...row.shown, ...quota };
  }

  // One unit in a window of sixty slots.
  count(now) {
    const slot = Math.floor(now / 1_000);
    while (this.#slots.length > 0 && this.#slots[0][0] + 1 + WINDOW_SECONDS <= slot) this.#used -= this.#slots.shift()[1];
    if (this.#used >= LIMIT) return undefined;
    this.#used += 1;
    const newest = this.#slots.at(-1);
    if (newest && newest[0] >= slot) newest[1] += 1;
    else this.#slots.push([slot, 1]);
    return { remaining: LIMIT - this.#used, resetAt: (this.#slots[0][0] + 1 + WINDOW_SECONDS) * 1_000 };
  }
}

export default {
  async fetch(request, env) {
    const id = requestId();
    const { pathname } = new URL(request.url);
    if (pathname === "/fill") return fill(env);
    if (pathname !== "/v1/whoami" || request.method !== "GET") return new Response(null, { status: 404 });
    const bearer = request.headers.get("authorization") ?? "";
    const key = bearer.startsWith("Bearer ") && (await open(bearer.slice(7), env.KEY_SECRET));
    const admitted = key && (await env.KEY.getByName(key.locator).admit(key.digest, key.environment));
    if (!admitted) return refuseKey(id, env.ORIGIN);
    return answerWhoami(id, admitted, quotaOf(admitted.remaining, admitted.resetAt), Date.now());
  },
};

// Only here: the measurement needs so many keys.
async function fill(env) {
  const { key, locator, environment, digest } = await issue(env.KEY_SECRET);
  const shown = { id: `sk_${locator}`, workspace: "ws-bench", environment, scopes: [], tier: "enterprise", expiresAt: null };
  await env.KEY.getByName(locator).store({ status: "active", digest, environment, shown });
  return Response.json({ key });
}
