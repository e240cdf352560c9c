// Headers and targets on the bare runtime: what really reaches an upstream of what a caller sent, and what comes back; by the byte.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { raw } from "../support/raw.mjs";
import { says, startUpstream } from "../support/upstream.mjs";
import { startWorker } from "../support/worker.mjs";

const route = (match, more = "", to = "upstream") => `[[routes]]\nmatch = "${match}"\naccept = ["server_key"${more.includes("own") ? "" : ', "deploy_key"'}]\nto = "${to}"\n${more}`;
const POLICY_TOML = [
  'brand = "clv"\n[tiers.free]\nrequests = { limit = 100000, window_seconds = 60 }\n',
  ...["GET", "POST"].map((method) => route(`${method} /v1/things/{rest...}`)),
  route("GET /v1/mine", 'own_header = "x-api-key"\n'),
  ...["GET", "PUT"].map((method) => route(`${method} /v1/records/{collection}/{id}`, "", "records")),
  route("PUT /v1/safe/{collection}/{id}", 'if_match = "required"\n', "records"),
].join("");

let api, worker, key, deploy;
before(async () => {
  api = await startUpstream((socket, call) => api.reply(socket, call, says("ok")));
  worker = await startWorker({ vars: { POLICY_TOML, UPSTREAM: api.origin, ORIGIN: "https://keys.example.com", CLIENT_ADDRESS_HEADER: "X-Client" } });
  deploy = `Authorization: Convex ${worker.deployKey}`;
  await worker.api("POST", "/v1/workspaces", { body: { name: "w", id: "w" } });
  const made = await worker.api("POST", "/v1/credentials", { body: { kind: "server_key", workspace: "w", environment: "live", name: "k", scopes: [] } });
  assert.equal(made.status, 201, made.text);
  key = made.json.secret;
});
after(async () => {
  await worker?.stop();
  await api.stop();
  // The runtime says by itself what it makes of a CONNECT.
  const ours = worker.log().split("\n").filter((line) => !line.includes("connect() function")).join("\n");
  assert.ok(!/"reason":"internal"|panic|trap|failed:/.test(ours), ours);
});

/** One call by the byte: its answer, and what the upstream got of it, if anything. */
async function send(line, ...headers) {
  const before = api.calls.length;
  const text = [`${line} HTTP/1.1`, "Host: a", ...headers].join("\r\n");
  const answer = await raw(worker.url, Buffer.from(`${text}\r\n\r\n`, "latin1"));
  const [call] = api.calls.slice(before);
  const lines = call?.head.split("\r\n").slice(1).map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]);
  return { ...answer, target: call?.target, got: (name) => lines.filter(([known]) => known === name).map(([, value]) => value), names: lines?.map(([name]) => name) };
}
const get = (...headers) => send("GET /v1/things/1", deploy, ...headers);

test("f6_a10_nothing_that_a_caller_says_in_a_proxys_name_arrives_and_what_is_known_does", async () => {
  const spoofed = [
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-User", "X-Real-IP", "True-Client-IP",
    "CF-Connecting-IP", "X-Original-URI", "X-HTTP-Method-Override", "Remote-User", "X-Client-Cert", "Client-Cert", "X_Forwarded_For", "x.forwarded.for", "X-MS-CLIENT-PRINCIPAL",
  ];
  const { status, got, names } = await get(...spoofed.map((name) => `${name}: spoofed`), "X-Client: 192.0.2.7:4711", "X-Trace: 1");
  assert.equal(status, 200);
  const told = { forwarded: "for=192.0.2.7;host=keys.example.com;proto=https", "x-forwarded-for": "192.0.2.7", "x-forwarded-host": "keys.example.com", "x-forwarded-port": "443", "x-forwarded-proto": "https", "x-trace": "1" };
  for (const [name, value] of Object.entries(told)) assert.deepEqual(got(name), [value], name);
  for (const name of names) assert.ok(!got(name).includes("spoofed"), name);
  assert.deepEqual(got("x-client"), []);
});

