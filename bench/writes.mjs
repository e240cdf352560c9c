// How often an object writes: the transactions in the write-ahead logs of its SQLite files, before and after some calls.
//
// A frame of such a log is a page; the last one of a transaction says how large the file is then, the others say 0
// (https://www.sqlite.org/fileformat2.html#walformat). An object that sleeps has no log, so calls must not pause.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stateOf } from "./runtime.mjs";

const HEADER = 32;
const FRAME = 24;
/** Not counted: until then the caller is not known to be a busy one. */
const WARM_SECONDS = 2;
const SECONDS = 5;
const LOOK_SECONDS = 0.1;
/** Where each keeps the objects of its keys. */
const FOLDERS = { ours: "credential" };

function read(file) {
  const bytes = readFileSync(file);
  if (bytes.length < HEADER) return { salt: "", transactions: 0, pages: 0 };
  const page = bytes.readUInt32BE(8);
  const salt = bytes.subarray(16, 24);
  let [transactions, pages] = [0, 0];
  for (let at = HEADER; at + FRAME + page <= bytes.length && bytes.subarray(at + 8, at + 16).equals(salt); at += FRAME + page) {
    pages += 1;
    if (bytes.readUInt32BE(at + 4) !== 0) transactions += 1;
  }
  return { salt: salt.toString("hex"), transactions, pages };
}

// Looks at the logs of a folder now and then. What was written over between two looks is not seen: then it is `atLeast`.
class Writes {
  transactions = 0;
  pages = 0;
  atLeast = false;
  #known = new Map();

  constructor(folder) {
    this.folder = folder;
    this.look();
    [this.transactions, this.pages] = [0, 0];
  }

  look() {
    // The runtime's own list of alarms is none of the objects.
    const names = readdirSync(this.folder).filter((name) => name.endsWith("-wal") && !name.startsWith("metadata"));
    for (const name of names) {
      const now = read(join(this.folder, name));
      const known = this.#known.get(name) ?? { salt: "", transactions: 0, pages: 0 };
      const goesOn = known.salt === now.salt;
      this.transactions += now.transactions - (goesOn ? known.transactions : 0);
      this.pages += now.pages - (goesOn ? known.pages : 0);
      if (!goesOn && known.salt !== "") this.atLeast = true;
      this.#known.set(name, now);
    }
  }
}

/** Sends so many calls a second, each when it is due; answers how many. */
async function pace(worker, { method, path, headers }, rate, seconds, writes) {
  const began = performance.now();
  const answers = [];
  for (let sent = 0, looked = 0; sent < rate * seconds; ) {
    const passed = (performance.now() - began) / 1_000;
    const due = Math.min(rate * seconds, Math.ceil(passed * rate));
    for (; sent < due; sent += 1) answers.push(worker.call(method, path, { headers }));
    await new Promise((done) => setTimeout(done, 1));
    if (passed - looked > LOOK_SECONDS) [looked] = [passed, writes?.look()];
  }
  const refused = (await Promise.all(answers)).find(({ status }) => status !== 200);
  if (refused) throw new Error(`${worker.name} answered ${refused.status}: ${refused.text}`);
  return answers.length;
}

/** Transactions and pages for the calls of one key at `rate` a second. */
export async function countWrites(worker, request, rate) {
  await pace(worker, request, rate, WARM_SECONDS);
  const writes = new Writes(join(stateOf(worker.name), FOLDERS[worker.name] ?? "key"));
  const calls = await pace(worker, request, rate, SECONDS, writes);
  writes.look();
  const { transactions, pages, atLeast } = writes;
  return { rate, calls, transactions, pages, atLeast, perThousand: (transactions / calls) * 1_000 };
}
