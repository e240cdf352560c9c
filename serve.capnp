# Claviger on the bare runtime: one machine, objects on disk. `tools/run` starts it; by hand:
#
#   ROOT_SECRETS=… ORIGIN=https://keys.example.com STAGE=prod DEPLOYMENT=main \
#   workerd serve serve.capnp --import-path=build \
#     --socket-addr=http=0.0.0.0:8787 --directory-path=state=/var/lib/claviger
#
# The modules are found through --import-path, so another build is another folder.
# Every variable may be missing; the worker is then given `null` and says itself what that means.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "claviger", worker = .claviger),
    (name = "state", disk = (path = ".state", writable = true)),
    (name = "www", disk = (path = "www")),

    # Documents of others come from public addresses only, whatever a name resolves to.
    (name = "internet", network = (allow = ["public"], tlsOptions = (trustBrowserCas = true))),

    # The upstream may stand on a private network, and be reached over TLS or without. Only the gateway uses this, and what is
    # fetched from a URL that the operator set.
    (name = "upstream", network = (allow = ["public", "private", "local"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "claviger")],
);

const claviger :Workerd.Worker = (
  modules = [
    (name = "entry.js", esModule = embed "/entry.js"),
    (name = "object.js", esModule = embed "/object.js"),
    (name = "crypto.js", esModule = embed "/crypto.js"),
    (name = "passing.js", esModule = embed "/passing.js"),
    (name = "reading.js", esModule = embed "/reading.js"),
    (name = "upstream.js", esModule = embed "/upstream.js"),
    (name = "fetching.js", esModule = embed "/fetching.js"),
    (name = "index.js", esModule = embed "/index.js"),
    (name = "index_bg.wasm", wasm = embed "/index_bg.wasm"),
  ],
  # As in wrangler.toml, where the date is explained.
  compatibilityDate = "2026-04-20",
  compatibilityFlags = ["global_fetch_strictly_public", "enable_request_signal"],
  globalOutbound = "internet",

  bindings = [
    (name = "ROOT_SECRETS", fromEnvironment = "ROOT_SECRETS"),
    (name = "ORIGIN", fromEnvironment = "ORIGIN"),
    (name = "STAGE", fromEnvironment = "STAGE"),
    (name = "DEPLOYMENT", fromEnvironment = "DEPLOYMENT"),
    (name = "POLICY", fromEnvironment = "POLICY"),
    (name = "POLICY_TOML", fromEnvironment = "POLICY_TOML"),
    (name = "UPSTREAM", fromEnvironment = "UPSTREAM"),
    (name = "GITHUB_KEYS_URL", fromEnvironment = "GITHUB_KEYS_URL"),
    (name = "CLIENT_ADDRESS_HEADER", fromEnvironment = "CLIENT_ADDRESS_HEADER"),
    (name = "IDP_ISSUER", fromEnvironment = "IDP_ISSUER"),
    (name = "IDP_CLIENT_ID", fromEnvironment = "IDP_CLIENT_ID"),
    (name = "IDP_CLIENT_SECRET", fromEnvironment = "IDP_CLIENT_SECRET"),
    (name = "IDP_KIND", fromEnvironment = "IDP_KIND"),

    (name = "ASSETS", service = "www"),
    (name = "UPSTREAM_NETWORK", service = "upstream"),

    (name = "CREDENTIAL", durableObjectNamespace = "Credential"),
    (name = "WORKSPACE", durableObjectNamespace = "Workspace"),
    (name = "DEPLOYMENT_OBJECT", durableObjectNamespace = "Deployment"),
    (name = "CONVERSATION", durableObjectNamespace = "Conversation"),
  ],
  durableObjectNamespaces = [
    (className = "Credential", uniqueKey = "credential", enableSql = true),
    (className = "Workspace", uniqueKey = "workspace", enableSql = true),
    (className = "Deployment", uniqueKey = "deployment", enableSql = true),
    (className = "Conversation", uniqueKey = "conversation", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "state"),
);
