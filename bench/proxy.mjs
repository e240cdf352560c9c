// Pass-through: the upstream, which only hands out files, and the same call through everybody who stands in front of it.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { prepareKeys } from "./keys.mjs";
import { define } from "./load.mjs";
import { OURS, scratch, start } from "./runtime.mjs";
import { BROWSER } from "./world.mjs";

/** Who passes on what that API says. `bare-proxy` asks nobody and says nothing of its own: it is there for information. */
export const PROXIES = ["proxy", "bare-proxy"];

const SIZES = { "1KB": 1_000, "1MB": 1_000_000 };

const POLICY_TOML = `${OURS.POLICY_TOML}[[routes]]
match = "GET /v1/bodies/{name}"
accept = ["server_key"]
to = "upstream"
`;

/** Starts the API, and says what those in front of it must know. */
export async function startApi() {
  const folder = join(scratch, "api/v1/bodies");
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(SIZES)) writeFileSync(join(folder, name), "x".repeat(bytes));
  const api = await start("api", { files: join(scratch, "api") });
  return { stop: () => api.stop(), env: { UPSTREAM: `http://127.0.0.1:${api.port}`, POLICY_TOML } };
}

/** A server key for everybody who looks at one. */
export async function prepareProxies({ ours, proxy }) {
  const world = await prepareKeys(proxy ? { ours, proxy } : { ours });
  world.keys["bare-proxy"] = world.keys.ours;
  return world;
}

export function proxyCases({ keys }) {
  const request = (name, key) => ({
    method: "GET",
    path: `/v1/bodies/${name}`,
    headers: { host: BROWSER.host, accept: "*/*", "user-agent": "curl/8.14.1", authorization: `Bearer ${key}` },
  });
  const asked = (name) => Object.fromEntries(Object.entries(keys).map(([worker, [key]]) => [worker, [request(name, key)]]));
  return Object.keys(SIZES).map((name) => define(`proxy ${name}`, Object.keys(keys), 200, asked(name), { speechless: ["bare-proxy"] }));
}

export function proxyGoals(goal, peer) {
  for (const name of Object.keys(SIZES)) {
    goal(`${name} passed through, to a proxy by hand that looks the key up and counts`, peer(`proxy ${name}`, "proxy"), { least: 0.8 });
    goal("the same, to one that lets everybody through and logs nothing", peer(`proxy ${name}`, "bare-proxy"));
  }
}
