/**
 * Starts a real worker on the bare runtime, as an operator would with `tools/run`, and calls it.
 *
 * Every worker has its own port, its own fresh root secret and an empty state folder, which it keeps over
 * `restart()`. Whatever a test forgets to stop ends with the test's process.
 */

import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");
const START_TIMEOUT = 20_000;

const running = new Set();
const scratch = new Set();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of scratch) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

/** A root secrets entry as an operator makes it. */
export const freshRootSecret = (id = "r1") => `${id}:${randomBytes(32).toString("base64url")}`;

/** A port that nobody listens on at this moment. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Where the operator's command line tool is. */
export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? "target";
  const places = [process.env.CLAVIGER_BIN, join(target, "debug/claviger"), join(target, "release/claviger")];
  const found = places.filter(Boolean).map((place) => resolve(ROOT, place)).find(existsSync);
  if (!found) throw new Error("the command line tool is not built: run `make cli`");
  return found;
}

/** Runs the operator's command line tool and answers what it prints. */
export function cli(args, env = {}) {
  return execFileSync(binary(), args, { cwd: ROOT, env: environment(env), encoding: "utf8" }).trim();
}

/**
 * Starts a worker.
 *
 * @param {object} [options]
 * @param {Record<string, string | undefined>} [options.vars] variables of the worker; `undefined` leaves one unset
 * @param {string} [options.build] folder to serve: `build`, or `build-faults` for a worker that fails on purpose
 * @param {string} [options.state] state folder of an earlier worker; a fresh one when absent
 * @param {number} [options.port] a free one when absent
 * @param {string} [options.serve] the runtime's configuration, for an earlier build
 */
export async function startWorker({ vars = {}, build = "build", state, port, serve } = {}) {
  if (!state) {
    state = mkdtempSync(join(tmpdir(), "claviger-test-"));
    scratch.add(state);
  }
  port ??= await freePort();
  const url = `http://127.0.0.1:${port}`;
  const worker = new Worker(url, port, { build, serve }, state, {
    ROOT_SECRETS: freshRootSecret(),
    ORIGIN: url,
    STAGE: "dev",
    DEPLOYMENT: "local",
    ...vars,
  });
  await worker.start();
  return worker;
}

class Worker {
  #child;
  #port;
  #build;
  #log = "";
  #deployKey;

  constructor(url, port, build, state, vars) {
    this.url = url;
    this.state = state;
    this.vars = vars;
    this.#port = port;
    this.#build = build;
  }

  /** The origin that the worker takes for its own. */
  get origin() {
    return this.vars.ORIGIN;
  }

  /** The process of the runtime. */
  get pid() {
    return this.#child.pid;
  }

  /** The databases that the runtime holds open: one for every object that was asked anything, and is not evicted. */
  openObjects() {
    const folder = `/proc/${this.pid}/fd`;
    const links = readdirSync(folder).map((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`);
      } catch {
        return ""; // closed meanwhile
      }
    });
    return new Set(links.filter((link) => /[0-9a-f]{64}\.sqlite(-wal|-shm)?$/.test(link)));
  }

  get rootSecrets() {
    return this.vars.ROOT_SECRETS;
  }

  /** A deploy key for this worker's stage and deployment, made by the command line tool when first asked for. */
  get deployKey() {
    const { STAGE, DEPLOYMENT, ROOT_SECRETS, POLICY, POLICY_TOML } = this.vars;
    // The policy says the brand.
    this.#deployKey ??= cli(["deploy-key", "--stage", STAGE, "--deployment", DEPLOYMENT], { ROOT_SECRETS, POLICY, POLICY_TOML });
    return this.#deployKey;
  }

  /** Everything that the worker has written so far, over all its starts. */
  log() {
    return this.#log;
  }

  async start() {
    const where = { PORT: String(this.#port), STATE: this.state, BUILD: this.#build.build, SERVE: this.#build.serve };
    const child = spawn(join(ROOT, "tools/run"), {
      cwd: ROOT,
      env: environment({ ...this.vars, ...where }),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    running.add(child);
    // A worker that nobody stopped must not keep the test's process alive.
    for (const handle of [child, child.stdout, child.stderr]) handle.unref();

    const ready = Promise.withResolvers();
    const fail = (why) => ready.reject(new Error(`the worker ${why}\n${this.#log}`));
    const timer = setTimeout(() => fail(`was not ready after ${START_TIMEOUT / 1000} s`), START_TIMEOUT);
    child.once("error", (error) => fail(`could not be started: ${error.message}`));
    child.once("close", (code, signal) => {
      running.delete(child);
      fail(`ended at once (${signal ?? code})`);
    });
    child.stderr.setEncoding("utf8").on("data", (text) => (this.#log += text));
    child.stdout.setEncoding("utf8").on("data", (text) => {
      this.#log += text;
      if (text.includes("ready ")) ready.resolve();
    });
    try {
      await ready.promise;
    } catch (error) {
      await this.kill();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the worker as an operator does; one that lingers over open connections is killed. */
  async stop() {
    await this.#end("SIGTERM");
  }

  /** Ends the worker as a power failure does. */
  async kill() {
    await this.#end("SIGKILL");
  }

  /** Ends the worker and starts it again with the same state and, unless told otherwise, the same variables and `{build, serve}`. */
  async restart({ vars, signal = "SIGTERM", build } = {}) {
    await this.#end(signal);
    if (build) this.#build = build;
    Object.assign(this.vars, vars);
    await this.start();
  }

  async #end(signal) {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, "close");
    // Whoever ends a worker waits for it, even where nothing else is left to wait for.
    child.ref();
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
    await closed;
    clearTimeout(timer);
  }

  /**
   * Calls the worker, as the deploy key unless `key` says otherwise (`null`: without a credential).
   * A body that is no string is sent as JSON.
   */
  async api(method, path, { body, key = this.deployKey, scheme = "Convex", headers = {} } = {}) {
    const sent = new Headers(headers);
    if (key !== null && !sent.has("authorization")) sent.set("authorization", `${scheme} ${key}`);
    if (body !== undefined && typeof body !== "string") {
      body = JSON.stringify(body);
      if (!sent.has("content-type")) sent.set("content-type", "application/json");
    }
    const response = await fetch(this.url + path, { method, headers: sent, body, redirect: "manual" });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: parse(text) };
  }
}

/** Ours, so that nothing from the developer's shell reaches the worker unasked, without what is `undefined`. */
function environment(vars) {
  const { PATH, HOME, TMPDIR, LANG } = process.env;
  return Object.fromEntries(Object.entries({ PATH, HOME, TMPDIR, LANG, ...vars }).filter(([, value]) => value !== undefined));
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
