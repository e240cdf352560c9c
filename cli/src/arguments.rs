//! What can be typed: the commands, their arguments and their help.
#![allow(missing_docs, reason = "the doc lines here are the help that people read")]

use crate::{
    api_arguments::{Conversations, Events, IdentitySecrets, Target, Verify, Whoami, Workspaces},
    credential_arguments::Credentials,
    quantity::{self, Since},
};
use clap::{Parser, Subcommand, ValueEnum};
use claviger::{
    credential::MAX_LIFE_SECONDS,
    value::id::{Stage, WorkspaceId, is_deployment_name},
};
use std::path::PathBuf;

/// Keys for operators: made offline, or on a running worker; and what is wrong with a key, a policy file or an exported audit.
#[derive(Parser)]
#[command(
    name = "claviger",
    version,
    after_help = "\
Examples:
  export ROOT_SECRETS=\"$(claviger root-secrets make)\"
  claviger deploy-key --stage dev --deployment local
  claviger policy check policies/default.toml
  claviger audit verify export.ndjson
  claviger credentials list --workspace acme
  claviger audit tail --workspace acme
  pbpaste | claviger doctor

Environment:
  ROOT_SECRETS         root secrets, newest first: `id:base64url(32 bytes)`, each may end in `:check-only`
  DEPLOY_SUB_KEY       what `claviger deploy-sub-key` prints: enough for `deploy-key`, and for nothing else
  POLICY, POLICY_TOML  a built-in policy's name, or a whole policy; without them: default
  CLAVIGER_URL         where the worker serves, for all that calls one
  CLAVIGER_KEY         what to call it with; for `doctor`: what to look at

A secret is never an argument: everybody on the machine can read those. Standard output holds the answer alone.
Exit codes: 0 done, or sound; 1 refused, or not sound; 2 wrong usage; 130 a watch that was broken off"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make a deploy key, from ROOT_SECRETS or from DEPLOY_SUB_KEY alone
    #[command(after_help = "\
Examples, with ROOT_SECRETS or DEPLOY_SUB_KEY in the environment, and the worker's POLICY or POLICY_TOML where it has one:
  claviger deploy-key --stage dev --deployment local
  claviger deploy-key --stage prod --deployment main --expires-in 12h")]
    DeployKey {
        /// dev, staging or prod (development and production are the same): the key opens nothing where the variable STAGE is another
        #[arg(long, value_parser = stage)]
        stage: Stage,
        /// The name in the variable DEPLOYMENT
        #[arg(long, value_parser = deployment)]
        deployment: String,
        /// The key's life: 90d, 12h or 3600s, at most 366d
        #[arg(long, value_name = "LIFE", value_parser = life, default_value = "90d")]
        expires_in: u64,
        /// Answer in JSON: what is printed otherwise is `secret`
        #[arg(long)]
        json: bool,
    },
    /// Print the sub-key that makes deploy keys and nothing else, so that no pipeline holds a root secret
    #[command(after_help = "Example:\n  DEPLOY_SUB_KEY=$(claviger deploy-sub-key)")]
    DeploySubKey {
        /// Answer in JSON: what is printed otherwise is `secret`
        #[arg(long)]
        json: bool,
    },
    /// Make, list and demote root secrets
    #[command(
        subcommand,
        after_help = "\
Examples:
  claviger root-secrets list
  fresh=$(claviger root-secrets make --id r2) && ROOT_SECRETS=\"$fresh,$ROOT_SECRETS\"
  rest=$(claviger root-secrets demote r1) && ROOT_SECRETS=$rest"
    )]
    RootSecrets(RootSecrets),
    /// List and follow the audit of a running worker, export it, and verify an export offline
    #[command(subcommand, after_help = "Example:\n  claviger audit verify export.ndjson")]
    Audit(AuditCommand),
    /// Make, list, show, rotate and revoke credentials on a running worker
    Credentials(Credentials),
    /// Say what CLAVIGER_KEY is to a running worker: kind, scopes, tier and what is left of its limits
    Whoami(Whoami),
    /// Create, list, show and change workspaces on a running worker
    Workspaces(Workspaces),
    /// Create, list and revoke the secrets with which a customer's server signs who its visitors are
    IdentitySecrets(IdentitySecrets),
    /// List, read and answer the conversations of a running worker
    Conversations(Conversations),
    /// Ask a running worker whether a credential would be admitted; it comes from standard input
    Verify(Box<Verify>),
    /// Say what a credential is and what is wrong with it, offline: it is sent nowhere, and never shown
    #[command(after_help = "\
Examples; with ROOT_SECRETS in the environment it also says whether the credential is genuine:
  pbpaste | claviger doctor
  CLAVIGER_KEY=… claviger doctor
  claviger doctor --json < key.txt | jq .problems

Reads standard input; CLAVIGER_KEY where that is empty, or a terminal and CLAVIGER_KEY is set. POLICY, POLICY_TOML, STAGE
and DEPLOYMENT say whose it should be, where they are set.

