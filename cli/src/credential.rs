//! `claviger credentials`: making, listing, showing, rotating and revoking them, on a running worker.

use crate::{
    Answer, Failure,
    api::{members, pages, rows},
    credential_arguments::{Change, Create, CredentialCommand, Credentials, List, One, Revoke, Rotate},
    misused,
    quantity::windows,
    refused, rotation,
    table::{plain, table},
    tell, usage,
    worker::Worker,
};
use claviger::{codec::secret::Secret, value::id::CredentialId};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::{
    io::{self, Write as _},
    thread,
    time::Duration,
};
use zeroize::Zeroizing;

/// What a worker takes where none is given: a day.
const DEFAULT_OVERLAP_SECONDS: u64 = 86_400;

/// A credential that was just made, or got a new secret.
#[derive(Deserialize)]
struct Made {
    id: String,
    kind: String,
    hint: String,
    #[serde(default, deserialize_with = "secret")]
    secret: Option<Secret>,
    workspace: Option<String>,
    environment: Option<String>,
    expires_at: Option<String>,
    replaces: Option<String>,
    old_expires_at: Option<String>,
}

/// Runs one of the calls.
pub fn run(credentials: Credentials) -> Answer {
    use CredentialCommand as C;
    let worker = Worker::parse(credentials.url)?;
    match credentials.command {
        C::Create(asked) => create(&worker, &asked),
        C::List(asked) => list(&worker, &asked),
        C::Show(One { id, json }) => show(&worker, &id, json),
        C::Change(asked) => change(&worker, *asked),
        C::Rotate(asked) => rotate(&worker, &asked),
        C::Revoke(asked) => revoke(&worker, &asked),
        C::Usage(asked) => usage::show(&worker, &asked),
    }
}

fn create(worker: &Worker, asked: &Create) -> Answer {
    let Create { kind, workspace, environment, name, scopes, tier, limits, .. } = asked;
    let mut body = Map::from_iter([("kind".to_owned(), json!(kind)), ("name".to_owned(), json!(name))]);
    let mut put = |member: &str, value: Option<Value>| value.and_then(|value| body.insert(member.to_owned(), value));
    let some = |texts: &[String]| (!texts.is_empty()).then(|| json!(texts));
    put("workspace", workspace.as_ref().map(|id| json!(id.as_str())));
    put("environment", environment.as_ref().map(|text| json!(text)));
    put("scopes", some(scopes));
    put("tier", tier.as_ref().map(|text| json!(text)));
    let tokens = &asked.token_limits;
    put("limits", Some(windows(limits, tokens)).filter(|_| !limits.is_empty() || !tokens.is_empty()));
    put("expires_in", asked.expires_in.map(|seconds| json!(seconds)));
    put("allowed_addresses", some(&asked.allowed_addresses));
    put("origins", some(&asked.origins));
    put("service", asked.service.as_ref().map(|text| json!(text)));
    put("stage", asked.stage.as_ref().map(|text| json!(text)));
    let key = asked.idempotency_key.as_deref();
    if key.is_some_and(|key| !(1..=255).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic())) {
        return Err(misused("An idempotency key is 1 to 255 visible ASCII characters."));
    }
    let answer = worker.post("/v1/credentials", &Value::Object(body), key.map(|key| ("idempotency-key", key)))?;
    hand_over(&answer, asked.json).map(|_| Zeroizing::default())
}

/// Prints what was made: the secret alone or, in JSON, the whole answer. Then the facts, on standard error.
fn hand_over(answer: &str, json: bool) -> Answer<Made> {
    let made: Made = serde_json::from_str(answer).map_err(|_| unfit())?;
    let Made { id, kind, hint, .. } = &made;
    let id = plain(id);
    let secret = made.secret.as_ref();
    if secret.is_none() && !json {
        let what = format!("{id} was made before, with this Idempotency-Key, and its secret was shown then.");
        return Err(refused(format!("{what} If nobody has it: `claviger credentials rotate {id}` hands out another.")));
    }
    // Whoever runs this is its holder, and sees it once.
    let text = if json { answer } else { secret.map(Secret::reveal).unwrap_or_default() };
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| {
        let lost = format!("The secret of {id} was made and could not be printed: {error}.");
        refused(format!("{lost} Nobody will see it again: rotate {id}, or revoke it."))
    })?;
    let workspace = made.workspace.as_ref().map(|workspace| format!(", of {workspace}")).unwrap_or_default();
    let environment = made.environment.as_ref().map(|environment| format!(", {environment}")).unwrap_or_default();
    let end = made.expires_at.as_ref().map_or_else(|| "never expires".to_owned(), |at| format!("expires {at}"));
    tell(&plain(&format!("{kind} {id}{workspace}{environment}, hint {hint}, {end}")));
    Ok(made)
}

