// Requests that two servers would cut in different places, and paths that they would read in different ways: what the upstream gets is one
// request for each that was authorised, framed once, with the target byte for byte.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { after, afterEach, before, test } from "node:test";
import { startWorker } from "../support/worker.mjs";

const route = (match) => `[[routes]]\nmatch = "${match}"\naccept = ["deploy_key"]\nto = "upstream"\n`;
const POLICY_TOML = `brand = "clv"\n${["GET", "POST", "DELETE"].map((method) => route(`${method} /v1/things/{rest...}`)).join("")}${route("GET /v1/things")}${route("GET /v1/things/")}`;

/** Every request that the upstream has seen, cut by the one length that its head gives: `{method, target, lines, body}`. */
const seen = [];
const faults = [];

/** Cuts what has come of a connection into requests; what is no request in one way only is a fault. */
function cut(bytes) {
  const requests = [];
  for (let rest = bytes; rest.length > 0; ) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) break;
    const [first, ...lines] = rest.slice(0, end).split("\r\n");
    const values = (name) => lines.filter((line) => line.toLowerCase().startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim());
    const [lengths, codings] = [values("content-length"), values("transfer-encoding")];
    const framing = lines.filter((line) => /length|encoding/i.test(line.split(":")[0]) && !/accept/i.test(line));
    if (!/^[A-Z]+ \/\S* HTTP\/1\.1$/.test(first) || framing.length > 1) faults.push(rest.slice(0, 300));
    rest = rest.slice(end + 4);
    let body = "";
    if (lengths.length > 0) {
      if (!/^\d+$/.test(lengths[0])) faults.push(lengths[0]);
      if (rest.length < Number(lengths[0])) break;
      [body, rest] = [rest.slice(0, Number(lengths[0])), rest.slice(Number(lengths[0]))];
    } else if (codings.length > 0) {
      if (codings[0] !== "chunked") faults.push(codings[0]);
      const whole = unchunk(rest);
      if (!whole) break;
      [body, rest] = whole;
    }
    const [method, target] = first.split(" ");
    requests.push({ method, target, lines, body });
  }
  return requests;
}

function unchunk(rest) {
  for (let body = ""; ; ) {
    const line = /^([0-9a-f]+)\r\n/i.exec(rest);
    if (!line) return;
    const size = parseInt(line[1], 16);
    rest = rest.slice(line[0].length);
    if (rest.length < size + 2) return;
    if (size === 0) return rest.startsWith("\r\n") ? [body, rest.slice(2)] : void faults.push(`trailers: ${rest}`);
    body += rest.slice(0, size);
    rest = rest.slice(size + 2);
  }
}

const api = createServer((socket) => {
  let [text, known] = ["", 0];
  socket.on("error", () => {});
  socket.on("data", (part) => {
    text += part.toString("latin1");
    const requests = cut(text);
    for (const request of requests.slice(known)) {
      seen.push(request);
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    known = requests.length;
  });
});

let worker, deploy;
before(async () => {
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: `http://127.0.0.1:${api.address().port}` } });
  deploy = `Authorization: Convex ${worker.deployKey}`;
});
after(async () => {
  await worker?.stop();
  api.close();
});
afterEach(async () => {
  assert.equal((await worker.api("GET", "/v1/things/again")).text, "ok");
  assert.deepEqual(faults, []);
  assert.deepEqual(seen.filter(({ target, lines }) => target.includes("smuggled") || /smuggled/i.test(lines.join())), [], "it went through");
  assert.ok(!/"reason":"internal"|panic|trap|failed:/.test(worker.log()), "something of ours broke");
});

