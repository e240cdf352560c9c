// Server keys: how many there are before anything is measured, and which requests meet them.

import { define } from "./load.mjs";
import { countWrites } from "./writes.mjs";
import { admin, BROWSER, expect, inParallel } from "./world.mjs";

/** Everybody who answers the call of one server key. */
export const PEERS = ["mute", "row-object", "sql-limiter", "oauth-provider", "oauth-in-isolate", "better-auth"];

/** Who is called with many keys, and who says how often it writes. */
const MANY = ["ours", "row-object"];
const WRITERS = ["ours", "row-object", "sql-limiter"];

const LIMIT = 4_000_000_000;
const WINDOW_SECONDS = 60;
const SOME = 100;
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
async function create(ours, world, count) {
  if (!world.workspace) world.workspace = (await expect(ours.call("POST", "/v1/workspaces", { headers: admin, body: { name: "keys" } }), 201)).json.id;
  const keys = Array(count);
  await inParallel(count, async (number) => {
    const limits = { requests: [{ limit: LIMIT, window_seconds: WINDOW_SECONDS }] };
    const body = { kind: "server_key", workspace: world.workspace, environment: "live", name: `bench ${number}`, scopes: [], tier: "enterprise", limits };
    keys[number] = (await expect(ours.call("POST", "/v1/credentials", { headers: admin, body }), 201)).json.secret;
  });
  return keys;
}

async function make(worker, world, count) {
  if (worker.name === "ours") return create(worker, world, count);
  if (worker.name === "mute") return [`clv_live_${"0".repeat(32)}`];
  const keys = [];
  while (keys.length < count) {
    const body = { count: Math.min(100, count - keys.length) };
    keys.push(...(await expect(worker.call("POST", "/fill", { headers: { host: BROWSER.host, "x-forwarded-proto": "https" }, body }), 200)).json.keys);
  }
  return keys;
}

/** One key for everybody. */
export async function prepareKeys(workers) {
  const world = { keys: {} };
  for (const worker of Object.values(workers)) if (worker.name !== "floor") world.keys[worker.name] = await make(worker, world, 1);
  return world;
}

/** After a restart: what was lost, once more; how often a call writes; then `count` keys where many are asked. */
export async function growKeys(workers, world, count, say) {
  for (const name of FORGETS) if (workers[name]) world.keys[name] = await make(workers[name], world, 1);
  const writes = {};
  for (const name of WRITERS.filter((name) => workers[name])) {
    writes[name] = [];
    for (const rate of RATES) {
      // One that writes for every call writes over its log where that is long: at the lower rate it is a control.
      if (name === "sql-limiter" && rate !== RATES[0]) continue;
      const counted = await countWrites(workers[name], request(world.keys[name][0]), rate);
      writes[name].push(counted);
      say(`writes ${name}: ${counted.transactions} transactions of ${counted.pages} pages for ${counted.calls} calls at ${rate}/s`);
    }
  }
  for (const name of MANY.filter((name) => workers[name])) {
    const began = performance.now();
    world.keys[name].push(...(await make(workers[name], world, count - world.keys[name].length)));
    say(`${name}: ${count} keys, ${((performance.now() - began) / 1_000).toFixed(0)} s`);
  }
  return writes;
}

/** All cases: who answers what. */
export function keyCases({ keys }) {
  const asked = (count) => Object.fromEntries(Object.entries(keys).map(([name, list]) => [name, list.slice(0, count).map(request)]));
  const many = MANY.filter((name) => keys[name]);
  const of = (name, workers, count, more) => define(name, workers, 200, asked(count), more);
  const cases = [of("key", Object.keys(keys), 1)];
  const most = Math.min(...many.map((name) => keys[name].length));
  for (const count of [SOME, most]) if (many.length > 0 && count > 1 && most >= count) cases.push(of(`keys ${count}`, many, count, { wakes: true }));
  return cases;
}
