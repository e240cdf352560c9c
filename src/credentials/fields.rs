//! What a request for a credential, or for a change of one, asks for: read member by member, and held to what the asker holds.

use crate::{
    call::body::{Fields, required},
    codec::kind::CredentialKind,
    error::{
        Part, Reason,
        refusal::{instead, plain},
    },
    json::Member,
    limits::{
        tier::{self, Numbers},
        window::Limit,
    },
    policy::{ADMIN, MAX_WINDOW_SECONDS},
    protocol::{credential_record::KeyPart, workspace::Plan},
    road::dispatch::Asked,
    value::{address::AddressRange, id::Environment, origin::Origin, scope::Scope},
};

/// Origins, and ranges of addresses, that one credential may list.
const MAX_LISTED: usize = 50;

/// Windows that the numbers of one credential may have.
const MAX_WINDOWS: usize = 8;

/// More scopes than any policy has use for.
const MAX_SCOPES: usize = 1_000;

/// The scopes that are asked for. Whoever asks may hand on what it holds; an administrator, any of the workspace's.
pub fn scopes(fields: &mut Fields, asked: &Asked<'_>) -> Result<Option<Vec<Scope>>, Reason> {
    let Some(names) = fields.optional_texts("scopes", MAX_SCOPES)? else { return Ok(None) };
    let policy = &asked.config.policy;
    let scopes = policy.resolve(&names)?;
    let principal = asked.admitted.principal();
    let admin = policy.satisfying(policy.own(ADMIN));
    let administers = principal.kind() == CredentialKind::DeployKey
        || principal.scopes().iter().any(|held| admin.iter().any(|name| name == held.as_str()));
    let beyond = scopes.iter().filter(|scope| !administers && !policy.covers(principal.scopes(), scope));
    let beyond: Vec<String> = beyond.map(|scope| scope.as_str().to_owned()).collect();
    if beyond.is_empty() { Ok(Some(scopes)) } else { Err(Reason::InsufficientScope(beyond)) }
}

/// The tier that is asked for, with the numbers of a custom one; `None` where neither member is there. `known` is what it is
/// asked for.
pub fn plan(fields: &mut Fields, asked: &Asked<'_>, known: Option<&KeyPart>) -> Result<Option<Plan>, Reason> {
    let tier = fields.optional_text("tier", 64)?;
    let own = known.and_then(|key| key.numbers.as_ref());
    let numbers = fields.take_member("limits").map(|member| numbers("limits", member, asked, own)).transpose()?;
    if tier.is_none() && numbers.is_none() {
        return Ok(None);
    }
    let name = tier.or(known.and_then(|key| key.tier.clone()));
    // What was made under a policy without tiers has numbers and no name for them.
    let is_nameless = asked.config.policy.tiers.is_empty() || known.is_some() && numbers.as_ref() == own;
    if name.is_none() && is_nameless {
        return Ok(Some(Plan { tier: None, numbers }));
    }
    let tiers = &asked.config.policy.tiers;
    let known: Vec<&str> = tiers.iter().map(|(name, _)| name.as_str()).collect();
    let rule = match known.as_slice() {
        [] => "The policy has no tiers: leave it out.".to_owned(),
        known => format!("The policy has these tiers: {}.", known.join(", ")),
    };
    let name = required("tier", name, &rule)?;
    let tier = tiers.iter().find(|(known, _)| *known == name).map(|(_, tier)| tier);
    let tier = tier.ok_or_else(|| Reason::invalid("tier", &rule))?;
    match (tier.custom, &numbers) {
        (true, None) => {
            let wanted = "A custom tier takes its numbers from each credential.";
            Err(Reason::missing(Part::Member, "limits", &format!("{wanted} {NUMBERS}")))
        }
        (false, Some(_)) => Err(Reason::invalid("limits", "The numbers of this tier are the policy's.")),
        _ => Ok(Some(Plan { tier: Some(name), numbers })),
    }
}

