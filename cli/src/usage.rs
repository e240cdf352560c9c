//! How much a credential was used, as a table: in all, by time, by secret and by scope.

use crate::{
    Answer,
    credential::{cell, path, read},
    credential_arguments::Usage,
    table::table,
    worker::Worker,
};
use serde_json::Value;

/// Shows it.
pub fn show(worker: &Worker, asked: &Usage) -> Answer {
    let given = [("from", &asked.from), ("to", &asked.to), ("bucket", &asked.bucket)];
    let query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let answer = worker.get(&path(&asked.id, "/usage"), &query)?;
    let usage = read(&answer, "total")?;
    if asked.json {
        return Ok(answer);
    }
    let mut totals = ["total", "denied", "last_used_at"].map(|name| vec![title(name), cell(&usage, name)]).to_vec();
    // Where no tier limits them, tokens are not counted.
    if let Some(tokens) = usage.get("tokens") {
        totals.insert(2, vec!["tokens".to_owned(), cell(tokens, "used")]);
    }
    let mut parts = vec![table(&totals)];
    // The series is for those who asked how fine it should be.
    let lists = [("series", "at", asked.bucket.is_some()), ("by_secret", "hint", true), ("by_scope", "scope", true)];
    for (list, name, _) in lists.into_iter().filter(|(.., wanted)| *wanted) {
        let rows = usage.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        parts.extend(columns(name, rows));
    }
    let never = never_used(&usage);
    if !never.is_empty() {
        parts.push(format!("never used: {}", never.join(", ")));
    }
    Ok(parts.join("\n\n").into())
}

/// A table of whichever of the columns that there are.
fn columns(first: &str, rows: &[Value]) -> Option<String> {
    let has = |name: &&str| rows.iter().any(|row| row.get(*name).is_some());
    let names: Vec<&str> = [first, "total", "denied", "tokens", "last_used_at"].into_iter().filter(has).collect();
    if names.is_empty() {
        return None;
    }
    let head = names.iter().map(|name| title(name).to_uppercase()).collect();
    let row = |row: &Value| names.iter().map(|name| cell(row, name)).collect();
    Some(table(&[head].into_iter().chain(rows.iter().map(row)).collect::<Vec<Vec<String>>>()))
}

/// The scopes that nothing was ever done with: they could be taken away.
fn never_used(usage: &Value) -> Vec<String> {
    let scopes = usage.get("by_scope").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_unused = |scope: &&Value| {
        scope.get("total") == Some(&Value::from(0)) && scope.get("last_used_at").is_none_or(Value::is_null)
    };
    scopes.iter().filter(is_unused).map(|scope| cell(scope, "scope")).collect()
}

fn title(name: &str) -> String {
    name.trim_end_matches("_at").replace('_', " ")
}
