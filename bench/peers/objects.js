// The same product by hand: one object admits (a shard of the widget key), one holds the conversation. Every call asks
// storage, every write is one synchronous transaction; a read asks both at once, a write waits for the admission.
import { DurableObject } from "cloudflare:workers";
import { digitsOf, numberOf, open, textOf } from "./signed.js";
import { answeredHeaders, log, refusedBody, refusedHeaders, requestId, routeOf } from "./words.js";

const PAGE = 10;
const LIMIT = 4_000_000_000;
const WINDOW_SECONDS = 60;
const MONTH = 30 * 86_400_000;

// Counts one unit in a window of sixty slots, in the row `key`.
function count(kv, key, name, now) {
  const slot = Math.floor(now / 1_000);
  const slots = (kv.get(key) ?? []).filter(([second]) => second + 1 + WINDOW_SECONDS > slot);
  let used = 0;
  for (const [, units] of slots) used += units;
  if (used >= LIMIT) return undefined;
  const newest = slots.at(-1);
  if (newest && newest[0] >= slot) newest[1] += 1;
  else slots.push([slot, 1]);
  kv.put(key, slots);
  const resetAt = (slots[0][0] + 1 + WINDOW_SECONDS) * 1_000;
  return { name, limit: LIMIT, window: WINDOW_SECONDS, remaining: LIMIT - used - 1, resetAt };
}

export class Shard extends DurableObject {
  store(record) {
    this.ctx.storage.kv.put("record", record);
  }

  admit(serial, origin, network, writes) {
    const { kv } = this.ctx.storage;
    const record = kv.get("record");
    if (!record || record.status !== "active" || record.serial !== serial) return undefined;
    if (!record.origins.includes(origin)) return undefined;
    if (!writes) return [];
    return this.ctx.storage.transactionSync(() => {
      const quota = count(kv, `window/${network}`, "messages", Date.now());
      return quota && [quota];
    });
  }
}

export class Conversation extends DurableObject {
  open(record, texts) {
    const { kv } = this.ctx.storage;
    const at = Date.now();
    this.ctx.storage.transactionSync(() => {
      kv.put("record", { ...record, createdAt: at, messages: texts.length });
      texts.forEach((text, index) => kv.put(key(index + 1), { sequence: index + 1, at, from: "visitor", text }));
    });
  }

  #admits(generation) {
    const record = this.ctx.storage.kv.get("record");
    const lives = record && !record.ended && record.generation === generation && Date.now() < record.expiresAt;
    return lives ? record : undefined;
  }

  read(generation, after) {
    if (!this.#admits(generation)) return undefined;
    const rows = this.ctx.storage.kv.list({ prefix: "message/", startAfter: key(after), limit: PAGE + 1 });
    const messages = Array.from(rows, ([, message]) => message);
    const more = messages.length > PAGE;
    return { messages: messages.slice(0, PAGE), more };
  }

  append(generation, text) {
    const record = this.#admits(generation);
    if (!record) return undefined;
    const { kv } = this.ctx.storage;
    const at = Date.now();
    return this.ctx.storage.transactionSync(() => {
      const quota = count(kv, "window", "conversation", at);
      if (!quota) return undefined;
      const message = { sequence: record.messages + 1, at, from: "visitor", text };
      kv.put(key(message.sequence), message);
      kv.put("record", { ...record, messages: message.sequence });
      return { message, quota };
    });
  }
}

const key = (sequence) => `message/${String(sequence).padStart(10, "0")}`;
const shown = ({ sequence, at, from, text }) => ({ id: `msg_${sequence}`, at: new Date(at).toISOString(), from, text });

export default {
  async fetch(request, env) {
    const id = requestId();
    const url = new URL(request.url);
    if (url.pathname === "/fill") return fill(request, env);
    const [, widget, text, conversations, name, messages] = url.pathname.split("/");
    if (widget !== "w" || conversations !== "conversations" || messages !== "messages") return new Response(null, { status: 404 });
    const route = routeOf(request.method);
    const refused = () => {
      log(id, route, 401, { reason: "credential_forged" });
      return new Response(JSON.stringify(refusedBody(id, env.ORIGIN)), { status: 401, headers: refusedHeaders(id, env.ORIGIN) });
    };
    const bearer = request.headers.get("authorization") ?? "";
    if (!bearer.startsWith("Bearer ")) return refused();
    const keyId = Number(env.KEY_ID);
    const widgetKey = await open(text, "wk", env.WIDGET_SECRET, keyId);
    if (!widgetKey) return refused();
    const history = await open(bearer.slice(7), "hs", env.HISTORY_SECRET, keyId);
    if (!history || textOf(history[0]) !== name || numberOf(history[2]) <= Date.now()) return refused();
    const credential = textOf(widgetKey[0]);
    const serial = digitsOf(widgetKey[1]);
    const generation = numberOf(history[1]);
    const origin = request.headers.get("origin");
    const shard = env.SHARD.getByName(`${credential}/00`);
    const conversation = env.CONVERSATION.getByName(name);

    let status, body, quotas;
    if (request.method === "GET") {
      const after = Number((url.searchParams.get("after") ?? "msg_0").slice(4));
      const [admitted, page] = await Promise.all([shard.admit(serial, origin, "", false), conversation.read(generation, after)]);
      if (!admitted || !page) return refused();
      status = 200;
      body = { items: page.messages.map(shown), next: page.more ? `msg_${page.messages.at(-1).sequence}` : null };
    } else {
      const admitted = await shard.admit(serial, origin, "", true);
      if (!admitted) return refused();
      const { text } = await request.json();
      if (typeof text !== "string" || text.length < 1 || text.length > 16_384) return new Response(null, { status: 400 });
      const appended = await conversation.append(generation, text);
      if (!appended) return refused();
      status = 201;
      body = shown(appended.message);
      quotas = [...admitted, appended.quota];
    }
    log(id, route, status, { kind: "widget_key", credential, workspace: credential.slice(credential.indexOf("ws-")) });
    return new Response(JSON.stringify(body), { status, headers: answeredHeaders(id, origin, quotas, Date.now()) });
  },
};

// Only here: the measurement prepares the same key and conversations as Claviger holds.
async function fill(request, env) {
  const { shard, conversation, texts } = await request.json();
  if (shard) await env.SHARD.getByName(`${shard.credential}/00`).store(shard.record);
  if (conversation) await env.CONVERSATION.getByName(conversation).open({ generation: 1, expiresAt: Date.now() + MONTH }, texts);
  return new Response("ok");
}
