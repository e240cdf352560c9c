// What most users write: a framework, and the key imported and used anew for every request.
import { Hono } from "hono";
import { log, preflightHeaders, refusedBody, refusedHeaders, requestId, routeOf } from "./words.js";

const encoder = new TextEncoder();
const bytesOf = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));

async function isGenuine(text, env) {
  const split = /^(clv_wk_(?:live|test)_)([\w-]+)$/.exec(text);
  if (!split) return false;
  const bytes = bytesOf(split[2]);
  if (bytes.length < 34 || bytes[0] !== 1 || bytes[1] !== Number(env.KEY_ID)) return false;
  const key = await crypto.subtle.importKey("raw", bytesOf(env.WIDGET_SECRET), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  const message = new Uint8Array([...encoder.encode(split[1]), ...bytes.subarray(0, -32)]);
  return crypto.subtle.verify("HMAC", key, bytes.subarray(-32), message);
}

const app = new Hono();

app.use("/w/:key/*", async (c, next) => {
  const id = requestId();
  c.set("id", id);
  if (await isGenuine(c.req.param("key"), c.env)) return next();
  log(id, routeOf("GET"), 401, { reason: "credential_forged" });
  return c.json(refusedBody(id, c.env.ORIGIN), 401, refusedHeaders(id, c.env.ORIGIN));
});

app.options("/w/:key/conversations/:id/messages", (c) => {
  const id = c.get("id");
  log(id, routeOf("GET"), 204);
  return c.body(null, 204, preflightHeaders(id, c.req.header("origin")));
});

app.get("/w/:key/conversations/:id/messages", (c) => c.body(null, 405));

export default app;
