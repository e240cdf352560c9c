/** WebSockets by the frame (RFC 6455), for both ends: what a test wants to send, and what came. */

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
export const [TEXT, BINARY, CLOSE, PING, PONG] = [1, 2, 8, 9, 10];
const acceptOf = (key) => createHash("sha1").update(key + GUID).digest("base64");

function frame(opcode, payload, masks, first = 0x80) {
  const length = payload.length;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = first | opcode;
  head[1] = (masks ? 0x80 : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  if (!masks) return Buffer.concat([head, payload]);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, payload.map((byte, at) => byte ^ mask[at % 4])]);
}

/** One end of a WebSocket. Messages come whole; pings are answered. */
class End {
  #bytes;
  #parts = [];
  #opcode;
  #waiting = [];
  messages = [];

  constructor(socket, masks, rest) {
    [this.socket, this.masks, this.#bytes] = [socket, masks, Buffer.alloc(0)];
    // How the connection ended: the code of the close frame, or nothing where there was none.
    this.closed = new Promise((done) => socket.on("close", () => done(this.code)));
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("data", (part) => this.#take(part));
    if (rest.length > 0) this.#take(rest);
  }

  send(opcode, payload) {
    this.socket.write(frame(opcode, Buffer.from(payload), this.masks));
  }

  /** A message in so many frames. */
  sendInParts(opcode, parts) {
    parts.forEach((part, at) => this.socket.write(frame(at === 0 ? opcode : 0, Buffer.from(part), this.masks, at === parts.length - 1 ? 0x80 : 0)));
  }

  close(code, reason = "") {
    const payload = code === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
    this.hasClosed = true;
    this.send(CLOSE, payload);
  }

  /** The next message: `[opcode, payload]`; `[CLOSE, code, reason]` where it is over. */
  next() {
    if (this.messages.length > 0) return Promise.resolve(this.messages.shift());
    return new Promise((done) => this.#waiting.push(done));
  }

  #came(message) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(message);
    else this.messages.push(message);
  }

  #take(part) {
    this.#bytes = Buffer.concat([this.#bytes, part]);
    for (;;) {
      const bytes = this.#bytes;
      if (bytes.length < 2) return;
      const opcode = bytes[0] & 15;
      let [length, at] = [bytes[1] & 127, 2];
      if (length === 126 && bytes.length >= 4) [length, at] = [bytes.readUInt16BE(2), 4];
      else if (length === 127 && bytes.length >= 10) [length, at] = [Number(bytes.readBigUInt64BE(2)), 10];
      else if (length >= 126) return;
      const mask = bytes[1] & 128 ? bytes.subarray(at, (at += 4)) : undefined;
      if (bytes.length < at + length) return;
      const payload = Buffer.from(bytes.subarray(at, at + length));
      if (mask) for (let index = 0; index < length; index++) payload[index] ^= mask[index % 4];
      this.#bytes = bytes.subarray(at + length);
      this.#frame(opcode, payload, (bytes[0] & 0x80) !== 0);
    }
  }

  #frame(opcode, payload, isLast) {
    if (opcode === PING) this.send(PONG, payload);
    else if (opcode === CLOSE) {
      this.code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      if (!this.hasClosed) this.socket.write(frame(CLOSE, payload, this.masks));
      this.hasClosed = true;
      if (!this.masks) this.socket.end();
      this.#came([CLOSE, this.code, payload.subarray(2).toString()]);
    } else if (opcode === PONG) this.#came([PONG, payload]);
    else {
      if (opcode !== 0) this.#opcode = opcode;
      this.#parts.push(payload);
      if (isLast) this.#came([this.#opcode, Buffer.concat(this.#parts.splice(0))]);
    }
  }
}

/**
 * A server of WebSockets on a free port. `accept(end, request)` is called for each that opens; `refuse(request)` may answer a
 * status, a text and headers instead.
 */
export async function startWebSockets({ accept, refuse = () => {}, protocol = () => {} }) {
  const ends = [];
  const server = createServer((request, response) => response.end("plain"));
  server.on("upgrade", (request, socket, rest) => {
    const refused = refuse(request);
    if (refused) {
      const [status, text, lines = ""] = refused;
      return void socket.end(`HTTP/1.1 ${status}\r\n${lines}Content-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`);
    }
    const chosen = protocol(request);
    const lines = chosen ? `Sec-WebSocket-Protocol: ${chosen}\r\n` : "";
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(request.headers["sec-websocket-key"])}\r\nSet-Cookie: __Host-claviger=a\r\nSet-Cookie: ok=1\r\nClaviger-Kind: forged\r\n${lines}\r\n`);
    const end = new End(socket, false, rest);
    Object.assign(end, { request });
    ends.push(end);
    accept(end, request);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = () => {
    for (const { socket } of ends) socket.destroy();
    server.closeAllConnections();
    server.close();
  };
  return { ends, origin: `http://127.0.0.1:${server.address().port}`, stop };
}

/** Opens one: `{status, head, end}`, where `end` is there only if it was accepted. */
export function open(url, path, lines) {
  const { hostname, port } = new URL(url);
  const key = randomBytes(16).toString("base64");
  const socket = connect(Number(port), hostname);
  const head = [`GET ${path} HTTP/1.1`, "Host: a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${key}`, ...lines];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  return new Promise((done, fail) => {
    let bytes = Buffer.alloc(0);
    const data = (part) => {
      bytes = Buffer.concat([bytes, part]);
      const at = bytes.indexOf("\r\n\r\n");
      if (at < 0) return;
      const text = bytes.subarray(0, at).toString("latin1");
      const status = Number(text.split(" ")[1]);
      socket.off("data", data);
      if (status !== 101) return done({ status, head: text, body: () => rest(socket, bytes.subarray(at + 4), text) });
      if (!text.toLowerCase().includes(`sec-websocket-accept: ${acceptOf(key).toLowerCase()}`)) return fail(new Error(`not accepted: ${text}`));
      done({ status, head: text, end: new End(socket, true, bytes.subarray(at + 4)) });
    };
    socket.on("data", data);
    socket.on("error", fail);
    socket.on("end", () => fail(new Error(`no whole head: ${bytes.toString("latin1")}`)));
  });
}

async function rest(socket, bytes, head) {
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
  while (bytes.length < length) bytes = Buffer.concat([bytes, (await once(socket, "data"))[0]]);
  socket.destroy();
  return bytes.toString();
}
