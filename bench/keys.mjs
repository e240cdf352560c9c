// Server keys: how many there are before anything is measured, and which requests meet them.

import { define } from "./load.mjs";
import { AWAKE, AWAKE_SECONDS } from "./runtime.mjs";
import { countWrites } from "./writes.mjs";
import { admin, BROWSER, expect, inParallel } from "./world.mjs";

/** Everybody who answers the call of one server key. */
export const PEERS = ["row-object", "sql-limiter", "oauth-provider", "oauth-in-isolate", "better-auth", "mute"];

/** Who keeps something; who is called with many keys. */
export const KEEPERS = ["row-object", "sql-limiter"];
export const MANY = ["row-object"];

const LIMIT = 4_000_000_000;
const WINDOW_SECONDS = 60;
/** Calls a second at which writes are counted. */
const RATES = [60, 500];

/** What lives in no file, and so is made anew at every start. */
const FORGETS = ["mute", "oauth-provider", "oauth-in-isolate", "better-auth"];

const request = (key) => ({
  method: "GET",
  path: "/v1/whoami",
  headers: {
    host: BROWSER.host,
    accept: "*/*",
    "user-agent": "curl/8.14.1",
    "x-forwarded-proto": "https",
    authorization: `Bearer ${key}`,
    "x-case": "key",
  },
});

/** A workspace with server keys of limits that nobody reaches: the only place that knows how ours makes them. */
async function create(ours, world, count, tier) {
  if (!world.workspace) world.workspace = (await expect(ours.call("POST", "/v1/workspaces", { headers: admin, body: { name: "keys" } }), 201)).json.id;
  const keys = Array(count);
  await inParallel(count, async (number) => {
    const limits = { requests: [{ limit: LIMIT, window_seconds: WINDOW_SECONDS }] };
    const body = { kind: "server_key", workspace: world.workspace, environment: "live", name: `bench ${number}`, scopes: [], tier, limits };
    keys[number] = (await expect(ours.call("POST", "/v1/credentials", { headers: admin, body }), 201)).json.secret;
  });
  return keys;
}

async function make(worker, world, count, tier = "enterprise") {
  if (worker.name === "ours") return create(worker, world, count, tier);
  if (worker.name === "mute") return [`clv_live_${"0".repeat(32)}`];
  const keys = [];
  await inParallel(count, async () => {
    const { json } = await expect(worker.call("POST", "/fill", { headers: { host: BROWSER.host, "x-forwarded-proto": "https" } }), 200);
    keys.push(json.key);
  });
  return keys;
}

/** One key for everybody, in a tier of ours. */
export async function prepareKeys(workers, tier) {
  const world = { keys: {} };
  for (const worker of Object.values(workers)) if (worker.name !== "floor") world.keys[worker.name] = await make(worker, world, 1, tier);
  return world;
}

/** What was lost with a restart, once more. */
export async function remakeKeys(workers, world) {
  for (const name of FORGETS) if (workers[name]) world.keys[name] = await make(workers[name], world, 1);
}

/** How often a call of one key writes. */
export async function writesOf(workers, world, say) {
  const writes = {};
  for (const name of ["ours", ...KEEPERS].filter((name) => workers[name])) {
    writes[name] = [];
    // The peers are there to show that the count sees all writes and no others.
    for (const rate of name === "ours" ? RATES : RATES.slice(0, 1)) {
      const counted = await countWrites(workers[name], request(world.keys[name][0]), rate);
      writes[name].push(counted);
      say(`writes ${name}: ${counted.transactions} transactions of ${counted.pages} pages for ${counted.calls} calls at ${rate}/s`);
    }
  }
  return writes;
}

/** `count` keys for everybody; then all have fallen asleep. */
export async function fillKeys(workers, world, count, say) {
  const began = performance.now();
  const fill = async (name) => world.keys[name].push(...(await make(workers[name], world, count - world.keys[name].length)));
  await Promise.all(Object.keys(world.keys).map(fill));
  say(`${count} keys: ${((performance.now() - began) / 1_000).toFixed(0)} s`);
  await new Promise((done) => setTimeout(done, AWAKE_SECONDS * 1_000));
}

const asked = (keys, from, to) => Object.fromEntries(Object.entries(keys).map(([name, list]) => [name, list.slice(from, to).map(request)]));

/** The call of one key. */
export const keyCase = (name, { keys }) => define(name, Object.keys(keys), 200, asked(keys, 0, 1));

/** The same spread over `count`, in turns of as many as may be awake at once: a round takes a turn. */
export function keysCase(count, { keys }) {
  const [turns, each] = [[], Math.ceil(count / Math.ceil(count / AWAKE))];
  for (let from = 0; from < count; from += each) {
    turns.push(define(`keys ${count}`, Object.keys(keys), 200, asked(keys, from, Math.min(from + each, count)), { wakes: count > 1_000 }));
  }
  return { ...turns[0], turns };
}
