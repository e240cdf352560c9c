// A real nginx and a real Caddy in front of a small API, with Claviger as the authority: the configurations of docs/forward-auth.md
// as they stand there, and whatever a caller may try to come in between the two.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { raw } from "../support/raw.mjs";
import { freePort, startWorker } from "../support/worker.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const PAGE = readFileSync(join(ROOT, "docs/forward-auth.md"), "utf8");

const route = (match, more = "") => `[[routes]]\nmatch = "${match}"\naccept = ["server_key", "service_token", "deploy_key"]\nto = "upstream"\n${more}`;
const POLICY_TOML = [
  'brand = "clv"\n[scopes]\n"things:read" = "Read things"\nadmin = { says = "Everything", implies = "*" }\n',
  "[tiers.free]\nrequests = { limit = 1000, window_seconds = 60 }\n[tiers.tiny]\nrequests = { limit = 2, window_seconds = 60 }\n",
  route("GET /v1/things/{rest...}", 'scope = "things:read"\n'),
  route("POST /v1/things", ""),
  route("GET /v1/admin/{rest...}", 'scope = "admin"\n'),
  route("POST /v1/reviewed", "review = true\n"),
  route("POST /v1/once", 'idempotency = "required"\n'),
].join("");

/** What reached the API: method, target and headers as they came, and how long the body was. */
const seen = [];
const api = createServer(async (request, response) => {
  const { method, url, rawHeaders } = request;
  const headers = Array.from({ length: rawHeaders.length / 2 }, (_, at) => [rawHeaders[2 * at].toLowerCase(), rawHeaders[2 * at + 1]]);
  const call = { method, url, get: (name) => headers.filter(([known]) => known === name).map(([, value]) => value), length: 0 };
  call.names = headers.map(([name]) => name);
  seen.push(call);
  for await (const part of request) call.length += part.length;
  if (url === "/v1/things/broken") response.writeHead(500, { "retry-after": "7" });
  response.end("the API");
});

/** What Claviger was asked: between the proxy and the worker stands somebody who writes down what passes. */
const asked = [];
const witness = createServer(async (request, response) => {
  const call = { headers: request.headers, url: request.url, method: request.method, length: 0 };
  asked.push(call);
  for await (const part of request) call.length += part.length;
  const { port } = new URL(worker.url);
  const socket = connect(Number(port), "127.0.0.1");
  const lines = [`${request.method} ${request.url} HTTP/1.1`];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    if (request.rawHeaders[at].toLowerCase() !== "connection") lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
  }
  socket.end(`${lines.join("\r\n")}\r\nConnection: close\r\n\r\n`, "latin1");
  const chunks = [];
  for await (const chunk of socket) chunks.push(chunk);
  request.socket.end(Buffer.concat(chunks));
});

let worker, keys;
before(async () => {
  for (const server of [api, witness]) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  }
  worker = await startWorker({ vars: { POLICY_TOML, CLIENT_ADDRESS_HEADER: "X-Real-IP" } });
  await worker.api("POST", "/v1/workspaces", { body: { name: "Acme", id: "acme" } });
  const base = { kind: "server_key", workspace: "acme", environment: "live", name: "backend", scopes: ["things:read"] };
  keys = async (members = {}) => (await worker.api("POST", "/v1/credentials", { body: { ...base, ...members } })).json;
});
after(async () => {
  await worker?.stop();
  for (const server of [api, witness]) {
    server.closeAllConnections();
    server.close();
  }
});

/** The configuration that stands on the page, with this test's own ports in it. */
function configuration(language, port) {
  const [, text] = PAGE.match(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``));
  const replaced = { ":8080": `:${port}`, "listen 8080": `listen 127.0.0.1:${port}`, "127.0.0.1:8787": `127.0.0.1:${witness.address().port}`, "127.0.0.1:3000": `127.0.0.1:${api.address().port}` };
  return Object.entries(replaced).reduce((text, [from, to]) => text.replaceAll(from, to), text);
}

