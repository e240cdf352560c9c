//! The operator's command line: makes root secrets and deploy keys offline, calls a running worker for all other credentials,
//! and says whether a credential, a policy file or an exported audit is sound.
//!
//! Secrets come in through the environment, never as arguments, which everybody on the machine can read. Standard output
//! holds the answer alone, so that it can be piped; facts and errors go to standard error, one line each.
#![forbid(unsafe_code)]

mod api;
mod api_arguments;
mod arguments;
mod audit;
mod audit_calls;
mod check;
mod commands;
mod credential;
mod credential_arguments;
mod doctor;
mod form;
mod paste;
mod quantity;
mod rotation;
pub mod scanners;
mod table;
mod usage;
mod worker;

pub use arguments::Cli;
use arguments::{AuditCommand, Command, PolicyCommand, RootSecrets, Shell};
pub use audit::inspect;
use clap::{
    CommandFactory as _, Parser as _,
    error::{ContextValue, ErrorKind},
};
use claviger::error::Reason;
pub use doctor::{Diagnosis, Expected, diagnose};
use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};
use zeroize::Zeroizing;

/// The exit code, and a line for people with what to do about it.
pub struct Failure(pub u8, pub String);

/// What goes to standard output.
pub type Answer<T = Zeroizing<String>> = Result<T, Failure>;

/// The thing asked for is not sound, or refused.
pub fn refused(line: impl ToString) -> Failure {
    Failure(1, format!("claviger: {}", line.to_string()))
}

/// The command was not used as it is meant.
pub fn misused(line: impl ToString) -> Failure {
    Failure(2, format!("claviger: {}", line.to_string()))
}

impl Failure {
    /// As compilers say it, for editors to read.
    pub fn unsound(line: String) -> Self {
        Self(1, line)
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        let Reason::NotConfigured(what) = reason else { return refused(reason) };
        refused(format!("{what} An entry is `id:secret` or `id:secret:check-only`."))
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let answer = understand(env::args_os()).map_or_else(|answer| answer, |cli| run(cli.command));
    let printed = answer.and_then(|answer| {
        // What had to be printed sooner was.
        let written = if answer.is_empty() { Ok(()) } else { writeln!(io::stdout(), "{}", *answer) };
        written.map_err(|error| refused(format!("Nothing was printed: {error}. Try again.")))
    });
    let Err(Failure(code, line)) = printed else { return ExitCode::SUCCESS };
    tell(&line);
    ExitCode::from(code)
}

/// What was typed, the name of the program first; or the answer to it: help, or what is wrong with it.
pub fn understand(words: impl IntoIterator<Item = OsString>) -> Result<Cli, Answer> {
    let words: Vec<OsString> = words.into_iter().collect();
    Cli::try_parse_from(&words).map_err(|error| wrong_usage(&error, &words))
}

fn run(command: Command) -> Answer {
    use {AuditCommand as A, Command as C, PolicyCommand as P, RootSecrets as R};
    match command {
        C::DeployKey { stage, deployment, expires_in, json } => {
            commands::deploy_key(stage, deployment, expires_in, json)
        }
        C::DeploySubKey { json } => commands::deploy_sub_key(json),
        C::RootSecrets(R::Make { id, json }) => commands::make(&id, json),
        C::RootSecrets(R::List { json }) => commands::list(&commands::root_secrets()?, json),
        C::RootSecrets(R::Demote { id, json }) => commands::demote(&commands::root_secrets()?, &id, json),
        C::Policy(P::Check { file, json }) => check::check(&file, json),
        C::Policy(P::Scanners { gitleaks, json }) => commands::scanners(gitleaks, json),
        C::Credentials(credentials) => credential::run(credentials),
        C::Doctor { json } => doctor::run(json),
        C::Completions { shell } => complete(shell),
        C::Audit(A::Verify { file, from, checkpoint, json }) => audit::verify(&file, from, checkpoint.as_deref(), json),
        C::Audit(A::List { events, since, until }) => {
            let now = commands::now()?;
            let [since, until] = [since, until].map(|moment| moment.map(|moment| moment.rfc3339(now)));
            audit_calls::list(&events, since.as_deref(), until.as_deref())
        }
        C::Audit(A::Tail(events)) => audit_calls::tail(&events),
        C::Audit(A::Export { target, workspace, after, .. }) => audit_calls::export(target, workspace.as_ref(), after),
        C::Whoami(asked) => api::whoami(asked),
        C::Workspaces(asked) => api::workspaces(asked),
        C::IdentitySecrets(asked) => api::identity_secrets(asked),
        C::Conversations(asked) => api::conversations(asked),
        C::Verify(asked) => api::verify(*asked),
    }
}

fn complete(shell: Shell) -> Answer {
    use clap_complete::{generate, shells};
    let (mut command, mut script) = (Cli::command(), Vec::new());
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, "claviger", &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut command, "claviger", &mut script),
        Shell::Fish => generate(shells::Fish, &mut command, "claviger", &mut script),
    }
    String::from_utf8(script).map(Zeroizing::new).map_err(|_| refused("The script is not UTF-8. Report it."))
}