fn list(worker: &Worker, asked: &List) -> Answer {
    let limit = asked.limit.map(|limit| limit.to_string());
    let workspace = asked.workspace.as_ref().map(|id| id.as_str());
    let given = [("kind", asked.kind.as_deref()), ("status", asked.status.as_deref()), ("workspace", workspace)];
    let given = given.into_iter().chain([("limit", limit.as_deref())]);
    let query: Vec<(&str, &str)> = given.filter_map(|(name, value)| Some((name, value?))).collect();
    let (items, cursor) = pages(worker, "/v1/credentials", &query, asked.all)?;
    if asked.json {
        return Ok(json!({ "items": items, "next_cursor": cursor }).to_string().into());
    }
    if cursor.is_some() {
        tell("There are more: --all lists them.");
    }
    rows(&items, &["id", "kind", "name", "status", "hint", "last_used_at"])
}

fn show(worker: &Worker, id: &CredentialId, json: bool) -> Answer {
    shown(worker.get(&path(id, ""), &[])?, json)
}

fn change(worker: &Worker, asked: Change) -> Answer {
    let Change { id, name, scopes, tier, limits, token_limits, expires_at, allowed_addresses, origins, json } = asked;
    let is_any = allowed_addresses.iter().any(|address| address == "-");
    if is_any && allowed_addresses.len() > 1 {
        return Err(misused("--allowed-address - stands for any network: give it alone, or name networks."));
    }
    let some = |texts: Vec<String>| (!texts.is_empty()).then(|| json!(texts));
    let given = [
        ("name", name.map(Value::from)),
        ("scopes", some(scopes)),
        ("tier", tier.map(Value::from)),
        ("limits", (!limits.is_empty()).then(|| windows(&limits, &token_limits))),
        ("expires_at", expires_at.map(Value::from)),
        ("allowed_addresses", if is_any { Some(json!([])) } else { some(allowed_addresses) }),
        ("origins", some(origins)),
    ];
    let body = given.into_iter().filter_map(|(member, value)| Some((member.to_owned(), value?))).collect();
    shown(worker.send("PATCH", &path(&id, ""), &Value::Object(body), None)?, json)
}

/// A credential without its secret, as people read it, or as it came.
fn shown(answer: Zeroizing<String>, json: bool) -> Answer {
    let item = read(&answer, "id")?;
    if json {
        return Ok(answer);
    }
    let names = item.as_object().ok_or_else(unfit)?.keys().map(String::as_str);
    Ok(table(&members(&item, &names.filter(|name| *name != "secret").collect::<Vec<_>>())?).into())
}

fn rotate(worker: &Worker, asked: &Rotate) -> Answer {
    let Rotate { id, overlap, watch, only_watch, silent, .. } = asked;
    if *watch && !only_watch && overlap.unwrap_or(DEFAULT_OVERLAP_SECONDS) <= *silent {
        return Err(misused(
            "The old secret cannot be silent for longer than it lives: --overlap must be longer than --silent.",
        ));
    }
    let old = if *only_watch {
        let answer = worker.get(&path(id, ""), &[])?;
        serde_json::from_str(&answer).map_err(|_| unfit())?
    } else {
        let body = overlap.map_or_else(|| json!({}), |seconds| json!({ "overlap_seconds": seconds }));
        let Made { replaces, old_expires_at, .. } =
            hand_over(&worker.post(&path(id, "/rotate"), &body, None)?, asked.json)?;
        rotation::Old { replaces, old_expires_at }
    };
    if *watch || *only_watch {
        return rotation::watch(worker, asked, &old);
    }
    if let rotation::Old { replaces: Some(hint), old_expires_at: Some(end) } = old {
        tell(&plain(&format!("the old secret {hint} ends at {end}")));
    }
    Ok(Zeroizing::default())
}

