/**
 * `make bench`: how fast Claviger is, as ratios to workers that one would write instead.
 *
 * Every measurement stands between two of the empty worker, and counts as a ratio to the mean of these two: what else
 * the machine does then falls out. Medians and quartiles over rounds. Trust the ratios, never the absolute numbers.
 *
 *   ROUNDS   5      at least 5 for numbers to be kept
 *   SECONDS  2      of every measurement, after a second that is not counted
 *   CASES    all    of forged, preflight, read, write, whoami, key, keys, lease, proxy, start
 *   MANY     10000  conversations
 *   MESSAGES 20     in each of them
 *   KEYS     10000  server keys
 *   WITHOUT         workers that are left out; then nothing is written
 *   MERGE           1: measures CASES alone, and takes all others from the last run's results.json
 *   QUICK           1: a round of a second with 300 conversations and keys, and nothing is written
 *   BUILD    build  the folder that is measured
 *   DISK            the folder for the objects' files; in memory where the system has such a folder
 */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { fillKeys, KEEPERS, keyCase, keysCase, MANY as KEYS_PEERS, PEERS as KEY_PEERS, prepareKeys, remakeKeys, writesOf } from "./keys.mjs";
import { leaseCase, PEERS as LEASE_PEERS, prepareLease } from "./lease.mjs";
import { define, measure, measureFloor } from "./load.mjs";
import { merge, report } from "./report.mjs";
import { prepareProxies, PROXIES, proxyCases, startApi } from "./proxy.mjs";
import { checkWords } from "./said.mjs";
import { median, summarize } from "./summary.mjs";
import { need, onDisk, snapshot, start, stateOf } from "./runtime.mjs";
import { BROWSER, cases, FEW, fill, prepare, WIDGET_PEERS } from "./world.mjs";

need();
const quick = process.env.QUICK === "1";
const number = (name, otherwise) => Number(process.env[name] || otherwise);
const list = (name, otherwise) => (process.env[name] || otherwise).split(",").filter(Boolean);
const ROUNDS = number("ROUNDS", quick ? 1 : 5);
const SECONDS = number("SECONDS", quick ? 1 : 2);
const FLOOR_SECONDS = 1;
const MANY = number("MANY", quick ? 300 : 10_000);
const MESSAGES = number("MESSAGES", 20);
const KEYS = number("KEYS", quick ? 300 : 10_000);
const STARTS = quick ? 3 : 7;
const WIDGET = ["forged", "preflight", "read", "write", "whoami"];
const ALL = [...WIDGET, "key", "keys", "lease", "proxy", "start"];
const without = list("WITHOUT", "");
const merges = process.env.MERGE === "1";
const chosen = list("CASES", ALL.join(","));
for (const name of chosen) if (!ALL.includes(name)) throw new Error(`CASES: ${name} is none of ${ALL.join(", ")}`);
for (const name of without) if (!["ours", ...WIDGET_PEERS, ...KEY_PEERS, ...LEASE_PEERS, ...PROXIES].includes(name)) throw new Error(`WITHOUT: there is no ${name}`);

const say = (text) => process.stderr.write(`${text}\n`);
const HERE = import.meta.dirname;
const before = merges && JSON.parse(readFileSync(join(HERE, "results.json"), "utf8"));
const load = loadavg()[0];
const files = snapshot();
const results = { at: new Date().toISOString(), rounds: ROUNDS, seconds: SECONDS, onDisk, many: MANY, messages: MESSAGES, keys: KEYS, cores: cpus().length, cpu: cpus()[0].model, load, cases: {} };

// --- the rounds ---

async function round(workers, all, number) {
  const floor = define("floor", ["floor"], 200, [{ method: "GET", path: "/", headers: BROWSER }]);
  let before = await measureFloor(workers.floor, floor, FLOOR_SECONDS);
  for (const of of all) {
    for (const name of of.workers) {
      const turn = of.turns ? of.turns[(number - 1) % of.turns.length] : of;
      const got = await measure(workers[name], turn, SECONDS);
      const after = await measureFloor(workers.floor, floor, FLOOR_SECONDS);
      const neighbours = (before.perSecond + after.perSecond) / 2;
      const sample = { ...got, ratio: got.perSecond / neighbours, floorPerSecond: neighbours, floorCpuMicros: (before.cpuMicros + after.cpuMicros) / 2 };
      ((results.cases[of.name] ??= {})[name] ??= []).push(sample);
      const woke = got.wakeCpuMicros ? `, first call ${got.wakeCpuMicros.toFixed(0)} µs` : "";
      say(`round ${number} ${of.name.padEnd(11)} ${name.padEnd(16)} ${sample.ratio.toFixed(3)} × floor, ${got.cpuMicros.toFixed(0)} µs CPU, p50 alone ${got.p50} µs, ${got.perSecond.toFixed(0)}/s (floor ${neighbours.toFixed(0)}/s)${woke}`);
      before = after;
    }
  }
}

