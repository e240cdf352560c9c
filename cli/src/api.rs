//! The calls to a running worker beside those about credentials: who am I, workspaces, identity secrets, conversations, verify.

use crate::{
    Answer,
    api_arguments::{
        ConversationCommand, Conversations, Grants, IdentityCommand, IdentitySecrets, Paging, Verify, Whoami,
        WorkspaceCommand, Workspaces,
    },
    commands::now,
    credential::{cell, read, secret, unfit},
    misused,
    quantity::{ago, windows},
    refused,
    table::{plain, table},
    tell,
    worker::Worker,
};
use claviger::codec::{secret::Secret, time::Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal as _, Read as _};
use zeroize::Zeroizing;

/// More than any credential has.
const MAX_CREDENTIAL_BYTES: u64 = 8 * 1_024;

/// What was made, as far as it is secret.
#[derive(Deserialize)]
struct Made {
    #[serde(default, deserialize_with = "secret")]
    secret: Option<Secret>,
}

/// `claviger whoami`.
pub fn whoami(asked: Whoami) -> Answer {
    let worker = Worker::parse(asked.target.url)?;
    let answer = worker.get("/v1/whoami", &[])?;
    if asked.json {
        return Ok(answer);
    }
    let who = read(&answer, "kind")?;
    let mut rows = members(
        &who,
        &["kind", "id", "stage", "deployment", "workspace", "environment", "scopes", "tier", "expires_at"],
    )?;
    for limit in who.get("limits").and_then(Value::as_array).into_iter().flatten() {
        let what = ["name", "limit", "window_seconds", "remaining"].map(|name| cell(limit, name));
        let [name, limit, seconds, remaining] = what;
        rows.push(vec!["limit".to_owned(), format!("{name}: {remaining} of {limit} left, in {seconds} s")]);
    }
    Ok(table(&rows).into())
}

/// `claviger workspaces`.
pub fn workspaces(asked: Workspaces) -> Answer {
    let worker = Worker::parse(asked.target.url)?;
    match asked.command {
        WorkspaceCommand::Create { name, id, plan, json } => {
            let mut body = Map::from_iter([("name".to_owned(), json!(name))]);
            body.extend(id.map(|id| ("id".to_owned(), json!(id.as_str()))));
            body.extend((!plan.tiers.is_empty()).then(|| ("plan".to_owned(), whole(&plan))));
            one(worker.send("POST", "/v1/workspaces", &Value::Object(body), None)?, "id", json)
        }
        WorkspaceCommand::List(paging) => list(&worker, "/v1/workspaces", &[], &paging, &["id", "name", "created_at"]),
        WorkspaceCommand::Show { id, json } => one(worker.get(&format!("/v1/workspaces/{id}"), &[])?, "id", json),
        WorkspaceCommand::Change { id, name, default_tier, json } => {
            let mut body = Map::new();
            if let Some(name) = name {
                body.insert("name".to_owned(), json!(name));
            }
            if let Some(tier) = default_tier {
                body.insert("default_tier".to_owned(), if tier == "-" { Value::Null } else { json!(tier) });
            }
            one(worker.send("PATCH", &format!("/v1/workspaces/{id}"), &Value::Object(body), None)?, "id", json)
        }
        WorkspaceCommand::Plan { id, plan, default, json } => {
            let body = json!({ "plan": if default { Value::Null } else { whole(&plan) } });
            one(worker.send("PATCH", &format!("/v1/workspaces/{id}"), &body, None)?, "id", json)
        }
    }
}

/// A plan as a worker takes it.
fn whole(plan: &Grants) -> Value {
    let Grants { tiers, limits, token_limits } = plan;
    let custom = if limits.is_empty() { Value::Null } else { windows(limits, token_limits) };
    json!({ "tiers": tiers, "custom_limits": custom })
}

