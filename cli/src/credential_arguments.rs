//! What can be typed after `claviger credentials`: the calls to a running worker, their arguments and their help.
#![allow(missing_docs, rustdoc::bare_urls, reason = "the doc lines here are the help that people read")]

use crate::quantity::{self, End, Limit};
use clap::{
    ArgGroup, Args, Subcommand,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use claviger::value::id::{CredentialId, Stage, WorkspaceId};

const KINDS: [&str; 4] = ["server_key", "service_token", "widget_key", "deploy_key"];

/// The stages, also by their long words; sent as they are shown.
fn stage() -> impl TypedValueParser<Value = String> {
    let values = Stage::ALL.map(|stage| PossibleValue::new(stage.as_str()).alias(stage.long()));
    let short = |text: String| Stage::parse(&text).map_or(text, |stage| stage.as_str().to_owned());
    PossibleValuesParser::new(values).map(short)
}

#[derive(Args)]
#[command(after_help = "\
Examples, with CLAVIGER_URL and CLAVIGER_KEY in the environment:
  claviger credentials create --kind server_key --workspace acme --environment live --name api --scope messages:read
  claviger credentials list --workspace acme --all
  claviger credentials rotate --watch ID | store-secret api-key

Environment:
  CLAVIGER_URL  where the worker serves, where --url is not given: https://keys.example.com
  CLAVIGER_KEY  what to call it with: a deploy key, or a server key with the scopes that the call takes; never an argument

Exit codes: 0 done; 1 refused, or no answer; 2 wrong usage; 130 a watch that was broken off")]
pub struct Credentials {
    /// Where the worker serves: https://host; http: for this machine, or with a key of no live data [env: CLAVIGER_URL]
    #[arg(long, global = true)]
    pub url: Option<String>,
    #[command(subcommand)]
    pub command: CredentialCommand,
}

#[derive(Subcommand)]
pub enum CredentialCommand {
    /// Make a credential; its secret goes to standard output alone, and is never shown again
    #[command(after_help = "\
Examples:
  claviger credentials create --kind server_key --workspace acme --environment live --name api \\
    --scope messages:read --scope messages:write --tier enterprise --limit 1000/60 --expires-in 90d --allowed-address 203.0.113.0/24
  claviger credentials create --kind widget_key --workspace acme --environment test --name shop \\
    --origin http://localhost:3000
  claviger credentials create --kind service_token --workspace acme --environment live --name billing \\
    --service billing --scope messages:read | store-secret billing-token")]
    Create(Box<Create>),
    /// List credentials, newest first, without their secrets
    #[command(after_help = "\
Examples:
  claviger credentials list --workspace acme --status expiring
  claviger credentials list --kind server_key --all --json | jq -r '.items[].id'")]
    List(List),
    /// Show one credential, without its secret
    #[command(after_help = "Example:\n  claviger credentials show ID --json | jq -r .status")]
    Show(One),
    /// Change what is named of a credential, and nothing else
    #[command(after_help = "\
Examples:
  claviger credentials change ID --name 'Back end' --expires-at 2027-01-01T00:00:00Z
  claviger credentials change ID --scope messages:read --scope messages:write
  claviger credentials change ID --allowed-address -")]
    Change(Box<Change>),
    /// Hand out a new secret; the old one works on for the overlap
    #[command(after_help = "\
Examples:
  claviger credentials rotate ID --overlap 24h | store-secret api-key
  claviger credentials rotate --watch ID --silent 10m | store-secret api-key
  claviger credentials rotate --watch ID --only-watch

With --watch, once nobody has used the old secret for the time of --silent, it ends. Ctrl-C stops the watching, not
the overlap, which ends by itself; --only-watch takes the watching up again.
With --watch and --json: two lines, the rotation's answer and the credential when the old secret has ended.

Exit codes: 0 done, and with --watch: the old secret has ended and nobody used it; 1 refused, or the overlap ended while
the old secret was in use; 2 wrong usage; 130 the watch was broken off")]
    Rotate(Rotate),
    /// End a credential at once and for good
    #[command(after_help = "\
Examples:
  claviger credentials revoke ID --reason \"found in a public repository\"
  claviger credentials revoke --all --workspace acme --created-by server_key:ID --dry-run
  claviger credentials revoke --all --workspace acme --environment test --reason \"end of the trial\"")]
    Revoke(Revoke),
    /// Show how much a credential was used: by secret and by scope, and which scopes it never used
    #[command(after_help = "\