/// The tier of a credential that asks for none: the workspace's, or `free` where the policy has it. A policy without tiers
/// limits nothing where it says so, and each credential by the same numbers where it does not.
pub fn plan_otherwise(asked: &Asked<'_>, default_tier: Option<String>) -> Result<Plan, Reason> {
    let policy = &asked.config.policy;
    match tier::ready(&policy.tiers, default_tier.as_deref()) {
        None if !policy.tiers.is_empty() => {
            let known: Vec<&str> = policy.tiers.iter().map(|(name, _)| name.as_str()).collect();
            let wanted = format!("Say which tier, since the policy has no `free` one: {}.", known.join(", "));
            Err(Reason::missing(Part::Member, "tier", &wanted))
        }
        None => Ok(Plan { tier: None, numbers: policy.has_no_limits().then(tier::without_name) }),
        tier => Ok(Plan { tier: tier.map(str::to_owned), numbers: None }),
    }
}

/// What numbers look like, for people.
const NUMBERS: &str =
    "An object with `requests`, and `tokens` if wanted: lists of 1 to 8 windows of `limit` and `window_seconds`.";

/// `{"requests": [{"limit": 1000, "window_seconds": 60}], "tokens": [ … ]}`.
pub fn numbers(field: &str, member: Member, asked: &Asked<'_>, known: Option<&Numbers>) -> Result<Numbers, Reason> {
    let Member::Object(mut members) = member else { return Err(Reason::invalid(field, NUMBERS)) };
    let mut windows = |name: &str| {
        let path = format!("{field}.{name}");
        match members.take(name) {
            None | Some(Member::Null) => Ok(Vec::new()),
            // An empty list, as a credential without such windows is shown.
            Some(Member::Texts(items)) if items.is_empty() => Ok(Vec::new()),
            Some(Member::List(items)) if items.len() <= MAX_WINDOWS => self::windows(name, &path, items),
            Some(_) => Err(Reason::invalid(&path, NUMBERS)),
        }
    };
    let mut numbers = Numbers { requests: windows("requests")?, tokens: windows("tokens")? };
    if let Some(name) = members.names().next() {
        return Err(unknown_in(field, name, &["requests", "tokens"]));
    }
    if numbers.requests.is_empty() {
        return Err(Reason::missing(Part::Member, &format!("{field}.requests"), NUMBERS));
    }
    Limit::tell_apart(&mut numbers.requests);
    Limit::tell_apart(&mut numbers.tokens);
    // Left out, they would be unlimited. What was granted before stays as it is.
    if let Some(route) = asked.config.policy.counting_route()
        && numbers.tokens.is_empty()
        && known != Some(&numbers)
    {
        let why = format!("`tokens` is missing, which {} counts: a limit is at most 4294967295.", route.name());
        return Err(Reason::invalid(field, &why));
    }
    Ok(numbers)
}

/// The windows of one list, each of another length.
fn windows(name: &str, path: &str, items: Vec<Member>) -> Result<Vec<Limit>, Reason> {
    let mut windows: Vec<Limit> = Vec::new();
    for (place, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{place}]");
        let window = window(name, &path, item)?;
        if windows.iter().any(|other| other.window_seconds == window.window_seconds) {
            return Err(Reason::invalid(&path, "Another window of the list is as long: each has a length of its own."));
        }
        windows.push(window);
    }
    Ok(windows)
}

fn window(name: &str, path: &str, item: Member) -> Result<Limit, Reason> {
    let Member::Object(mut members) = item else { return Err(Reason::invalid(path, NUMBERS)) };
    let mut number = |name: &str, max: u32| {
        let (path, rule) = (format!("{path}.{name}"), format!("A whole number from 1 to {max}."));
        match members.take(name) {
            None | Some(Member::Null) => Err(Reason::missing(Part::Member, &path, &rule)),
            Some(Member::Number(number)) if (1..=u64::from(max)).contains(&number) => {
                u32::try_from(number).map_err(|_| Reason::invalid(&path, &rule))
            }
            Some(_) => Err(Reason::invalid(&path, &rule)),
        }
    };
    let (limit, window_seconds) = (number("limit", u32::MAX)?, number("window_seconds", MAX_WINDOW_SECONDS)?);
    match members.names().next() {
        Some(unknown) => Err(unknown_in(path, unknown, &["limit", "window_seconds"])),
        None => Ok(Limit { name: name.to_owned(), limit, window_seconds }),
    }
}

