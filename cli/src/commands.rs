//! What the commands do.

use crate::{Answer, misused, refused, scanners, tell};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use claviger::{
    call::config::Config,
    codec::{kind::CredentialKind, time::Timestamp},
    credential::{DeployKey, Kind as _},
    crypto::{
        id_check,
        keyring::{KeyRing, Purpose},
    },
    error::Reason,
    policy::Policy,
    value::id::Stage,
};
use serde_json::{Value, json};
use std::{
    env,
    time::{SystemTime, UNIX_EPOCH},
};
use zeroize::Zeroizing;

/// Makes a deploy key.
pub fn deploy_key(stage: Stage, deployment: String, expires_in: u64, json: bool) -> Answer {
    let ring = match (variable("ROOT_SECRETS")?, variable("DEPLOY_SUB_KEY")?) {
        (Some(roots), None) => KeyRing::parse(&roots)?,
        (None, Some(key)) => KeyRing::parse_sub_key(&key, Purpose::DeployKey)
            .map_err(|_| refused("DEPLOY_SUB_KEY is malformed. `claviger deploy-sub-key` prints a sound one."))?,
        (roots, _) => {
            let how_many = if roots.is_some() { "both" } else { "neither" };
            let what = "Of ROOT_SECRETS and DEPLOY_SUB_KEY, the environment holds";
            return Err(misused(format!("{what} {how_many}. Set one of them.")));
        }
    };
    let brand = policy()?.brand;
    let issued_at = now()?;
    let expires_at = issued_at.plus_seconds(expires_in);
    let id = id_check::deploy_key(issued_at, random()?, &ring)?;
    let shown = json!({
        "kind": CredentialKind::DeployKey.as_str(), "id": id.as_str(), "stage": stage.as_str(), "deployment": &deployment,
        "created_at": issued_at.rfc3339(), "expires_at": expires_at.rfc3339(),
    });
    let facts = format!("{id}, for {}:{deployment}, expires {}", stage.as_str(), expires_at.rfc3339());
    let key = DeployKey { id, stage, deployment, issued_at, expires_at }.issue(&brand, &ring)?;
    tell(&format!("deploy key {facts}"));
    // Whoever runs this is its holder, and sees it once.
    Ok(handed(key.reveal(), json.then_some(shown)))
}

/// Derives the sub-key that makes deploy keys.
pub fn deploy_sub_key(json: bool) -> Answer {
    let key = KeyRing::derive_sub_key(&root_secrets()?, Purpose::DeployKey)?;
    let id = key.split_once(':').map(|(id, _)| id);
    Ok(handed(&key, json.then(|| json!({ "id": id }))))
}

/// A secret alone, or in JSON beside what is known of it.
fn handed(secret: &str, facts: Option<Value>) -> Zeroizing<String> {
    let Some(mut facts) = facts else { return Zeroizing::new(secret.to_owned()) };
    if let Some(members) = facts.as_object_mut() {
        members.insert("secret".to_owned(), secret.into());
    }
    Zeroizing::new(facts.to_string())
}

/// Makes a root secret.
pub fn make(id: &str, json: bool) -> Answer {
    let secret = Zeroizing::new(random::<32>()?);
    let secret = Zeroizing::new(Base64UrlUnpadded::encode_string(&*secret));
    let entry = Zeroizing::new(format!("{id}:{}", *secret));
    let rule = "An id is 1 to 32 of a-z, A-Z, 0-9, `_`, `-` and `.`. Choose another.";
    KeyRing::parse(&entry).map_err(|_| misused(rule))?;
    if let Some(older) = variable("ROOT_SECRETS")? {
        KeyRing::parse(&older)?;
        // Whether the two go together is better told now than by a worker that no longer serves.
        let both = Zeroizing::new(format!("{},{}", *entry, *older));
        let taken = format!("ROOT_SECRETS has an entry like `{id}`: choose another id, as in --id r2.");
        KeyRing::parse(&both).map_err(|_| refused(taken))?;
    }
    Ok(handed(&entry, json.then(|| json!({ "id": id }))))
}

