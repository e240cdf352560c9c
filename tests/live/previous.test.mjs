// Two builds share one state while a deployment goes out: what the earlier one left is all there, and they may take turns.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { previousBuild, previousState, scratch, serveDeployment, SITE, startApi, THIS_BUILD } from "../previous/deployment.mjs";

const page = { origin: SITE, "x-client": "192.0.2.9" };
const server = (worker, key, method, path, options = {}) => worker.api(method, path, { key, scheme: "Bearer", ...options });
const texts = async (worker, key, { conversation, secret }) => {
  const read = await worker.api("GET", `/w/${key}/conversations/${conversation}/messages`, { key: secret, scheme: "Bearer", headers: page });
  return read.json.items?.map(({ text }) => text) ?? read.json.code;
};

describe("a state that the earlier build left when it was killed", { concurrency: 1 }, () => {
  let worker, api, facts;
  before(async () => {
    const previous = previousState();
    facts = previous.facts;
    api = await startApi();
    worker = await serveDeployment(THIS_BUILD, previous.state, api.origin);
  });
  after(async () => {
    await worker?.stop();
    api?.stop();
  });

  test("every credential is what it was", async () => {
    for (const name of ["live", "test", "hot", "tokens"]) {
      const { status, json } = await server(worker, facts[name].secret, "GET", "/v1/whoami");
      assert.deepEqual([status, json.id], [200, facts[name].id], name);
    }
    assert.equal((await server(worker, facts.dead.secret, "GET", "/v1/whoami")).json.code, "revoked_credential");
  });

  test("conversations are read, and go on", async () => {
    assert.deepEqual(await texts(worker, facts.widget.secret, facts.open), facts.open.texts);
    const { conversation, secret } = facts.open;
    const say = (text) => worker.api("POST", `/w/${facts.widget.secret}/conversations/${conversation}/messages`, { key: secret, scheme: "Bearer", headers: { ...page, "idempotency-key": text }, body: { text } });
    assert.equal((await say("third")).status, 201);
    assert.deepEqual(await texts(worker, facts.widget.secret, facts.open), [...facts.open.texts, "third"]);
    assert.equal(await texts(worker, facts.widget.secret, facts.closed), "revoked_credential");
    const listed = await server(worker, facts.live.secret, "GET", "/v1/conversations");
    assert.deepEqual(listed.json.items.map(({ id }) => id).sort(), [facts.open.conversation, facts.closed.conversation].sort());
  });

  test("records are there, and live and test are apart", async () => {
    const read = (key) => server(worker, key, "GET", "/v1/records/notes/one");
    assert.equal((await read(facts.live.secret)).text, facts.record);
    assert.equal((await read(facts.test.secret)).json.text, "only a test");
  });

  test("a write whose outcome nobody knows is not made again, whatever became of the process", async () => {
    const sent = await server(worker, facts.live.secret, "POST", "/v1/orders", { headers: { "idempotency-key": "o2" }, body: { a: "silence" } });
    assert.equal(sent.status, 409, sent.text);
    assert.equal(api.orders.size, 0);
  });

  test("a revocation of many that was half done goes on until none is left", async () => {
    const path = "/v1/workspaces/bulk/credentials/revoke";
    const end = Date.now() + 60_000;
    for (let left; left !== 0; await sleep(250)) {
      const { status, text, json } = await worker.api("POST", path, { body: { reason: "leaked", made_until: facts.bulkUntil } });
      assert.ok([200, 202].includes(status), text);
      left = json.remaining;
      assert.ok(Date.now() < end, `${left} are left`);
    }
    for (const key of facts.bulk) assert.equal((await server(worker, key, "GET", "/v1/whoami")).json.code, "revoked_credential");
  });

  test("the audit is sound from its first event", async () => {
    for (const id of ["acme", "bulk"]) {
      const { json } = await worker.api("GET", `/v1/audit/verify?workspace=${id}`);
      assert.equal(json.valid, true, JSON.stringify(json));
    }
  });
});

