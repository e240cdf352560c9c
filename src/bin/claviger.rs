//! The operator's command line: makes root secrets and deploy keys offline, and says whether a policy file is sound.
//!
//! Secrets come in through the environment, never as arguments, which everybody on the machine can read. Standard output
//! holds the answer alone, so that it can be piped; facts and errors go to standard error, one line each.
#![forbid(unsafe_code)]

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    native::main()
}

/// The edge has no command line.
#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    use clap::{Parser, Subcommand, error::ErrorKind};
    use claviger::{
        credential::{DeployKey, Kind as _, MAX_LIFE_SECONDS},
        error::Reason,
        id::{CredentialId, Stage, is_deployment_name},
        keyring::{KeyRing, Purpose},
        policy::{self, Policy},
        time::Timestamp,
    };
    use std::io::{self, Write as _};
    use std::time::{SystemTime, UNIX_EPOCH};
    use std::{env, fs, path::PathBuf, process::ExitCode};
    use zeroize::Zeroizing;

    /// Makes root secrets and deploy keys offline, and says whether a policy file is sound.
    #[derive(Parser)]
    #[command(
        name = "claviger",
        version,
        after_help = "\
Examples:
  export ROOT_SECRETS=\"$(claviger root-secrets make)\"
  claviger deploy-key --stage dev --deployment local
  claviger policy check policies/default.toml

Environment:
  ROOT_SECRETS         root secrets, newest first: `id:base64url(32 bytes)`, each may end in `:check-only`
  DEPLOY_SUB_KEY       what `claviger deploy-sub-key` prints: enough for `deploy-key`, and for nothing else
  POLICY, POLICY_TOML  a built-in policy's name, or a whole policy; without them: default

