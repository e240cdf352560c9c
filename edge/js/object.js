// The thin objects: each carries commands, rows and messages between the platform and its machine in the core.
import { DurableObject } from "cloudflare:workers";
import * as core from "./index.js";

// The first byte of a reply: what the outbox holds, or that the object failed.
const [NOTHING, FIRST] = [0, 2];
export const FAILED = 3;
const DELIVERY_MILLIS = 5_000;
const encoder = new TextEncoder();
export let epoch = 0;

/** A panic in wasm is an exception here. It may have left anything half done in memory, so that instance is thrown away:
 * what was written is in storage, and the next call begins with a fresh one. @type {Edge.Guarded} */
export function guarded(call) {
  try {
    return call();
  } catch (error) {
    epoch += 1;
    console.error(`trap: ${error?.stack ?? error}`);
    core.__wbg_reset_state();
    throw error;
  }
}

/** One call of an object: its reply, or nothing where it could not be reached. @type {Edge.Hop} */
export async function hop(env, binding, name, command) {
  try {
    return await env[/** @type {Edge.Binding} */ (binding)].getByName(name).call(command);
  } catch (error) {
    console.error(`no answer from ${binding}: ${error?.name}`);
    return new Uint8Array();
  }
}

/** What comes of `promise`, or nothing after so long. The timer ends with it: an object may have only so many at once.
 * @type {Edge.Within} */
export function within(millis, promise) {
  let /** @type {number} */ timer;
  const over = new Promise((done) => (timer = setTimeout(done, millis)));
  return Promise.race([promise, over]).finally(() => clearTimeout(timer));
}

// The rows of one object. Every crossing into wasm costs: a list crosses as one run of bytes, each part after its length.
class Rows {
  constructor(/** @type {DurableObjectStorage} */ storage) {
    this.kv = (this.storage = storage).kv;
  }

  /** @type {Edge.Rows["list"]} */ list(prefix, after, reverse, limit) {
    const beyond = after === undefined ? {} : { [reverse ? "end" : "startAfter"]: after };
    const parts = [];
    let length = 0;
    for (const [key, value] of /** @type {Iterable<[string, Uint8Array]>} */ (this.kv.list({ prefix, reverse, limit, ...beyond }))) {
      const name = encoder.encode(key);
      parts.push(name, value);
      length += 8 + name.length + value.length;
    }
    const packed = new Uint8Array(length);
    const view = new DataView(packed.buffer);
    let at = 0;
    for (const part of parts) {
      view.setUint32(at, part.length);
      packed.set(part, at + 4);
      at += 4 + part.length;
    }
    return packed;
  }
}

const object = (/** @type {string} */ name) => class extends DurableObject {
  /** @type {core.HostedObject | undefined} */ #core;
  /** @type {number | undefined} */ #epoch;
  /** @type {Map<string, Promise<void>>} */ #targets = new Map();

  /** @type {Edge.Run} */ #run(use) {
    if (this.#epoch !== epoch) [this.#core, this.#epoch] = [new core.HostedObject(name, new Rows(this.ctx.storage), this.env), epoch];
    return guarded(() => use(/** @type {core.HostedObject} */ (this.#core)));
  }

  // Not async: a reply that waits for nothing goes at once.
  call(/** @type {Uint8Array} */ command) {
    try {
      const reply = this.#run((core) => core.handle(command, Date.now()));
      if (reply[0] === FIRST) return this.#delivered(reply);
      if (reply[0] !== NOTHING) this.#deliver().catch(() => {}); // what is left, the alarm delivers
      return reply;
    } catch {
      return core.failed();
    }
  }

  async #delivered(/** @type {Uint8Array} */ reply) {
    const awaited = this.#run((core) => core.awaited());
    await within(DELIVERY_MILLIS, this.#insist(awaited));
    return this.#run((core) => (core.are_delivered(awaited) ? reply : core.pending()));
  }

  // Delivers until the messages in `awaited` have arrived, for as long as somebody waits for the reply.
  async #insist(/** @type {string} */ awaited) {
    const end = Date.now() + DELIVERY_MILLIS;
    for (let pause = 50; Date.now() < end; pause *= 2) {
      await this.#deliver().catch(() => {});
      if (this.#run((core) => core.are_delivered(awaited))) return;
      await scheduler.wait(pause);
    }
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
      for (let at = 0; at < lines.length; at += 3) deliveries.push(this.#serve(.../** @type {Edge.Head} */ (lines.slice(at, at + 3))));
      after = /** @type {string} */ (lines.at(-3));
    }
    await Promise.allSettled(deliveries);
  }

  async #serve(/** @type {string} */ key, /** @type {string} */ binding, /** @type {string} */ name) {
    const target = `${binding}/${name}`;
    const before = this.#targets.get(target) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(() => this.#drain(key, binding, name));
    this.#targets.set(target, mine);
    try {
      await mine;
    } finally {
      if (this.#targets.get(target) === mine) this.#targets.delete(target);
    }
  }

  async #drain(/** @type {string} */ key, /** @type {string} */ binding, /** @type {string} */ name) {
    for (let command; key && (command = this.#run((core) => core.message(key))); ) {
      // One that never answers holds nobody up for longer than the alarm takes to try again.
      const reply = await within(DELIVERY_MILLIS, hop(this.env, binding, name, command));
      if (!reply) return;
      [key, binding, name] = this.#run((core) => core.answered(key, reply, Date.now())).split("\n");
    }
  }
};

export const Credential = object("Credential");
export const Workspace = object("Workspace");
export const Deployment = object("Deployment");
export const Conversation = object("Conversation");
