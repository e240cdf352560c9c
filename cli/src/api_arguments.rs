//! What can be typed for calls to a running worker, beside `claviger credentials`.
#![allow(missing_docs, reason = "the doc lines here are the help that people read")]

use crate::quantity::{self, Limit};
use clap::{ArgGroup, Args, Subcommand};
use claviger::value::id::{ConversationId, IdentitySecretId, WorkspaceId};

/// Which worker; CLAVIGER_KEY says with which credential.
#[derive(Args)]
pub struct Target {
    /// Where the worker serves: https://host; http: for this machine, or with a key of no live data [env: CLAVIGER_URL]
    #[arg(long, global = true)]
    pub url: Option<String>,
}

#[derive(Args)]
pub struct Paging {
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
#[command(after_help = "Example:\n  claviger whoami --json | jq .scopes")]
pub struct Whoami {
    #[command(flatten)]
    pub target: Target,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples, with CLAVIGER_URL and CLAVIGER_KEY in the environment:
  claviger workspaces create --name Acme --id acme --tier free
  claviger workspaces list --all --json | jq -r '.items[].id'
  claviger workspaces change acme --default-tier standard
  claviger workspaces plan acme --tier free --tier enterprise --limit 1000/60")]
pub struct Workspaces {
    #[command(flatten)]
    pub target: Target,
    #[command(subcommand)]
    pub command: WorkspaceCommand,
}

#[derive(Subcommand)]
pub enum WorkspaceCommand {
    /// Create a workspace: one customer of yours
    #[command(after_help = "Example:\n  claviger workspaces create --name Acme --id acme")]
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// Its id, for good: 1 to 42 of a-z, A-Z, 0-9, `_` and `-`; made up if not given
        #[arg(long, value_parser = quantity::workspace)]
        id: Option<WorkspaceId>,
        #[command(flatten)]
        plan: Grants,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// List workspaces, by id
    #[command(after_help = "Example:\n  claviger workspaces list --all")]
    List(Paging),
    /// Show one workspace
    #[command(after_help = "Example:\n  claviger workspaces show acme --json")]
    Show {
        #[arg(value_parser = quantity::workspace)]
        id: WorkspaceId,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a workspace's name, or the tier of keys that ask for none
    #[command(
        group(ArgGroup::new("settings").required(true).multiple(true).args(["name", "default_tier"])),
        after_help = "Example:\n  claviger workspaces change acme --default-tier standard"
    )]
    Change {
        #[arg(value_parser = quantity::workspace)]
        id: WorkspaceId,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// A tier of the policy; `-` for none of its own
        #[arg(long)]
        default_tier: Option<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Set what a workspace's own keys may grant, with a deploy key: all of it, and nothing of the plan before
    #[command(
        group(ArgGroup::new("settings").required(true).args(["tiers", "default"])),
        after_help = "\
Examples:
  claviger workspaces plan acme --tier free --tier enterprise --limit 1000/60 --token-limit 40000/60
  claviger workspaces plan acme --default"
    )]
    Plan {
        #[arg(value_parser = quantity::workspace)]
        id: WorkspaceId,
        #[command(flatten)]
        plan: Grants,
        /// None of its own: its default tier alone
        #[arg(long)]
        default: bool,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

/// A workspace's plan.
#[derive(Args)]
pub struct Grants {
    /// A tier of the policy that its own keys may grant, once for each
    #[arg(long = "tier", value_name = "TIER")]
    pub tiers: Vec<String>,
    /// The largest number of a custom tier, once for each window: 1000/60 is 1000 requests a minute
    #[arg(long = "limit", value_name = "REQUESTS/SECONDS", value_parser = quantity::limit, requires = "tiers")]
    pub limits: Vec<Limit>,
    /// The same in tokens, for a policy that counts them: 40000/60 is 40000 tokens a minute
    #[arg(long = "token-limit", value_name = "TOKENS/SECONDS", value_parser = quantity::limit, requires = "limits")]
    pub token_limits: Vec<Limit>,
}

#[derive(Args)]
#[command(after_help = "\
Examples, with CLAVIGER_URL and CLAVIGER_KEY in the environment:
  claviger identity-secrets create --workspace acme | store-secret identity
  claviger identity-secrets list --workspace acme")]
pub struct IdentitySecrets {
    #[command(flatten)]
    pub target: Target,
    /// Whose
    #[arg(long, global = true, value_name = "ID", value_parser = quantity::workspace)]
    pub workspace: Option<WorkspaceId>,
    #[command(subcommand)]
    pub command: IdentityCommand,
}

#[derive(Subcommand)]
pub enum IdentityCommand {
    /// Create an identity secret; it goes to standard output alone, and is never shown again
    #[command(after_help = "Example:\n  claviger identity-secrets create --workspace acme | store-secret identity")]
    Create {
        /// Print the whole answer, the secret included, as JSON
        #[arg(long)]
        json: bool,
    },
    /// List identity secrets, newest first
    #[command(after_help = "Example:\n  claviger identity-secrets list --workspace acme")]
    List {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// End an identity secret at once
    #[command(after_help = "Example:\n  claviger identity-secrets revoke --workspace acme KID")]
    Revoke {
        #[arg(value_parser = quantity::kid)]
        kid: IdentitySecretId,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
#[command(after_help = "\
Examples, with CLAVIGER_URL and CLAVIGER_KEY in the environment:
  claviger conversations list --workspace acme
  claviger conversations messages ID
  claviger conversations reply ID --text 'Hello, how can we help?'")]
pub struct Conversations {
    #[command(flatten)]
    pub target: Target,
    #[command(subcommand)]
    pub command: ConversationCommand,
}

#[derive(Subcommand)]
pub enum ConversationCommand {
    /// List conversations, newest first
    #[command(after_help = "Example:\n  claviger conversations list --workspace acme --environment live --all")]
    List {
        /// Whose; may be left out where the calling key belongs to one
        #[arg(long, value_name = "ID", value_parser = quantity::workspace)]
        workspace: Option<WorkspaceId>,
        #[arg(long, value_parser = ["live", "test"])]
        environment: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show the messages of a conversation, oldest first
    #[command(after_help = "Example:\n  claviger conversations messages ID --after msg_7")]
    Messages {
        #[arg(value_parser = quantity::conversation)]
        id: ConversationId,
        /// Only what came after this message
        #[arg(long, value_name = "MESSAGE")]
        after: Option<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Answer a visitor
    #[command(after_help = "Example:\n  claviger conversations reply ID --text 'Hello, how can we help?'")]
    Reply {
        #[arg(value_parser = quantity::conversation)]
        id: ConversationId,
        #[arg(long)]
        text: String,
        /// Repeated within a day with the same text, it is written once
        #[arg(long, value_name = "TEXT")]
        idempotency_key: Option<String>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a conversation and its messages for good
    #[command(after_help = "Example:\n  claviger conversations delete ID")]
    Delete {
        #[arg(value_parser = quantity::conversation)]
        id: ConversationId,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
#[command(after_help = "\
Examples; the credential that is asked about comes from standard input:
  pbpaste | claviger verify
  pbpaste | claviger verify --method POST --path /v1/orders --json | jq .trace

Exit codes: 0 it would be admitted; 1 it would not, or no answer came; 2 wrong usage")]
pub struct Verify {
    #[command(flatten)]
    pub target: Target,
    /// The call's method, beside --path
    #[arg(long, requires = "path")]
    pub method: Option<String>,
    /// The call's path, beside --method
    #[arg(long, requires = "method")]
    pub path: Option<String>,
    /// A scope that it must hold
    #[arg(long)]
    pub scope: Option<String>,
    /// The name that stands beside a service token
    #[arg(long)]
    pub service: Option<String>,
    /// As if it came from a browser on a page of this origin
    #[arg(long)]
    pub origin: Option<String>,
    /// The client's address
    #[arg(long)]
    pub address: Option<String>,
    /// The most tokens that the call may take
    #[arg(long)]
    pub tokens: Option<u32>,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

/// Which events of an audit.
#[derive(Args)]
pub struct Events {
    #[command(flatten)]
    pub target: Target,
    /// Whose chain; without it, the deployment's own
    #[arg(long, value_name = "ID", value_parser = quantity::workspace)]
    pub workspace: Option<WorkspaceId>,
    /// Only this action: credential.create
    #[arg(long)]
    pub action: Option<String>,
    /// Only by this actor: deploy_key:dk_…
    #[arg(long)]
    pub actor: Option<String>,
    /// How many at once
    #[arg(long, value_name = "1-100", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub limit: Option<u8>,
    /// Answer in JSON; `tail` prints one event a line
    #[arg(long)]
    pub json: bool,
}