Exit codes: 0 nothing is wrong with it, as far as could be judged; 1 something is; 2 there was nothing to look at")]
    Doctor {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what makes a shell complete these commands
    #[command(after_help = "\
Examples:
  claviger completions bash > ~/.local/share/bash-completion/completions/claviger
  claviger completions zsh > \"${fpath[1]}/_claviger\"
  claviger completions fish > ~/.config/fish/completions/claviger.fish")]
    Completions {
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Look at policy files
    #[command(subcommand, after_help = "Example:\n  claviger policy check policies/default.toml")]
    Policy(PolicyCommand),
}

/// Those that completions are made for.
#[derive(Clone, Copy, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Subcommand)]
pub enum RootSecrets {
    /// Print a fresh entry: it goes first in ROOT_SECRETS, before a comma and the older ones
    #[command(after_help = "Example:\n  export ROOT_SECRETS=\"$(claviger root-secrets make)\"")]
    Make {
        /// What the entry is called, in no way secret
        #[arg(long, default_value = "r1")]
        id: String,
        /// Answer in JSON: what is printed otherwise is `secret`
        #[arg(long)]
        json: bool,
    },
    /// Show the entries of ROOT_SECRETS and which are check-only, never the secrets
    #[command(after_help = "Example:\n  claviger root-secrets list --json | jq -r '.items[].id'")]
    List {
        /// Answer in JSON: {items}
        #[arg(long)]
        json: bool,
    },
    /// Print ROOT_SECRETS with a leaked entry check-only: what could be forged with it dies
    #[command(after_help = "Example:\n  rest=$(claviger root-secrets demote r1) && ROOT_SECRETS=$rest")]
    Demote {
        /// Which entry
        id: String,
        /// Answer in JSON: what is printed otherwise is `secret`
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub enum PolicyCommand {
    /// Say whether a policy file is sound, or the line and the reason why not
    #[command(after_help = "\
Examples:
  claviger policy check policies/default.toml
  claviger policy check policies/default.toml --json | jq .warnings")]
    Check {
        /// The policy file, TOML
        file: PathBuf,
        /// Answer in JSON: {ok, problems, warnings, notes}, each with its line
        #[arg(long)]
        json: bool,
    },
    /// Print the pattern by which scanners of secrets find this deployment's credentials
    #[command(after_help = "\
Examples; POLICY or POLICY_TOML says the brand, as for the worker:
  claviger policy scanners
  POLICY=llm claviger policy scanners --gitleaks >> .gitleaks.toml")]
    Scanners {
        /// As a rule for `.gitleaks.toml`
        #[arg(long)]
        gitleaks: bool,
        /// Answer in JSON: {brand, pattern, gitleaks}
        #[arg(long)]
        json: bool,
    },
}

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Say whether an export is whole and unchanged, or the first line that is not
    #[command(after_help = "\
Examples; with ROOT_SECRETS in the environment, signatures are verified too:
  claviger audit verify export.ndjson
  cat part-1.ndjson part-2.ndjson | claviger audit verify -
  claviger audit verify --checkpoint kept.json export.ndjson")]
    Verify {
        /// What `GET /v1/audit/export` answered, one or several parts; `-` is standard input
        file: PathBuf,
        /// The export begins after this event: its hash, a slash, and its seq
        #[arg(long, value_name = "HASH/SEQ", value_parser = anchor)]
        from: Option<(String, u64)>,
        /// A file with checkpoints that were kept, one a line: each must lie on this chain
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
    /// List events, newest first
    #[command(after_help = "\
Examples, with CLAVIGER_URL and CLAVIGER_KEY in the environment:
  claviger audit list --workspace acme --since 2h
  claviger audit list --action credential.revoke --json | jq .items")]
    List {
        #[command(flatten)]
        events: Events,
        /// Only from this moment on: RFC 3339, or how long ago
        #[arg(long, value_name = "MOMENT", value_parser = quantity::since)]
        since: Option<Since>,
        /// Only up to this moment, itself included: RFC 3339, or how long ago
        #[arg(long, value_name = "MOMENT", value_parser = quantity::since)]
        until: Option<Since>,
    },
    /// Show the newest events, and then each one as it comes, until Ctrl-C
    #[command(after_help = "Example:\n  claviger audit tail --workspace acme --json | jq .action")]
    Tail(Events),
    /// Print the whole chain, with its checkpoints, as `claviger audit verify` reads it
    #[command(
        after_help = "Example:\n  claviger audit export --workspace acme > export.ndjson && claviger audit verify export.ndjson"
    )]
    Export {
        #[command(flatten)]
        target: Target,
        /// Whose chain; without it, the deployment's own
        #[arg(long, value_name = "ID", value_parser = quantity::workspace)]
        workspace: Option<WorkspaceId>,
        /// Only what comes after this event
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
        /// Changes nothing: an export is JSON as it is, a line for each event
        #[arg(long)]
        json: bool,
    },
}

fn anchor(text: &str) -> Result<(String, u64), &'static str> {
    let parsed = text.split_once('/').and_then(|(hash, seq)| Some((hash.to_owned(), seq.parse().ok()?)));
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    parsed.filter(|(hash, _)| is_hash(hash)).ok_or("an event is named by its hash, a slash, and its seq")
}

fn stage(text: &str) -> Result<Stage, &'static str> {
    Stage::parse(text).ok_or("a stage is dev, staging or prod (or development, production)")
}

fn deployment(text: &str) -> Result<String, &'static str> {
    let sound = is_deployment_name(text).then(|| text.to_owned());
    sound.ok_or("a deployment is 1 to 64 of a-z, A-Z, 0-9, `_` and `-`")
}

fn life(text: &str) -> Result<u64, &'static str> {
    let (count, unit) = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((count, "d")) => (count, 86_400),
        Some((count, "h")) => (count, 3_600),
        Some((count, "s")) => (count, 1),
        _ => return Err("a life is written 90d, 12h or 3600s"),
    };
    let seconds = count.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    let seconds = seconds.filter(|seconds| (1..=MAX_LIFE_SECONDS).contains(seconds));
    seconds.ok_or("a life is a whole number of days, hours or seconds, 366d at most")
}
