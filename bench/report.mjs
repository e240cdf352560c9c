// What was measured, as a page.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./runtime.mjs";
import { spread, WORDS } from "./summary.mjs";

const two = (value) => value.toFixed(2);
const range = ({ median, q1, q3 }) => `${two(median)} [${two(q1)}–${two(q3)}]`;

/** The last run's results with some cases measured anew. */
export function merge(old, { cases, start, memory, writes, sizes, ...run }, chosen) {
  const kept = Object.entries(old.cases).filter(([name]) => !chosen.includes(name.split(" ")[0]));
  const { at, rounds, seconds, load, loadAfter } = run;
  const anew = { at, rounds, seconds, load, loadAfter, cases: [...new Set(chosen)] };
  const all = { ...old, sizes, cases: { ...Object.fromEntries(kept), ...cases }, anew: [...(old.anew ?? []), anew] };
  if (start) all.start = start;
  if (memory) Object.assign(all, { memory, many: run.many, messages: run.messages });
  if (writes) Object.assign(all, { writes, keys: run.keys });
  return all;
}

const table = (head, rows) => [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

export function report(results) {
  const { summary, sizes, start, memory, writes } = results;
  const version = (name) => JSON.parse(readFileSync(join(ROOT, name), "utf8")).version;
  const title = (name) => {
    if (name.endsWith(" many")) return `${WORDS[name.slice(0, -5)]}, ${results.many} conversations`;
    if (name === "key disk") return `${WORDS.key}, files on a disk`;
    if (name.startsWith("keys ")) return `${WORDS.key}, ${name.slice(5)} key${name === "keys 1" ? "" : "s"}`;
    return `${WORDS[name]}${name === "read" || name === "write" ? ", 10 conversations" : ""}`;
  };
  const package_ = (name) => version(`bench/node_modules/${name}/package.json`);
  const parts = [];
  parts.push(`# Measured

Made by \`make bench\`; do not edit. ${results.at.slice(0, 10)}, ${results.cores} cores (${results.cpu}), load before the run ${two(results.load)}, after ${two(results.loadAfter)}; ${results.rounds} round${results.rounds === 1 ? "" : "s"} of ${results.seconds} s.
workerd ${version("node_modules/workerd/package.json")}, Node ${process.versions.node}, hono ${package_("hono")}, workers-oauth-provider ${package_("@cloudflare/workers-oauth-provider")},
better-auth ${package_("better-auth")}. The objects' files were ${results.onDisk ? "on a disk" : "in memory"}.

A number is a ratio of requests per second: the worker's to the mean of the two runs of the empty worker beside it; median [quartiles] over rounds.
More is better. Only ratios carry over to another machine, and differences below 15 % are not established${results.rounds < 5 ? "; **fewer than 5 rounds: an impression, no result**" : ""}.${(results.anew ?? []).map(({ at, rounds, seconds, load, loadAfter, cases }) => `\nMeasured anew on ${at.slice(0, 10)}: ${cases.join(", ")}; ${rounds} rounds of ${seconds} s, load ${two(load)}, after ${two(loadAfter)}.`).join("")}`);
  if (summary.goals.length > 0) {
    const bound = ({ least, most, stretch, unit, met }) => {
      if (met === undefined) return "no goal";
      if (least === undefined) return unit === "×" ? `≤ ${two(most)} ×` : `≤ ${most}${unit}`;
      return `≥ ${two(least)} ${unit}${stretch ? ` (better ${two(stretch)})` : ""}`;
    };
    const got = (goal) => (goal.unit === "×" ? `${range(goal)} ×` : `${goal.median.toFixed(goal.unit === " MB" ? 0 : 1)}${goal.unit}`);
    parts.push(`## Goals\n\n${table(["goal", "at", "measured", ""], summary.goals.map((goal) => [goal.says, bound(goal), got(goal), goal.met === undefined ? "" : goal.met ? "met" : "**missed**"]))}`);
  }
  if (summary.rows.length > 0) {
    const rows = summary.rows.map(({ case: name, worker, floor, cpu, wakeCpu, floorCpu, p50, peers }) => [
      title(name),
      worker === "ours" ? "**Claviger**" : worker,
      range(floor),
      Object.entries(peers).map(([peer, ratio]) => `${range(ratio)} × ${peer}`).join("<br>"),
      `${cpu.median.toFixed(0)} (${floorCpu.median.toFixed(0)})${wakeCpu ? `; first call ${wakeCpu.median.toFixed(0)}` : ""}`,
      p50.median.toFixed(0),
    ]);
    parts.push(`## Cases

${table(["case", "worker", "to the empty worker", "Claviger to its peers", "CPU µs a request (empty worker's beside it)", "p50 µs, 1 connection"], rows)}

16 connections, 1 thread; every status is checked. Every worker is a process of its own and says the same in a case: status, headers, body
and one log line. \`mute\` says it and checks nothing; \`subtle\` checks with WebCrypto and a kept key; \`hono\` imports the key for every
request; \`objects\` is the same product by hand, two objects with rows in SQLite. The empty worker in the first column says two letters and
logs nothing: it brackets every measurement. \`mute\` is the empty worker that says what the others say.

\`row-object\` is a server key by hand: one object that reads its row and counts in memory, where a restart forgets it; \`sql-limiter\`
counts in SQLite with every call. \`counter-object\` only counts in memory, and looks at no key. \`oauth-provider\` is workers-oauth-provider with an access token: the bare runtime has no KV, so its
binding leads to a worker of the same process that keeps the values in memory, which is faster than any real one; \`oauth-in-isolate\` has
them in its own memory, without any binding. Neither counts anything. \`better-auth\` is that library with its API keys and their limit, in
a Node process with Node's SQLite in memory.

\`proxy\` is a proxy by hand in front of the same API: it looks the key up in an object as \`row-object\` does, filters the headers, says who
is asking and writes the line; \`bare-proxy\` checks, counts, filters and logs nothing. The API behind is the runtime's own file server, a
process of its own on the same cores.

An object sleeps ten seconds after its last call. Of many keys a round calls as many as may be awake at once (each holds three files
open), the next round the next ones, and each is called once before what counts: that is the first call in the table.`);
  }
  if (memory) {
    const line = (name, { now, own, most }) => [name, now.toFixed(0), own.toFixed(0), most.toFixed(0)];
    const rows = [line("Claviger, just started", memory.empty), line(`Claviger, ${results.many} conversations of ${results.messages} messages just written`, memory.ours)];
    rows.push(line(`objects, the same conversations just written`, memory.objects));
    if (memory.after) rows.push(line("Claviger, after all rounds", memory.after.ours), line("objects, after all rounds", memory.after.objects));
    parts.push(`## Memory of the process, MB\n\n${table(["", "resident", "of that without mapped files", "at most so far"], rows)}`);
  }
  if (writes) {
    const rows = Object.entries(writes).flatMap(([name, counted]) => counted.map(({ rate, calls, transactions, pages, atLeast, perThousand }) => [name === "ours" ? "**Claviger**" : name, rate, calls, transactions, pages, `${atLeast ? "at least " : ""}${perThousand.toFixed(1)}`]));
    parts.push(`## Writes of one key's object

${table(["worker", "calls a second", "calls", "transactions", "pages", "transactions for 1,000 calls"], rows)}

Counted in the object's write-ahead log, after two seconds that are not counted. \`sql-limiter\` shows that the count sees them all,
\`row-object\` that it sees no others.`);
  }
  if (start) {
    const row = (name, times) => [name, spread(times).median.toFixed(1), Math.min(...times).toFixed(1)];
    parts.push(`## From the start of the process to the first answer, ms\n\n${table(["", "median", "least"], [row("empty worker", start.floor), row("Claviger", start.ours)])}\n\n${start.ours.length} starts each, in turn.`);
  }
  const kept = ["entry.js", "object.js", "crypto.js", "passing.js", "reading.js", "upstream.js", "fetching.js", "index.js", "index_bg.wasm"];
  parts.push(`## Sizes, bytes\n\n${table(["file", "bytes", "gzip -9"], kept.map((name) => [name, sizes[name].bytes, sizes[name].gzip]))}`);
  const notes = join(import.meta.dirname, "notes.md");
  if (existsSync(notes)) parts.push(readFileSync(notes, "utf8").trim());
  return `${parts.join("\n\n")}\n`;
}
