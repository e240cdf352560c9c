/** Canaries: one secret of every kind, the ways in which it may be spelled, and a scanner that finds it in any of them. */

import { createHmac, randomBytes } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { cli } from "./worker.mjs";

const SITE = "https://shop.example";
const forge = (text) => text.slice(0, -4) + "AAAA";
/** A service's own name, which stands beside its token. */
export const SERVICE = "capture-spine";

/** A visitor's identity, as a customer's server signs it (RFC 7515, HS256). */
function sign({ kid, secret }, claims) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const iat = Math.floor(Date.now() / 1_000);
  const signed = `${encode({ alg: "HS256", kid })}.${encode({ iat, exp: iat + 3_600, ...claims })}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/**
 * A shop with a conversation, and a secret of every kind that there is. A new kind is one more member of `secrets`.
 *
 * @returns {Promise<{secrets: Record<string, string>, key: object, server: object, service: string, spare: string, visitor: object,
 *   site: string}>} `key`, `server`, `service` and `visitor` are alive: what was rotated out stands among the secrets too
 */
export async function plantCanaries(worker) {
  const page = { key: null, headers: { origin: SITE } };
  const made = { kind: "widget_key", workspace: "acme", environment: "live", name: "shop", origins: [SITE] };
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const key = (await worker.api("POST", "/v1/credentials", { body: made })).json;
  const rotated = (await worker.api("POST", `/v1/credentials/${key.id}/rotate`, { body: {} })).json;
  const visitor = (await worker.api("POST", `/w/${key.secret}/conversations`, page)).json;
  const path = `/w/${key.secret}/conversations/${visitor.conversation}/secret/rotate`;
  const next = (await worker.api("POST", path, { key: visitor.history_secret, scheme: "Bearer", headers: { origin: SITE } })).json;
  const identity = (await worker.api("POST", "/v1/workspaces/acme/identity-secrets")).json;
  const token = sign(identity, { sub: "ada", aud: "acme" });
  const scopes = ["admin", "conversations:read", "messages:read", "messages:write"];
  const serverKey = { kind: "server_key", workspace: "acme", environment: "live", name: "backend", scopes };
  const order = async (members) => (await worker.api("POST", "/v1/credentials", { body: { ...serverKey, ...members } })).json;
  const renew = async ({ id }) => (await worker.api("POST", `/v1/credentials/${id}/rotate`, { body: {} })).json;
  const server = await order({});
  const service = await order({ kind: "service_token", service: SERVICE });
  const spare = await order({});
  const [nextServer, nextService] = [await renew(server), await renew(service)];
  const { ROOT_SECRETS } = worker.vars;
  const secrets = {
    rootEntry: ROOT_SECRETS,
    rootSecret: ROOT_SECRETS.split(":")[1],
    subKey: cli(["deploy-sub-key"], { ROOT_SECRETS }),
    deployKey: worker.deployKey,
    deployToken: worker.deployKey.split("|")[1],
    widgetKey: rotated.secret,
    rotatedWidgetKey: key.secret,
    historySecret: next.history_secret,
    rotatedHistorySecret: visitor.history_secret,
    serverKey: nextServer.secret,
    rotatedServerKey: server.secret,
    serviceToken: nextService.secret,
    rotatedServiceToken: service.secret,
    spareServerKey: spare.secret,
    forgedServerKey: forge(nextServer.secret),
    forgedServiceToken: forge(nextService.secret),
    forgedDeployKey: forge(worker.deployKey),
    forgedWidgetKey: forge(rotated.secret),
    forgedHistorySecret: forge(next.history_secret),
    identitySecret: identity.secret,
    identityToken: token,
    strangersRootSecret: randomBytes(32).toString("base64url"),
  };
  for (const [name, secret] of Object.entries(secrets)) if (!(secret?.length > 40)) throw new Error(`${name} is no secret: ${secret}`);
  const live = { conversation: visitor.conversation, history_secret: secrets.historySecret };
  const servers = { server: { id: server.id, secret: secrets.serverKey }, service: secrets.serviceToken, spare: spare.secret };
  return { secrets, ...servers, key: { id: key.id, secret: secrets.widgetKey }, visitor: live, site: SITE };
}

/** The ways in which a secret is sent; `percentAll` and the cases are what a filter for the plain text would miss. */
export const SPELLINGS = {
  raw: (secret) => secret,
  percent: encodeURIComponent,
  percentAll: (secret) => [...Buffer.from(secret)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
  base64: (secret) => Buffer.from(secret).toString("base64"),
  json: (secret) => [...secret].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""),
  upper: (secret) => secret.toUpperCase(),
  lower: (secret) => secret.toLowerCase(),
  split: (secret) => [...secret].map((c, at) => (at % 2 ? c.toUpperCase() : c.toLowerCase())).join(""),
};

/** The calls of `tests/output/matrix.txt`, which fails when one is missing there: `{method, pattern}`. */
export function routes() {
  const lines = readFileSync(join(import.meta.dirname, "../output/matrix.txt"), "utf8").split("\n");
  const calls = lines.map((line) => /^([A-Z]+) (\/\S*) /.exec(line)).filter(Boolean).map(([, method, pattern]) => `${method} ${pattern}`);
  return [...new Set(calls)].map((call) => ({ method: call.split(" ")[0], pattern: call.split(" ")[1] }));
}

/** The last 32 bytes that a secret stands for: a key, or a tag; none where it is shorter. */
export function bytesOf(secret) {
  if (isOpaque(secret)) return undefined;
  const [, encoded] = /^(?:[^|]*\||.*\.)?(?:[a-z0-9]+_(?:dk|hs|is|wk)_(?:live_|test_)?|[^:]*:(?:deploy_key:)?)?([\w-]+)$/.exec(secret);
  const bytes = Buffer.from(encoded, "base64url").subarray(-32);
  return bytes.length === 32 ? bytes : undefined;
}

/** The end alone is the secret part: of an opaque credential 24 characters, since 8 before them name its object; else a tag. */
export const endOf = (secret) => secret.slice(isOpaque(secret) ? -24 : -40);
const isOpaque = (secret) => /^[a-z0-9]+_(?:st_)?(?:live|test)_[0-9A-Za-z]{32}$/.test(secret);

/** Finds any of `secrets` in text or bytes: in every spelling, in any case, its end alone, and decoded. */
export function scanner(secrets) {
  const needles = Object.entries(secrets).flatMap(([name, secret]) => {
    const texts = Object.values(SPELLINGS).map((spell) => spell(secret));
    const folded = [...texts, endOf(secret)].map((text) => text.toLowerCase());
    const decoded = bytesOf(secret);
    return { name, folded: [...new Set(folded)], decoded };
  });
  return (content) => {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(content);
    const text = bytes.toString("latin1").toLowerCase();
    return needles.filter(({ folded, decoded }) => folded.some((needle) => text.includes(needle)) || (decoded && bytes.includes(decoded))).map(({ name }) => name);
  };
}

/** Every file of a folder, by its path: SQLite's `-wal` and `-shm` files too, but for those that an object takes away as it is evicted. */
export function filesOf(folder) {
  return readdirSync(folder, { recursive: true }).flatMap((name) => {
    const path = join(folder, name);
    try {
      return statSync(path).isFile() ? [{ path, bytes: readFileSync(path) }] : [];
    } catch (error) {
      if (error.code === "ENOENT") return [];
      throw error;
    }
  });
}

/** Dice that fall the same way again for the same seed (mulberry32). */
export function dice(seed) {
  return (sides) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  };
}
