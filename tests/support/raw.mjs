/** HTTP by the byte, for requests that no client library would send: doubled headers, odd spellings, cut bodies. */

import { connect } from "node:net";

const TIMEOUT = 10_000;

/**
 * Sends bytes to a worker and reads one answer.
 *
 * @param {string} url where the worker listens
 * @param {string | Uint8Array | string[]} message the whole request; an array is lines of a head, joined by CRLF and ended
 * @returns {Promise<{status: number, headers: [string, string][], get: (name: string) => string[], body: string}>}
 *   `headers` as sent, doubles included, with names in lower case
 */
export async function raw(url, message) {
  const { hostname, port } = new URL(url);
  const bytes = Array.isArray(message) ? message.join("\r\n") + "\r\n\r\n" : message;
  const method = String(typeof bytes === "string" ? bytes : Buffer.from(bytes).toString("latin1")).split(" ", 1)[0];

  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let received = Buffer.alloc(0);
    const settle = (end, value) => {
      socket.destroy();
      end(value);
    };
    socket.setTimeout(TIMEOUT, () => settle(reject, new Error(`no whole answer after ${TIMEOUT / 1000} s: ${received.toString("latin1")}`)));
    socket.on("error", (error) => settle(reject, error));
    socket.on("connect", () => socket.write(bytes));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      const answer = read(received, method, false);
      if (answer) settle(resolve, answer);
    });
    socket.on("end", () => {
      const answer = read(received, method, true);
      if (answer) settle(resolve, answer);
      else settle(reject, new Error(`the connection ended within the answer: ${received.toString("latin1")}`));
    });
  });
}

/** The answer, or nothing while some of it is still to come. */
function read(bytes, method, ended) {
  const split = bytes.indexOf("\r\n\r\n");
  if (split < 0) return;
  const [first, ...lines] = bytes.subarray(0, split).toString("latin1").split("\r\n");
  const status = Number(first.split(" ")[1]);
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const get = (name) => headers.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value);
  const rest = bytes.subarray(split + 4);
  if (status >= 100 && status < 200) return read(rest, method, ended);

  const body = bodyOf(rest, method, status, get, ended);
  return body && { status, headers, get, body: body.toString("utf8") };
}

function bodyOf(rest, method, status, get, ended) {
  if (method === "HEAD" || status === 204 || status === 304) return Buffer.alloc(0);
  if (get("transfer-encoding").includes("chunked")) return unchunk(rest);
  const [length] = get("content-length");
  if (length === undefined) return ended ? rest : undefined;
  return rest.length >= Number(length) ? rest.subarray(0, Number(length)) : undefined;
}

function unchunk(rest) {
  const parts = [];
  for (;;) {
    const end = rest.indexOf("\r\n");
    if (end < 0) return;
    const size = parseInt(rest.subarray(0, end).toString("latin1"), 16);
    if (rest.length < end + 2 + size + 2) return;
    if (size === 0) return Buffer.concat(parts);
    parts.push(rest.subarray(end + 2, end + 2 + size));
    rest = rest.subarray(end + 2 + size + 2);
  }
}
