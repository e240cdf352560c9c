// Starts workers on the bare runtime, each in a process of its own, and asks the system what they cost.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash, hkdfSync, randomBytes } from "node:crypto";
import { accessSync, constants, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort } from "../tests/support/worker.mjs";

export const ROOT = resolve(import.meta.dirname, "..");
const BUILD = resolve(ROOT, process.env.BUILD ?? "build");
const PLATFORMS = { "linux x64": "linux-64", "linux arm64": "linux-arm64" };
const platform = PLATFORMS[`${process.platform} ${process.arch}`];
const WORKERD = join(ROOT, `node_modules/@cloudflare/workerd-${platform}/bin/workerd`);
const TICKS = 100; // of /proc, per second, on every Linux that Node runs on

// In memory where there is such a folder: what the disk of a shared machine does meanwhile says nothing about anybody here.
const MEMORY = "/dev/shm";
const isWritable = (folder) => {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
};
const place = process.env.DISK || (isWritable(MEMORY) ? MEMORY : tmpdir());
export const onDisk = place !== MEMORY;
export const scratch = mkdtempSync(join(place, "claviger-bench-"));
// What a write costs where somebody waits for it to be safe, no folder in memory can tell.
const slow = onDisk ? scratch : mkdtempSync(join(tmpdir(), "claviger-bench-"));
const running = new Set();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of [scratch, slow]) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

/** Says what is missing to measure, and ends. */
export function need() {
  const missing = [];
  if (!platform) missing.push("Linux: CPU and memory are read from /proc");
  else if (!existsSync(WORKERD)) missing.push("the runtime: run `npm ci`");
  if (!existsSync(join(BUILD, "index_bg.wasm"))) missing.push("a build: run `make build`");
  const packages = Object.keys(JSON.parse(readFileSync(join(import.meta.dirname, "package.json"), "utf8")).dependencies);
  if (!packages.every((name) => existsSync(join(import.meta.dirname, "node_modules", name)))) missing.push("what the peers need: run `npm ci --prefix bench`");
  if (spawnSync("wrk", ["-v"]).error) missing.push("the load generator: `apt-get install wrk`");
  if (missing.length === 0) return;
  for (const line of missing) console.error(`bench: missing: ${line}`);
  process.exit(2);
}

const secret = randomBytes(32);
const subKey = (purpose) => Buffer.from(hkdfSync("sha256", secret, "", `claviger/1/${purpose}`, 32)).toString("base64url");

// One deployment for all: so the very same request is genuine, or forged, to every worker.
export const ORIGIN = "https://keys.example.com";
const NUMBER = 4_000_000_000;
export const OURS = {
  ROOT_SECRETS: `r1:${secret.toString("base64url")}`,
  ORIGIN,
  STAGE: "dev",
  DEPLOYMENT: "local",
  POLICY_TOML: `brand = "clv"
[scopes]
admin = "Everything"
[tiers.enterprise]
custom = true
[tiers.leased]
custom = true
lease_seconds = 2
[widget]
page = 10
messages_per_minute = ${NUMBER}
messages_per_minute_per_conversation = ${NUMBER}
conversations_per_hour = ${NUMBER}
conversations_per_hour_per_key = ${NUMBER}
messages_per_hour_per_key = ${NUMBER}
messages_per_conversation = 1_000_000
bytes_per_conversation = 1_073_741_824
`,
};
const PEER = {
  ORIGIN,
  KEY_ID: String(createHash("sha256").update("r1").digest()[0]),
  WIDGET_SECRET: subKey("widget_key"),
  HISTORY_SECRET: subKey("history_secret"),
  KEY_SECRET: subKey("peer's server keys"),
};
// Peers that are one file with their library, as a deployment would upload it.
const BUNDLED = ["hono", "oauth-provider"];
const KEEPS = ["ours", "objects", "row-object", "counter-object", "sql-limiter", "proxy"];
// Those who pass on, and the upstream them.
const PASSING = ["api", "proxy", "bare-proxy"];

/** What is measured: copies, so that a build in between changes nothing. */
export function snapshot() {
  const build = join(scratch, "build");
  mkdirSync(build);
  for (const file of ["entry.js", "object.js", "crypto.js", "passing.js", "reading.js", "upstream.js", "fetching.js", "index.js", "index_bg.wasm"]) copyFileSync(join(BUILD, file), join(build, file));
  const esbuild = join(ROOT, "node_modules/.bin/esbuild");
  for (const name of BUNDLED) {
    const peer = join(import.meta.dirname, `peers/${name}.js`);
    const how = ["--bundle", "--format=esm", "--minify", "--log-level=error", "--external:cloudflare:*"];
    execFileSync(esbuild, [peer, ...how, `--outfile=${join(build, `${name}.js`)}`]);
  }
  return Object.fromEntries(readdirSync(build).map((file) => [file, readFileSync(join(build, file))]));
}

