/**
 * Where the time of a request goes, and whether another build is faster.
 *
 *   node bench/profile.mjs CASE                   self time by function, as V8 samples it
 *   node bench/profile.mjs CASE FOLDER FOLDER …   these builds in turn: CPU of a request, to the first one's
 *
 * CASE is forged, preflight, read, write, whoami, key, lease, "proxy 1KB" or "proxy 1MB". ROUNDS (5) and SECONDS (3) as in `run.mjs`.
 */

import { resolve } from "node:path";
import { freePort } from "../tests/support/worker.mjs";
import { keyCase, prepareKeys } from "./keys.mjs";
import { leaseCase, prepareLease } from "./lease.mjs";
import { measure } from "./load.mjs";
import { prepareProxies, proxyCases, startApi } from "./proxy.mjs";
import { median } from "./summary.mjs";
import { need, ROOT, snapshot, start } from "./runtime.mjs";
import { cases, FEW, fill, prepare } from "./world.mjs";

need();
const [wanted = "forged", ...folders] = process.argv.slice(2);
const ROUNDS = Number(process.env.ROUNDS || 5);
const SECONDS = Number(process.env.SECONDS || 3);
snapshot();

const env = wanted.startsWith("proxy ") ? (await startApi()).env : undefined;

async function casesOf(worker) {
  if (env) return proxyCases(await prepareProxies({ ours: worker }));
  if (wanted === "key") return [keyCase("key", await prepareKeys({ ours: worker }))];
  if (wanted === "lease") return [leaseCase(await prepareLease({ ours: worker }))];
  const world = await prepare({ ours: worker });
  await fill({ ours: worker }, world, FEW, 20);
  return cases(world);
}

async function ready(options) {
  const worker = await start("ours", { ...options, env });
  const found = (await casesOf(worker)).find(({ name }) => name === wanted);
  if (!found) throw new Error(`there is no case ${wanted}`);
  return { worker, of: found };
}

if (folders.length > 0) await compare();
else await sample();
process.exit(0);

async function compare() {
  const builds = [];
  for (const folder of folders) builds.push({ folder, ...(await ready({ state: folder.replaceAll("/", "-"), build: resolve(ROOT, folder) })), cpu: [], ratio: [], rate: [] });
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const build of builds) {
      const got = await measure(build.worker, build.of, SECONDS);
      build.cpu.push(got.cpuMicros);
      build.rate.push(got.perSecond);
    }
    for (const build of builds) build.ratio.push(build.cpu.at(-1) / builds[0].cpu.at(-1));
  }
  for (const { folder, cpu, ratio, rate } of builds) {
    console.log(`${folder}: ${median(cpu).toFixed(1)} µs (least ${Math.min(...cpu).toFixed(1)}), ${median(ratio).toFixed(3)} of the first, ${median(rate).toFixed(0)}/s`);
  }
}

async function sample() {
  const port = await freePort();
  const { worker, of } = await ready({ inspector: port });
  const [target] = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await new Promise((done, fail) => {
    socket.onopen = done;
    socket.onerror = fail;
  });
  let next = 0;
  const answers = new Map();
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(data);
    answers.get(id)?.(result);
  };
  const ask = (method, params) => {
    next += 1;
    socket.send(JSON.stringify({ id: next, method, params }));
    return new Promise((done) => answers.set(next, done));
  };
  await ask("Profiler.enable");
  await ask("Profiler.setSamplingInterval", { interval: 100 });
  await ask("Profiler.start");
  const got = await measure(worker, of, SECONDS);
  const { profile } = await ask("Profiler.stop");

  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const self = new Map();
  const places = new Map();
  let all = 0;
  profile.samples.forEach((id, index) => {
    const { functionName, url, lineNumber } = byId.get(id).callFrame;
    const micros = profile.timeDeltas[index];
    const name = `${functionName || "(anonymous)"} ${url.split("/").at(-1)}${url ? `:${lineNumber + 1}` : ""}`;
    if (functionName === "(idle)") return;
    all += micros;
    const file = url.split("/").at(-1);
    const place = functionName.startsWith("wasm-function") ? "wasm" : file || "the platform";
    places.set(place, (places.get(place) ?? 0) + micros);
    self.set(name, (self.get(name) ?? 0) + micros);
  });
  console.log(`${wanted}: ${got.cpuMicros.toFixed(0)} µs of CPU a request with the profiler on. Self time:`);
  const lines = [...[...places].map(([place, micros]) => [`all of ${place}`, micros]), ...self];
  for (const [name, micros] of lines.sort(([, a], [, b]) => b - a).slice(0, 30)) {
    console.log(`${((micros / all) * 100).toFixed(1).padStart(5)} %  ${((micros / all) * got.cpuMicros).toFixed(1).padStart(6)} µs  ${name}`);
  }
}
