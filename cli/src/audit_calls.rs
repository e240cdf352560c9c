//! `claviger audit list`, `tail` and `export`: a chain as a running worker tells it.

use crate::{
    Answer,
    api::rows,
    api_arguments::{Events, Target},
    credential::{cell, read, unfit},
    print,
    worker::Worker,
};
use claviger::value::id::WorkspaceId;
use serde_json::Value;
use std::{thread, time::Duration};
use zeroize::Zeroizing;

const COLUMNS: [&str; 6] = ["seq", "at", "actor", "action", "target", "outcome"];

/// How often `tail` looks.
const EVERY: Duration = Duration::from_secs(5);

/// The newest events first, or those between two moments.
pub fn list(asked: &Events, since: Option<&str>, until: Option<&str>) -> Answer {
    let worker = Worker::parse(asked.target.url.clone())?;
    let mut query = query(asked);
    query.push(("before", ""));
    query.extend(since.map(|since| ("since", since)));
    query.extend(until.map(|until| ("until", until)));
    let limit = asked.limit.map(|limit| limit.to_string());
    query.extend(limit.as_deref().map(|limit| ("limit", limit)));
    let answer = worker.get("/v1/audit", &query)?;
    if asked.json {
        return Ok(answer);
    }
    let page = read(&answer, "items")?;
    rows(page.get("items").and_then(Value::as_array).ok_or_else(unfit)?, &COLUMNS)
}

/// The newest events, oldest first, and then each one as it comes, until Ctrl-C.
pub fn tail(asked: &Events) -> Answer {
    let worker = Worker::parse(asked.target.url.clone())?;
    let limit = asked.limit.unwrap_or(10).to_string();
    let first = [query(asked), vec![("before", ""), ("limit", limit.as_str())]].concat();
    let page = read(&worker.get("/v1/audit", &first)?, "items")?;
    let mut last = page.pointer("/head/seq").and_then(Value::as_u64).unwrap_or_default();
    show(page.get("items").and_then(Value::as_array).ok_or_else(unfit)?.iter().rev(), asked.json)?;
    loop {
        thread::sleep(EVERY);
        let after = last.to_string();
        let more = [query(asked), vec![("after", after.as_str())]].concat();
        let page = match worker.get("/v1/audit", &more) {
            Ok(page) => read(&page, "items")?,
            Err(fault) if fault.is_passing() => {
                crate::tell(&format!("{} Trying again.", fault.line()));
                thread::sleep(fault.retry_after());
                continue;
            }
            Err(fault) => return Err(fault.into()),
        };
        show(page.get("items").and_then(Value::as_array).ok_or_else(unfit)?.iter(), asked.json)?;
        let next = page.get("next_after").and_then(Value::as_u64);
        last = next.or_else(|| page.pointer("/head/seq").and_then(Value::as_u64)).unwrap_or(last).max(last);
    }
}

fn show<'a>(events: impl Iterator<Item = &'a Value>, json: bool) -> Answer<()> {
    for event in events {
        let line = if json { event.to_string() } else { COLUMNS.map(|name| cell(event, name)).join("  ") };
        print(&line)?;
    }
    Ok(())
}

/// The whole chain, or what comes after an event, as `claviger audit verify` reads it.
pub fn export(target: Target, workspace: Option<&WorkspaceId>, after: u64) -> Answer {
    let worker = Worker::parse(target.url)?;
    let mut after = after;
    loop {
        let from = after.to_string();
        let mut query = vec![("after", from.as_str())];
        query.extend(workspace.map(|id| ("workspace", id.as_str())));
        let part = worker.get("/v1/audit/export", &query)?;
        print(part.trim_end())?;
        let last = part.trim_end().lines().next_back().unwrap_or_default();
        match read(last, "head")?.get("next_after").and_then(Value::as_u64) {
            Some(next) if next > after => after = next,
            Some(_) => {
                return Err(crate::refused(
                    "The worker answers the same part again and again. Report it, with its version.",
                ));
            }
            None => return Ok(Zeroizing::default()),
        }
    }
}

fn query(asked: &Events) -> Vec<(&str, &str)> {
    let workspace = asked.workspace.as_ref().map(|id| id.as_str());
    let given = [("workspace", workspace), ("action", asked.action.as_deref()), ("actor", asked.actor.as_deref())];
    given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