/// Help as it is; else what is wrong, which may repeat an argument, but nothing like a secret.
fn wrong_usage(error: &clap::Error, words: &[OsString]) -> Answer {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(text.trim_end().to_owned().into()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Err(Failure(2, text)),
        _ => {
            let said = text.lines().take_while(|line| !line.is_empty());
            let said = said.flat_map(str::split_whitespace).skip(1).map(without_secrets);
            let what = said.collect::<Vec<_>>().join(" ");
            let meant = suggestions(error).map(|meant| format!(" Did you mean {meant}?")).unwrap_or_default();
            Err(misused(format!("{what}.{meant} `{} --help` shows examples.", command_of(words))))
        }
    }
}

/// What comes near to what was typed.
fn suggestions(error: &clap::Error) -> Option<String> {
    use clap::error::ContextKind::{SuggestedArg, SuggestedSubcommand, SuggestedValue};
    let found = [SuggestedSubcommand, SuggestedArg, SuggestedValue].into_iter().find_map(|kind| error.get(kind))?;
    let names = match found {
        ContextValue::String(name) => vec![name.clone()],
        ContextValue::Strings(names) => names.clone(),
        _ => return None,
    };
    let names: Vec<String> = names.iter().map(|name| format!("`{}`", without_secrets(name))).collect();
    (!names.is_empty()).then(|| names.join(" or "))
}

/// The command that was meant, as far as what was typed names one: its own help has the examples.
fn command_of(words: &[OsString]) -> String {
    let (mut command, mut path) = (Cli::command(), "claviger".to_owned());
    for word in words.iter().skip(1).filter_map(|word| word.to_str()) {
        let Some(sub) = command.find_subcommand(word).cloned() else { break };
        path.extend([" ", sub.get_name()]);
        command = sub;
    }
    path
}

/// Prints a part of the answer, before the rest of it is there.
pub fn print(text: &str) -> Answer<()> {
    writeln!(io::stdout(), "{text}").map_err(|error| refused(format!("Nothing was printed: {error}. Try again.")))
}

/// 32 bytes of base64url are 43 characters: nothing with a run of so many is repeated, nor what follows `live_` or `test_`
/// for more than its public part, which is how shorter secrets begin.
pub fn without_secrets(text: &str) -> &str {
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_opaque =
        |run: &str| ["live_", "test_"].iter().filter_map(|mark| run.split_once(mark)).any(|(_, rest)| rest.len() > 8);
    let is_secret = text.split(|c| !is_base64url(c)).any(|run| run.len() >= 43 || is_opaque(run));
    if is_secret { "[redacted]" } else { text }
}

/// A line on standard error; where that is closed, the exit code still tells.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{}", line.trim_end());
}