/** How each is configured by such a text, in a folder of its own: the arguments that it is started with. */
const PROXIES = {
  nginx: (folder, text) => {
    const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join("\n");
    const user = process.getuid() === 0 ? "user root;" : "";
    const whole = `daemon off; ${user} worker_processes 1; pid ${folder}/pid; error_log stderr error;\nevents {}\nhttp {\naccess_log off;\nclient_max_body_size 0;\n${places}\n${text}}\n`;
    writeFileSync(join(folder, "nginx.conf"), whole);
    return ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", "stderr"];
  },
  caddy: (folder, text) => {
    writeFileSync(join(folder, "Caddyfile"), `{\n\tadmin off\n}\n${text}`);
    return ["run", "--config", join(folder, "Caddyfile"), "--adapter", "caddyfile"];
  },
};

async function start(name, change = (text) => text) {
  const program = execFileSync(join(ROOT, "tools/proxy"), [name], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();
  const folder = mkdtempSync(join(tmpdir(), `claviger-${name}-`));
  const port = await freePort();
  const text = configuration(name === "caddy" ? "caddyfile" : name, port);
  const child = spawn(program, PROXIES[name](folder, change(text)), { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env.PATH, HOME: folder } });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
  process.once("exit", () => child.kill("SIGKILL"));
  for (let tries = 0; ; tries++) {
    assert.ok(child.exitCode === null && tries < 400, `${name} did not start:\n${said}`);
    const socket = connect(port, "127.0.0.1");
    const isThere = await Promise.race([once(socket, "connect").then(() => true), once(socket, "error").then(() => false)]).catch(() => false);
    socket.destroy();
    if (isThere) break;
    await new Promise((done) => setTimeout(done, 25));
  }
  const stop = async () => {
    const closed = once(child, "close");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
    await closed;
    clearTimeout(timer);
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `http://127.0.0.1:${port}`, stop, said: () => said };
}

const last = () => seen.at(-1);

