// The watched way back: the parts of an answer pass the core on their way to the caller, and the last of them waits for what follows.
import * as core from "./index.js";
import { epoch, guarded } from "./object.js";

// The caller has everything but the end while what follows is done, and does not wait longer for it than this.
const PATIENCE_MILLIS = 2_000;
// What is to be known although its caller has gone is read for so long: then the key of the request is given up, too.
const ALONE_MILLIS = 600_000;

/**
 * The answer that the caller reads; what the upstream sends goes through it as it comes.
 * @param {number} number
 * @param {Edge.Road} road
 * @param {Edge.Walk} walk
 * @param {ResponseInit} init
 */
export async function passing(number, road, walk, init) {
  const { body, headers } = /** @type {Response} */ (road.upstream);
  try {
    if (body) return new Response(through(number, road, walk, body, headers.get("content-length")), init);
    await follow(number, road, walk, true);
    return new Response(null, init);
  } catch (error) {
    // What is watched ends, whatever became of its answer.
    body?.cancel().catch(() => {});
    await follow(number, road, walk, false);
    throw error;
  }
}

/**
 * @param {number} number
 * @param {Edge.Road} road
 * @param {Edge.Walk} walk
 * @param {ReadableStream<Uint8Array>} body
 * @param {string | null} declared
 */
function through(number, road, walk, body, declared) {
  const length = declared === null ? NaN : Number(declared);
  const isKnown = Number.isSafeInteger(length);
  const { readable, writable } = isKnown ? new FixedLengthStream(length) : new IdentityTransformStream();
  road.ctx.waitUntil(pump(number, road, walk, body.getReader(), writable.getWriter(), isKnown ? length : Infinity));
  return readable;
}

/**
 * @param {number} number
 * @param {Edge.Road} road
 * @param {Edge.Walk} walk
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 * @param {WritableStreamDefaultWriter<Uint8Array>} writer
 * @param {number} length
 */
async function pump(number, road, walk, reader, writer, length) {
  /** @param {Uint8Array} part */
  const watched = (part) => epoch === road.began && guarded(() => core.watch(number, part));
  let [came, isCut, hasGone] = [0, false, false];
  /** @type {number | null} */
  let timer = null;
  let last; // held back: nobody could tell that more follows a body of this length
  const giveUp = () => {
    isCut = true;
    reader.cancel().catch(() => {});
  };
  // Also while the upstream says nothing: then nobody is left to wait for it, but for what must be known.
  const gone = () => {
    if (hasGone) return;
    hasGone = true;
    if (watched(new Uint8Array())) timer = setTimeout(giveUp, ALONE_MILLIS);
    else giveUp();
  };
  writer.closed.catch(gone);
  const { signal } = road.request;
  signal.addEventListener("abort", gone);
  if (signal.aborted) gone();
  try {
    for (let next; !(next = await reader.read()).done; ) {
      const goesOn = watched(next.value);
      came += next.value.length;
      if (came >= length) last = next.value;
      else if (!hasGone) await writer.write(next.value).catch(gone);
      if (hasGone && !goesOn) giveUp();
    }
  } catch {
    isCut = true;
  }
  clearTimeout(timer);
  signal.removeEventListener("abort", gone);
  const after = follow(number, road, walk, !isCut);
  await Promise.race([after, scheduler.wait(PATIENCE_MILLIS)]);
  try {
    if (isCut) await writer.abort(new Error("the answer broke off"));
    else {
      if (last) await writer.write(last);
      await writer.close();
    }
  } catch {
    // nobody reads it any more
  }
  await after;
}

/**
 * @param {number} number
 * @param {Edge.Road} road
 * @param {Edge.Walk} walk
 * @param {boolean} isWhole
 */
async function follow(number, road, walk, isWhole) {
  try {
    if (epoch === road.began) await walk(guarded(() => core.passed(number, isWhole, Date.now())), road);
  } catch (error) {
    console.error(`after an answer: ${error?.name}`);
  }
}