/// `claviger identity-secrets`.
pub fn identity_secrets(asked: IdentitySecrets) -> Answer {
    let workspace = asked.workspace.ok_or_else(|| misused("Whose? Give --workspace."))?;
    let worker = Worker::parse(asked.target.url)?;
    let path = format!("/v1/workspaces/{workspace}/identity-secrets");
    match asked.command {
        IdentityCommand::Create { json } => {
            let answer = worker.send("POST", &path, &json!({}), None)?;
            let made = read(&answer, "kid")?;
            let secret = serde_json::from_str::<Made>(&answer).map_err(|_| unfit())?.secret;
            tell(&format!("identity secret {}, of {workspace}", cell(&made, "kid")));
            if let Some(kid) = made.get("replaces").and_then(Value::as_str) {
                tell(&format!("it replaces {}, which has ended", plain(kid)));
            }
            match secret {
                _ if json => Ok(answer),
                // Whoever runs this is its holder, and sees it once.
                Some(secret) => Ok(Zeroizing::new(secret.reveal().to_owned())),
                None => Err(refused(
                    "It was made before, and its secret was shown then. Make another, and revoke this one.",
                )),
            }
        }
        IdentityCommand::List { json } => {
            let answer = worker.get(&path, &[])?;
            if json {
                return Ok(answer);
            }
            let page = read(&answer, "items")?;
            let items = page.get("items").and_then(Value::as_array).ok_or_else(unfit)?;
            rows(items, &["kid", "status", "created_at", "created_by"])
        }
        IdentityCommand::Revoke { kid, json } => {
            let answer = worker.send("POST", &format!("{path}/{}/revoke", kid.as_str()), &json!({}), None)?;
            if json {
                Ok(answer)
            } else {
                Ok(format!("{kid} is revoked since {}", cell(&read(&answer, "revoked_at")?, "revoked_at")).into())
            }
        }
    }
}

/// `claviger conversations`.
pub fn conversations(asked: Conversations) -> Answer {
    use ConversationCommand as C;
    let worker = Worker::parse(asked.target.url)?;
    match asked.command {
        C::List { workspace, environment, paging } => {
            let query =
                [("workspace", workspace.as_ref().map(|id| id.as_str())), ("environment", environment.as_deref())];
            let columns = ["id", "environment", "status", "verified", "subject", "created_at", "last_message_at"];
            list(&worker, "/v1/conversations", &query, &paging, &columns)
        }
        C::Messages { id, after, json } => {
            let query: Vec<(&str, &str)> = after.iter().map(|after| ("after", after.as_str())).collect();
            let answer = worker.get(&format!("/v1/conversations/{id}/messages"), &query)?;
            if json {
                return Ok(answer);
            }
            let page = read(&answer, "items")?;
            rows(page.get("items").and_then(Value::as_array).ok_or_else(unfit)?, &["id", "at", "from", "text"])
        }
        C::Reply { id, text, idempotency_key, json } => {
            let header = idempotency_key.as_deref().map(|key| ("idempotency-key", key));
            one(
                worker.send("POST", &format!("/v1/conversations/{id}/messages"), &json!({ "text": text }), header)?,
                "id",
                json,
            )
        }
        C::Delete { id, json } => {
            one(worker.send("DELETE", &format!("/v1/conversations/{id}"), &Value::Null, None)?, "id", json)
        }
    }
}

/// `claviger verify`.
pub fn verify(asked: Verify) -> Answer {
    let worker = Worker::parse(asked.target.url)?;
    if io::stdin().is_terminal() {
        tell("Paste the credential, then press Ctrl-D:");
    }
    let mut text = Zeroizing::new(String::new());
    let read_in = io::stdin().lock().take(MAX_CREDENTIAL_BYTES).read_to_string(&mut text);
    read_in.map_err(|_| misused("Standard input is no text. Send the credential alone."))?;
    let credential = text.trim();
    if credential.is_empty() {
        return Err(misused(
            "Standard input is empty: the credential that is asked about comes from there, never as an argument.",
        ));
    }
    let mut body = Map::from_iter([("credential".to_owned(), json!(credential))]);
    let given = [
        ("method", &asked.method),
        ("path", &asked.path),
        ("scope", &asked.scope),
        ("service", &asked.service),
        ("origin", &asked.origin),
        ("address", &asked.address),
    ];
    body.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))));
    if let Some(tokens) = asked.tokens {
        body.insert("tokens".to_owned(), json!(tokens));
    }
    let answer = worker.send("POST", "/v1/verify", &Value::Object(body), None)?;
    let found = read(&answer, "allowed")?;
    let is_allowed = found.get("allowed") == Some(&Value::Bool(true));
    let text = if asked.json { answer } else { table(&trace(&found)).into() };
    if is_allowed {
        return Ok(text);
    }
    // The answer is an answer, also where it is no.
    crate::print(&text)?;
    Err(refused(format!("It would not be admitted: {}.", cell(&found, "code"))))
}