/** Sends the bytes, then no more, and answers the statuses of all that came back. */
async function send(bytes) {
  const socket = connect(Number(new URL(worker.url).port), "127.0.0.1");
  socket.on("error", () => {});
  let text = "";
  socket.on("data", (part) => (text += part.toString("latin1")));
  socket.end(Buffer.from(bytes, "latin1"));
  await once(socket, "close");
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

const SMUGGLED = "GET /v1/things/smuggled HTTP/1.1\r\nHost: a\r\nX-Smuggled: 1\r\n\r\n";
const post = (lines, body, more = "") => `POST /v1/things/1 HTTP/1.1\r\nHost: a\r\n${deploy}\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n${body}${more}`;

test("the API behind of these tests sees what it must not see", () => {
  const both = "POST /v1/things/1 HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  cut(both);
  for (const line of ["Content_Length: 5", "Transfer-Encoding: xchunked", "Content-Length: 5\r\nContent-Length: 5", "Transfer-Encoding: chunked\r\nTransfer_Encoding: x"]) {
    cut(`POST /v1/things/1 HTTP/1.1\r\nContent-Length: 0\r\n${line}\r\n\r\n`);
  }
  assert.equal(faults.splice(0).length, 5);
  assert.deepEqual(cut(post(["Content-Length: 5"], "hello", SMUGGLED)).map(({ target }) => target), ["/v1/things/1", "/v1/things/smuggled"]);
});

test("a20_a_length_and_chunks_together_are_cut_in_one_way_here_and_behind", async () => {
  const chunks = "5\r\nhello\r\n0\r\n\r\n";
  const forms = [
    ["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 5"], ["Content-Length: 0", "Transfer-Encoding: chunked"],
    [`Content-Length: ${chunks.length + SMUGGLED.length}`, "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "content_length: 5"],
    ["Transfer-Encoding: chunked", "Connection: Content-Length", "Content-Length: 5"], ["Content-Length: 15", "Connection: Transfer-Encoding", "Transfer-Encoding: chunked"],
  ];
  for (const lines of forms) {
    const statuses = await send(post(lines, chunks, SMUGGLED));
    // What follows is either a request of its own, which has no credential, or nothing at all.
    assert.ok(["200,401", "200", "400", "200,400"].includes(statuses.join()), `${lines}: ${statuses}`);
    if (statuses[0] === 200) assert.equal(seen.findLast(({ method }) => method === "POST").body, "hello", lines.join());
  }
});

// RFC 9112 §6.1: the chunks alone count, and the connection ends with the answer. The runtime shows the worker one of the two headers.
test("a13_a_length_beside_chunks_is_ignored_and_nothing_behind_them_is_a_request", async () => {
  const chunks = "5\r\nhello\r\n0\r\n\r\n";
  for (const length of [0, 2, 5, chunks.length, chunks.length + SMUGGLED.length, 1_048_577]) {
    for (const lines of [[`Content-Length: ${length}`, "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", `Content-Length: ${length}`]]) {
      const [before, logged] = [seen.length, worker.log().match(/"request_id"/g).length];
      assert.deepEqual(await send(post(lines, chunks, SMUGGLED)), [200], lines.join());
      const went = seen.slice(before);
      assert.deepEqual(went.map(({ target, body }) => [target, body]), [["/v1/things/1", "hello"]], lines.join());
      await new Promise((done) => setTimeout(done, 20));
      assert.equal(worker.log().match(/"request_id"/g).length, logged + 1, "one request came to the worker");
    }
  }
  // Without the length, what follows is a request of its own.
  assert.deepEqual(await send(post(["Transfer-Encoding: chunked"], chunks, SMUGGLED)), [200, 401]);
});

test("a20_codings_that_only_some_servers_read_are_refused_or_no_codings_behind", async () => {
  for (const line of [
    "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\tchunked", "Transfer-Encoding:\x0bchunked", "Transfer-Encoding: chunked\x00", "Transfer-Encoding: \xa0chunked", " Transfer-Encoding: chunked",
    "X: x\r\n Transfer-Encoding: chunked", "X: x\nTransfer-Encoding: chunked", "X: x\rTransfer-Encoding: chunked", "Transfer-Encoding\n: chunked", "Transfer_Encoding: chunked",
    "transfer-encoding:chunked", "Transfer-Encoding: CHUNKED", "TE: chunked", "Transfer-Encoding: chunked;q=1",
  ]) {
    for (const lines of [[line, "Content-Length: 5"], ["Content-Length: 5", line], [line]]) {
      const before = seen.length;
      await send(post(lines, `0\r\n\r\n${SMUGGLED}`));
      for (const { lines: came } of seen.slice(before)) assert.ok(!/transfer.encoding/i.test(came.filter((line) => line !== "Transfer-Encoding: chunked").join()), `${lines}: ${came}`);
    }
  }
});

test("a20_lengths_that_only_some_servers_read_are_refused_or_one_length_behind", async () => {
  for (const lines of [
    ["Content-Length: 5", "Content-Length: 80"], ["Content-Length: 5", "Content-Length: 5"], ["Content-Length: 5, 5"], ["Content-Length: 5, 80"], ["Content-Length: +5"],
    ["Content-Length: -5"], ["Content-Length: 0x5"], ["Content-Length: 5 5"], ["Content-Length: 5.0"], ["Content-Length: 5e0"], ["Content-Length: "], ["Content-Length : 5"],
    ["Content-Length: 18446744073709551621"], ["Content-Length: 99999999999999999999999999"], ["Content-Length: 5\x00"], ["Content-Length:\n5"], ["content_length: 80"],
    ["Content-Length: 5", "Content_Length: 80"], ["Content-Length: 5;80"], [],
  ]) {
    const before = seen.length;
    await send(post(lines, "hello", SMUGGLED));
    for (const { body } of seen.slice(before)) assert.ok(["hello", ""].includes(body), `${lines}: ${body}`);
  }
});

test("a20_chunks_that_only_some_servers_read_are_not_passed_on_as_they_came", async () => {
  for (const chunks of [
    `5;a=b\r\nhello\r\n0\r\n\r\n${SMUGGLED}`, `5\nhello\n0\n\n${SMUGGLED}`, `5 \r\nhello\r\n0\r\n\r\n${SMUGGLED}`, `0x5\r\nhello\r\n0\r\n\r\n${SMUGGLED}`, `+5\r\nhello\r\n0\r\n\r\n${SMUGGLED}`,
    `-1\r\nhello\r\n0\r\n\r\n${SMUGGLED}`, `10000000000000005\r\nhello\r\n0\r\n\r\n${SMUGGLED}`, `5\r\nhelloXX0\r\n\r\n${SMUGGLED}`, `5\r\nhello0\r\n\r\n${SMUGGLED}`,
    `5\r\nhello\r\n0\r\nX-Smuggled: 1\r\nClaviger-Principal: forged\r\nContent-Length: 80\r\n\r\n${SMUGGLED}`, `5;\n${SMUGGLED}`, `5\r\nhello\r\n00000\r\n\r\n${SMUGGLED}`,
    `5;a="\r\n\r\n${SMUGGLED}"\r\nhello\r\n0\r\n\r\n`, `;\r\nhello\r\n0\r\n\r\n${SMUGGLED}`, `\r\n5\r\nhello\r\n0\r\n\r\n${SMUGGLED}`,
  ]) {
    const before = seen.length;
    await send(post(["Transfer-Encoding: chunked"], chunks));
    for (const { body, lines } of seen.slice(before)) {
      assert.equal(body, "hello", chunks);
      assert.ok(!lines.some((line) => /forged/.test(line)), chunks);
    }
  }
});

test("requests behind one another on a connection are each asked for their own credential", async () => {
  const good = `GET /v1/things/good HTTP/1.1\r\nHost: a\r\n${deploy}\r\n\r\n`;
  assert.deepEqual(await send(`${good}${SMUGGLED}${good}`), [200, 401, 200]);
  assert.deepEqual(await send(`${post(["Content-Length: 5"], "hello")}${SMUGGLED}`), [200, 401]);
  // A body where none is read is not the next request.
  for (const lines of [`Content-Length: ${SMUGGLED.length}`, "Transfer-Encoding: chunked"]) {
    const statuses = await send(`GET /v1/things/1 HTTP/1.1\r\nHost: a\r\n${deploy}\r\n${lines}\r\n\r\n${SMUGGLED}`);
    assert.equal(statuses[0], 400, lines);
    assert.ok(!statuses.includes(200), `${lines}: ${statuses}`);
  }
  const expecting = await send(post([`Content-Length: ${SMUGGLED.length}`, "Expect: 100-continue"], SMUGGLED));
  assert.ok(!expecting.includes(401), String(expecting));
});

test("no line of a head becomes another one", async () => {
  for (const head of [
    "GET /v1/things/a%0d%0aX-Smuggled:%201 HTTP/1.1\r\nHost: a", "GET /v1/things/a\r\nX-Smuggled: 1 HTTP/1.1\r\nHost: a", "GET /v1/things/a\nX-Smuggled: 1 HTTP/1.1\r\nHost: a",
    "GET /v1/things/a\rX-Smuggled: 1 HTTP/1.1\r\nHost: a", "GET /v1/things/a HTTP/1.1\r\nHost: a\rX-Smuggled: 1", "GET /v1/things/a HTTP/1.1\r\nHost: a\r\nX-A: a\rX-Smuggled: 1",
    "GET /v1/things/a HTTP/1.1\r\nHost: a\r\nX-A: a\0X-Smuggled: 1", "GET /v1/things/a HTTP/1.1\r\nHost: a\r\n X-Smuggled: 1", "GET /v1/things/a HTTP/1.1\r\nHost: a\r\nX-A: a\r\n X-Smuggled: 1",
    "GET\t/v1/things/smuggled\tHTTP/1.1\r\nHost: a", "GET /v1/things/smuggled HTTP/1.1 HTTP/1.1\r\nHost: a", "GET  /v1/things/smuggled HTTP/1.1\r\nHost: a",
    "GET /v1/things/smuggled HTTP/3.1\r\nHost: a", "GET v1/things/smuggled HTTP/1.1\r\nHost: a", "GET /v1/things/a HTTP/1.1\r\nHost: a/v1/things/smuggled?",
    "GET /v1/things/a HTTP/1.1\r\nHost: a\r\n: X-Smuggled: 1", "GET /v1/things/a HTTP/1.1\r\nHost: a\r\nX-Smuggled : 1", "G(T /v1/things/smuggled HTTP/1.1\r\nHost: a",
  ]) {
    const before = seen.length;
    const statuses = await send(`${head}\r\n${deploy}\r\nConnection: close\r\n\r\n`);
    assert.ok(!statuses.some((status) => status < 400 || status > 499) || seen.length === before, `${head}: ${statuses}`);
  }
});

test("a22_the_API_gets_the_target_that_was_matched_byte_for_byte_or_nothing", async () => {
  const get = async (target) => {
    const before = seen.length;
    const statuses = await send(`GET ${target} HTTP/1.1\r\nHost: a\r\n${deploy}\r\nConnection: close\r\n\r\n`);
    const went = seen.slice(before).map(({ target }) => target);
    assert.equal(went.length, statuses[0] === 200 ? 1 : 0, `${target}: ${statuses}`);
    return went[0];
  };
  for (const target of [
    "/v1/things", "/v1/things/", "/v1/things/a/", "/v1/things/a/b/c", "/v1/things/%aF%Af%c3%A9", "/v1/things/%41%7e%2D", "/v1/things/a:b@c", "/v1/things/~a-b_c.d!$&'()*+,=",
    "/v1/things/a?", "/v1/things/a??", "/v1/things/a?b?c", "/v1/things/a?b=c&b=c&&=&;x", "/v1/things/a?/../..//%2f%2e%00;y", "/v1/things/a?b=%0d%0aX:1", "/v1/things/a?q=a+b%20c%C3%a9",
    "/v1/things/a?%", "/v1/things/a?%zz", "/v1/things/a?[]=|^`{}", "/v1/things/a?http://evil.example/", "/v1/things/a?a:b@c", "/v1/things/...", "/v1/things/a..b", "/v1/things/.a", "/v1/things/a.",
    "/v1/things/http:", "/v1/things/%ff%fe",
  ]) {
    assert.equal(await get(target), target);
  }
  // What the runtime writes in another way than it came goes nowhere rather than changed.
  for (const target of ["/v1/things/a?q=\"<>'\\", "/v1/things/a?q=caf\xe9", "/v1/things/a?\x7f", "/v1/things/a?a\tb"]) {
    const went = await get(target);
    assert.ok(went === undefined || went === target, `${JSON.stringify(target)} became ${JSON.stringify(went)}`);
  }
  for (const target of ["http://evil.example/v1/things/a?b", "https://u:p@evil.example:1/v1/things/a?b", "HTTP://evil.example/v1/things/a?b"]) {
    const went = await get(target);
    assert.ok(went === undefined || went === "/v1/things/a?b", `${target} became ${went}`);
  }
  for (const [target, path] of [["/v1/things/a#frag", "/v1/things/a"], ["/v1/things/a?b#c?d", "/v1/things/a?b"], ["/v1/things/a#/../b", "/v1/things/a"]]) {
    const went = await get(target);
    assert.ok(went === undefined || went === path, `${target} became ${went}`);
  }
  for (const target of [
    "v1/things/a", "//v1/things/a", "/\\v1/things/a", "/v1/things//", "/v1/things//a", "/v1/things/a//", "/v1/things/./a", "/v1/things/.", "/v1/things/a/.", "/v1/things/a/..",
    "/v1/things/..%2fsecret", "/v1/things/%2E%2e/secret", "/v1/things/%2e%2E", "/v1/things/.%2E/", "/v1/things/a%5Cb", "/v1/things/a%5cb", "/v1/things/a;b=c", "/v1/things/a%3Bb", "/v1/things/%00",
    "/v1/things/a%00b", "/v1/things/a%0a", "/v1/things/a%250a", "/v1/things/a%2500", "/v1/things/%2f", "/v1/Things/a", "/V1/things/a", "/v1/thing%73/a",
    "/v1/things/a\\b", "/v1/things/\xe9", "/v1/things/a\"b", "/v1/things/<a>", "/v1/things/a|b", "/v1/things/a^b", "/v1/things/a`b", "/v1/things/%u002e", "/v1/things/%", "/v1/things/%2", "/v1/things/%zz",
    "/v1/credentials/../things/a", "/v1/whoami/../things/a", "http://evil.example/v1/things/../a", "http://evil.example//v1/things/a", "http://evil.example/v1/things/a%2f", "http:/v1/things/a",
  ]) {
    assert.equal(await get(target), undefined, target);
  }
  // The runtime takes it for the path /, which is a page of ours.
  const before = seen.length;
  await send(`GET * HTTP/1.1\r\nHost: a\r\n${deploy}\r\nConnection: close\r\n\r\n`);
  assert.equal(seen.length, before, "nothing went to the API");
  // A sequence that is no UTF-8 stays what it is: no server that knows RFC 3629 sees a slash in it.
  assert.equal(await get("/v1/things/%c0%af"), "/v1/things/%c0%af");
});