for (const name of Object.keys(PROXIES)) {
  describe(`behind ${name}`, () => {
    let proxy, key, deploy;
    before(async () => {
      proxy = await start(name);
      key = await keys();
      deploy = `Authorization: Convex ${worker.deployKey}`;
    });
    after(() => proxy?.stop());

    /** A call of a client, by the byte. */
    const send = (line, ...headers) => raw(proxy.url, [`${line} HTTP/1.1`, "Host: api.example", "Connection: close", ...headers]);
    const bearer = (secret) => `Authorization: Bearer ${secret}`;
    /** The call did not reach the API. */
    const refused = async (answer, status, what) => {
      const before = seen.length;
      const { status: found, ...rest } = await answer();
      assert.deepEqual([found, seen.length], [status, before], what);
      return rest;
    };

    test("a good call reaches the API with our word, without the credential, and as it was sent", async () => {
      const { status, body, get } = await send("GET /v1/things/a%20b/c?x=%2F..%2F&y=;//", bearer(key.secret), "X-Trace: 1", "Cookie: a=b");
      assert.deepEqual([status, body], [200, "the API"]);
      const call = last();
      assert.deepEqual([call.method, call.url], ["GET", "/v1/things/a%20b/c?x=%2F..%2F&y=;//"]);
      const facts = { principal: key.id, kind: "server_key", workspace: "acme", environment: "live", scopes: "things:read" };
      for (const [fact, value] of Object.entries(facts)) assert.deepEqual(call.get(`claviger-${fact}`), [value], fact);
      assert.match(call.get("claviger-request-id").join(), /^req_[0-9a-f]{32}$/);
      assert.deepEqual([call.get("authorization"), call.get("x-trace"), call.get("cookie")], [[], ["1"], ["a=b"]]);
      if (name === "nginx") assert.equal(get("x-ratelimit-limit").join(), "1000");
      const log = worker.log().split("\n").find((line) => line.includes(call.get("claviger-request-id")[0]));
      assert.equal(JSON.parse(log).route, "GET /v1/forward-auth for GET /v1/things/{rest...}");
    });

    test("the other headers of a credential count as well, and stay behind", async () => {
      assert.equal((await send("GET /v1/things/1", `X-Api-Key: ${key.secret}`)).status, 200);
      assert.deepEqual(last().get("x-api-key"), []);
      const token = await keys({ kind: "service_token", service: "billing" });
      assert.equal((await send("GET /v1/things/1", `X-Service-Token: ${token.secret}`, "X-Service-Name: billing")).status, 200);
      assert.deepEqual([last().get("x-service-token"), last().get("claviger-kind")], [[], ["service_token"]]);
      await refused(() => send("GET /v1/things/1", `X-Api-Key: ${key.secret}`, bearer(key.secret)), 400, "two at once");
    });

    test("a1_what_claviger_refuses_does_not_reach_the_api_and_says_why_as_far_as_the_proxy_can", async () => {
      const none = await refused(() => send("GET /v1/things/1"), 401, "no credential");
      assert.match(none.get("www-authenticate").join(), /^Bearer resource_metadata="/);
      const forged = await refused(() => send("GET /v1/things/1", bearer(`${key.secret.slice(0, -1)}${key.secret.endsWith("0") ? "1" : "0"}`)), 401, "forged");
      assert.match(forged.get("www-authenticate").join(), /error="invalid_token"/);
      const lacking = await refused(() => send("GET /v1/admin/1", bearer(key.secret)), 403, "no scope");
      await refused(() => send("GET /v1/things/1", bearer(key.secret), "Origin: https://shop.example"), 403, "from a page");
      await refused(() => send("GET /v1/things/1", bearer(key.secret), "Sec-Fetch-Site: same-origin"), 403, "from a browser");
      await refused(() => send("GET /v1/nowhere", bearer(key.secret)), 404, "no route");
      await refused(() => send("POST /v1/things/1", bearer(key.secret), "Content-Length: 0"), 404, "no route of this method");
      const reviewed = await refused(() => send("POST /v1/reviewed", deploy, "Content-Length: 0"), 403, "a write under review");
      await refused(() => send("POST /v1/once", deploy, "Idempotency-Key: a", "Content-Length: 0"), 503, "what needs its body");
      await refused(() => send(`GET /v1/things/1?key=${key.secret}`, bearer(key.secret)), 400, "a credential in the URL");
      // Caddy passes the answer on whole.
      const codes = name === "caddy" ? ["missing_credential", "insufficient_scope", "review_required"] : [undefined, undefined, undefined];
      const code = ({ body }) => (body.startsWith("{") ? JSON.parse(body).code : undefined);
      assert.deepEqual([none, lacking, reviewed].map(code), codes);
    });

    test("p6_a_revoked_key_is_refused_at_once", async () => {
      const { id, secret } = await keys();
      assert.equal((await send("GET /v1/things/1", bearer(secret))).status, 200);
      assert.equal((await worker.api("POST", `/v1/credentials/${id}/revoke`, { body: {} })).status, 200);
      await refused(() => send("GET /v1/things/1", bearer(secret)), 401, "revoked");
    });

    test("h11_a_limit_is_the_callers_own_and_says_when_to_come_back", async () => {
      const { secret } = await keys({ tier: "tiny" });
      for (let call = 0; call < 2; call++) assert.equal((await send("GET /v1/things/1", bearer(secret))).status, 200);
      const { get } = await refused(() => send("GET /v1/things/1", bearer(secret)), 429, "over the limit");
      const seconds = Number(get("retry-after").join());
      assert.ok(seconds >= 1 && seconds <= 61, `Retry-After: ${get("retry-after")}`);
      assert.deepEqual([get("x-ratelimit-limit"), get("x-ratelimit-remaining")], [["2"], ["0"]]);
      assert.equal((await send("GET /v1/things/1", bearer(key.secret))).status, 200);
    });

    test("what a caller says in our name never reaches the api, however it is spelled", async () => {
      const forged = [
        ...["Principal", "Kind", "Workspace", "Environment", "Scopes", "Request-Id", "Assertion"].flatMap((fact) => [`Claviger-${fact}: forged`, `CLAVIGER-${fact.toUpperCase()}: forged`]),
        "Claviger_Principal: forged", "claviger_scopes: forged",
      ];
      for (const line of [bearer(key.secret), deploy]) {
        assert.equal((await send("GET /v1/things/1", line, ...forged)).status, 200);
        const ours = last().names.filter((name) => name.replaceAll("_", "-").startsWith("claviger-"));
        for (const name of ours) {
          assert.equal(last().get(name).length, 1, name);
          assert.notEqual(last().get(name)[0], "forged", name);
        }
        assert.equal(last().get("claviger-principal").length, 1);
      }
      // A deploy key has no workspace and no scopes: nothing is said of them.
      assert.deepEqual([last().get("claviger-workspace").join(), last().get("claviger-scopes").join()], ["", ""]);
      // Nor does a caller take out what we say.
      for (const listed of ["Claviger-Scopes, Claviger-Principal", "close, Claviger-Environment, Claviger-Kind"]) {
        assert.equal((await raw(proxy.url, ["GET /v1/things/1 HTTP/1.1", "Host: api.example", bearer(key.secret), `Connection: ${listed}`])).status, 200);
        for (const fact of ["principal", "kind", "workspace", "environment", "scopes"]) assert.equal(last().get(`claviger-${fact}`).join().length > 0, true, `${fact} with ${listed}`);
      }
    });

    test("a caller cannot say another method or path to claviger than to the api", async () => {
      const lies = ["X-Forwarded-Uri: /v1/things/1", "X-Forwarded-Method: GET", "X-Forwarded-Host: a", "X_Forwarded_Uri: /v1/things/1", "X-Original-URL: /v1/things/1", "X-Rewrite-URL: /v1/things/1"];
      await refused(() => send("GET /v1/admin/1", bearer(key.secret), ...lies), 403, "another path");
      await refused(() => send("DELETE /v1/things/1", bearer(key.secret), ...lies), 404, "another method");
      for (const listed of ["X-Forwarded-Uri", "X-Forwarded-Method, X-Forwarded-Uri, Authorization"]) {
        const before = seen.length;
        const { status } = await raw(proxy.url, ["GET /v1/admin/1 HTTP/1.1", "Host: api.example", bearer(key.secret), `Connection: ${listed}`, ...lies]);
        assert.ok([400, 401, 403].includes(status) && seen.length === before, `${listed}: ${status}`);
      }
      const overrides = ["X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE", "X-Original-URL: /v1/admin/1", "X-Rewrite-URL: /v1/admin/1"];
      assert.equal((await send("GET /v1/things/1", bearer(key.secret), ...overrides)).status, 200);
      assert.deepEqual(last().names.filter((name) => /override|x-http|original|rewrite/.test(name)), []);
      await refused(() => send("GET /v1/things/1?a=b&_method=DELETE", bearer(key.secret)), 400, "another method in the query");
    });

    test("f6_a10_what_a_caller_says_in_a_proxys_name_never_reaches_the_api", async () => {
      const spoofed = [
        "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-User",
        "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Client-Cert", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP", "X-Client-IP",
        "X-Cluster-Client-IP", "Client-IP", "X-Original-URI", "X-Original-Method", "X-Override-URL", "X-Envoy-Original-Path", "X-Envoy-External-Address", "Remote-User",
        "X-Remote-User", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Client-Cert", "X-SSL-Client-Cert", "Client-Cert", "X-Amzn-Oidc-Data",
        "X-Goog-Authenticated-User-Email", "X-MS-CLIENT-PRINCIPAL-NAME", "Cf-Access-Authenticated-User-Email", "Tailscale-User-Login", "Proxy",
        "X-Real-Host", "X-True-IP", "X-Forwarded-Roles", "X-Azure-SocketIP", "X-Auth-Groups", "X-Vouch-User", "X-MS-TOKEN-AAD-ID-TOKEN", "X-HTTP-DestinationURL", "X-Request-Uri",
        "X_Forwarded_For", "Remote_User", "X.Forwarded.For", "x-http_method-override",
      ];
      const { status } = await send("GET /v1/things/1", bearer(key.secret), ...spoofed.map((name) => `${name}: spoofed`), "X-Trace: 1");
      assert.equal(status, 200);
      const written = { "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-real-ip": "127.0.0.1", "x-trace": "1" };
      for (const [header, value] of Object.entries(written)) assert.deepEqual(last().get(header), [value], header);
      assert.match(last().get("x-forwarded-host").join(), /^api\.example/);
      for (const header of last().names) assert.ok(!last().get(header).includes("spoofed"), header);
    });

    test("f10_a_credential_where_the_proxy_would_pass_it_on_is_refused", async () => {
      for (const line of [`Api-Key: ${key.secret}`, `X-Auth-Token: ${key.secret}`, `Cookie: a=${key.secret}`, `Referer: https://shop.example/?a=${key.secret}`]) {
        await refused(() => send("GET /v1/things/1", bearer(key.secret), line), 400, line.split(":")[0]);
      }
    });

    test("a22_no_spelling_of_a_path_is_one_thing_to_claviger_and_another_to_the_api", async () => {
      const before = seen.length;
      for (const target of [
        "/v1/things/../admin/1", "/v1/things/%2e%2e/admin/1", "/v1/things/..%2fadmin/1", "/v1/things/.%2e/admin/1", "/v1/things/%2E%2E%2fadmin/1", "/v1/things/./1",
        "//v1/admin/1", "/v1//admin/1", "/v1/things//1", "/v1/things/..;/admin/1", "/v1/things/a;b", "/v1/things/a\\..\\admin", "/v1/things/%5c..%5cadmin",
        "/v1/things/%252e%252e/admin/1", "/v1/things/a%00", "/v1/things/a%0d%0aX:1", "/v1/%74hings/1", "/V1/things/1", "/v1/things", "/v1/things/", "/_claviger", "/",
        "/v1/things/1#/../admin", "/v1/things/%", "http://evil.example/v1/admin/1", "http://evil.example//v1/things/1", "/v1/admin/1?/v1/things/1",
      ]) {
        const { status } = await send(`GET ${target}`, bearer(key.secret));
        assert.ok([400, 403, 404].includes(status), `${target}: ${status}`);
        assert.equal(seen.length, before, `${target} reached the API as ${last()?.url}`);
      }
      // What is admitted arrives as Claviger was asked about it.
      for (const target of ["/v1/things/1", "/v1/things/a%20b", "/v1/things/caf%C3%A9", "/v1/things/a.b/c", "/v1/things/a:b@c,d+e=f&g$h!i*j'k(l)~_-", "/v1/things/a%3Fb", "/v1/things/a?x=/../..//%2f;y&q=|%00", "/v1/things/a?", "http://evil.example/v1/things/1"]) {
        const { status } = await send(`GET ${target}`, bearer(key.secret));
        assert.equal(status, 200, target);
        assert.equal(last().url, asked.at(-1).headers["x-forwarded-uri"], target);
      }
      // Caddy encodes what is not ASCII, once and for both. nginx sends it on as it is, and Claviger does not take it.
      const count = seen.length;
      const { status } = await send("GET /v1/things/\u00f6", bearer(key.secret));
      assert.deepEqual([status, seen.length - count], name === "caddy" ? [200, 1] : [404, 0]);
      if (name === "caddy") assert.deepEqual([last().url, asked.at(-1).headers["x-forwarded-uri"]], Array(2).fill("/v1/things/%C3%B6"));
    });

    test("a_body_goes_to_the_api_and_none_of_it_to_claviger", async () => {
      const body = "a".repeat(3 << 20);
      for (const head of [[`Content-Length: ${body.length}`, "", body].join("\r\n"), ["Transfer-Encoding: chunked", "", `${body.length.toString(16)}`, body, "0", "", ""].join("\r\n")]) {
        const answer = await raw(proxy.url, `POST /v1/things HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n${bearer(key.secret)}\r\n${head}`);
        assert.deepEqual([answer.status, last().method, last().length], [200, "POST", body.length]);
        const { headers, method, length } = asked.at(-1);
        assert.deepEqual([method, length, headers["x-forwarded-method"], headers["content-length"] ?? "0", headers["transfer-encoding"]], ["GET", 0, "POST", "0", undefined]);
      }
    });

    test("a call is asked about once and counted once, and from where the proxy says", async () => {
      const before = asked.length;
      const { secret, id } = await keys({ allowed_addresses: ["127.0.0.1/32"] });
      assert.equal((await send("GET /v1/things/1", bearer(secret), "X-Real-IP: 192.0.2.1")).status, 200);
      assert.equal(asked.length, before + 1);
      const elsewhere = await keys({ allowed_addresses: ["192.0.2.0/24"] });
      await refused(() => send("GET /v1/things/1", bearer(elsewhere.secret), "X-Real-IP: 192.0.2.1"), 403, "an address that the caller made up");
      const { json } = await worker.api("GET", `/v1/credentials/${id}/usage`);
      assert.deepEqual([json.total, json.denied, json.network], [1, 0, "127.0.0.0/24"]);
    });

    test("p10_without_claviger_nothing_passes", async () => {
      const { port } = witness.address();
      witness.closeAllConnections();
      await new Promise((done) => witness.close(done));
      try {
        const before = seen.length;
        const { status } = await send("GET /v1/things/1", bearer(key.secret));
        assert.ok([502, 503].includes(status), `${status}`);
        assert.equal(seen.length, before);
      } finally {
        witness.listen(port, "127.0.0.1");
        await once(witness, "listening");
      }
      // An error of the API's own is the API's.
      const answer = await send("GET /v1/things/broken", bearer(key.secret));
      assert.deepEqual([answer.status, answer.body, answer.get("retry-after")], [500, "the API", ["7"]]);
    });
  });
}

describe("a configuration that is not sound", () => {
  /** A call through a proxy whose configuration was changed, line by line, against what the page says. */
  async function through(name, changes, ...lines) {
    const proxy = await start(name, (text) =>
      changes.reduce((text, [from, to]) => {
        assert.ok(text.includes(from), `${from} is not on the page`);
        return text.replace(from, to);
      }, text),
    );
    try {
      const [line, ...headers] = lines;
      const { secret } = await keys();
      return await raw(proxy.url, [`${line} HTTP/1.1`, "Host: api.example", "Connection: close", `Authorization: Bearer ${secret}`, ...headers]);
    } finally {
      await proxy.stop();
    }
  }

  test("control: a path that the proxy changes on its way is seen as two", async () => {
    const host = "proxy_set_header Host $host;";
    const { status } = await through("nginx", [[`;\n        ${host}`, `/;\n        ${host}`]], "GET /v1/things/%41");
    assert.deepEqual([status, last().url, asked.at(-1).headers["x-forwarded-uri"]], [200, "/v1/things/A", "/v1/things/%41"]);
  });

  test("control: a name that the proxy leaves alone comes from the caller", async () => {
    const nginx = [["proxy_set_header Claviger-Scopes      $claviger_scopes;", ""]];
    const caddy = [["request_header -Claviger*", ""], [" Claviger-Scopes", ""]];
    for (const [name, changes] of Object.entries({ nginx, caddy })) {
      assert.equal((await through(name, changes, "GET /v1/things/1", "Claviger-Scopes: forged")).status, 200);
      assert.deepEqual(last().get("claviger-scopes"), ["forged"], name);
    }
  });
});
