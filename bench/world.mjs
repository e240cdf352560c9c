// What is there before anything is measured, and which requests meet it.

import { cli } from "../tests/support/worker.mjs";
import { define } from "./load.mjs";
import { AWAKE, AWAKE_SECONDS, OURS } from "./runtime.mjs";

export const FEW = 10;

const PAGE = "https://shop.example";
const TEXT = "Hello, where is my order 1234? It should have come on Monday.";
export const BROWSER = {
  host: "keys.example.com",
  "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  accept: "*/*",
  "accept-language": "en-US,en;q=0.5",
  "accept-encoding": "gzip, deflate, br",
  origin: PAGE,
  referer: `${PAGE}/`,
};

export const WIDGET_PEERS = ["mute", "subtle", "hono", "objects"];

const deployKey = cli(["deploy-key", "--stage", OURS.STAGE, "--deployment", OURS.DEPLOYMENT], { ROOT_SECRETS: OURS.ROOT_SECRETS });

export const admin = { authorization: `Convex ${deployKey}` };

function forge(key) {
  const bytes = Buffer.from(key.slice(key.lastIndexOf("_live_") + 6), "base64url");
  return Array.from({ length: 64 }, (_, number) => {
    const forged = Buffer.from(bytes);
    forged[forged.length - 1 - (number % 32)] ^= 1 + number;
    return key.slice(0, key.lastIndexOf("_live_") + 6) + forged.toString("base64url");
  });
}

/** All cases: who answers what. */
export function cases({ key, conversations }) {
  const path = (key, { id }) => `/w/${key}/conversations/${id}/messages`;
  const history = ({ secret }) => ({ ...BROWSER, authorization: `Bearer ${secret}` });
  const [one] = conversations;
  const asks = { ...BROWSER, "access-control-request-method": "GET", "access-control-request-headers": "authorization" };
  const read = (conversation) => ({ method: "GET", path: path(key, conversation), headers: history(conversation) });
  const write = (conversation) => ({ ...read(conversation), method: "POST", body: JSON.stringify({ text: TEXT }) });
  const few = conversations.slice(0, FEW);
  const tool = { host: BROWSER.host, accept: "*/*", "user-agent": "curl/8.14.1", authorization: `Convex ${deployKey}`, "x-case": "whoami" };
  return [
    define("forged", ["ours", "subtle", "hono", "mute"], 401, forge(key).map((forged) => ({ method: "GET", path: path(forged, one), headers: history(one) }))),
    define("preflight", ["ours", "subtle", "hono", "mute"], 204, [{ method: "OPTIONS", path: path(key, one), headers: asks }]),
    define("read", ["ours", "objects"], 200, few.map(read)),
    define("read many", ["ours", "objects"], 200, conversations.map(read)),
    define("write", ["ours", "objects"], 201, few.map(write)),
    define("write many", ["ours", "objects"], 201, conversations.map(write)),
    define("whoami", ["ours", "mute"], 200, [{ method: "GET", path: "/v1/whoami", headers: tool }]),
  ];
}

export async function expect(answer, status) {
  const got = await answer;
  if (got.status !== status) throw new Error(`${status} was expected, not ${got.status}: ${got.text}`);
  return got;
}

/** A workspace with a widget key; the peer with objects gets the same one by its own short cut. */
export async function prepare({ ours, objects }) {
  const workspace = (await expect(ours.call("POST", "/v1/workspaces", { headers: admin, body: { name: "bench" } }), 201)).json.id;
  const body = { kind: "widget_key", workspace, environment: "live", name: "bench", scopes: [], origins: [PAGE] };
  const { id, secret } = (await expect(ours.call("POST", "/v1/credentials", { headers: admin, body }), 201)).json;
  const bytes = Buffer.from(secret.slice(secret.lastIndexOf("_live_") + 6), "base64url");
  const serial = bytes.readBigUInt64BE(bytes.length - 40).toString(); // the last field, before the tag
  const shard = { credential: id, record: { status: "active", serial, origins: [PAGE] } };
  if (objects) await expect(objects.call("POST", "/fill", { body: { shard } }), 200);
  return { key: secret, conversations: [] };
}

/**
 * Calls `act` with every number below `count`, as many at a time as the measured load has connections; and so slowly that
 * not too many of the objects that it wakes are awake at once.
 */
export async function inParallel(count, act) {
  const began = performance.now();
  const perSecond = AWAKE / AWAKE_SECONDS;
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const number = next++;
      const early = ((number - AWAKE / 2) / perSecond) * 1_000 - (performance.now() - began);
      if (early > 0) await new Promise((done) => setTimeout(done, early));
      await act(number);
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
}

/**
 * Opens conversations up to `count`, each with its messages, all through the API. The messages come right behind the
 * opening: later, the conversation's object would have to be opened from its file again for each of them. The peer with
 * objects gets the same ones.
 */
export async function fill({ ours, objects }, world, count, messages) {
  const from = world.conversations.length;
  const at = `/w/${world.key}/conversations`;
  await inParallel(count - from, async (number) => {
    const { json } = await expect(ours.call("POST", at, { headers: { origin: PAGE }, body: {} }), 201);
    const { conversation: id, history_secret: secret } = json;
    world.conversations[from + number] = { id, secret };
    const headers = { origin: PAGE, authorization: `Bearer ${secret}` };
    for (let sent = 0; sent < messages; sent += 1) await expect(ours.call("POST", `${at}/${id}/messages`, { headers, body: { text: TEXT } }), 201);
    const same = { conversation: id, texts: Array(messages).fill(TEXT) };
    if (objects) await expect(objects.call("POST", "/fill", { body: same }), 200);
  });
}
