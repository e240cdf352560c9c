// The empty worker: what the runtime itself costs. Every measurement stands between two of this one.
export default {
  fetch() {
    return new Response("ok");
  },
};
