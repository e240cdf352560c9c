# The peers on the same runtime, with the same date and flags as Claviger's own `serve.capnp`. Each is a process.

using Workerd = import "/workerd/workerd.capnp";

const sockets :List(Workerd.Socket) = [(name = "http", address = "127.0.0.1:0", http = (), service = "peer")];

const floor :Workerd.Config = (services = [(name = "peer", worker = .floorWorker)], sockets = .sockets);
const mute :Workerd.Config = (services = [(name = "peer", worker = .muteWorker)], sockets = .sockets);
const subtle :Workerd.Config = (services = [(name = "peer", worker = .subtleWorker)], sockets = .sockets);
const hono :Workerd.Config = (services = [(name = "peer", worker = .honoWorker)], sockets = .sockets);
const objects :Workerd.Config = (
  services = [
    (name = "peer", worker = .objectsWorker),
    (name = "state", disk = (path = ".state", writable = true)),
  ],
  sockets = .sockets,
);
const rowObject :Workerd.Config = (services = [(name = "peer", worker = .rowObjectWorker), .disk], sockets = .sockets);
const counterObject :Workerd.Config = (services = [(name = "peer", worker = .counterObjectWorker), .disk], sockets = .sockets);
const sqlLimiter :Workerd.Config = (services = [(name = "peer", worker = .sqlLimiterWorker), .disk], sockets = .sockets);
const oauthProvider :Workerd.Config = (
  services = [
    (name = "peer", worker = .oauthProviderWorker),
    (name = "kv", worker = .memoryKvWorker),
  ],
  sockets = .secureSockets,
);
const oauthInIsolate :Workerd.Config = (services = [(name = "peer", worker = .oauthInIsolateWorker)], sockets = .secureSockets);

const disk :Workerd.Service = (name = "state", disk = (path = ".state", writable = true));

# A token is for an https: address, as it would be behind TLS.
const secureSockets :List(Workerd.Socket) = [
  (name = "http", address = "127.0.0.1:0", http = (forwardedProtoHeader = "X-Forwarded-Proto"), service = "peer"),
];

const bindings :List(Workerd.Worker.Binding) = [
  (name = "ORIGIN", fromEnvironment = "ORIGIN"),
  (name = "KEY_ID", fromEnvironment = "KEY_ID"),
  (name = "WIDGET_SECRET", fromEnvironment = "WIDGET_SECRET"),
];

const floorWorker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "peers/floor.js")],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
);

const muteWorker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "peers/mute.js"),
    (name = "words.js", esModule = embed "peers/words.js"),
  ],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  bindings = .bindings,
);

const subtleWorker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "peers/subtle.js"),
    (name = "words.js", esModule = embed "peers/words.js"),
    (name = "signed.js", esModule = embed "peers/signed.js"),
  ],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  bindings = .bindings,
);

# One file, as a deployment would upload it: found through --import-path.
const honoWorker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "/hono.js")],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  bindings = .bindings,
);

const objectsWorker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "peers/objects.js"),
    (name = "words.js", esModule = embed "peers/words.js"),
    (name = "signed.js", esModule = embed "peers/signed.js"),
  ],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  bindings = [
    (name = "ORIGIN", fromEnvironment = "ORIGIN"),
    (name = "KEY_ID", fromEnvironment = "KEY_ID"),
    (name = "WIDGET_SECRET", fromEnvironment = "WIDGET_SECRET"),
    (name = "HISTORY_SECRET", fromEnvironment = "HISTORY_SECRET"),
    (name = "SHARD", durableObjectNamespace = "Shard"),
    (name = "CONVERSATION", durableObjectNamespace = "Conversation"),
  ],
  durableObjectNamespaces = [
    (className = "Shard", uniqueKey = "shard", enableSql = true),
    (className = "Conversation", uniqueKey = "conversation", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "state"),
);

const keyBindings :List(Workerd.Worker.Binding) = [
  (name = "ORIGIN", fromEnvironment = "ORIGIN"),
  (name = "KEY_SECRET", fromEnvironment = "KEY_SECRET"),
  (name = "KEY", durableObjectNamespace = "Key"),
];

const rowObjectWorker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "peers/row-object.js"),
    (name = "words.js", esModule = embed "peers/words.js"),
    (name = "server-key.js", esModule = embed "peers/server-key.js"),
  ],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  bindings = .keyBindings,
  durableObjectNamespaces = [(className = "Key", uniqueKey = "key", enableSql = true)],
  durableObjectStorage = (localDisk = "state"),
);

const counterObjectWorker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "peers/counter-object.js"),
    (name = "words.js", esModule = embed "peers/words.js"),
  ],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public"],
  bindings = [(name = "COUNTER", durableObjectNamespace = "Counter")],
  durableObjectNamespaces = [(className = "Counter", uniqueKey = "counter", enableSql = true)],
  durableObjectStorage = (localDisk = "state"),
);

const sqlLimiterWorker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "peers/sql-limiter.js"),
    (name = "row-object.js", esModule = embed "peers/row-object.js"),
    (name = "words.js", esModule = embed "peers/words.js"),
    (name = "server-key.js", esModule = embed "peers/server-key.js"),
  ],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  bindings = .keyBindings,
  durableObjectNamespaces = [(className = "Key", uniqueKey = "key", enableSql = true)],
  durableObjectStorage = (localDisk = "state"),
);

# One file each, as a deployment would upload it: found through --import-path.
const oauthProviderWorker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "/oauth-provider.js")],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  bindings = [(name = "OAUTH_KV", kvNamespace = "kv")],
);

const oauthInIsolateWorker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "/oauth-provider.js")],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
);

const memoryKvWorker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "peers/memory-kv.js")],
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
);