/// A member of an object within the body that is not known there.
fn unknown_in(path: &str, name: &str, known: &[&str]) -> Reason {
    let shown = plain(name).map(|name| format!("{path}.{name}")).unwrap_or_default();
    Reason::Unknown(
        Part::Member,
        shown,
        instead("member", name, known).replace("This call takes", &format!("`{path}` takes")),
    )
}

/// The ranges of addresses that are asked for.
pub fn addresses(fields: &mut Fields, asked: &Asked<'_>) -> Result<Option<Vec<AddressRange>>, Reason> {
    let Some(texts) = fields.optional_texts("allowed_addresses", MAX_LISTED)? else { return Ok(None) };
    // A list that nobody can be on would be a key that opens nothing.
    if !texts.is_empty() && asked.config.client_address_header.is_none() {
        return Err(Reason::invalid(
            "allowed_addresses",
            "This deployment does not know its clients' addresses: set the variable CLIENT_ADDRESS_HEADER first.",
        ));
    }
    let mut ranges = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let range = AddressRange::parse(text).map_err(|reason| reason.at(place))?;
        if !ranges.contains(&range) {
            ranges.push(range);
        }
    }
    Ok(Some(ranges))
}

/// The origins that are asked for.
pub fn origins(
    fields: &mut Fields,
    environment: Environment,
    asked: &Asked<'_>,
) -> Result<Option<Vec<Origin>>, Reason> {
    let Some(texts) = fields.optional_texts("origins", MAX_LISTED)? else {
        return Ok(None);
    };
    if texts.is_empty() {
        return Err(Reason::invalid("origins", "List at least one origin."));
    }
    // Kept and shown, like a name; but the names of hosts may be as long as any secret.
    if texts.iter().any(|text| asked.config.door().is_like_credential(text)) {
        return Err(Reason::invalid(
            "origins",
            "This looks like a credential, which has no place here: treat it as leaked.",
        ));
    }
    let mut origins = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let origin = Origin::parse(text, environment).map_err(|reason| reason.at(place))?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(Some(origins))
}

/// What a widget key cannot have: it is public, and held to origins and to the policy's limits.
pub fn refuse_key_members(fields: &mut Fields) -> Result<(), Reason> {
    if fields.optional_texts("scopes", MAX_SCOPES)?.is_some_and(|scopes| !scopes.is_empty()) {
        return Err(Reason::invalid("scopes", "A widget key is public and has no scopes."));
    }
    if fields.optional_text("tier", 64)?.is_some() || fields.take_member("limits").is_some() {
        return Err(Reason::invalid("tier", "A widget key has no tier: its limits are the policy's."));
    }
    if fields.optional_texts("allowed_addresses", MAX_LISTED)?.is_some_and(|addresses| !addresses.is_empty()) {
        return Err(Reason::invalid("allowed_addresses", "A widget key is held to origins, not to addresses."));
    }
    fields.forget(&["scopes", "tier", "limits", "allowed_addresses"]);
    Ok(())
}

/// The name of the service that a token is for: it stands in a header.
pub fn service(fields: &mut Fields, asked: &Asked<'_>) -> Result<String, Reason> {
    const RULE: &str = "1 to 64 of a-z, A-Z, 0-9, `-`, `_` and `.`, starting with a letter or digit.";
    let name = required("service", fields.label("service", 64, &asked.config.door())?, RULE)?;
    let is_sound = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if is_sound { Ok(name) } else { Err(Reason::invalid("service", RULE)) }
}
