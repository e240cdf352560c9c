// Starting: `tools/run` becomes the runtime, says once that it is ready, and is as quick as the runtime itself.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { after, test } from "node:test";
import { freePort, freshRootSecret } from "../support/worker.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "claviger-start-"));
const started = new Set();
after(() => {
  for (const child of started) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function launch(command, args, env = {}) {
  const { PATH, HOME } = process.env;
  const child = spawn(command, args, { cwd: ROOT, env: { PATH, HOME, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  child.told = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"]) child[stream].setEncoding("utf8").on("data", (text) => (child.told[stream] += text));
  started.add(child);
  return child;
}

const run = (port, env = {}) =>
  launch("tools/run", [], {
    PORT: String(port),
    STATE: mkdtempSync(join(folder, "state-")),
    ROOT_SECRETS: freshRootSecret(),
    STAGE: "dev",
    DEPLOYMENT: "local",
    ...env,
  });

async function end(child, signal) {
  const gone = once(child, "close");
  child.kill(signal);
  const [code, by] = await gone;
  started.delete(child);
  return by ?? code;
}

async function firstAnswer(port) {
  for (;;) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/healthz`);
      return { status: response.status, text: await response.text() };
    } catch {
      await new Promise((done) => setTimeout(done, 1));
    }
  }
}

const ready = (child) => new Promise((done) => child.stdout.on("data", () => child.told.stdout.includes("ready ") && done()));

test("the process that was started is the runtime, says once that it is ready, and SIGTERM ends it", async () => {
  const port = await freePort();
  const child = run(port);
  await ready(child);
  assert.equal((await firstAnswer(port)).status, 200);
  if (existsSync("/proc")) assert.equal(basename(readlinkSync(`/proc/${child.pid}/exe`)), "workerd");
  assert.ok([0, "SIGTERM"].includes(await end(child, "SIGTERM")));
  assert.equal(child.told.stdout, `ready http://127.0.0.1:${port}\n`);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`));
});

test("a start that cannot be says why and ends", async () => {
  for (const [env, told] of [[{ BUILD: "no-such-build" }, /nothing is built in no-such-build/], [{ PORT: "0" }, /ORIGIN/]]) {
    const child = run(await freePort(), env);
    const [code] = await once(child, "close");
    started.delete(child);
    assert.equal(code, 2);
    assert.match(child.told.stderr, told);
    assert.equal(child.told.stdout, "");
  }
});

test("a port of the system's choice is announced", async () => {
  const child = run(0, { ORIGIN: "https://keys.example.com" });
  await ready(child);
  const url = child.told.stdout.trim().split(" ")[1];
  const metadata = await (await fetch(`${url}/.well-known/oauth-protected-resource`)).json();
  assert.equal(metadata.resource, "https://keys.example.com");
  await end(child, "SIGTERM");
});

test("a second worker on a port that is taken ends, and the first one goes on", async () => {
  const port = await freePort();
  const first = run(port);
  await ready(first);
  const second = run(port);
  await once(second, "close");
  started.delete(second);
  assert.ok(!second.told.stdout.includes("ready "), second.told.stdout);
  assert.equal((await firstAnswer(port)).status, 200);
  await end(first, "SIGTERM");
});

test("from the start of the process to the first answer, beside an empty worker on the same runtime", async (t) => {
  const modules = join(ROOT, "node_modules/@cloudflare");
  const workerd = join(modules, readdirSync(modules).find((name) => name.startsWith("workerd-")), "bin/workerd");
  const config = join(folder, "empty.capnp");
  writeFileSync(join(folder, "empty.js"), 'export default { fetch: () => new Response("empty") };\n');
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "empty", worker = (
    modules = [(name = "empty.js", esModule = embed "empty.js")], compatibilityDate = "2026-04-20"))],
  sockets = [(name = "http", address = "127.0.0.1:1", http = (), service = "empty")]);
`,
  );
  const starts = {
    claviger: run,
    empty: (port) => launch(workerd, ["serve", config, `--socket-addr=http=127.0.0.1:${port}`]),
  };
  const millis = { claviger: [], empty: [] };
  for (let round = 0; round < 7; round++) {
    for (const name of round % 2 ? Object.keys(starts) : Object.keys(starts).reverse()) {
      const port = await freePort();
      const from = performance.now();
      const child = starts[name](port);
      const { status, text } = await firstAnswer(port);
      millis[name].push(performance.now() - from);
      assert.deepEqual([status, text.includes(name === "empty" ? "empty" : '"ok"')], [200, true]);
      await end(child, "SIGKILL");
    }
  }
  const median = (all) => [...all].sort((a, b) => a - b)[3];
  const [own, bare] = [median(millis.claviger), median(millis.empty)];
  t.diagnostic(`first answer after ${own.toFixed(0)} ms, an empty worker's after ${bare.toFixed(0)} ms: ${(own - bare).toFixed(0)} ms more`);
});