fn trace(found: &Value) -> Vec<Vec<String>> {
    let principal = found.get("principal").unwrap_or(&Value::Null);
    let verdict = if found.get("allowed") == Some(&Value::Bool(true)) {
        "yes".to_owned()
    } else {
        format!("no: {}", cell(found, "code"))
    };
    let mut rows = vec![vec!["allowed".to_owned(), verdict]];
    for name in ["kind", "id", "workspace", "environment", "scopes", "tier", "expires_at"] {
        if principal.get(name).is_some_and(|value| !value.is_null()) {
            rows.push(vec![name.to_owned(), cell(principal, name)]);
        }
    }
    for step in found.get("trace").and_then(Value::as_array).into_iter().flatten() {
        rows.push(vec![cell(step, "step"), cell(step, "outcome")]);
    }
    rows
}

/// One object, as people read it, or as it came.
fn one(answer: Zeroizing<String>, member: &str, json: bool) -> Answer {
    let item = read(&answer, member)?;
    if json {
        return Ok(answer);
    }
    let names: Vec<&str> = item.as_object().ok_or_else(unfit)?.keys().map(String::as_str).collect();
    Ok(table(&members(&item, &names)?).into())
}

/// The members that are there, a row each; a moment also as people say it.
pub fn members(item: &Value, names: &[&str]) -> Answer<Vec<Vec<String>>> {
    let now = now()?;
    let row = |name: &&str| vec![(*name).to_owned(), said(item, name, now)];
    Ok(names.iter().filter(|name| item.get(**name).is_some()).map(row).collect())
}

/// A member as people read it; a moment also as they say it.
fn said(item: &Value, name: &str, now: Timestamp) -> String {
    let text = cell(item, name);
    let is_moment = name.ends_with("_at") || name == "at";
    let ago = if is_moment { ago(&text, now) } else { None };
    ago.map_or_else(|| text.clone(), |ago| format!("{text} ({ago})"))
}

fn list(worker: &Worker, path: &str, query: &[(&str, Option<&str>)], paging: &Paging, columns: &[&str]) -> Answer {
    let limit = paging.limit.map(|limit| limit.to_string());
    let given = query.iter().copied().chain([("limit", limit.as_deref())]);
    let query: Vec<(&str, &str)> = given.filter_map(|(name, value)| Some((name, value?))).collect();
    let (items, cursor) = pages(worker, path, &query, paging.all)?;
    if paging.json {
        return Ok(json!({ "items": items, "next_cursor": cursor }).to_string().into());
    }
    if cursor.is_some() {
        tell("There are more: --all lists them.");
    }
    rows(&items, columns)
}

/// The first page of a list, or all of them; and where to go on.
pub fn pages(worker: &Worker, path: &str, query: &[(&str, &str)], all: bool) -> Answer<(Vec<Value>, Option<String>)> {
    let (mut items, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let after = cursor.as_deref().map(|cursor| ("cursor", cursor));
        let page = worker.get(path, &query.iter().copied().chain(after).collect::<Vec<_>>())?;
        let mut page: Value = serde_json::from_str(&page).map_err(|_| unfit())?;
        let found = page.get_mut("items").and_then(Value::as_array_mut).ok_or_else(unfit)?;
        items.append(found);
        let next = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        if next.is_some() && next == cursor {
            return Err(refused("The worker answers the same page again and again. Report it, with its version."));
        }
        cursor = next;
        if cursor.is_none() || !all {
            return Ok((items, cursor));
        }
    }
}

/// A table with a row for each item; moments as people say them.
pub fn rows(items: &[Value], columns: &[&str]) -> Answer {
    if items.is_empty() {
        tell("There is none.");
        return Ok(Zeroizing::default());
    }
    let now = now()?;
    let head = columns.iter().map(|name| name.trim_end_matches("_at").replace('_', " ").to_uppercase()).collect();
    let row = |item: &Value| {
        let text = |name: &&str| said(item, name, now);
        columns.iter().map(text).collect()
    };
    Ok(table(&[head].into_iter().chain(items.iter().map(row)).collect::<Vec<Vec<String>>>()).into())
}
