// Rounds into medians, and medians into pages.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./runtime.mjs";

function quantile(values, part) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.ceil(at)] - sorted[low]) * (at - low);
}

export const median = (values) => quantile(values, 0.5);
const spread = (values) => ({ median: median(values), q1: quantile(values, 0.25), q3: quantile(values, 0.75) });

/** The ratio of two series, round by round. */
const against = (mine, theirs) => spread(mine.map((sample, round) => sample.ratio / theirs[round].ratio));

export function summarize({ cases, start, memory }) {
  const rows = [];
  for (const [name, workers] of Object.entries(cases)) {
    for (const [worker, samples] of Object.entries(workers)) {
      rows.push({
        case: name,
        worker,
        floor: spread(samples.map(({ ratio }) => ratio)),
        cpu: spread(samples.map(({ cpuMicros }) => cpuMicros)),
        floorCpu: spread(samples.map(({ floorCpuMicros }) => floorCpuMicros)),
        p50: spread(samples.map(({ p50 }) => p50)),
        perSecond: median(samples.map(({ perSecond }) => perSecond)),
        peers: worker === "ours" ? Object.fromEntries(Object.entries(workers).filter(([peer]) => peer !== "ours").map(([peer, theirs]) => [peer, against(samples, theirs)])) : {},
      });
    }
  }
  return { rows, goals: goals({ cases, start, memory }) };
}

function goals({ cases, start, memory }) {
  const list = [];
  const goal = (says, value, least, most, unit = "×") => {
    if (value === undefined) return;
    const got = typeof value === "number" ? { median: value } : value;
    list.push({ says, unit, ...got, least, most, met: least === undefined && most === undefined ? undefined : got.median >= (least ?? -Infinity) && got.median <= (most ?? Infinity) });
  };
  const floor = (name) => cases[name] && spread(cases[name].ours.map(({ ratio }) => ratio));
  const peer = (name, other) => cases[name]?.[other] && against(cases[name].ours, cases[name][other]);
  for (const name of ["forged", "preflight"]) {
    goal(`${WORDS[name]}, to the empty worker with the same headers and log line`, peer(name, "mute"), 0.7);
    goal(`${WORDS[name]}, to the empty worker that sends two letters and logs nothing`, floor(name));
    goal(`${WORDS[name]}, to WebCrypto with a kept key`, peer(name, "subtle"), 1.0);
    goal(`${WORDS[name]}, to hono with a key imported per request`, peer(name, "hono"), 1.25);
  }
  goal("history read, to objects by hand", peer("read", "objects"), 0.75);
  goal("message write, to objects by hand", peer("write", "objects"), 0.9);
  for (const name of ["read", "write"]) {
    const many = cases[`${name} many`];
    if (!many) continue;
    goal(`${WORDS[name]} over many conversations, to the same over 10`, against(many.ours, cases[name].ours), 0.75);
    goal("the same, of objects by hand", against(many.objects, cases[name].objects));
    goal(`${WORDS[name]} over many conversations, to objects by hand`, peer(`${name} many`, "objects"));
  }
  if (memory) goal("memory after the conversations were made", memory.ours.now, undefined, 256, " MB");
  if (start) goal("start, over the empty worker's", median(start.ours) - median(start.floor), undefined, 25, " ms");
  return list;
}

const WORDS = { forged: "forged key", preflight: "preflight", read: "history read", write: "message write", whoami: "whoami with a deploy key" };

