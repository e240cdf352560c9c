//! The policy file: TOML into types, or the line and the reason why not.

use super::{
    IdentityRule, Implies, Policy, ScopeRule, Tier, WidgetPolicy, own,
    router::Router,
    routes,
    table::{Fault, Table, Text, table},
    upstream,
};
use crate::{conversations::store::Room, limits::window::Limit, machines::credential::SHARDS, value::scope::Scope};
use std::fmt;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Why a policy file is not sound.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyError {
    /// Line, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// The longest path and query of a call to a route, where the policy does not say: 16 KiB.
const MAX_URL_BYTES: usize = 16 * 1_024;

/// Reads a policy file.
pub fn parse(text: &str) -> Result<Policy, PolicyError> {
    let at = |start: usize, reason: String| PolicyError {
        line: line(text, start),
        // It may repeat what the file names: one line it stays, and nothing that a terminal would obey.
        reason: reason.replace(char::is_control, " "),
    };
    let file = DeTable::parse(text)
        .map_err(|error| at(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    policy(Table::new(file.get_ref(), 0..0)).map_err(|(span, reason)| at(span.start, reason))
}

/// The line of what a sound file says of `name` in the table `table`, from 1; of the table itself, where the name is empty.
pub fn line_of(text: &str, table: &str, name: &str) -> Option<usize> {
    let file = DeTable::parse(text).ok()?;
    let (place, members) = file.get_ref().iter().find(|(key, _)| key.get_ref() == table)?;
    if name.is_empty() {
        return Some(line(text, place.span().start));
    }
    let (place, _) = members.get_ref().as_table()?.iter().find(|(key, _)| key.get_ref() == name)?;
    Some(line(text, place.span().start))
}

fn line(text: &str, start: usize) -> usize {
    1 + text.bytes().take(start).filter(|b| *b == b'\n').count()
}

fn policy(file: Table) -> Result<Policy, Fault> {
    let file = file.only(&[
        "brand",
        "operators",
        "scopes",
        "own",
        "unlimited",
        "tiers",
        "widget",
        "routes",
        "schemes",
        "leaks",
        "upstream",
    ])?;
    let brand = file.required_text("brand")?;
    if !(2..=8).contains(&brand.text.len()) || !brand.text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        return Err((brand.span, "brand is 2 to 8 of a-z and 0-9".to_owned()));
    }
    let operators = file.texts("operators")?.unwrap_or_default();
    if let Some(operator) = operators.iter().find(|operator| !operator.text.contains('@')) {
        return Err((operator.span.clone(), "operators are e-mail addresses".to_owned()));
    }
    let scopes = file.table("scopes")?.map(scopes).transpose()?.unwrap_or_default();
    let own = file.table("own")?.map(|table| own::read(&table, &scopes)).transpose()?.unwrap_or_default();
    let (unlimited, place) = file.flag("unlimited")?;
    let mut tiers = Vec::new();
    for (name, value) in file.table("tiers")?.iter().flat_map(Table::members) {
        let tier = tier(table(&name.text, value)?)?;
        tiers.push((name.text, tier));
    }
    if unlimited && !tiers.is_empty() {
        return Err((
            place,
            "`unlimited = true` says that no key is limited, and [tiers] limit them: keep one".to_owned(),
        ));
    }
    let widget = file.table("widget")?.map(widget).transpose()?;
    let upstream = file.table("upstream")?.map(upstream::read).transpose()?.unwrap_or_default();
    let routes = routes::read(file.tables("routes")?, &scopes, &upstream)?;
    let router = Router::new(&routes);
    let leaks = file.table("leaks")?.map(|leaks| leaks.only(&["overlap_minutes"])).transpose()?;
    let grace_minutes = leaks.map(|leaks| leaks.number("overlap_minutes", 1..=1_440)).transpose()?.flatten();
    let deploy_schemes = file.table("schemes")?.map(schemes).transpose()?.flatten();
    Ok(Policy {
        brand: brand.text,
        operators: operators.into_iter().map(|operator| operator.text).collect(),
        scopes,
        own,
        unlimited,
        tiers,
        widget,
        routes,
        router,
        max_url_bytes: upstream.max_url_bytes.unwrap_or(MAX_URL_BYTES),
        upstream,
        leak_grace_seconds: grace_minutes.map(|minutes| u64::from(minutes) * 60),
        deploy_schemes: deploy_schemes.unwrap_or_else(|| vec!["Convex".to_owned(), "Deploy".to_owned()]),
    })
}

fn schemes(file: Table) -> Result<Option<Vec<String>>, Fault> {
    let file = file.only(&["deploy_key"])?;
    let names = file.texts("deploy_key")?;
    if names.as_ref().is_some_and(Vec::is_empty) {
        return Err((file.span, "`deploy_key` names no scheme: no deploy key could be presented".to_owned()));
    }
    for name in names.iter().flatten() {
        let sound = !name.text.is_empty() && name.text.bytes().all(|b| b.is_ascii_alphanumeric());
        if !sound || name.text.eq_ignore_ascii_case("bearer") {
            return Err((name.span.clone(), format!("`{}` cannot name a scheme of its own", name.text)));
        }
    }
    Ok(names.map(|names| names.into_iter().map(|name| name.text).collect()))
}

fn scopes(file: Table) -> Result<Vec<(Scope, ScopeRule)>, Fault> {
    let mut scopes = Vec::new();
    for (name, value) in file.members() {
        let scope = Scope::try_from(name.text.clone())
            .map_err(|_| (name.span.clone(), "a scope's name is 1 to 64 visible ASCII characters".to_owned()))?;
        scopes.push((scope, scope_rule(&file, &name, value)?));
    }
    Ok(scopes)
}

fn scope_rule(file: &Table, name: &Text, value: &Spanned<DeValue>) -> Result<ScopeRule, Fault> {
    if let Some(says) = value.get_ref().as_str() {
        return Ok(ScopeRule { says: says.to_owned(), implies: Implies::Only(Vec::new()) });
    }
    let rule = table(&name.text, value)?.only(&["says", "implies"])?;
    let says = rule.required_text("says")?.text;
    let implies = match rule.get("implies") {
        None => Implies::Only(Vec::new()),
        Some(all) if all.get_ref().as_str() == Some("*") => Implies::All,
        Some(_) => {
            let mut only = Vec::new();
            for implied in rule.texts("implies")?.unwrap_or_default() {
                let names: Vec<String> = file.members().map(|(name, _)| name.text).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let unknown = (implied.span, routes::unknown_scope(&implied.text, &names));
                let known = file.members().any(|(name, _)| name.text == implied.text);
                only.push(Scope::try_from(implied.text).ok().filter(|_| known).ok_or(unknown)?);
            }
            Implies::Only(only)
        }
    };
    Ok(ScopeRule { says, implies })
}

fn tier(file: Table) -> Result<Tier, Fault> {
    let file = file.only(&["requests", "tokens", "custom", "lease_seconds", "granted_by"])?;
    let requests = windows("requests", file.tables("requests")?)?;
    let tokens = windows("tokens", file.tables("tokens")?)?;
    let (custom, _) = file.flag("custom")?;
    let lease_seconds = file.number("lease_seconds", 1..=60)?;
    if custom != (requests.is_empty() && tokens.is_empty()) {
        return Err((file.span, "a tier has windows, or `custom = true`, not both and not neither".to_owned()));
    }
    let granted_by_admin = match file.text("granted_by")? {
        None => false,
        Some(by) if by.text == "plan" => false,
        Some(by) if by.text == "admin" => true,
        Some(by) => return Err((by.span, "`granted_by` is \"plan\" or \"admin\"".to_owned())),
    };
    Ok(Tier { requests, tokens, custom, lease_seconds, granted_by_admin })
}

/// The longest window: 31 days.
pub const MAX_WINDOW_SECONDS: u32 = 31 * 86_400;

fn windows(name: &str, tables: Vec<Table>) -> Result<Vec<Limit>, Fault> {
    let read = |window: Table| {
        let window = window.only(&["limit", "window_seconds"])?;
        let missing =
            |name| (window.span.clone(), format!("a window has `limit` and `window_seconds`: `{name}` is missing"));
        let limit = window.number("limit", 1..=u32::MAX)?.ok_or_else(|| missing("limit"))?;
        let seconds = window.number("window_seconds", 1..=MAX_WINDOW_SECONDS)?;
        let window_seconds = seconds.ok_or_else(|| missing("window_seconds"))?;
        Ok(Limit { name: name.to_owned(), limit, window_seconds })
    };
    let places: Vec<_> = tables.iter().map(|table| table.span.clone()).collect();
    let mut windows = tables.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    for (at, (window, place)) in windows.iter().zip(places).enumerate() {
        if windows.iter().take(at).any(|other: &Limit| other.window_seconds == window.window_seconds) {
            return Err((place, "two windows of the same length: the larger limit could never be reached".to_owned()));
        }
    }
    Limit::tell_apart(&mut windows);
    Ok(windows)
}

/// The numbers of `docs/http.md` hold where the file is silent.
fn widget(file: Table) -> Result<WidgetPolicy, Fault> {
    let file = file.only(&[
        "identity",
        "history_secret_days",
        "text_bytes",
        "page",
        "messages_per_minute",
        "messages_per_minute_per_conversation",
        "conversations_per_hour",
        "conversations_per_hour_per_key",
        "messages_per_hour_per_key",
        "messages_per_conversation",
        "bytes_per_conversation",
        "retention_days",
    ])?;
    let identity = IdentityRule::read(file.text("identity")?)?;
    let number = |name, bounds, otherwise| Ok::<u32, Fault>(file.number(name, bounds)?.unwrap_or(otherwise));
    let days = number("history_secret_days", 1..=365, 30)?;
    let text_bytes = number("text_bytes", 1..=65_536, 16 * 1_024)?;
    let page = number("page", 1..=500, 50)?;
    let messages = number("messages_per_minute", 1..=u32::MAX, 60)?;
    let conversation_messages = number("messages_per_minute_per_conversation", 1..=u32::MAX, 30)?;
    let conversations = number("conversations_per_hour", 1..=u32::MAX, 10)?;
    let shards = u32::from(SHARDS);
    let key_conversations = number("conversations_per_hour_per_key", shards..=u32::MAX, 10_000)?;
    let key_messages = number("messages_per_hour_per_key", shards..=u32::MAX, 100_000)?;
    let room = Room {
        messages: u64::from(number("messages_per_conversation", 1..=1_000_000, 5_000)?),
        // The longest message that a policy can allow always fits.
        bytes: u64::from(number("bytes_per_conversation", 65_536..=1 << 30, 4 << 20)?),
    };
    let retention_days = file.number("retention_days", 1..=3_650)?;
    let limit = |name: &str, limit, window_seconds| Limit { name: name.to_owned(), limit, window_seconds };
    Ok(WidgetPolicy {
        history_secret_seconds: u64::from(days) * 86_400,
        text_bytes: usize::try_from(text_bytes).unwrap_or(usize::MAX),
        page: usize::try_from(page).unwrap_or(usize::MAX),
        identity,
        messages: limit("messages", messages, 60),
        conversation_messages: limit("conversation", conversation_messages, 60),
        conversations: limit("conversations", conversations, 3_600),
        // Split over the shards: it admits too little where traffic is uneven, never too much.
        shard_conversations: limit("key", key_conversations / shards, 3_600),
        shard_messages: limit("key", key_messages / shards, 3_600),
        room,
        retention_seconds: retention_days.map(|days| u64::from(days) * 86_400),
    })
}
