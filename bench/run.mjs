/**
 * `make bench`: how fast Claviger is, as ratios to workers that one would write instead.
 *
 * Every measurement stands between two of the empty worker, and counts as a ratio to the mean of these two: what else
 * the machine does then falls out. Medians and quartiles over rounds. Trust the ratios, never the absolute numbers.
 *
 *   ROUNDS   5      at least 5 for numbers to be kept
 *   SECONDS  3      of every measurement, after a second that is not counted
 *   CASES    all    of forged, preflight, read, write, whoami, start
 *   MANY     10000  conversations
 *   MESSAGES 20     in each of them
 *   QUICK           1: a round of a second with 300 conversations, and nothing is written
 *   BUILD    build  the folder that is measured
 *   DISK            the folder for the objects' files; in memory where the system has such a folder
 */

import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { define, measure } from "./load.mjs";
import { median, report, summarize } from "./report.mjs";
import { need, onDisk, snapshot, start } from "./runtime.mjs";
import { BROWSER, cases, expect, FEW, fill, fillObjects, prepare } from "./world.mjs";

need();
const quick = process.env.QUICK === "1";
const number = (name, otherwise) => Number(process.env[name] || otherwise);
const ROUNDS = number("ROUNDS", quick ? 1 : 5);
const SECONDS = number("SECONDS", quick ? 1 : 3);
const MANY = number("MANY", quick ? 300 : 10_000);
const MESSAGES = number("MESSAGES", 20);
const STARTS = quick ? 3 : 7;
const ALL = ["forged", "preflight", "read", "write", "whoami", "start"];
const chosen = (process.env.CASES || ALL.join(",")).split(",");
for (const name of chosen) if (!ALL.includes(name)) throw new Error(`CASES: ${name} is none of ${ALL.join(", ")}`);

const say = (text) => process.stderr.write(`${text}\n`);
const load = loadavg()[0];
const files = snapshot();
const results = { at: new Date().toISOString(), rounds: ROUNDS, seconds: SECONDS, onDisk, many: MANY, messages: MESSAGES, cores: cpus().length, cpu: cpus()[0].model, load, cases: {} };

function parse(output) {
  return JSON.parse(output.trim().split("\n").at(-1));
}

/** Everybody must say the same: status, headers, members of the body and of the log line. */
async function checkWords(workers, all) {
  for (const { name, workers: names, status, sample } of all) {
    const said = {};
    for (const worker of names) {
      const before = workers[worker].output.length;
      const { method, path, headers, body } = sample;
      const answer = await expect(workers[worker].call(method, path, { headers, body: body && JSON.parse(body) }), status);
      for (let tries = 0; tries < 100 && !workers[worker].output.slice(before).includes("\n"); tries += 1) {
        await new Promise((done) => setTimeout(done, 5));
      }
      const { date, connection, "keep-alive": alive, "content-length": length, ...kept } = answer.headers;
      const members = answer.json && { ...answer.json, items: answer.json.items?.map(Object.keys) };
      said[worker] = JSON.stringify({
        headers: Object.keys(kept).sort(),
        members: members && (members.items ? members : Object.keys(members).sort()),
        log: Object.keys(parse(workers[worker].output.slice(before))).sort(),
      });
    }
    const other = names.find((worker) => said[worker].replace(/"next":"?\w+"?/, "") !== said[names[0]].replace(/"next":"?\w+"?/, ""));
    if (other) throw new Error(`${name}: ${other} does not say the same as ${names[0]}:\n${said[other]}\n${said[names[0]]}`);
  }
}

// --- the rounds ---

async function round(workers, all, number) {
  const floor = define("floor", ["floor"], 200, [{ method: "GET", path: "/", headers: BROWSER }]);
  let before = await measure(workers.floor, floor, SECONDS);
  for (const of of all) {
    for (const name of of.workers) {
      const got = await measure(workers[name], of, SECONDS);
      const after = await measure(workers.floor, floor, SECONDS);
      const neighbours = (before.perSecond + after.perSecond) / 2;
      const sample = { ...got, ratio: got.perSecond / neighbours, floorPerSecond: neighbours, floorCpuMicros: (before.cpuMicros + after.cpuMicros) / 2 };
      ((results.cases[of.name] ??= {})[name] ??= []).push(sample);
      say(`round ${number} ${of.name.padEnd(11)} ${name.padEnd(8)} ${sample.ratio.toFixed(3)} × floor, ${got.cpuMicros.toFixed(0)} µs CPU, p50 alone ${got.p50} µs, ${got.perSecond.toFixed(0)}/s (floor ${neighbours.toFixed(0)}/s)`);
      before = after;
    }
  }
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

// --- the run ---

if (chosen.includes("start")) results.start = await starts();

const names = ["floor", "mute", "subtle", "hono", "objects", "ours"];
if (chosen.some((name) => name !== "start")) {
  const startAll = async (listens) => Object.fromEntries(await Promise.all(names.map(async (name) => [name, await start(name, { listens })])));
  let workers = await startAll(true);
  const world = await prepare(workers.ours);
  await fill(workers.ours, world, FEW, MESSAGES);
  await fillObjects(workers.objects, world, 0, MESSAGES);
  const all = () => cases(world).filter(({ name }) => chosen.includes(name.split(" ")[0]));
  await checkWords(workers, all());
  for (const worker of Object.values(workers)) await worker.stop();

  workers = await startAll(false);
  if (chosen.includes("read") || chosen.includes("write")) {
    say(`opening ${MANY} conversations of ${MESSAGES} messages`);
    const began = performance.now();
    results.memory = { empty: workers.ours.memory() };
    await fill(workers.ours, world, MANY, MESSAGES);
    results.memory.ours = workers.ours.memory();
    say(`${((performance.now() - began) / 1_000).toFixed(0)} s; memory ${results.memory.ours.now.toFixed(0)} MB, at most ${results.memory.ours.most.toFixed(0)} MB`);
    await fillObjects(workers.objects, world, FEW, MESSAGES);
    results.memory.objects = workers.objects.memory();
  }
  const measured = all();
  for (let number = 1; number <= ROUNDS; number += 1) await round(workers, measured, number);
  if (results.memory) results.memory.after = { ours: workers.ours.memory(), objects: workers.objects.memory() };
  for (const worker of Object.values(workers)) await worker.stop();
}

results.sizes = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, { bytes: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length }]));
results.loadAfter = loadavg()[0];
results.summary = summarize(results);
const page = report(results);
console.log(page);
if (quick || chosen.length < ALL.length) {
  say("bench: a part or a quick run: nothing was written");
} else {
  writeFileSync(join(import.meta.dirname, "RESULTS.md"), page);
  writeFileSync(join(import.meta.dirname, "results.json"), `${JSON.stringify(results, null, 1)}\n`);
}
process.exit(0);
