// The least that can be called a proxy: what it is asked it asks, and what it is told it tells.
export default {
  fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    return fetch(env.UPSTREAM + pathname + search, request);
  },
};
