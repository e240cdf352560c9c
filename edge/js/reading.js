// A request's body, read within the core's limits of bytes and of time. What it was left with, it goes on with; it decides nothing.

/**
 * All of it; or a word for why not: "long", "slow", "full" (`holds` has no room for more), "broken", and "later" where only enough
 * has come, or it did not come soon.
 * @param {Edge.Road} road
 * @param {string} line
 * @param {(bytes: number) => boolean} holds
 */
export async function reading(road, line, holds) {
  const [limit, enough, soon, pause, whole] = line.split(" ").map(Number);
  const begun = (road.reading ??= { reader: road.body?.getReader(), bytes: new Uint8Array(), length: 0, began: Date.now(), last: Date.now() });
  if (!begun.reader) return begun.bytes ?? "broken"; // asked for once more: nothing is left of it
  const body = /** @type {Edge.Reading} */ (begun);
  const clock = watching(body, Date.now() + soon, pause, whole);
  const why = await read(body, limit, enough, holds, clock.over).catch(() => "broken");
  clearTimeout(clock.timer);
  if (why === "later") return why;
  road.reading = {};
  if (why === "") return body.bytes.subarray(0, body.length);
  body.reader.cancel().catch(() => {});
  return why;
}

/**
 * One timer for all of it: each part puts its end off.
 * @param {Edge.Reading} body
 * @param {number} soon
 * @param {number} pause
 * @param {number} whole
 */
function watching(body, soon, pause, whole) {
  const clock = /** @type {Edge.Clock} */ ({});
  clock.over = new Promise((done) => {
    const look = () => {
      const [now, end] = [Date.now(), Math.min(body.last + pause, body.began + whole)];
      if (now >= end) done("slow");
      else if (now >= soon) done("later");
      else clock.timer = setTimeout(look, Math.min(end, soon) - now);
    };
    look();
  });
  return clock;
}

/**
 * @param {Edge.Reading} body
 * @param {number} limit
 * @param {number} enough
 * @param {(bytes: number) => boolean} holds
 * @param {Promise<string>} over
 */
async function read(body, limit, enough, holds, over) {
  for (;;) {
    const next = await Promise.race([(body.next ??= body.reader.read()), over]);
    if (typeof next === "string") return next;
    body.next = undefined;
    if (next.done) return "";
    const { length } = next.value;
    if (body.length + length > limit) return "long";
    const fits = holds(length);
    put(body, next.value);
    body.last = Date.now();
    if (body.length > enough) return "later";
    if (!fits) return "full";
  }
}

/**
 * In one place, however small the parts are: each of them alone may hold much more than its bytes.
 * @param {Edge.Reading} body
 * @param {Uint8Array} part
 */
function put(body, part) {
  const length = body.length + part.length;
  if (length > body.bytes.length) {
    const room = new Uint8Array(body.length ? Math.max(length, 2 * body.length) : length);
    room.set(body.bytes.subarray(0, body.length));
    body.bytes = room;
  }
  body.bytes.set(part, body.length);
  body.length = length;
}
