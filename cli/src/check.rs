//! `claviger policy check`: what is wrong with a policy file, and what in it may not be meant.

use crate::{Answer, Failure, commands::now, misused, refused, table::plain, tell, without_secrets};
use claviger::{
    policy::{self, Policy, PolicyError},
    value::public_suffix,
};
use serde::Serialize;
use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};
use zeroize::Zeroizing;

/// What was found.
#[derive(Serialize)]
struct Found<'a> {
    /// Whether a worker would serve with it.
    ok: bool,
    file: &'a str,
    #[serde(flatten)]
    summary: Option<Summary<'a>>,
    problems: Vec<Said>,
    warnings: Vec<Said>,
    notes: Vec<Said>,
}

/// What is in a sound one.
#[derive(Serialize)]
struct Summary<'a> {
    brand: &'a str,
    scopes: usize,
    tiers: usize,
    routes: usize,
    widget: bool,
    /// The day of the Public Suffix List that the deployment has.
    public_suffixes: &'a str,
}

/// One sentence, and the line that it is about; none where it is about all of the file, or none of it.
#[derive(Serialize)]
struct Said {
    line: Option<usize>,
    text: String,
}

impl From<PolicyError> for Said {
    fn from(error: PolicyError) -> Self {
        Self { line: Some(error.line), text: error.reason }
    }
}

/// Says whether a policy file is sound.
pub fn check(file: &Path, json: bool) -> Answer {
    let name = file.display().to_string();
    let text = fs::read_to_string(file)
        .map_err(|error| misused(format!("{} cannot be read: {error}. Name a policy file.", without_secrets(&name))))?;
    let no_limits = || PolicyError { line: 1, reason: policy::NO_LIMITS.to_owned() };
    let parsed =
        policy::parse(&text).and_then(|policy| if policy.has_no_limits() { Err(no_limits()) } else { Ok(policy) });
    let policy = parsed.or_else(|error| unsound(&name, error, json))?;

    let mut warnings: Vec<Said> = policy.warnings().into_iter().map(|warning| about(&text, warning)).collect();
    warnings.extend(public_suffix::warning(now()?).map(|text| Said { line: None, text }));
    let hints = policy::hints(&policy.upstream, &policy.routes);
    let notes: Vec<Said> = hints.into_iter().map(|text| Said { line: None, text }).collect();
    let Policy { brand, scopes, tiers, routes, widget, .. } = &policy;
    let (scopes, tiers, routes) = (scopes.len(), tiers.len(), routes.len());
    let (widget, public_suffixes) = (widget.is_some(), public_suffix::DATE);
    if json {
        let summary = Some(Summary { brand, scopes, tiers, routes, widget, public_suffixes });
        return written(&Found { ok: true, file: &name, summary, problems: Vec::new(), warnings, notes });
    }
    warnings.iter().for_each(|warning| tell(&plain(&format!("warning: {}", warning.text))));
    notes.iter().for_each(|note| tell(&plain(&format!("note: {}", note.text))));
    let widget = if widget { "yes" } else { "no" };
    let numbers = format!("scopes {scopes}, tiers {tiers}, routes {routes}, widget {widget}");
    Ok(Zeroizing::new(format!("{name} is sound: brand {brand}, {numbers}, public suffixes of {public_suffixes}")))
}

fn about(text: &str, warning: policy::Warning) -> Said {
    Said { line: policy::line_of(text, warning.table, &warning.name), text: warning.text }
}

/// As editors read it, on standard error; in JSON it is an answer too.
fn unsound(name: &str, error: PolicyError, json: bool) -> Answer<Policy> {
    let line = format!("{name}:{}: {}", error.line, error.reason);
    if json {
        let problems = vec![error.into()];
        let found = Found { ok: false, file: name, summary: None, problems, warnings: Vec::new(), notes: Vec::new() };
        let _ = writeln!(io::stdout(), "{}", *written(&found)?);
    }
    Err(Failure::unsound(line))
}

fn written(found: &Found) -> Answer {
    serde_json::to_string(found).map(Zeroizing::new).map_err(refused)
}
