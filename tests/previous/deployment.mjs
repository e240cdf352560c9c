/** A deployment that an earlier build served: how its state was made, and how any build serves it. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { startWorker } from "../support/worker.mjs";

const HERE = import.meta.dirname;
const ROOT = resolve(HERE, "../..");
export const SITE = "https://shop.example";
/** The root secret of the tests, which guards nothing. */
export const ROOT_SECRETS = "r1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

const folders = new Set();
process.once("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function scratch() {
  const folder = mkdtempSync(join(tmpdir(), "claviger-previous-"));
  folders.add(folder);
  return folder;
}

/** What an archive of this folder holds, unpacked. */
export function unpack(name) {
  const folder = scratch();
  execFileSync("tar", ["-xzf", join(HERE, name), "-C", folder]);
  return folder;
}

/** The earlier build, as `startWorker` and `restart` take it. */
export function previousBuild() {
  const folder = unpack("build.tar.gz");
  return { build: join(folder, "build"), serve: join(folder, "serve.capnp") };
}

/** This build. */
export const THIS_BUILD = { build: "build", serve: undefined };

/** An upstream that counts its orders, and says nothing to whom it should not. */
export async function startApi() {
  const orders = new Map();
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request)).toString();
    const key = request.headers["idempotency-key"];
    if (request.url === "/v1/orders") orders.set(key, (orders.get(key) ?? 0) + 1);
    if (body.includes("silence")) return; // nobody ever hears of it
    const said = request.url === "/v1/orders" ? { order: key } : { choices: [], usage: { total_tokens: 10 } };
    response.writeHead(request.method === "POST" ? 201 : 200, { "content-type": "application/json" }).end(JSON.stringify(said));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { orders, origin: `http://127.0.0.1:${server.address().port}`, stop: () => server.close().closeAllConnections() };
}

/** A worker over `state` with the variables of that deployment. */
export function serveDeployment({ build, serve }, state, upstream, port) {
  const vars = {
    ROOT_SECRETS, STAGE: "dev", DEPLOYMENT: "local", UPSTREAM: upstream, CLIENT_ADDRESS_HEADER: "X-Client",
    POLICY_TOML: readFileSync(join(HERE, "policy.toml"), "utf8"),
  };
  return startWorker({ vars, build, serve, state, port });
}

/** The state that the earlier build left when its process was killed, and what is known of it. */
export function previousState() {
  const folder = unpack("state.tar.gz");
  return { state: join(folder, "state"), facts: JSON.parse(readFileSync(join(folder, "facts.json"), "utf8")) };
}

export { existsSync, ROOT, scratch };
