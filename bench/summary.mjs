// Rounds into medians, and medians against goals.

import { proxyGoals } from "./proxy.mjs";

function quantile(values, part) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.ceil(at)] - sorted[low]) * (at - low);
}

export const median = (values) => quantile(values, 0.5);
export const spread = (values) => ({ median: median(values), q1: quantile(values, 0.25), q3: quantile(values, 0.75) });

/** What the cases are called. */
export const WORDS = {
  forged: "forged key",
  preflight: "preflight",
  read: "history read",
  write: "message write",
  whoami: "whoami with a deploy key",
  key: "whoami with a server key",
  lease: "whoami with a leased server key",
  "proxy 1KB": "1 KB passed through",
  "proxy 1MB": "1 MB passed through",
};

/** The ratio of two series, round by round. */
const against = (mine, theirs, of = ({ ratio }) => ratio) => spread(mine.map((sample, round) => of(sample) / of(theirs[round])));
const cost = ({ cpuMicros }) => cpuMicros;

export function summarize({ cases, start, memory, writes }) {
  const rows = [];
  for (const [name, workers] of Object.entries(cases)) {
    for (const [worker, samples] of Object.entries(workers)) {
      const peers = worker === "ours" ? Object.entries(workers).filter(([peer]) => peer !== "ours") : [];
      rows.push({
        case: name,
        worker,
        floor: spread(samples.map(({ ratio }) => ratio)),
        cpu: spread(samples.map(cost)),
        wakeCpu: samples[0].wakeCpuMicros && spread(samples.map(({ wakeCpuMicros }) => wakeCpuMicros)),
        floorCpu: spread(samples.map(({ floorCpuMicros }) => floorCpuMicros)),
        p50: spread(samples.map(({ p50 }) => p50)),
        perSecond: median(samples.map(({ perSecond }) => perSecond)),
        peers: Object.fromEntries(peers.map(([peer, theirs]) => [peer, against(samples, theirs)])),
      });
    }
  }
  return { rows, goals: goals({ cases, start, memory, writes }) };
}

function goals({ cases, start, memory, writes }) {
  const list = [];
  const goal = (says, value, { least, most, stretch, unit = "×" } = {}) => {
    if (value === undefined) return;
    const got = typeof value === "number" ? { median: value } : value;
    const met = least === undefined && most === undefined ? undefined : got.median >= (least ?? -Infinity) && got.median <= (most ?? Infinity);
    list.push({ says, unit, ...got, least, most, stretch, met });
  };
  const floor = (name) => cases[name]?.ours && spread(cases[name].ours.map(({ ratio }) => ratio));
  const peer = (name, other) => cases[name]?.ours && cases[name][other] && against(cases[name].ours, cases[name][other]);
  for (const name of ["forged", "preflight"]) {
    goal(`${WORDS[name]}, to the empty worker with the same headers and log line`, peer(name, "mute"), { least: 0.7 });
    goal(`${WORDS[name]}, to the empty worker that sends two letters and logs nothing`, floor(name));
    goal(`${WORDS[name]}, to WebCrypto with a kept key`, peer(name, "subtle"), { least: 1.0 });
    goal(`${WORDS[name]}, to hono with a key imported per request`, peer(name, "hono"), { least: 1.25 });
  }
  goal("history read, to objects by hand", peer("read", "objects"), { least: 0.75 });
  goal("message write, to objects by hand", peer("write", "objects"), { least: 0.9 });
  for (const name of ["read", "write"]) {
    const many = cases[`${name} many`];
    if (!many?.ours || !many.objects) continue;
    goal(`${WORDS[name]} over many conversations, to the same over 10`, against(many.ours, cases[name].ours), { least: 0.75 });
    goal("the same, of objects by hand", against(many.objects, cases[name].objects));
    goal(`${WORDS[name]} over many conversations, to objects by hand`, peer(`${name} many`, "objects"));
  }
  keys(goal, peer, cases, writes);
  goal("leased server key, to the empty worker with the same headers and log line", peer("lease", "mute"), { least: 0.65 });
  goal("leased server key, to the empty worker that sends two letters and logs nothing", floor("lease"));
  goal("leased server key, to one object by hand that only counts in memory", peer("lease", "counter-object"), { least: 1.8 });
  proxyGoals(goal, peer);
  if (memory) goal("memory after the conversations were made", memory.ours.now, { most: 256, unit: " MB" });
  if (start) goal("start, over the empty worker's", median(start.ours) - median(start.floor), { most: 25, unit: " ms" });
  return list;
}

function keys(goal, peer, cases, writes) {
  goal("server key, to one object by hand that reads a row and counts in memory", peer("key", "row-object"), { least: 0.75, stretch: 0.9 });
  goal("server key, to the same that counts in SQLite, files on a disk", peer("key disk", "sql-limiter"), { least: 3 });
  goal("the same, files in memory, where no write waits", peer("key", "sql-limiter"));
  goal("server key, to workers-oauth-provider with KV in memory behind a binding", peer("key", "oauth-provider"), { least: 1.5 });
  goal("the same with values in the isolate, which no KV is", peer("key", "oauth-in-isolate"));
  goal("server key, to better-auth on Node", peer("key", "better-auth"), { least: 3 });
  for (const [name, workers] of Object.entries(cases)) {
    if (!name.startsWith("keys ") || name === "keys 1") continue;
    for (const [worker, samples] of Object.entries(workers)) {
      const whose = worker === "ours" ? "" : `, of ${worker}`;
      goal(`CPU of a call over ${name.slice(5)} keys, to over one${whose}`, against(samples, cases["keys 1"][worker], cost), worker === "ours" ? { most: 1.25 } : {});
    }
  }
  for (const { rate, perThousand } of writes?.ours ?? []) goal(`transactions for 1,000 calls of one key at ${rate}/s`, perThousand, { most: 50, unit: "" });
}