/** Cases that share their workers: first all must say the same, then what is many is made, then the rounds. */
async function part({ peers, prepare, grow = () => {}, casesOf, waits, env }) {
  const names = ["floor", "ours", ...peers].filter((name) => !without.includes(name));
  const startAll = async (listens) => Object.fromEntries(await Promise.all(names.map(async (name) => [name, await start(name, { listens, waits, env })])));
  const stopAll = (workers) => Promise.all(Object.values(workers).map((worker) => worker.stop()));
  let workers = await startAll(true);
  const world = await prepare(workers);
  const all = () => casesOf(world).filter(({ name }) => chosen.includes(name.split(" ")[0]));
  await checkWords(workers, all());
  await stopAll(workers);

  workers = await startAll(false);
  await grow(workers, world);
  const measured = all();
  for (let number = 1; number <= ROUNDS; number += 1) await round(workers, measured, number);
  if (results.memory && workers.objects) results.memory.after = { ours: workers.ours.memory(), objects: workers.objects.memory() };
  await stopAll(workers);
  for (const name of names) rmSync(stateOf(name, waits), { recursive: true, force: true });
}

async function starts() {
  const times = { ours: [], floor: [] };
  for (let number = 0; number < STARTS; number += 1) {
    for (const name of ["floor", "ours"]) {
      const worker = await start(name, { state: `start-${number}` });
      times[name].push(worker.started);
      await worker.stop();
    }
  }
  say(`start: floor ${median(times.floor).toFixed(1)} ms, ours ${median(times.ours).toFixed(1)} ms`);
  return times;
}

async function prepareWidget(workers) {
  const world = await prepare(workers);
  await fill(workers, world, FEW, MESSAGES);
  return world;
}

async function growWidget(workers, world) {
  if (!chosen.includes("read") && !chosen.includes("write")) return;
  say(`opening ${MANY} conversations of ${MESSAGES} messages`);
  const began = performance.now();
  results.memory = { empty: workers.ours.memory() };
  await fill(workers, world, MANY, MESSAGES);
  results.memory.ours = workers.ours.memory();
  results.memory.objects = workers.objects.memory();
  say(`${((performance.now() - began) / 1_000).toFixed(0)} s; memory ${results.memory.ours.now.toFixed(0)} MB, at most ${results.memory.ours.most.toFixed(0)} MB`);
}

// --- the run ---

const began = performance.now();
if (chosen.includes("start")) results.start = await starts();
if (WIDGET.some((name) => chosen.includes(name))) await part({ peers: WIDGET_PEERS, prepare: prepareWidget, grow: growWidget, casesOf: cases });
if (chosen.includes("key")) {
  const grow = async (workers, world) => {
    await remakeKeys(workers, world);
    results.writes = await writesOf(workers, world, say);
  };
  await part({ peers: KEY_PEERS, prepare: prepareKeys, grow, casesOf: (world) => [keyCase("key", world)] });
  await part({ peers: KEEPERS, prepare: prepareKeys, grow: remakeKeys, casesOf: (world) => [keyCase("key disk", world)], waits: true });
}
if (chosen.includes("keys")) {
  const grow = (workers, world) => fillKeys(workers, world, KEYS, say);
  const counts = [...new Set([1, Math.min(100, KEYS), KEYS])];
  const made = ({ keys: { "row-object": keys } }) => counts.filter((count) => count <= keys.length);
  await part({ peers: KEYS_PEERS, prepare: prepareKeys, grow, casesOf: (world) => made(world).map((count) => keysCase(count, world)) });
}
if (chosen.includes("lease")) await part({ peers: LEASE_PEERS, prepare: prepareLease, grow: async () => {}, casesOf: (world) => [leaseCase(world)] });
if (chosen.includes("proxy")) {
  const api = await startApi();
  await part({ peers: PROXIES, prepare: prepareProxies, casesOf: proxyCases, env: api.env });
  await api.stop();
}
say(`${((performance.now() - began) / 60_000).toFixed(1)} minutes`);

results.sizes = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, { bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length }]));
results.loadAfter = loadavg()[0];
const all = merges ? merge(before, results, chosen) : results;
all.summary = summarize(all);
const page = report(all);
console.log(page);
if (quick || without.length > 0 || (!merges && ALL.some((name) => !chosen.includes(name)))) {
  say("bench: a part or a quick run: nothing was written");
} else {
  writeFileSync(join(HERE, "RESULTS.md"), page);
  writeFileSync(join(HERE, "results.json"), `${JSON.stringify(all, null, 1)}\n`);
}
process.exit(0);