test("f7_an_answer_names_us_where_it_names_the_upstream", async () => {
  const { host } = new URL(api.origin);
  api.answer = (socket, call) => api.reply(socket, call, [
    "HTTP/1.1 307 Elsewhere", `Location: ${api.origin}/v1/things/x/`, `Content-Location: HTTP://user@${host}/v1`, `Link: <//${host}/2>; rel=next`, `Link: <${api.origin}/3>`,
    "Set-Cookie: a=1; Domain=127.0.0.1; Path=/", "Set-Cookie: b=2; Path=/", 'Alt-Svc: h3=":443"', "Strict-Transport-Security: max-age=1", 'Clear-Site-Data: "*"', "Content-Length: 0", "", "",
  ].join("\r\n"));
  const answer = await get();
  api.answer = (socket, call) => api.reply(socket, call, says("ok"));
  assert.equal(answer.status, 307);
  const came = {
    location: ["https://keys.example.com/v1/things/x/"], "content-location": ["https://keys.example.com/v1"],
    link: ["<https://keys.example.com/2>; rel=next, <https://keys.example.com/3>"], "set-cookie": ["a=1; Path=/", "b=2; Path=/"],
    "alt-svc": [], "strict-transport-security": [], "clear-site-data": [],
  };
  for (const [name, values] of Object.entries(came)) assert.deepEqual(answer.get(name), values, name);
});

test("f10_a_credential_stays_here_under_whatever_name_it_comes", async () => {
  const packed = [key, `Bearer ${key}`, `Basic ${btoa(`user:${key}`)}`, key.replaceAll("_", "%5F"), `https://shop.example/?a=${key}`];
  for (const value of packed) {
    const { status, got } = await get(`Api-Key: ${value}`, `X-Auth-Token: ${value}`, `Referer: ${value}`, `Cookie: a=${value}`, "X-Stays: 1");
    assert.equal(status, 200);
    for (const name of ["api-key", "x-auth-token", "referer", "cookie"]) assert.deepEqual(got(name), [], `${name}: ${value}`);
    assert.deepEqual(got("x-stays"), ["1"]);
    const query = await send(`GET /v1/things/1?a=${encodeURIComponent(value)}`, deploy);
    assert.deepEqual([query.status, query.target], [400, undefined], value);
  }
  const path = await send(`GET /v1/things/${key}`, deploy);
  assert.deepEqual([path.status, path.target], [400, undefined]);
});

test("f10_where_one_header_is_ours_the_other_goes_on_as_it_came", async () => {
  const both = await send("GET /v1/mine", `X-Api-Key: ${key}`, "Authorization: Bearer their.own/token==");
  assert.deepEqual([both.status, both.got("authorization"), both.got("x-api-key")], [200, ["Bearer their.own/token=="], []]);
  const ours = await send("GET /v1/mine", `X-Api-Key: ${key}`, `Authorization: Bearer ${key}`);
  assert.deepEqual([ours.status, ours.got("authorization")], [200, []]);
  const alone = await send("GET /v1/mine", `Authorization: Bearer ${key}`);
  assert.deepEqual([alone.status, JSON.parse(alone.body).code], [401, "missing_credential"]);
});

test("a query is what the page about the upstream says, and names no other method", async () => {
  for (const [sent, arrives] of [
    ["?", "?"], ["?a=%2e%2e/%27&b=%zz%", "?a=%2e%2e/%27&b=%zz%"], ["?a=b#c", "?a=b"], ["?a|b^c`d{e}[f]\\g", "?a|b^c`d{e}[f]\\g"], ["?/../..?&&==", "?/../..?&&=="],
    ["?a='b'", "?a=%27b%27"], ["?\u00c3\u00a9", "?%C3%A9"], ["?a=1&_method=DELETE", "?a=1"], ["?%5fMETHOD=x", ""],
  ]) {
    const { status, target } = await send(`GET /v1/things/1${sent}`, deploy);
    assert.deepEqual([status, target], [200, `/v1/things/1${arrives}`], sent);
  }
  for (const sent of ['?a="b"', "?a=<b>", "?a\tb", "?\u00e9", "?\u007f"]) assert.equal((await send(`GET /v1/things/1${sent}`, deploy)).status, 400, sent);
  for (const path of ["a%20b", "a'b", "caf%C3%A9", "%2e%2e.", "a!$&()*+,=:@~"]) assert.equal((await send(`GET /v1/things/${path}`, deploy)).target, `/v1/things/${path}`);
});