function onNode(name, port) {
  return [process.execPath, [`bench/peers/${name}.js`], { ...PEER, PORT: String(port), NODE_ENV: "production", NODE_NO_WARNINGS: "1" }];
}

function onWorkerd(name, port, folder, build, files, env, serve) {
  const peers = PASSING.includes(name) ? "bench/proxy.capnp" : "bench/peers.capnp";
  const config = name === "ours" ? [serve] : [peers, name.replace(/-(.)/g, (_, letter) => letter.toUpperCase())];
  const args = ["serve", ...config, `--import-path=${resolve(scratch, build)}`, `--socket-addr=http=127.0.0.1:${port}`];
  if (KEEPS.includes(name)) args.push(`--directory-path=state=${folder}`);
  if (files) args.push(`--directory-path=peer=${files}`);
  return [WORKERD, args, { ...(name === "ours" ? OURS : PEER), ...env }];
}

/** The folder in which `name` keeps its objects. */
export const stateOf = (name, waits = false) => join(waits ? slow : scratch, waits ? "waits" : "state", name);

/** An object sleeps ten seconds after its last call, and those who do are looked for at times. */
export const AWAKE_SECONDS = 14;

/** As many objects may be awake at once: each has three files open, and the system sets a limit to them. */
export const AWAKE = Math.min(4_000, Math.floor(Number(/open files\s+\d+\s+(\d+)/.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 20_000) / 5));

/** Starts `name` and answers once it answers; `listens` keeps what it writes, `waits` has its files on a disk, `files` are served, `serve` is the configuration of ours. */
export async function start(name, { state = name, waits = false, listens = false, build = "build", serve = "serve.capnp", inspector, files, env: more } = {}) {
  const port = await freePort();
  const folder = stateOf(state, waits);
  mkdirSync(folder, { recursive: true });
  const spawned = performance.now();
  const stdio = ["ignore", listens ? "pipe" : "ignore", "pipe"];
  const [program, args, env] = name === "better-auth" ? onNode(name, port) : onWorkerd(name, port, folder, build, files, more, serve);
  if (inspector) args.push(`--inspector-addr=127.0.0.1:${inspector}`);
  const child = spawn(program, args, { cwd: ROOT, env, stdio });
  running.add(child);
  const worker = new Worker(name, child, port);
  let ended;
  child.once("exit", (code, signal) => {
    running.delete(child);
    ended = `ended (${signal ?? code})`;
  });
  child.stderr.on("data", (text) => (worker.errors += text));
  child.stdout?.setEncoding("utf8").on("data", (text) => (worker.output += text));
  while (!ended) {
    try {
      const { status } = await worker.call("GET", "/healthz");
      worker.started = performance.now() - spawned;
      if (name === "ours" && status !== 200) throw new Error(`ours is not well: ${status}`);
      return worker;
    } catch (error) {
      if (error.code !== "ECONNREFUSED" && error.code !== "ECONNRESET") throw error;
      if (performance.now() - spawned > 20_000) break;
      await new Promise((done) => setTimeout(done, 1));
    }
  }
  throw new Error(`${name} ${ended ?? "does not answer"}\n${worker.errors}`);
}

class Worker {
  output = "";
  errors = "";

  constructor(name, child, port) {
    this.name = name;
    this.child = child;
    this.port = port;
    this.agent = new Agent({ keepAlive: true, maxSockets: 64 });
  }

  async stop() {
    this.agent.destroy();
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((done) => this.child.once("exit", done));
    this.child.kill("SIGKILL");
    await ended;
  }

  /** CPU seconds so far, of all its threads. */
  cpu() {
    const text = readFileSync(`/proc/${this.child.pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  }

  /** Memory in MB: now (`own`: without mapped files), and at most so far. */
  memory() {
    const text = readFileSync(`/proc/${this.child.pid}/status`, "utf8");
    const megabytes = (field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)[1]) / 1_024;
    return { now: megabytes("VmRSS"), own: megabytes("RssAnon"), most: megabytes("VmHWM") };
  }

  call(method, path, { headers = {}, body } = {}) {
    return new Promise((done, fail) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const sent = { ...headers };
      if (text !== undefined) Object.assign(sent, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
      const call = httpRequest({ host: "127.0.0.1", port: this.port, method, path, headers: sent, agent: this.agent }, (response) => {
        let got = "";
        response.setEncoding("utf8").on("data", (part) => (got += part));
        response.on("end", () => done({ status: response.statusCode, headers: response.headers, text: got, json: parse(got) }));
        response.on("error", fail);
      });
      call.on("error", fail);
      call.end(text);
    });
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
