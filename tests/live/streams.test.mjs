// Bodies that are too large to hold, on the bare runtime: a gigabyte each way, bombs, and many at once, while the runtime's memory is watched.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { startUpstream, until } from "../support/upstream.mjs";
import { startWorker } from "../support/worker.mjs";

const route = (match, more = "") => `[[routes]]\nmatch = "${match}"\naccept = ["deploy_key"]\nto = "upstream"\n${more}`;
const POLICY_TOML = `brand = "clv"\n${route("GET /v1/{rest...}")}${route("PUT /v1/{rest...}")}${route("POST /v1/{rest...}", 'idempotency = "accepted"\n')}`;
const GIGABYTE = 1 << 30;
const part = Buffer.alloc(1 << 18, "streamed ");

let api, worker, authorization;
before(async () => {
  api = await startUpstream();
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: api.origin } });
  authorization = `Convex ${worker.deployKey}`;
});
after(async () => {
  await worker?.stop();
  await api.stop();
  assert.ok(!/"reason":"internal"|panic|trap|failed:/.test(worker.log()), worker.log());
});

/** Megabytes that the runtime holds by itself, without mapped files; where the system does not tell, none. */
const tells = process.platform === "linux";
const memory = () => tells && Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${worker.pid}/status`, "utf8"))[1]) / 1_024;

/** What `act` needs at most, in megabytes over what there was before; the runtime was warm. */
async function costs(act) {
  const begin = memory();
  let most = begin;
  const watching = setInterval(() => (most = Math.max(most, memory())), 10);
  try {
    await act();
  } finally {
    clearInterval(watching);
  }
  if (process.env.SHOW) console.log(`${(most - begin).toFixed(1)} MB`);
  return most - begin;
}

/** Sends so many bytes as fast as they are taken, and answers what came back. */
function send(method, path, length, headers = {}) {
  return new Promise((done, fail) => {
    const call = httpRequest(worker.url + path, { method, headers: { authorization, ...headers } }, (response) => {
      let [came, text] = [0, ""];
      response.on("data", (bytes) => {
        came += bytes.length;
        if (came < 1_000) text += bytes;
      });
      response.on("end", () => done({ status: response.statusCode, headers: response.headers, came, text }));
      response.on("error", fail);
    });
    call.on("error", fail);
    let left = length;
    const more = () => {
      while (left > 0) {
        const bytes = left < part.length ? part.subarray(0, left) : part;
        left -= bytes.length;
        if (!call.write(bytes)) return;
      }
      call.end();
    };
    call.on("drain", more);
    more();
  });
}

/** The API sends so many bytes, as fast as they are taken. */
const gives = (length) => (socket) => {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n`);
  let left = length;
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      const bytes = left < part.length ? part.subarray(0, left) : part;
      left -= bytes.length;
      if (!socket.write(bytes)) return;
    }
    socket.end();
  };
  socket.on("drain", more);
  more();
};