/// Shows the root secrets by their ids.
pub fn list(roots: &str, json: bool) -> Answer {
    KeyRing::parse(roots)?;
    if json {
        let item = |(id, entry)| json!({ "id": id, "check_only": is_check_only(entry) });
        return Ok(json!({ "items": entries(roots).map(item).collect::<Vec<_>>() }).to_string().into());
    }
    let does = |entry| if is_check_only(entry) { "check-only" } else { "may sign" };
    let lines: Vec<_> = entries(roots).map(|(id, entry)| format!("{id}  {}", does(entry))).collect();
    Ok(Zeroizing::new(lines.join("\n")))
}

/// Makes a leaked root secret check-only.
pub fn demote(roots: &str, leaked: &str, json: bool) -> Answer {
    KeyRing::parse(roots)?;
    // What was asked for is not repeated: it may be a secret, pasted by mistake.
    if !entries(roots).any(|(id, _)| id == leaked) {
        return Err(refused("There is no entry of this id. `claviger root-secrets list` shows all."));
    }
    if !entries(roots).any(|(id, entry)| id != leaked && !is_check_only(entry)) {
        return Err(refused("No entry would be left that signs. Put a fresh one first: `claviger root-secrets make`."));
    }
    let demoted = entries(roots).map(|(id, entry)| {
        let end = if id == leaked && !is_check_only(entry) { ":check-only" } else { "" };
        format!("{entry}{end}")
    });
    let demoted = Zeroizing::new(Zeroizing::new(demoted.collect::<Vec<_>>()).join(","));
    Ok(handed(&demoted, json.then(|| json!({ "id": leaked }))))
}

/// What scanners look for.
pub fn scanners(gitleaks: bool, json: bool) -> Answer {
    let policy = policy()?;
    let brands = [policy.brand.as_str()];
    if json {
        let (pattern, rule) = (scanners::pattern(&brands), scanners::rule(&brands));
        return Ok(json!({ "brand": policy.brand, "pattern": pattern, "gitleaks": rule }).to_string().into());
    }
    Ok(Zeroizing::new(if gitleaks { scanners::rule(&brands) } else { scanners::pattern(&brands) }))
}

/// The policy that the worker would serve with these variables.
pub fn policy() -> Answer<Policy> {
    let policy = Config::policy(|name| variable(name).ok().flatten().map(|text| text.to_string()));
    policy.map_err(|reason| match reason {
        Reason::NotConfigured(what) => refused(format!("{what} Mend it there.")),
        other => refused(other.to_string()),
    })
}

/// The variable `ROOT_SECRETS`.
pub fn root_secrets() -> Answer {
    let missing = "ROOT_SECRETS is not set. `claviger root-secrets make` makes one, for the environment.";
    variable("ROOT_SECRETS")?.ok_or_else(|| misused(missing))
}

/// A variable; an empty one counts as missing, as it does for the worker.
pub fn variable(name: &str) -> Answer<Option<Zeroizing<String>>> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.into_string().map_err(|_| refused(format!("{name} is not UTF-8. Set it anew.")))?;
    Ok(Some(Zeroizing::new(text)))
}

/// The entries of root secrets that were found sound, each behind its id.
fn entries(roots: &str) -> impl Iterator<Item = (&str, &str)> {
    let entries = roots.split(|c: char| c == ',' || c.is_whitespace());
    entries.filter_map(|entry| Some((entry.split_once(':')?.0, entry)))
}

fn is_check_only(entry: &str) -> bool {
    entry.ends_with(":check-only")
}

/// This moment.
#[allow(clippy::disallowed_methods, reason = "the one clock here, handed on as an argument")]
pub fn now() -> Answer<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let millis = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    millis.map(Timestamp).ok_or_else(|| refused("The clock stands before 1970. Set it."))
}

fn random<const N: usize>() -> Answer<[u8; N]> {
    let mut bytes = [0; N];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| refused(format!("No random bytes: {error}. Try again.")))?;
    Ok(bytes)
}
