// The watched way back: the parts of an answer pass the core on their way to the caller, and the last of them waits for what follows.
import * as core from "./index.js";
import { epoch, guarded } from "./object.js";

// The caller has everything but the end while what follows is done, and does not wait longer for it than this.
const PATIENCE_MILLIS = 2_000;

// The stream that the caller reads; what the API behind sends goes through it as it comes.
export async function passing(number, road, walk) {
  const { body, headers } = road.upstream;
  if (!body) {
    await follow(number, road, walk, true);
    return null;
  }
  const length = headers.get("content-length");
  const { readable, writable } = length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
  road.ctx.waitUntil(pump(number, road, walk, body, writable.getWriter(), length === null ? Infinity : Number(length)));
  return readable;
}

async function pump(number, road, walk, body, writer, length) {
  const watched = (part) => epoch === road.began && guarded(() => core.watch(number, part));
  let [came, isWhole, hasGone] = [0, true, false];
  let last; // held back: nobody could tell that more follows a body of this length
  const gone = () => (hasGone = true);
  writer.closed.catch(gone);
  try {
    for await (const part of body) {
      const goesOn = watched(part);
      came += part.length;
      if (came >= length) last = part;
      else if (!hasGone) await writer.write(part).catch(gone);
      if (hasGone && !goesOn) throw new Error("the caller has gone");
    }
  } catch {
    isWhole = false;
  }
  const after = follow(number, road, walk, isWhole);
  await Promise.race([after, scheduler.wait(PATIENCE_MILLIS)]);
  try {
    if (!isWhole) await writer.abort(new Error("the answer broke off"));
    else {
      if (last) await writer.write(last);
      await writer.close();
    }
  } catch {
    // nobody reads it any more
  }
  await after;
}

async function follow(number, road, walk, isWhole) {
  try {
    if (epoch === road.began) await walk(guarded(() => core.passed(number, isWhole, Date.now())), road);
  } catch (error) {
    console.error(`after an answer: ${error?.name}`);
  }
}
