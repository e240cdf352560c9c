// The bare counter: one object that counts in memory, asked with every call. It looks at no key and keeps nothing: what it costs to
// count in one place, and no more.
import { DurableObject } from "cloudflare:workers";
import { answerWhoami, LIMIT, quotaOf, requestId, WINDOW_SECONDS } from "./words.js";

const KEY = { id: "sk_4Wq8sLm2", workspace: "ws-bench", environment: "live", scopes: [], tier: "leased", expiresAt: null };

export class Counter extends DurableObject {
  #window = 0;
  #used = 0;

  // One unit in a window that begins anew with every minute.
  count() {
    const window = Math.floor(Date.now() / (WINDOW_SECONDS * 1_000));
    if (window !== this.#window) [this.#window, this.#used] = [window, 0];
    this.#used += 1;
    return LIMIT - this.#used;
  }
}

export default {
  async fetch(request, env) {
    const id = requestId();
    const { pathname } = new URL(request.url);
    if (pathname !== "/v1/whoami" || request.method !== "GET") return new Response(null, { status: 404 });
    const remaining = await env.COUNTER.getByName("one").count();
    const now = Date.now();
    return answerWhoami(id, KEY, quotaOf(remaining, now + WINDOW_SECONDS * 1_000), now);
  },
};
