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

/** A case: its requests, who answers them, and with which status. */
let defined = 0;
export function define(name, workers, status, requests) {
  const file = join(scratch, `${(defined += 1)}.requests`);
  writeFileSync(file, requests.map(text).map((request) => `${Buffer.byteLength(request)}\n${request}`).join(""));
  return { name, workers, status, file, sample: requests[0], count: requests.length, at: 0 };
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
  return { ...got, perSecond: (got.requests / got.micros) * 1e6, cpuMicros: (cpu / got.requests) * 1e6 };
}

/** The second that is not counted checks every status; the counted ones, that none is of another class. */
export async function measure(worker, of, seconds) {
  const use = async (length, connections, check) => {
    const got = await wrk(worker, of, length, connections, check);
    of.at = (of.at + got.requests) % of.count;
    const strangers = Object.entries(got.statuses).filter(([status]) => Number(status) !== of.status);
    const refused = of.status >= 400 ? got.requests - got.refused : got.refused;
    // Answers that are under way when the time is over are not counted on both sides.
    if (got.broken > 0 || Math.abs(refused) > connections * (of.status >= 400 ? 1 : 0) || (check && strangers.length > 0)) {
      throw new Error(`${of.name}: ${worker.name} answered otherwise than ${of.status}: ${JSON.stringify(got)}`);
    }
    return got;
  };
  await use(1, CONNECTIONS, true);
  const counted = await use(seconds, CONNECTIONS, false);
  const alone = of.name === "floor" ? counted : await use(1, 1, false);
  return { perSecond: counted.perSecond, cpuMicros: counted.cpuMicros, p50: alone.p50 };
}