/** The API takes all that was announced, and says how much that was. */
const takes = (length) => (socket, call) => {
  const check = () => {
    if (call.received < length) return;
    const text = String(call.received);
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`);
  };
  call.body = check;
  check();
};

const WARM = 64 << 20;
async function warm() {
  api.answer = gives(WARM);
  await send("GET", "/v1/warm", 0);
  api.answer = takes(WARM);
  await send("PUT", "/v1/warm", WARM, { "content-length": WARM });
}

test("a gigabyte comes down and none of it stays", async () => {
  await warm();
  api.answer = gives(GIGABYTE);
  const cost = await costs(async () => {
    const { status, came } = await send("GET", "/v1/down", 0);
    assert.deepEqual([status, came], [200, GIGABYTE]);
  });
  assert.ok(cost < 48, `${cost.toFixed(0)} MB more`);
});

test("a gigabyte goes up and none of it stays", async () => {
  await warm();
  api.answer = takes(GIGABYTE);
  const cost = await costs(async () => {
    const { status, text } = await send("PUT", "/v1/up", GIGABYTE, { "content-length": GIGABYTE });
    assert.deepEqual([status, text], [200, String(GIGABYTE)]);
  });
  assert.ok(cost < 48, `${cost.toFixed(0)} MB more`);
});

test("a caller who reads slowly holds the API back, not the memory", async () => {
  await warm();
  let sent = 0;
  api.answer = (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const more = () => {
      while (!socket.destroyed) {
        sent += 65_536;
        if (!socket.write(`10000\r\n${"x".repeat(65_536)}\r\n`)) return;
      }
    };
    socket.on("drain", more);
    more();
  };
  const controller = new AbortController();
  const cost = await costs(async () => {
    const response = await fetch(`${worker.url}/v1/slow`, { headers: { authorization }, signal: controller.signal });
    await response.body.getReader().read();
    // Once nothing moves any more all on the way is full.
    for (let before = -1; before !== sent; ) {
      before = sent;
      await new Promise((done) => setTimeout(done, 200));
    }
  });
  assert.ok(sent < 64 << 20 && cost < 48, `${sent >> 20} MB were taken, ${cost.toFixed(0)} MB more are held`);
  controller.abort();
  await until(() => api.calls.at(-1).closed, "the end of the call");
});

test("a bomb passes packed, however large it would be, and whether or not anybody asked for it", async () => {
  await warm();
  const bomb = gzipSync(Buffer.alloc(GIGABYTE / 2), { level: 9 });
  api.answer = (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\nConnection: close\r\n\r\n`);
    socket.end(bomb);
  };
  const cost = await costs(async () => {
    for (const headers of [{ "accept-encoding": "gzip" }, {}]) {
      const { status, came, headers: got } = await send("GET", "/v1/bomb", 0, headers);
      assert.deepEqual([status, came, got["content-encoding"]], [200, bomb.length, "gzip"]);
    }
    // Also where the answer's beginning is looked at here.
    const { came } = await send("POST", "/v1/bomb", 2, { "content-length": 2, "idempotency-key": "k" });
    assert.equal(came, bomb.length);
  });
  assert.ok(cost < 48, `${cost.toFixed(0)} MB more`);
  // One that is sent here is for the API to open or not: nobody opens it on the way.
  api.answer = takes(bomb.length);
  const up = await fetch(`${worker.url}/v1/bomb`, { method: "PUT", body: bomb, headers: { authorization, "content-encoding": "gzip" } });
  assert.deepEqual([up.status, await up.text()], [200, String(bomb.length)]);
  assert.match(api.calls.at(-1).head, /content-encoding: gzip/i);
});

test("bytes that only say that they are packed pass as they are", async () => {
  api.answer = (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain");
  const { status, text, headers } = await send("GET", "/v1/lie", 0);
  assert.deepEqual([status, text, headers["content-encoding"]], [200, "plain", "gzip"]);
});

test("forty large bodies at once, both ways", async () => {
  await warm();
  const each = 8 << 20;
  api.answer = (socket, call) => (call.method === "GET" ? gives(each) : takes(each))(socket, call);
  const cost = await costs(async () => {
    const all = Array.from({ length: 40 }, (_, at) => (at % 2 ? send("GET", "/v1/down", 0) : send("PUT", "/v1/up", each, { "content-length": each })));
    for (const { status, came, text } of await Promise.all(all)) assert.ok(status === 200 && (came === each || text === String(each)), text);
  });
  assert.ok(cost < 160, `${cost.toFixed(0)} MB more`);
});

test("the measure sees bodies that are held", async () => {
  const goOn = Promise.withResolvers();
  let held = 0;
  api.answer = (socket) => {
    held++;
    goOn.promise.then(() => socket.end("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"));
  };
  const body = 1 << 20;
  // One key may have so many under way: all its bodies together have a budget of 16 MiB.
  const cost = await costs(async () => {
    const all = Array.from({ length: 14 }, (_, at) => send("POST", "/v1/held", body, { "content-length": body, "idempotency-key": `held-${at}` }));
    await until(() => held === all.length, "all of them");
    goOn.resolve();
    await Promise.all(all);
  });
  assert.ok(cost > 7 || !tells, `${cost.toFixed(0)} MB were seen of fourteen`);
});