const two = (value) => value.toFixed(2);
const range = ({ median, q1, q3 }) => `${two(median)} [${two(q1)}–${two(q3)}]`;
const table = (head, rows) => [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

export function report(results) {
  const { summary, sizes, start, memory } = results;
  const version = (name) => JSON.parse(readFileSync(join(ROOT, name), "utf8")).version;
  const title = (name) => (name.endsWith(" many") ? `${WORDS[name.slice(0, -5)]}, ${results.many} conversations` : `${WORDS[name]}${name === "read" || name === "write" ? ", 10 conversations" : ""}`);
  const parts = [];
  parts.push(`# Measured

Made by \`make bench\`; do not edit. ${results.at.slice(0, 10)}, ${results.cores} cores (${results.cpu}), load before the run ${two(results.load)}, after ${two(results.loadAfter)}; ${results.rounds} round${results.rounds === 1 ? "" : "s"} of ${results.seconds} s.
workerd ${version("node_modules/workerd/package.json")}, Node ${process.versions.node}, hono ${version("bench/node_modules/hono/package.json")}. The objects' files were ${results.onDisk ? "on a disk" : "in memory"}.

A number is a ratio of requests per second: the worker's to the mean of the two runs of the empty worker beside it; median [quartiles] over rounds.
More is better. Only ratios carry over to another machine, and differences below 15 % are not established${results.rounds < 5 ? "; **fewer than 5 rounds: an impression, no result**" : ""}.`);
  if (summary.goals.length > 0) {
    const bound = ({ least, most, unit, met }) => (met === undefined ? "no goal" : least === undefined ? `≤ ${most}${unit}` : `≥ ${two(least)} ${unit}`);
    const got = (goal) => (goal.unit === "×" ? `${range(goal)} ×` : `${goal.median.toFixed(goal.unit === " MB" ? 0 : 1)}${goal.unit}`);
    parts.push(`## Goals\n\n${table(["goal", "at", "measured", ""], summary.goals.map((goal) => [goal.says, bound(goal), got(goal), goal.met === undefined ? "" : goal.met ? "met" : "**missed**"]))}`);
  }
  if (summary.rows.length > 0) {
    const rows = summary.rows.map(({ case: name, worker, floor, cpu, floorCpu, p50, peers }) => [
      title(name),
      worker === "ours" ? "**Claviger**" : worker,
      range(floor),
      Object.entries(peers).map(([peer, ratio]) => `${range(ratio)} × ${peer}`).join("<br>"),
      `${cpu.median.toFixed(0)} (${floorCpu.median.toFixed(0)})`,
      p50.median.toFixed(0),
    ]);
    parts.push(`## Cases

${table(["case", "worker", "to the empty worker", "Claviger to its peers", "CPU µs a request (empty worker's beside it)", "p50 µs, 1 connection"], rows)}

16 connections, 1 thread; every status is checked. Every worker is a process of its own and says the same in a case: status, headers, body
and one log line. \`mute\` says it and checks nothing; \`subtle\` checks with WebCrypto and a kept key; \`hono\` imports the key for every
request; \`objects\` is the same product by hand, two objects with rows in SQLite. The empty worker in the first column says two letters and
logs nothing: it brackets every measurement. \`mute\` is the empty worker that says what the others say.`);
  }
  if (memory) {
    const line = (name, { now, own, most }) => [name, now.toFixed(0), own.toFixed(0), most.toFixed(0)];
    const rows = [line("Claviger, just started", memory.empty), line(`Claviger, ${results.many} conversations of ${results.messages} messages just written`, memory.ours)];
    rows.push(line(`objects, the same conversations just written`, memory.objects));
    if (memory.after) rows.push(line("Claviger, after all rounds", memory.after.ours), line("objects, after all rounds", memory.after.objects));
    parts.push(`## Memory of the process, MB\n\n${table(["", "resident", "of that without mapped files", "at most so far"], rows)}`);
  }
  if (start) {
    const row = (name, times) => [name, spread(times).median.toFixed(1), Math.min(...times).toFixed(1)];
    parts.push(`## From the start of the process to the first answer, ms\n\n${table(["", "median", "least"], [row("empty worker", start.floor), row("Claviger", start.ours)])}\n\n${start.ours.length} starts each, in turn.`);
  }
  const kept = ["entry.js", "object.js", "index.js", "index_bg.wasm"];
  parts.push(`## Sizes, bytes\n\n${table(["file", "bytes", "gzip -9"], kept.map((name) => [name, sizes[name].bytes, sizes[name].gzip]))}`);
  const notes = join(import.meta.dirname, "notes.md");
  if (existsSync(notes)) parts.push(readFileSync(notes, "utf8").trim());
  return `${parts.join("\n\n")}\n`;
}
