// The thin entry: carries requests, hops, bodies and rows between the platform and the core, and decides nothing.
import { DurableObject } from "cloudflare:workers";
import * as core from "./index.js";

const [TOO_LONG, BROKEN] = [{}, {}]; // in the stead of a body
const BODY = ""; // an ask without a binding is for the request's body
const [NOTHING, FIRST, FAILED] = [0, 2, 3]; // the first byte of an object's reply: what its outbox holds, or that it failed
const DELIVERY_MILLIS = 5_000;

// A panic in wasm is an exception here. It may have left anything half done in memory, so that instance is thrown away:
// what was written is in storage, and the next call begins with a fresh one.
let epoch = 0;

function guarded(call) {
  try {
    return call();
  } catch (error) {
    epoch += 1;
    console.error(`trap: ${error?.stack ?? error}`);
    core.__wbg_reset_state();
    throw error;
  }
}

// What the core could not answer itself: it failed, or another request's panic took this one's memory away.
const FAILURES = {
  internal: [500, "Something went wrong on our side.", "Try again. If it goes on, report the request id."],
  unavailable: [503, "This cannot be answered right now.", "Try again shortly, with the same Idempotency-Key."],
};

function failed(id, code) {
  const [status, error, fix] = FAILURES[code];
  console.log(JSON.stringify({ at: new Date().toISOString(), request_id: id, route: "none", status, reason: code }));
  const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff", "x-request-id": id };
  if (status === 503) headers["retry-after"] = "1";
  return Response.json({ success: false, code, error, fix, request_id: id }, { status, headers });
}

const hasFailed = (reply) => reply[0] === FAILED;

// Only a value with more characters than this can have more bytes than 8 KiB: the others need not be encoded.
const byteLength = (value) => (value.length < 2_048 ? value.length : new TextEncoder().encode(value).length);

export default {
  // Also for a client that has gone: what was begun is ended and logged, and its memory is given back.
  fetch(request, env, ctx) {
    const answered = serve(request, env);
    ctx.waitUntil(answered);
    return answered;
  },
};

async function serve(request, env) {
  const id = `req_${crypto.randomUUID().replaceAll("-", "")}`;
  const started = epoch;
  try {
    let longest = 0;
    for (const value of request.headers.values()) longest = Math.max(longest, byteLength(value));
    const { method, url, headers } = request;
    let step = guarded(() => core.begin(env, headers, id, method, url, longest, Date.now()));
    while (step[0] === "?") {
      const [number, ...asks] = step.slice(1).split("\n");
      const came = await (asks[0] === BODY ? read(request.body, Number(asks[1])) : hops(env, Number(number), asks));
      // A panic took this request's memory away while it waited: its own object's, or somebody else's.
      if (epoch !== started) return failed(id, came.some?.(hasFailed) ? "internal" : "unavailable");
      step = guarded(() => resume(Number(number), asks[0], came));
    }
    return await answer(step, env);
  } catch (error) {
    console.error(`failed: ${error?.stack ?? error}`);
    return failed(id, "internal");
  }
}

function hops(env, id, asks) {
  const hops = [];
  for (let at = 0; at < asks.length; at += 2) {
    hops.push(hop(env, asks[at], asks[at + 1], guarded(() => core.command(id, at / 2))));
  }
  return Promise.all(hops);
}

function resume(id, ask, came) {
  if (ask !== BODY) {
    came.forEach((reply, number) => core.supply(id, number, reply));
    return core.resume(id);
  }
  return came.length === undefined ? core.resume_without_body(id, came === TOO_LONG) : core.resume_with_body(id, came);
}

async function answer(step, env) {
  const [status, log, kind, body, ...rest] = step.slice(1).split("\n");
  const headers = {};
  for (let at = 0; at < rest.length; at += 2) headers[rest[at]] = rest[at + 1];
  const init = { status: Number(status), headers };
  console.log(log);
  if (kind === "lines") return new Response(body.replaceAll("\u001e", "\n"), init);
  if (kind !== "asset") return new Response(kind ? body : null, init);
  const file = await env.ASSETS.fetch(`http://assets${body}`);
  if (!file.ok) throw new Error(`no file ${body}`);
  return new Response(file.body, init);
}

// One call of an object: its reply, or nothing where it could not be reached.
async function hop(env, binding, name, command) {
  try {
    return await env[binding].getByName(name).call(command);
  } catch (error) {
    console.error(`no answer from ${binding}: ${error?.name}`);
    return new Uint8Array();
  }
}

// A body of at most so many bytes; the rest of a longer one is not read.
async function read(stream, limit) {
  const chunks = [];
  let length = 0;
  try {
    for await (const chunk of stream ?? []) {
      length += chunk.length;
      if (length > limit) return TOO_LONG;
      chunks.push(chunk);
    }
    return new Uint8Array(await new Blob(chunks).arrayBuffer());
  } catch {
    return BROKEN;
  }
}

const object = (name) => class extends DurableObject {
  #core;
  #epoch;
  #targets = new Map();

  #run(use) {
    if (this.#epoch !== epoch) [this.#core, this.#epoch] = [new core.Object(name, this.ctx.storage, this.env), epoch];
    return guarded(() => use(this.#core));
  }

  async call(command) {
    let reply;
    try {
      reply = this.#run((core) => core.handle(command, Date.now()));
    } catch {
      return core.failed();
    }
    if (reply[0] === NOTHING) return reply;
    const awaited = reply[0] === FIRST && this.#run((core) => core.awaited());
    const delivery = this.#deliver().catch(() => {}); // what is left, the alarm delivers
    if (!awaited) return reply;
    await Promise.race([delivery, scheduler.wait(DELIVERY_MILLIS)]);
    return this.#run((core) => (core.are_delivered(awaited) ? reply : core.pending()));
  }

  async alarm() {
    if (!this.#run((core) => core.wake(Date.now()))) throw new Error("the alarm's changes could not be written");
    await this.#deliver();
  }

  // In order per target, all targets at once; a target that does not answer holds up nobody else.
  async #deliver() {
    const deliveries = [];
    for (let after = "", heads; (heads = this.#run((core) => core.heads(after))); ) {
      const lines = heads.split("\n");
      for (let at = 0; at < lines.length; at += 3) deliveries.push(this.#serve(...lines.slice(at, at + 3)));
      after = lines.at(-3);
    }
    await Promise.all(deliveries);
  }

  async #serve(key, binding, name) {
    const target = `${binding}/${name}`;
    const mine = (this.#targets.get(target) ?? Promise.resolve()).then(() => this.#drain(key, binding, name));
    this.#targets.set(target, mine);
    await mine;
    if (this.#targets.get(target) === mine) this.#targets.delete(target);
  }

  async #drain(key, binding, name) {
    for (let command; key && (command = this.#run((core) => core.message(key))); ) {
      const reply = await hop(this.env, binding, name, command);
      [key, binding, name] = this.#run((core) => core.answered(key, reply, Date.now())).split("\n");
    }
  }
};

export const Credential = object("Credential");
export const Workspace = object("Workspace");
export const Deployment = object("Deployment");
export const Conversation = object("Conversation");
