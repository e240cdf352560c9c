// The thin entry: carries requests, hops, bodies and rows between the platform and the core, and decides nothing.
import { work } from "./crypto.js";
import { fetching } from "./fetching.js";
import * as core from "./index.js";
import { epoch, FAILED, guarded, hop, within } from "./object.js";
import { passing } from "./passing.js";
import { reading } from "./reading.js";
import { forward, named } from "./upstream.js";

export { Conversation, Credential, Deployment, Workspace } from "./object.js";

const BODY = ""; // an ask without a binding is for the request's body
const UPSTREAM = "UPSTREAM"; // and one of this name for the upstream
const CRYPTO = "CRYPTO"; // or for the platform's cryptography
const FETCH = "FETCH"; // or for a document of somebody else's

// What the core could not answer itself: it failed, or another request's panic took this one's memory away.
/** @type {Record<string, [number, string, string]>} */
const FAILURES = {
  internal: [500, "Something went wrong on our side.", "Try again. If it goes on, report the request id."],
  unavailable: [503, "This cannot be answered right now.", "Try again shortly, with the same Idempotency-Key."],
};

/** @param {string} id @param {string} code @param {string | null} [origin] */
function failed(id, code, origin) {
  const [status, error, advice] = FAILURES[code];
  const fix = origin ? `${advice} See ${origin}/docs/errors#${code}` : advice;
  console.log(JSON.stringify({ at: new Date().toISOString(), request_id: id, route: "none", status, reason: code }));
  /** @type {Record<string, string>} */
  const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff", "x-request-id": id };
  if (status === 503) headers["retry-after"] = "1";
  return Response.json({ success: false, code, error, fix, request_id: id }, { status, headers });
}

/** @param {Uint8Array} reply */
const hasFailed = (reply) => reply[0] === FAILED;

// A panic took a request's memory away while it waited: its own object's, or somebody else's.
class Lost extends Error {}

export default {
  /**
   * Also for a client that has gone: what was begun is ended and logged, and its memory is given back.
   * @param {Request} request @param {Edge.Env} env @param {ExecutionContext} ctx
   */
  fetch(request, env, ctx) {
    const answered = serve(request, env, ctx);
    ctx.waitUntil(answered);
    return answered;
  },
};

/** @param {Request} request @param {Edge.Env} env @param {ExecutionContext} ctx */
async function serve(request, env, ctx) {
  const id = `req_${crypto.randomUUID().replaceAll("-", "")}`;
  /** @type {Edge.Road} */
  const road = { env, ctx, request, body: request.body, began: epoch };
  try {
    // Every crossing into wasm costs: all headers cross as one text, a line for each name and each value.
    let lines = "";
    for (const [name, value] of request.headers) lines += `${name}\n${value}\n`;
    const { method, url } = request;
    return await answer(await walk(guarded(() => core.begin(env, lines, id, method, url, Date.now(), request.body !== null)), road), road);
  } catch (error) {
    if (error instanceof Lost) return failed(id, error.message, env.ORIGIN);
    console.error(`failed: ${error?.stack ?? error}`);
    return failed(id, "internal", env.ORIGIN);
  }
}

/**
 * Each step of the core says what it needs from outside; it goes on with that, until it has an answer.
 * @type {Edge.Walk}
 */
async function walk(step, road) {
  while (step[0] === "?") {
    const [number, ...asks] = step.slice(1).split("\n");
    const id = Number(number);
    /** @type {Edge.Came} */
    let came;
    if (asks[0] === BODY) came = await reading(road, asks[1], (bytes) => epoch === road.began && guarded(() => core.hold(id, bytes)));
    else if (asks[0] === UPSTREAM) came = await forward(road, asks.slice(1), () => guarded(() => core.command(id, 0)));
    else came = await hops(road.env, id, asks);
    if (epoch !== road.began) throw new Lost(Array.isArray(came) && came.some(hasFailed) ? "internal" : "unavailable");
    step = guarded(() => resume(id, asks[0], came));
  }
  return step;
}

/** @param {Edge.Env} env @param {number} id @param {string[]} asks */
function hops(env, id, asks) {
  /** @param {number} at */
  const one = (at) => {
    if (asks[at] === FETCH) return fetching(env, asks[at + 1]);
    const command = guarded(() => core.command(id, at / 2));
    if (asks[at] === CRYPTO) return work(asks[at + 1], command);
    const limit = asks[at].indexOf("@"); // BINDING@milliseconds: nothing is waited for longer
    if (limit < 0) return hop(env, asks[at], asks[at + 1], command);
    const reply = hop(env, asks[at].slice(0, limit), asks[at + 1], command);
    return within(Number(asks[at].slice(limit + 1)), reply).then((came) => came ?? new Uint8Array());
  };
  if (asks.length === 2) return one(0).then((reply) => [reply]);
  return Promise.all(Array.from({ length: asks.length / 2 }, (_, number) => one(2 * number)));
}

/** @param {number} id @param {string} ask @param {Edge.Came} came */
function resume(id, ask, came) {
  if (ask === UPSTREAM) return core.resume_with_answer(id, /** @type {string} */ (came), Date.now());
  if (ask !== BODY) {
    /** @type {Uint8Array[]} */ (came).forEach((reply, number) => core.supply(id, number, reply));
    return core.resume(id);
  }
  const now = Date.now();
  if (typeof came === "string") return core.resume_without_body(id, came, now);
  return core.resume_with_body(id, /** @type {Uint8Array} */ (came), now);
}

/** @param {Edge.Step} step @param {Edge.Road} road */
async function answer(step, road) {
  const { env } = road;
  const upstream = /** @type {Response} */ (road.upstream); // whose answer it is, if it is one of the upstream
  const [status, log, kind, body, ...lines] = step.slice(1).split("\n");
  /** @type {ResponseInit} */
  const init = { status: Number(status), headers: named(lines) };
  console.log(log);
  // Numbers begin again after a panic: they mean nothing then.
  if (epoch !== road.began && body && (kind === "kept" || kind === "upstream")) throw new Lost("unavailable");
  // The bytes of the upstream as they are, compressed or not; or the other half of a WebSocket.
  if (kind === "upstream" || kind === "kept") init.encodeBody = "manual";
  if (kind === "upstream") {
    if (upstream.status === 101) init.webSocket = upstream.webSocket;
    return body ? passing(Number(body), road, walk, init) : new Response(upstream.body, init);
  }
  if (kind === "kept") return new Response(whole(guarded(() => core.kept(Number(body)))), init);
  if (kind === "lines") return new Response(body.replaceAll("\u001e", "\n"), init);
  if (kind !== "asset") return new Response(kind ? body : null, init);
  const file = await env.ASSETS.fetch(`http://assets${body}`);
  if (!file.ok) throw new Error(`no file ${body}`);
  return new Response(file.body, init);
}

// No bytes are no body: some statuses may not have one.
/** @param {Uint8Array} bytes */
const whole = (bytes) => (bytes.length ? bytes : null);
