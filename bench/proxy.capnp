# Those who pass on, on the same runtime, with the same date and flags as Claviger's own `serve.capnp`; and the API behind them, which is
# the runtime's own file server: no script runs there.

using Workerd = import "/workerd/workerd.capnp";

const sockets :List(Workerd.Socket) = [(name = "http", address = "127.0.0.1:0", http = (), service = "peer")];
const network :Workerd.Service = (name = "network", network = (allow = ["private", "local"]));

const api :Workerd.Config = (services = [(name = "peer", disk = (path = "."))], sockets = .sockets);

const proxy :Workerd.Config = (
  services = [(name = "peer", worker = .proxyWorker), (name = "state", disk = (path = ".state", writable = true)), .network],
  sockets = .sockets,
);

const bareProxy :Workerd.Config = (services = [(name = "peer", worker = .bareProxyWorker), .network], sockets = .sockets);

const proxyWorker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "peers/proxy.js"),
    (name = "row-object.js", esModule = embed "peers/row-object.js"),
    (name = "words.js", esModule = embed "peers/words.js"),
    (name = "server-key.js", esModule = embed "peers/server-key.js"),
  ],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  globalOutbound = "network",
  bindings = [
    (name = "ORIGIN", fromEnvironment = "ORIGIN"),
    (name = "UPSTREAM", fromEnvironment = "UPSTREAM"),
    (name = "KEY_SECRET", fromEnvironment = "KEY_SECRET"),
    (name = "KEY", durableObjectNamespace = "Key"),
  ],
  durableObjectNamespaces = [(className = "Key", uniqueKey = "key", enableSql = true)],
  durableObjectStorage = (localDisk = "state"),
);

const bareProxyWorker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "peers/bare-proxy.js")],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  globalOutbound = "network",
  bindings = [(name = "UPSTREAM", fromEnvironment = "UPSTREAM")],
);