describe("the earlier build and this one", { concurrency: 1 }, () => {
  test("take turns on one state, and nothing is lost or done twice", async () => {
    const api = await startApi();
    const builds = [previousBuild(), THIS_BUILD];
    const worker = await serveDeployment(builds[0], scratch(), api.origin);
    const [keys, ended, said, orders] = [[], [], [], []];
    const make = async (members) => {
      const made = await worker.api("POST", "/v1/credentials", { body: { kind: "server_key", workspace: "acme", environment: "live", name: "k", scopes: ["admin"], ...members } });
      assert.equal(made.status, 201, made.text);
      return made.json;
    };
    try {
      assert.equal((await worker.api("POST", "/v1/workspaces", { body: { id: "acme", name: "Acme" } })).status, 201);
      const widget = await make({ kind: "widget_key", origins: [SITE], scopes: undefined });
      const talks = [];
      const admin = await make({});
      for (let turn = 0; turn < 6; turn += 1) {
        if (turn > 0) await worker.restart({ build: builds[turn % 2], signal: turn % 3 ? "SIGTERM" : "SIGKILL" });
        const who = turn % 2 ? "this build" : "the earlier build";
        // What any turn before did, holds.
        for (const { id, secret } of keys) assert.deepEqual([(await server(worker, secret, "GET", "/v1/whoami")).json.id], [id], who);
        for (const secret of ended) assert.equal((await server(worker, secret, "GET", "/v1/whoami")).json.code, "revoked_credential", who);
        for (const { key, text } of orders) {
          const again = await server(worker, admin.secret, "POST", "/v1/orders", { headers: { "idempotency-key": key }, body: { n: 1 } });
          assert.deepEqual([again.status, again.text, again.headers.get("idempotent-replayed")], [201, text, "true"], who);
        }
        for (const [number, talk] of talks.entries()) assert.deepEqual(await texts(worker, widget.secret, talk), said[number], who);
        if (turn > 0) {
          const read = await server(worker, admin.secret, "GET", "/v1/records/notes/one");
          assert.equal(read.json.turn, turn - 1, who);
          const again = await server(worker, admin.secret, "PUT", "/v1/records/notes/one", { headers: { "idempotency-key": `r${turn - 1}` }, body: { turn: turn - 1 } });
          assert.equal(again.headers.get("idempotent-replayed"), "true", who);
        }
        // And then its own.
        keys.push(await make({}));
        const over = await make({ environment: turn % 2 ? "live" : "test" });
        assert.equal((await worker.api("POST", `/v1/credentials/${over.id}/revoke`, { body: {} })).status, 200, who);
        ended.push(over.secret);
        const order = await server(worker, admin.secret, "POST", "/v1/orders", { headers: { "idempotency-key": `o${turn}` }, body: { n: 1 } });
        assert.equal(order.status, 201, order.text);
        orders.push({ key: `o${turn}`, text: order.text });
        const wrote = await server(worker, admin.secret, "PUT", "/v1/records/notes/one", { headers: { "idempotency-key": `r${turn}` }, body: { turn } });
        assert.ok([200, 201].includes(wrote.status), wrote.text);
        const opened = await worker.api("POST", `/w/${widget.secret}/conversations`, { key: null, headers: page, body: {} });
        assert.equal(opened.status, 201, opened.text);
        talks.push({ conversation: opened.json.conversation, secret: opened.json.history_secret });
        said.push([]);
        for (const [number, { conversation, secret }] of talks.entries()) {
          const text = `turn-${turn}`;
          const wrote = await worker.api("POST", `/w/${widget.secret}/conversations/${conversation}/messages`, { key: secret, scheme: "Bearer", headers: { ...page, "idempotency-key": text }, body: { text } });
          assert.equal(wrote.status, 201, wrote.text);
          said[number].push(text);
        }
        // The lists of either build show all that the other one made.
        const credentials = await worker.api("GET", "/v1/credentials?workspace=acme&limit=100");
        assert.equal(credentials.json.items.length, 2 + keys.length + ended.length, who);
        const conversations = await worker.api("GET", "/v1/conversations?workspace=acme&limit=100");
        assert.equal(conversations.json.items.length, talks.length, who);
        assert.equal((await worker.api("GET", "/v1/audit/verify?workspace=acme")).json.valid, true, who);
      }
      assert.deepEqual([...api.orders.values()], orders.map(() => 1), "every order went out once");
    } finally {
      await worker.stop();
      api.stop();
    }
  });
});
