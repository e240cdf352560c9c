// The call to the upstream: carries what the core chose, and breaks off when the core's time is over or the caller has gone.

/**
 * The head of the answer, which `road` keeps; or the core's word for why there is none. No cache may answer: that knows a
 * URL, and not who is asking. The answer's bytes are not unpacked.
 * @param {Edge.Road} road
 * @param {string[]} asked
 * @param {() => Uint8Array} bytes
 */
export async function forward(road, [method, url, kind, millis, end, ...lines], bytes) {
  const ending = new AbortController();
  let silence = "";
  /** @param {string} why */
  const breakOff = (why) => {
    silence = why;
    ending.abort();
  };
  const gone = () => breakOff("gone");
  const caller = end === "caller" ? road.request.signal : undefined;
  const timer = setTimeout(breakOff, Number(millis), "late");
  caller?.addEventListener("abort", gone);
  try {
    const body = { stream: road.body, bytes: kind === "bytes" ? bytes() : null }[kind] ?? null;
    /** @type {RequestInit} */
    const init = { method, headers: named(lines), body, redirect: "manual", cache: "no-store", encodeResponseBody: "manual", signal: ending.signal };
    const answer = (road.upstream = await (road.env.UPSTREAM_NETWORK ?? globalThis).fetch(url, init));
    let head = `${answer.status}`;
    for (const [name, value] of answer.headers) head += `\n${name}\n${value}`;
    return head;
  } catch (error) {
    console.error(`no answer from the upstream: ${error?.name}`);
    return silence;
  } finally {
    clearTimeout(timer);
    caller?.removeEventListener("abort", gone);
  }
}

/**
 * Headers from names and values, one a line. Of a record the platform makes them faster than of pairs, which may repeat a name.
 * @param {string[]} lines
 * @returns {Edge.Headers}
 */
export function named(lines) {
  const record = Object.create(null);
  for (let at = 0; at < lines.length; at += 2) {
    if (lines[at] in record) return pairs(lines);
    record[lines[at]] = lines[at + 1];
  }
  return record;
}

/** @param {string[]} lines */
function pairs(lines) {
  /** @type {[string, string][]} */
  const pairs = [];
  for (let at = 0; at < lines.length; at += 2) pairs.push([lines[at], lines[at + 1]]);
  return pairs;
}