test("headers are what the page about the upstream says, both ways", async () => {
  const { got, names } = await get("X-Obs: caf\xe9", "X-Utf: caf\xc3\xa9", "X-Tab: a\tb", "X-Space:   a  b  ", "X-Two: 1", "x-two: 2", "UPPER-Case: V", "X-Empty:", "Accept-Encoding: br;q=1, gzip", "User-Agent: me", "Date: x");
  const came = { "x-obs": "caf\xef\xbf\xbd", "x-utf": "caf\xc3\xa9", "x-tab": "a\tb", "x-space": "a  b", "x-two": "1, 2", "upper-case": "V", "x-empty": "", "accept-encoding": "br;q=1, gzip", "user-agent": "me", date: "x", "cache-control": "no-cache", pragma: "no-cache" };
  for (const [name, value] of Object.entries(came)) assert.deepEqual(got(name), [value], name);
  for (const name of ["accept", "accept-language"]) assert.ok(!names.includes(name), name);
  assert.ok(!(await get()).names.includes("user-agent"));
  api.answer = (socket, call) => api.reply(socket, call, Buffer.from("HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\nHTTP/1.1 200 Quite Fine\r\nX-Obs: \xe9\r\nX-Two: 1\r\nX-Two: 2\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n", "latin1"));
  const answer = await get();
  api.answer = (socket, call) => api.reply(socket, call, says("ok"));
  assert.deepEqual([answer.status, answer.body, answer.get("x-two"), answer.get("x-empty"), answer.get("x-obs"), answer.get("link"), answer.get("x-trailer")], [200, "hi", ["1, 2"], [""], ["\xef\xbf\xbd"], [], []]);
});

test("a11_an_empty_condition_does_not_arrive_and_a_route_can_want_one", async () => {
  const put = (path, ...lines) => raw(worker.url, [`PUT ${path} HTTP/1.1`, "Host: a", `X-Api-Key: ${key}`, "Content-Type: application/json", "Content-Length: 2", ...lines, "", "{}"].join("\r\n"));
  const made = await put("/v1/records/notes/1", "If-None-Match: *");
  assert.equal(made.status, 201);
  const [etag] = made.get("etag");
  // The runtime drops it: it is as if it had not been sent.
  for (const line of ["If-Match:", "If-Match:  \t "]) {
    assert.equal((await put("/v1/records/notes/1", line)).status, 200, "as the page says");
    assert.equal((await put("/v1/safe/notes/1", line)).status, 400);
  }
  assert.equal((await put("/v1/safe/notes/1")).status, 400);
  assert.equal((await put("/v1/safe/notes/1", `If-Match: ${etag}`)).status, 409);
  assert.equal((await put("/v1/records/notes/1", "If-Match: ,")).status, 409, "no tag matches nothing");
  const [now] = (await raw(worker.url, ["GET /v1/records/notes/1 HTTP/1.1", "Host: a", `X-Api-Key: ${key}`])).get("etag");
  assert.equal((await put("/v1/safe/notes/1", `If-Match: "a,b" , ${now}`)).status, 200);
  const known = await raw(worker.url, ["GET /v1/records/notes/1 HTTP/1.1", "Host: a", `X-Api-Key: ${key}`, "If-None-Match: *"]);
  assert.deepEqual([known.status, known.body], [304, ""]);
});

test("f25_a_websocket_key_that_is_none_is_refused_and_what_the_runtime_says_by_itself_is_as_the_page_has_it", async () => {
  const upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
  for (const lines of [["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: none"], ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA"], ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="], ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]]) {
    const { status, body, target } = await get(...upgrade, ...lines);
    assert.deepEqual([status, JSON.parse(body).code, target], [400, "invalid_request", undefined], lines.join());
  }
  for (const [line, status] of [["CONNECT /v1/things/1", 500], ["CONNECT a:443", 500], ["get /v1/things/1", 501], ["FOO /v1/things/1", 501], ["PROPFIND /v1/things/1", 404], ["TRACE /v1/things/1", 404], ["OPTIONS *", 204]]) {
    const answer = await send(line, deploy);
    assert.deepEqual([answer.status, answer.target], [status, undefined], line);
  }
});
