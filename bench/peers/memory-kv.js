// Workers KV in memory, which the bare runtime does not have. Nothing here is stored, sent or found stale: no real
// namespace can be as fast.

const values = new Map();

/** The same as an object, for a worker that keeps them itself. */
export const memoryKv = {
  async get(key, options) {
    const value = values.get(key);
    if (value === undefined) return null;
    return (options?.type ?? options) === "json" ? JSON.parse(value) : value;
  },
  async put(key, value) {
    values.set(key, value);
  },
  async delete(key) {
    values.delete(key);
  },
  async list({ prefix = "" } = {}) {
    const keys = [...values.keys()].filter((name) => name.startsWith(prefix)).map((name) => ({ name }));
    return { keys, list_complete: true };
  },
};

/** As the service behind a binding: the platform turns its calls into requests. */
export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const key = decodeURIComponent(pathname.slice(1));
    if (key === "") return Response.json(await memoryKv.list({ prefix: searchParams.get("prefix") ?? "" }));
    if (request.method === "PUT") values.set(key, await request.text());
    else if (request.method === "DELETE") values.delete(key);
    else if (!values.has(key)) return new Response(null, { status: 404 });
    else return new Response(values.get(key));
    return new Response();
  },
};