Exit codes: 0 done, or sound; 1 refused, or not sound; 2 wrong usage"
    )]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(Subcommand)]
    enum Command {
        /// Make a deploy key, from ROOT_SECRETS or from DEPLOY_SUB_KEY alone
        #[command(after_help = "\
Examples, with ROOT_SECRETS or DEPLOY_SUB_KEY in the environment:
  claviger deploy-key --stage dev --deployment local
  claviger deploy-key --stage prod --deployment main --expires-in 12h")]
        DeployKey {
            /// dev, staging or prod: the key opens nothing where the variable STAGE is another
            #[arg(long, value_parser = stage)]
            stage: Stage,
            /// The name in the variable DEPLOYMENT
            #[arg(long, value_parser = deployment)]
            deployment: String,
            /// The key's life: 90d, 12h or 3600s, at most 366d
            #[arg(long, value_name = "LIFE", value_parser = seconds, default_value = "90d")]
            expires_in: u64,
        },
        /// Print the sub-key that makes deploy keys and nothing else, so that no pipeline holds a root secret
        #[command(after_help = "Example:\n  DEPLOY_SUB_KEY=$(claviger deploy-sub-key)")]
        DeploySubKey,
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
        /// Look at policy files
        #[command(subcommand, after_help = "Example:\n  claviger policy check policies/support.toml")]
        Policy(PolicyCommand),
    }

    #[derive(Subcommand)]
    enum RootSecrets {
        /// Print a fresh entry: it goes first in ROOT_SECRETS, before a comma and the older ones
        Make {
            /// What the entry is called, in no way secret
            #[arg(long, default_value = "r1")]
            id: String,
        },
        /// Show the entries of ROOT_SECRETS and which are check-only, never the secrets
        List,
        /// Print ROOT_SECRETS with a leaked entry check-only: what could be forged with it dies
        Demote {
            /// Which entry
            id: String,
        },
    }

    #[derive(Subcommand)]
    enum PolicyCommand {
        /// Say whether a policy file is sound, or the line and the reason why not
        #[command(after_help = "Example:\n  claviger policy check policies/support.toml")]
        Check {
            /// The policy file, TOML
            file: PathBuf,
        },
    }

    /// What goes to standard output, or the exit code and a line for people that says what to do.
    type Answer<T = Zeroizing<String>> = Result<T, (u8, String)>;

    fn refused(line: impl AsRef<str>) -> (u8, String) {
        (1, format!("claviger: {}", line.as_ref()))
    }

    fn misused(line: impl AsRef<str>) -> (u8, String) {
        (2, format!("claviger: {}", line.as_ref()))
    }

    /// A reason that the library gives, with the command line's own fix.
    fn unsound_roots(reason: Reason) -> (u8, String) {
        match reason {
            Reason::NotConfigured(what) => {
                refused(format!("{what} An entry is `id:base64url(32 bytes)`, with or without `:check-only`."))
            }
            other => refused(other.to_string()),
        }
    }

    pub fn main() -> ExitCode {
        let answer = match Cli::try_parse() {
            Ok(cli) => run(cli.command),
            Err(error) => wrong_usage(&error),
        };
        let printed = answer.and_then(|answer| {
            let written = writeln!(io::stdout(), "{}", *answer);
            written.map_err(|error| {
                refused(format!("Standard output cannot be written: {error}. Run it again with one that can."))
            })
        });
        let Err((code, line)) = printed else { return ExitCode::SUCCESS };
        tell(&line);
        ExitCode::from(code)
    }

    fn run(command: Command) -> Answer {
        match command {
            Command::DeployKey { stage, deployment, expires_in } => deploy_key(stage, deployment, expires_in),
            Command::DeploySubKey => {
                KeyRing::derive_sub_key(&root_secrets()?, Purpose::DeployKey).map_err(unsound_roots)
            }
            Command::RootSecrets(RootSecrets::Make { id }) => make(&id),
            Command::RootSecrets(RootSecrets::List) => list(&root_secrets()?),
            Command::RootSecrets(RootSecrets::Demote { id }) => demote(&root_secrets()?, &id),
            Command::Policy(PolicyCommand::Check { file }) => {
                check(&file.display().to_string(), fs::read_to_string(&file))
            }
        }
    }

    fn deploy_key(stage: Stage, deployment: String, expires_in: u64) -> Answer {
        let ring = match (variable("ROOT_SECRETS")?, variable("DEPLOY_SUB_KEY")?) {
            (Some(roots), None) => KeyRing::parse(&roots).map_err(unsound_roots)?,
            (None, Some(key)) => KeyRing::parse_sub_key(&key, Purpose::DeployKey).map_err(|_| {
                refused("DEPLOY_SUB_KEY is malformed. Set it to what `claviger deploy-sub-key` prints.")
            })?,
            (Some(_), Some(_)) => {
                return Err(misused("ROOT_SECRETS and DEPLOY_SUB_KEY are both set. Set only the one to use."));
            }
            (None, None) => {
                return Err(misused("Neither ROOT_SECRETS nor DEPLOY_SUB_KEY is set. Set one in the environment."));
            }
        };
        let brand = brand()?;
        let issued_at = now()?;
        let id = CredentialId::issue_deploy_key(issued_at, random()?);
        let key = DeployKey { id, stage, deployment, issued_at, expires_at: issued_at.plus_seconds(expires_in) };
        let text = key.issue(&brand, &ring).map_err(unsound_roots)?;
        let DeployKey { id, deployment, expires_at, .. } = key;
        tell(&format!("deploy key {id} for {}:{deployment}, expires {}", stage.as_str(), expires_at.rfc3339()));
        // Whoever runs this is its holder, and sees it once.
        Ok(Zeroizing::new(text.reveal().to_owned()))
    }

    fn make(id: &str) -> Answer {
        let secret = Zeroizing::new(random::<32>()?);
        let secret = Zeroizing::new(Base64UrlUnpadded::encode_string(&*secret));
        let entry = Zeroizing::new(format!("{id}:{}", *secret));
        KeyRing::parse(&entry)
            .map_err(|_| misused("An id is 1 to 32 of a-z, A-Z, 0-9, `_`, `-` and `.`. Choose another."))?;
        if let Some(older) = variable("ROOT_SECRETS")? {
            // Better told now than by a worker that no longer serves.
            let all = Zeroizing::new(format!("{},{}", *entry, *older));
            KeyRing::parse(&all).map_err(|reason| {
                let (code, line) = unsound_roots(reason);
                (
                    code,
                    format!("{line} So counted with the new entry as the first.")
                        .replace("choose another id", "choose another --id"),
                )
            })?;
        }
        Ok(entry)
    }

    fn list(roots: &str) -> Answer {
        KeyRing::parse(roots).map_err(unsound_roots)?;
        let line = |(id, entry)| format!("{id}  {}", if is_check_only(entry) { "check-only" } else { "signs" });
        Ok(Zeroizing::new(entries(roots).map(line).collect::<Vec<_>>().join("\n")))
    }

    fn demote(roots: &str, leaked: &str) -> Answer {
        KeyRing::parse(roots).map_err(unsound_roots)?;
        // What was asked for is not repeated: it may be a secret, pasted by mistake.
        if !entries(roots).any(|(id, _)| id == leaked) {
            return Err(refused("ROOT_SECRETS has no entry of this id. `claviger root-secrets list` shows them."));
        }
        if !entries(roots).any(|(id, entry)| id != leaked && !is_check_only(entry)) {
            return Err(refused(
                "No entry would be left that signs. `claviger root-secrets make` makes one, to put first.",
            ));
        }
        let demoted = entries(roots).map(|(id, entry)| match id == leaked && !is_check_only(entry) {
            true => format!("{entry}:check-only"),
            false => entry.to_owned(),
        });
        Ok(Zeroizing::new(Zeroizing::new(demoted.collect::<Vec<_>>()).join(",")))
    }

    fn check(file: &str, text: io::Result<String>) -> Answer {
        let text = text.map_err(|error| misused(format!("{file} cannot be read: {error}. Name a policy file.")))?;
        // `FILE:LINE: reason`, as editors read it.
        let policy = policy::parse(&text).map_err(|error| (1, format!("{file}:{}: {}", error.line, error.reason)))?;
        let Policy { brand, scopes, tiers, routes, widget, .. } = policy;
        let [scopes, tiers, routes] = [scopes.len(), tiers.len(), routes.len()];
        let widget = if widget.is_some() { "yes" } else { "no" };
        Ok(Zeroizing::new(format!(
            "{file} is sound: brand {brand}, scopes {scopes}, tiers {tiers}, routes {routes}, widget {widget}"
        )))
    }

    /// The brand of the policy that the worker would serve with these variables.
    fn brand() -> Answer<String> {
        let unsound =
            |error| refused(format!("The policy is not sound: {error}. `claviger policy check` looks at a file."));
        if let Some(text) = variable("POLICY_TOML")? {
            return policy::parse(&text).map(|policy| policy.brand).map_err(unsound);
        }
        let name = variable("POLICY")?;
        let text = policy::built_in(name.as_ref().map_or("default", |name| name.as_str())).ok_or_else(|| {
            refused("POLICY names no built-in policy. Set it to `default` or `support`, or set POLICY_TOML.")
        })?;
        policy::parse(text).map(|policy| policy.brand).map_err(unsound)
    }

    fn root_secrets() -> Answer {
        let missing =
            || misused("ROOT_SECRETS is not set. Set it in the environment; `claviger root-secrets make` makes one.");
        variable("ROOT_SECRETS")?.ok_or_else(missing)
    }

    /// A variable; an empty one counts as missing, as it does for the worker.
    fn variable(name: &str) -> Answer<Option<Zeroizing<String>>> {
        match env::var(name) {
            Ok(text) => Ok(Some(Zeroizing::new(text)).filter(|text| !text.is_empty())),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(refused(format!("{name} is not UTF-8. Set it anew."))),
        }
    }

    /// The entries of root secrets that were found sound, each behind its id.
    fn entries(roots: &str) -> impl Iterator<Item = (&str, &str)> {
        let entries = roots.split(|c: char| c == ',' || c.is_whitespace());
        entries.filter_map(|entry| Some((entry.split_once(':')?.0, entry)))
    }

    fn is_check_only(entry: &str) -> bool {
        entry.ends_with(":check-only")
    }

    fn stage(text: &str) -> Result<Stage, &'static str> {
        Stage::parse(text).ok_or("a stage is dev, staging or prod")
    }

    fn deployment(text: &str) -> Result<String, &'static str> {
        let sound = is_deployment_name(text).then(|| text.to_owned());
        sound.ok_or("a deployment is 1 to 64 of a-z, A-Z, 0-9, `_` and `-`")
    }

    fn seconds(text: &str) -> Result<u64, &'static str> {
        let units = [('d', 86_400), ('h', 3_600), ('s', 1)];
        let parts = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
        let parts = parts.filter(|(count, _)| !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()));
        let (count, unit) = parts.ok_or("a life is written 90d, 12h or 3600s")?;
        let seconds = count.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
        seconds.filter(|seconds| (1..=MAX_LIFE_SECONDS).contains(seconds)).ok_or("a life is 1s to 366d")
    }

    #[allow(clippy::disallowed_methods, reason = "the one clock of the command line, handed on as an argument")]
    fn now() -> Answer<Timestamp> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
        millis.map(Timestamp).ok_or_else(|| refused("This machine's clock stands before 1970. Set it."))
    }

    fn random<const N: usize>() -> Answer<[u8; N]> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).map_err(|error| refused(format!("No random bytes: {error}. Try again.")))?;
        Ok(bytes)
    }

    /// Help and version as they are; of anything else what is wrong, which may repeat an argument, but nothing like a secret.
    fn wrong_usage(error: &clap::Error) -> Answer {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                return Ok(Zeroizing::new(text.trim_end().to_owned()));
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                return Err((2, text.trim_end().to_owned()));
            }
            _ => {}
        }
        let what = text.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
        let what = what.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
        let what = without_secrets(what.trim_start_matches("error: "));
        Err(misused(format!("{what}. `claviger --help` shows examples; secrets go into the environment.")))
    }

    /// 32 bytes of base64 are 43 characters: no run of so many is repeated.
    fn without_secrets(text: &str) -> String {
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "-_+/".contains(c);
        let runs = text.split_inclusive(|c| !is_base64(c)).map(|run| {
            let rest = run.trim_start_matches(is_base64);
            if run.len() - rest.len() < 43 { run.to_owned() } else { format!("[redacted]{rest}") }
        });
        runs.collect()
    }

    /// A line on standard error; where that is closed, the exit code still tells.
    fn tell(line: &str) {
        let _ = writeln!(io::stderr(), "{line}");
    }
}
