// What is sent, and what came of it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { scratch } from "./runtime.mjs";

const CONNECTIONS = 16;

const text = ({ method, path, headers, body }) => {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  if (body) lines.push(`content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body ?? ""}`;
};

/** A case: its requests, the same for all or by worker, who answers them, and with which status. */
let defined = 0;
export function define(name, workers, status, requests, more = {}) {
  const write = (list) => {
    const file = join(scratch, `${(defined += 1)}.requests`);
    writeFileSync(file, list.map(text).map((request) => `${Buffer.byteLength(request)}\n${request}`).join(""));
    return { file, sample: list[0], count: list.length, at: 0 };
  };
  const same = Array.isArray(requests) && write(requests);
  return { name, workers, status, requests: Object.fromEntries(workers.map((worker) => [worker, same || write(requests[worker])])), ...more };
}

async function wrk(worker, { file, at }, seconds, connections, check) {
  const script = join(import.meta.dirname, "load.lua");
  const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "-s", script, `http://127.0.0.1:${worker.port}/`, "--", file, String(at)];
  if (check) args.push("check");
  const before = worker.cpu();
  const child = spawn("wrk", args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (part) => (output += part));
  await once(child, "close");
  const cpu = worker.cpu() - before;
  const line = /^@(.*)$/m.exec(output);
  if (!line) throw new Error(`wrk said nothing: ${output}`);
  const got = JSON.parse(line[1]);
  return { ...got, cpu, perSecond: (got.requests / got.micros) * 1e6, cpuMicros: (cpu / got.requests) * 1e6 };
}

// Checked, every answer's status is counted, which costs time; otherwise only that none is of another class.
async function use(worker, of, seconds, connections, check) {
  const requests = of.requests[worker.name];
  const got = await wrk(worker, requests, seconds, connections, check);
  requests.at = (requests.at + got.requests) % requests.count;
  const strangers = Object.entries(got.statuses).filter(([status]) => Number(status) !== of.status);
  const refused = of.status >= 400 ? got.requests - got.refused : got.refused;
  // Answers that are under way when the time is over are not counted on both sides.
  if (got.broken > 0 || Math.abs(refused) > connections * (of.status >= 400 ? 1 : 0) || (check && strangers.length > 0)) {
    throw new Error(`${of.name}: ${worker.name} answered otherwise than ${of.status}: ${JSON.stringify(got)}`);
  }
  return got;
}

/** The empty worker, which is warm. */
export async function measureFloor(worker, of, seconds) {
  const { perSecond, cpuMicros } = await use(worker, of, seconds, CONNECTIONS, false);
  return { perSecond, cpuMicros };
}

/** What counts, and nothing around it. */
export const throughput = (worker, of, seconds) => use(worker, of, seconds, CONNECTIONS, false);

/** A second with one connection, in which every status is checked; and what counts. */
export async function measure(worker, of, seconds) {
  const alone = () => use(worker, of, 1, 1, true);
  const counted = () => use(worker, of, seconds, CONNECTIONS, false);
  const waking = of.wakes && (await wake(worker, of));
  // What was just woken must not fall asleep again.
  const [first, second] = [await (waking ? counted : alone)(), await (waking ? alone : counted)()];
  const { perSecond, cpuMicros } = waking ? first : second;
  return { perSecond, cpuMicros, p50: (waking ? second : first).p50, ...waking };
}

// Every request once, for objects that have slept since the last round: what a first call costs.
async function wake(worker, of) {
  let [requests, cpu] = [0, 0];
  while (requests < of.requests[worker.name].count) {
    const got = await use(worker, of, 1, CONNECTIONS, true);
    requests += got.requests;
    cpu += got.cpu;
  }
  return { wakeCpuMicros: (cpu / requests) * 1e6 };
}