Examples:
  claviger credentials usage ID
  claviger credentials usage ID --from 2026-07-01T00:00:00Z --to 2026-08-01T00:00:00Z --bucket day
  claviger credentials usage ID --json | jq .by_secret")]
    Usage(Usage),
}

#[derive(Args)]
pub struct Create {
    #[arg(long, value_parser = KINDS)]
    pub kind: String,
    /// Where it belongs; may be left out where the calling key belongs to one
    #[arg(long, value_name = "ID", value_parser = quantity::workspace)]
    pub workspace: Option<WorkspaceId>,
    /// Real data, or data to try things out with
    #[arg(long, value_parser = ["live", "test"])]
    pub environment: Option<String>,
    /// What people call it; no secret
    #[arg(long)]
    pub name: String,
    /// What it may do, once for each scope
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// A tier of the policy
    #[arg(long)]
    pub tier: Option<String>,
    /// In a tier with numbers of one's own, once for each window: 1000/60 is 1000 requests a minute
    #[arg(long = "limit", value_name = "REQUESTS/SECONDS", value_parser = quantity::limit)]
    pub limits: Vec<Limit>,
    /// The same in tokens, for a policy that counts them: 40000/60 is 40000 tokens a minute
    #[arg(long = "token-limit", value_name = "TOKENS/SECONDS", value_parser = quantity::limit)]
    pub token_limits: Vec<Limit>,
    /// Its life: 90d, 12h, 10m or 30s
    #[arg(long, value_name = "LIFE", value_parser = quantity::some_seconds)]
    pub expires_in: Option<u64>,
    /// A network that it may come from, once for each: 203.0.113.0/24
    #[arg(long = "allowed-address", value_name = "CIDR")]
    pub allowed_addresses: Vec<String>,
    /// A page's origin that may use a widget key, once for each: https://shop.example
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub origins: Vec<String>,
    /// The service that a service token belongs to
    #[arg(long)]
    pub service: Option<String>,
    /// The stage that a deploy key administers
    #[arg(long, value_parser = stage())]
    pub stage: Option<String>,
    /// Repeated within a day with the same arguments, it makes nothing twice
    #[arg(long, value_name = "TEXT")]
    pub idempotency_key: Option<String>,
    /// Print the whole answer, the secret included, as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct List {
    #[arg(long, value_parser = KINDS)]
    pub kind: Option<String>,
    #[arg(long, value_parser = ["active", "expiring", "revoked", "expired"])]
    pub status: Option<String>,
    /// Whose; may be left out where the calling key belongs to one
    #[arg(long, value_name = "ID", value_parser = quantity::workspace)]
    pub workspace: Option<WorkspaceId>,
    /// How many at once
    #[arg(long, value_name = "1-100", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub limit: Option<u8>,
    /// All pages, not only the first
    #[arg(long)]
    pub all: bool,
    /// Answer in JSON: {items, next_cursor}
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct One {
    /// Which credential
    #[arg(value_parser = quantity::id)]
    pub id: CredentialId,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(group(ArgGroup::new("settings").required(true).multiple(true).args([
    "name", "scopes", "tier", "limits", "token_limits", "expires_at", "allowed_addresses", "origins",
])))]
pub struct Change {
    /// Which credential
    #[arg(value_parser = quantity::id)]
    pub id: CredentialId,
    /// What people call it; no secret
    #[arg(long)]
    pub name: Option<String>,
    /// What it may do from now on, once for each scope: all others are taken away
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// A tier of the policy
    #[arg(long)]
    pub tier: Option<String>,
    /// In a tier with numbers of one's own, once for each window: 1000/60 is 1000 requests a minute
    #[arg(long = "limit", value_name = "REQUESTS/SECONDS", value_parser = quantity::limit)]
    pub limits: Vec<Limit>,
    /// The same in tokens, for a policy that counts them: 40000/60 is 40000 tokens a minute
    #[arg(long = "token-limit", value_name = "TOKENS/SECONDS", value_parser = quantity::limit, requires = "limits")]
    pub token_limits: Vec<Limit>,
    /// When it ends, RFC 3339; `-` for never
    #[arg(long, value_name = "MOMENT", value_parser = quantity::end)]
    pub expires_at: Option<End>,
    /// A network that it may come from, once for each: all others are taken away; `-` for any
    #[arg(long = "allowed-address", value_name = "CIDR")]
    pub allowed_addresses: Vec<String>,
    /// A page's origin that may use a widget key, once for each: all others are taken away
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub origins: Vec<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Rotate {
    /// Which credential
    #[arg(value_parser = quantity::id)]
    pub id: CredentialId,
    /// How long the old secret works on: 0s to 7d, a day if not given
    #[arg(long, value_name = "TIME", value_parser = overlap)]
    pub overlap: Option<u64>,
    /// Then wait until nobody uses the old secret, and end it
    #[arg(long)]
    pub watch: bool,
    /// Do not rotate: take up the watching of a rotation that was made before
    #[arg(long, conflicts_with = "overlap")]
    pub only_watch: bool,
    /// How long the old secret must not have been used
    #[arg(long, value_name = "TIME", value_parser = quantity::some_seconds, default_value = "10m")]
    pub silent: u64,
    /// How often to look
    #[arg(long, value_name = "TIME", value_parser = quantity::some_seconds, default_value = "30s")]
    pub every: u64,
    /// Print the whole answer, the secret included, as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Revoke {
    /// Which credential
    #[arg(value_parser = quantity::id, required_unless_present = "all")]
    pub id: Option<CredentialId>,
    /// Every credential of a workspace, or those that --environment and --created-by name
    #[arg(long, conflicts_with = "id", requires = "workspace")]
    pub all: bool,
    /// With --all: whose
    #[arg(long, value_name = "ID", value_parser = quantity::workspace, requires = "all")]
    pub workspace: Option<WorkspaceId>,
    /// With --all: only of this environment
    #[arg(long, value_parser = ["live", "test"], requires = "all")]
    pub environment: Option<String>,
    /// With --all: only those that this actor created: server_key:sk_…
    #[arg(long, value_name = "ACTOR", requires = "all")]
    pub created_by: Option<String>,
    /// With --all: count them, and end none
    #[arg(long, requires = "all")]
    pub dry_run: bool,
    /// Why, for the audit
    #[arg(long)]
    pub reason: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Usage {
    /// Which credential
    #[arg(value_parser = quantity::id)]
    pub id: CredentialId,
    /// From this moment, RFC 3339
    #[arg(long, value_name = "MOMENT", value_parser = quantity::moment)]
    pub from: Option<String>,
    /// Until this moment, RFC 3339
    #[arg(long, value_name = "MOMENT", value_parser = quantity::moment)]
    pub to: Option<String>,
    /// How fine the series is
    #[arg(long, value_parser = ["minute", "hour", "day"])]
    pub bucket: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// The longest overlap that a worker gives: a week.
const MAX_OVERLAP_SECONDS: u64 = 604_800;

fn overlap(text: &str) -> Result<u64, &'static str> {
    let seconds = quantity::seconds(text)?;
    if seconds > MAX_OVERLAP_SECONDS { Err("an overlap is 7d at most") } else { Ok(seconds) }
}
