// Everybody must say the same in a case: status, headers, the members of the body and of the log line.

import { expect } from "./world.mjs";

/** Members all the way down, without their values; a list by its items, nothing as nothing. */
function shape(value) {
  if (Array.isArray(value)) return value.map(shape);
  if (value === null || typeof value !== "object") return value === null ? null : typeof value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, shape(value[name])]));
}

async function ask(worker, { method, path, headers, body }, status) {
  const before = worker.output.length;
  const answer = await expect(worker.call(method, path, { headers, body: body && JSON.parse(body) }), status);
  for (let tries = 0; tries < 100 && !worker.output.slice(before).includes("\n"); tries += 1) {
    await new Promise((done) => setTimeout(done, 5));
  }
  const { date, connection, "keep-alive": alive, "content-length": length, "transfer-encoding": encoding, ...kept } = answer.headers;
  const line = JSON.parse(worker.output.slice(before).trim().split("\n").at(-1));
  return JSON.stringify({ headers: Object.keys(kept).sort(), body: shape(answer.json), log: Object.keys(line).sort() });
}

/** Fails where one worker says something else than another. */
export async function checkWords(all, cases) {
  for (const { name, workers, status, requests, speechless = [] } of cases) {
    const names = workers.filter((worker) => !speechless.includes(worker));
    const said = {};
    for (const worker of names) said[worker] = await ask(all[worker], requests[worker].sample, status);
    const other = names.find((worker) => said[worker] !== said[names[0]]);
    if (other) throw new Error(`${name}: ${other} does not say the same as ${names[0]}:\n${said[other]}\n${said[names[0]]}`);
  }
}
