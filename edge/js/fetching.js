// Documents of others: fetched within a limit of bytes and of time. It follows no redirect, asks no cache, and decides nothing.

// Some hosts answer nobody who does not say who asks.
const HEADERS = { accept: "application/json", "user-agent": "claviger" };

/**
 * The status in two bytes and the body behind it, or nothing where no whole answer came within the limits. Without the
 * runtime's own network for it, as on the platform, there is one network for all.
 * @param {Edge.Env} env
 * @param {string} line
 * @returns {Promise<Uint8Array>}
 */
export async function fetching({ ASSETS, UPSTREAM_NETWORK }, line) {
  const [reach, bytes, millis, url] = line.split(" ");
  const network = (reach === "configured" && UPSTREAM_NETWORK) || (reach === "asset" && ASSETS) || globalThis;
  const end = new AbortController();
  const over = setTimeout(() => end.abort(), Number(millis));
  try {
    const { promise: aborted, reject } = Promise.withResolvers();
    end.signal.addEventListener("abort", () => reject(new DOMException("too slow", "TimeoutError")));
    const address = reach === "asset" ? `http://assets${url}` : url;
    return await Promise.race([whole(network, address, Number(bytes), end.signal), aborted]);
  } catch (error) {
    console.error(`no document: ${error?.name}`);
    return new Uint8Array();
  } finally {
    clearTimeout(over);
    end.abort();
  }
}

/**
 * @param {Edge.Network} network
 * @param {string} url
 * @param {number} limit
 * @param {AbortSignal} signal
 */
async function whole(network, url, limit, signal) {
  const response = await network.fetch(url, { headers: HEADERS, redirect: "manual", cache: "no-store", signal });
  const parts = [Uint8Array.of(response.status >> 8, response.status & 255)];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > limit) throw new RangeError("too long");
    parts.push(part);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
