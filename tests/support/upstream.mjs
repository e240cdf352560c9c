/** An API behind that is written by the byte: it says whatever a test wants, and knows what it was sent and who hung up. */

import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Listens on a free port. `answer(socket, call)` is called for each head that has come, with
 * `{target, head, received, closed}`: `received` counts the bytes behind the head, `closed` is true once the connection is over.
 */
export async function startUpstream(answer) {
  const calls = [];
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    let [text, call] = ["", undefined];
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      for (const call of calls) if (call.socket === socket) call.closed = true;
    });
    socket.on("data", (part) => {
      // What comes behind a head is its body, until the answer is over and another head begins.
      const isHead = !call || (call.isOver && /^[A-Z]+ \S+ HTTP\/1\.1\r\n/.test(part.subarray(0, 2_000).toString("latin1")));
      if (!isHead && call) {
        call.received += part.length;
        call.body?.(part);
        return;
      }
      text += part.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = text.slice(0, end);
      call = { socket, head, target: head.split(" ")[1], method: head.split(" ")[0], received: text.length - end - 4, rest: text.slice(end + 4), closed: false };
      text = "";
      calls.push(call);
      api.answer(socket, call);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const api = {
    answer,
    calls,
    origin: `http://127.0.0.1:${server.address().port}`,
    open: () => sockets.size,
    /** Whole answers of HTTP, after which the connection may be used again. */
    reply(socket, call, text) {
      socket.write(text);
      call.isOver = true;
    },
    /** Nobody listens here any more, or does again. */
    stop() {
      for (const socket of sockets) socket.destroy();
      return new Promise((done) => server.close(done));
    },
  };
  return api;
}

/** The whole answer that says this. */
export const says = (text, ...lines) => `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join("")}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;

/** Resolves once `happened()` is true, without a clock of its own. */
export async function until(happened, what = "it") {
  for (let tries = 0; !happened(); tries++) {
    if (tries >= 4_000) throw new Error(`${what} never happened`);
    await new Promise((done) => setTimeout(done, 5));
  }
}