/// Ends every credential that is meant; with `--dry-run` they are only counted.
fn revoke_all(worker: &Worker, asked: &Revoke) -> Answer {
    let workspace = asked.workspace.as_ref().ok_or_else(|| misused("--all of which workspace? Give --workspace."))?;
    let (environment, created_by) = (asked.environment.as_deref(), asked.created_by.as_deref());
    if asked.dry_run {
        let query =
            [Some(("workspace", workspace.as_str())), environment.map(|environment| ("environment", environment))];
        let (items, _) = pages(worker, "/v1/credentials", &query.into_iter().flatten().collect::<Vec<_>>(), true)?;
        let is_meant = |item: &&Value| {
            let text = |name| item.get(name).and_then(Value::as_str);
            text("status") != Some("revoked") && created_by.is_none_or(|actor| text("created_by") == Some(actor))
        };
        let count = items.iter().filter(is_meant).count();
        if asked.json {
            return Ok(json!({ "would_revoke": count }).to_string().into());
        }
        let (what, verb) = if count == 1 { ("credential", "it does") } else { ("credentials", "they do") };
        return Ok(format!("{count} {what} of {workspace} would end. Without --dry-run {verb}.").into());
    }
    let given = [("environment", environment), ("created_by", created_by), ("reason", asked.reason.as_deref())];
    let mut body: Map<String, Value> =
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect();
    let path = format!("/v1/workspaces/{workspace}/credentials/revoke");
    loop {
        let answer = worker.send("POST", &path, &Value::Object(body.clone()), None)?;
        let state = read(&answer, "remaining")?;
        let remaining = state.get("remaining").and_then(Value::as_u64).ok_or_else(unfit)?;
        if remaining == 0 {
            return Ok(if asked.json {
                answer
            } else {
                format!("every credential that was meant has ended in {workspace}").into()
            });
        }
        tell(&format!("{remaining} left; it goes on by itself, and this waits for it"));
        // Keys that are created meanwhile stay.
        body.insert("made_until".to_owned(), state.get("made_until").cloned().unwrap_or_default());
        thread::sleep(Duration::from_secs(1));
    }
}

fn revoke(worker: &Worker, asked: &Revoke) -> Answer {
    let Some(id) = &asked.id else { return revoke_all(worker, asked) };
    let body = asked.reason.as_ref().map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let answer = worker.post(&path(id, "/revoke"), &body, None)?;
    let revoked = read(&answer, "revoked_at")?;
    if asked.json {
        return Ok(answer);
    }
    Ok(format!("{id} is revoked since {}", cell(&revoked, "revoked_at")).into())
}

/// `/v1/credentials/{id}` and what follows. An id has no character that means anything in a path.
pub fn path(id: &CredentialId, rest: &str) -> String {
    format!("/v1/credentials/{id}{rest}")
}

/// A member as people read it: nothing is a dash, and a list has commas.
pub fn cell(item: &Value, name: &str) -> String {
    let text = match item.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) if values.iter().all(Value::is_string) => {
            values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Some(Value::Object(members)) => grants(members),
        Some(other) => other.to_string(),
    };
    if text.is_empty() { "-".to_owned() } else { plain(&text) }
}

/// A plan or limits: `free, own, requests 1000/60, tokens 5/1`; another object, as it came.
fn grants(members: &Map<String, Value>) -> String {
    let windows = |name: &str, value: &Value| {
        let window = |window: &Value| format!("{}/{}", cell(window, "limit"), cell(window, "window_seconds"));
        let windows = value.as_array().into_iter().flatten().map(window).collect::<Vec<_>>().join(" ");
        if windows.is_empty() { windows } else { format!("{name} {windows}") }
    };
    let part = |(name, value): (&String, &Value)| match (name.as_str(), value) {
        ("tiers", _) => Some(value.as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        ("requests" | "tokens", _) => Some(windows(name, value)),
        ("custom_limits", Value::Object(limits)) => Some(grants(limits)),
        ("custom_limits", Value::Null) => Some(String::new()),
        ("default", Value::Bool(true)) => Some("by default".to_owned()),
        ("default", _) => Some(String::new()),
        _ => None,
    };
    // The tiers first, however the members stand.
    let (first, rest): (Vec<_>, Vec<_>) = members.iter().partition(|(name, _)| *name == "tiers");
    let parts: Option<Vec<String>> = first.into_iter().chain(rest).map(part).collect();
    let parts = parts.map(|parts| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "));
    parts.unwrap_or_else(|| Value::Object(members.clone()).to_string())
}

/// An object that has this member: what else answers in JSON is no worker.
pub fn read(answer: &str, member: &str) -> Answer<Value> {
    let value = serde_json::from_str::<Value>(answer).ok().filter(|value| value.get(member).is_some());
    value.ok_or_else(unfit)
}

/// JSON, and not what a worker says.
pub fn unfit() -> Failure {
    refused("The answer is none that this version understands. Use the command line of the worker's version.")
}

pub fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
}
