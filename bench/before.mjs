/**
 * `make bench-before`: this build against the one before it, interleaved in one run, on the paths that every call takes.
 *
 * The build before runs twice, as "before" and as "control": what these two differ by is what the machine does, and no
 * difference of this build below that means anything. Every round measures all three, each time in another order.
 * A path has become slower where the upper quartile of its ratio is below 0.95; then the exit status is 1.
 *
 *   ROUNDS   20    after one that is not counted
 *   SECONDS  1     of every measurement
 *   CASES    all   of forged, preflight, key, lease, proxy 1KB, proxy 1MB
 *   QUICK    1: two rounds, and nothing is written
 */

import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { previousBuild } from "../tests/previous/deployment.mjs";
import { keyCase, prepareKeys } from "./keys.mjs";
import { throughput } from "./load.mjs";
import { proxyCases, startApi } from "./proxy.mjs";
import { need, snapshot, start } from "./runtime.mjs";
import { spread } from "./summary.mjs";
import { admin, cases, expect, prepare } from "./world.mjs";

need();
const quick = process.env.QUICK === "1";
const ROUNDS = Number(process.env.ROUNDS || (quick ? 2 : 20));
const SECONDS = Number(process.env.SECONDS || 1);
const SLOWER = 0.95;
const PATHS = ["forged", "preflight", "key", "lease", "proxy 1KB", "proxy 1MB"];
const chosen = (process.env.CASES || PATHS.join(",")).split(",");
for (const name of chosen) if (!PATHS.includes(name)) throw new Error(`CASES: ${name} is none of ${PATHS.join(", ")}`);

// Both builds know every key of it.
const POLICY_TOML = `brand = "clv"
[scopes]
admin = "Everything"
[tiers.enterprise]
custom = true
[tiers.leased]
custom = true
lease_seconds = 2
[widget]
page = 10
[[routes]]
match = "GET /v1/bodies/{name}"
accept = ["server_key"]
to = "upstream"
`;
const say = (text) => process.stderr.write(`${text}\n`);
const load = loadavg()[0].toFixed(2);
snapshot();
const api = await startApi();

const previous = previousBuild();
const builds = { before: previous, control: previous, now: {} };

/** Its worker, and the requests that it answers: each deployment has keys of its own. */
async function deploy(name, { build, serve }) {
  const worker = await start("ours", { state: name, build, serve, env: { ...api.env, POLICY_TOML } });
  const widget = await prepare({ ours: worker });
  const { json } = await expect(worker.call("POST", `/w/${widget.key}/conversations`, { headers: { origin: "https://shop.example" }, body: {} }), 201);
  widget.conversations.push({ id: json.conversation, secret: json.secret });
  const all = [
    ...cases(widget).filter((of) => of.name === "forged" || of.name === "preflight"),
    keyCase("key", await prepareKeys({ ours: worker })),
    keyCase("lease", await prepareKeys({ ours: worker }, "leased")),
    ...proxyCases(await prepareKeys({ ours: worker })),
  ];
  return { worker, cases: Object.fromEntries(all.map((of) => [of.name, of])) };
}

const deployments = {};
for (const [name, build] of Object.entries(builds)) deployments[name] = await deploy(name, build);

const ORDERS = [
  ["before", "now", "control"], ["control", "now", "before"], ["now", "before", "control"],
  ["before", "control", "now"], ["control", "before", "now"], ["now", "control", "before"],
];
const ratios = Object.fromEntries(chosen.map((name) => [name, []]));
for (let round = 0; round <= ROUNDS; round += 1) {
  for (const name of chosen) {
    const got = {};
    for (const which of ORDERS[round % ORDERS.length]) {
      const { worker, cases } = deployments[which];
      got[which] = await throughput(worker, cases[name], SECONDS);
    }
    const of = (which, field) => got[which][field] / got.before[field];
    const sample = { now: of("now", "perSecond"), control: of("control", "perSecond"), cpu: of("now", "cpuMicros"), controlCpu: of("control", "cpuMicros") };
    say(`round ${round} ${name.padEnd(10)} now ${sample.now.toFixed(3)}, control ${sample.control.toFixed(3)}; CPU ${sample.cpu.toFixed(3)}, ${sample.controlCpu.toFixed(3)} (before ${got.before.perSecond.toFixed(0)}/s, ${got.before.cpuMicros.toFixed(0)} µs)`);
    if (round > 0) ratios[name].push(sample);
  }
}
for (const { worker } of Object.values(deployments)) await worker.stop();
await api.stop();

const spreadOf = (name, field) => spread(ratios[name].map((sample) => sample[field]));
const interval = (name, field) => {
  const { median, q1, q3 } = spreadOf(name, field);
  return `${median.toFixed(2)} [${q1.toFixed(2)}–${q3.toFixed(2)}]`;
};
const slower = chosen.filter((name) => spreadOf(name, "now").q3 < SLOWER);
const page = `# This build and the one before it

Made by \`make bench-before\`; do not edit. ${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${cpus()[0].model}), load before the run ${load}, after ${loadavg()[0].toFixed(2)};
${ROUNDS} rounds of ${SECONDS} s, 16 connections, all three workers measured in every round, in changing order.
The build before is the one of \`tests/previous\`. It runs twice: the second is the control.

A number is a ratio to the build before; median [quartiles] over rounds. Requests per second: more is better. CPU of a request: less is better.

| path | requests per second | control | CPU of a request | control |
| --- | --- | --- | --- | --- |
${chosen.map((name) => `| ${name} | ${interval(name, "now")} | ${interval(name, "control")} | ${interval(name, "cpu")} | ${interval(name, "controlCpu")} |`).join("\n")}

${slower.length ? `Slower: ${slower.join(", ")} (the upper quartile is below ${SLOWER}).` : `No path became slower: no upper quartile is below ${SLOWER}.`}
`;
console.log(page);
if (quick || chosen.length < PATHS.length || ROUNDS < 15) say("bench: a part or a quick run: nothing was written");
else writeFileSync(join(import.meta.dirname, "BEFORE.md"), page);
process.exit(slower.length ? 1 : 0);
