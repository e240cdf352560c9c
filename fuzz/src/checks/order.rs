//! What is ordered for a server key: its scopes, tier, limits, addresses and life are taken as another reader takes them, or
//! the whole order is refused and nothing is kept. What was made is shown as it was ordered, and can be sent back.
//!
//! The input is members of a body, without the braces.

use super::{scene, text};
use claviger::call::body::Fields;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// In the order in which they are shown.
const SCOPES: [&str; 6] =
    ["admin", "conversations:read", "credentials:read", "messages:read", "messages:write", "verify"];

pub fn check(bytes: &[u8]) {
    let fixed = "{\"kind\":\"server_key\",\"workspace\":\"acme\",\"environment\":\"live\",\"name\":\"n\"";
    let body = format!("{fixed},{}}}", text(bytes));
    let members: Option<Map<String, Value>> = serde_json::from_str(&body).ok();
    let members = members.filter(|_| Fields::parse(body.as_bytes()).is_ok());
    let expected = members.as_ref().and_then(expected);
    scene::with(|scene| {
        let before = scene.toy.kept();
        let key = format!("Convex {}", scene.deploy_key);
        let send = |method: &str, path: &str, body: &str| {
            let headers = [("authorization", key.as_str())];
            let answer = scene.toy.exchange(method, path, &headers, body);
            scene.keeps_its_promises(&answer, &headers);
            answer
        };
        let made = send("POST", "/v1/credentials", &body);
        let Some(expected) = expected else {
            assert_eq!((made.status, made.code()), (400, "invalid_request"), "{body}: {}", made.text);
            assert!(scene.toy.kept() == before, "{body}");
            return;
        };
        assert_eq!(made.status, 201, "{body}: {}", made.text);
        let shown = |answer: &Value| {
            let facts = ["scopes", "tier", "limits", "allowed_addresses"];
            facts.map(|name| (name, answer.get(name).cloned().unwrap_or_default())).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(shown(&made.json), expected, "{body}");
        let members: Map<String, Value> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let path = format!("/v1/credentials/{}", made.text_at("id"));
        let again = send("PATCH", &path, &Value::from(members).to_string());
        assert_eq!((again.status, shown(&again.json)), (200, expected), "{body}: {}", again.text);
    });
}

/// What the order asks for, read naively; none: it is no sound one.
fn expected(members: &Map<String, Value>) -> Option<Vec<(&'static str, Value)>> {
    let known = [
        "kind",
        "workspace",
        "environment",
        "name",
        "scopes",
        "tier",
        "limits",
        "allowed_addresses",
        "origins",
        "expires_in",
    ];
    let get = |name: &str| members.get(name).filter(|value| !value.is_null());
    let texts = |name: &str| match get(name) {
        None => Some(Vec::new()),
        Some(value) => value.as_array()?.iter().map(Value::as_str).collect(),
    };
    let scopes = texts("scopes")?;
    let are_known =
        scopes.iter().enumerate().all(|(at, scope)| SCOPES.contains(scope) && !scopes[..at].contains(scope));
    let scopes: Vec<&str> = SCOPES.into_iter().filter(|scope| scopes.contains(scope)).collect();
    let addresses = texts("allowed_addresses").filter(|addresses| addresses.len() <= 50)?;
    let mut ranges: Vec<String> = Vec::new();
    for address in addresses {
        let range = range(address)?;
        if !ranges.contains(&range) {
            ranges.push(range);
        }
    }
    let limits = get("limits").map(|limits| limits_of(limits).ok_or(())).transpose().ok()?;
    let tier = match (get("tier").map(|tier| tier.as_str().ok_or(())).transpose().ok()?, &limits) {
        (None, None) => "free",
        (Some(tier @ ("free" | "standard")), None) | (Some(tier @ "enterprise"), Some(_)) => tier,
        _ => return None,
    };
    let lives =
        get("expires_in").is_none_or(|seconds| seconds.as_u64().is_some_and(|n| (1..=316_224_000).contains(&n)));
    let is_sound =
        are_known && lives && texts("origins")?.is_empty() && members.keys().all(|name| known.contains(&name.as_str()));
    let limits = limits.unwrap_or_default();
    is_sound.then(|| {
        vec![("scopes", json!(scopes)), ("tier", json!(tier)), ("limits", limits), ("allowed_addresses", json!(ranges))]
    })
}

fn limits_of(limits: &Value) -> Option<Value> {
    let limits = limits.as_object()?;
    let windows = |name: &str| {
        let Some(windows) = limits.get(name).filter(|windows| !windows.is_null()) else { return Some(Vec::new()) };
        let mut seen: Vec<u64> = Vec::new();
        for window in windows.as_array().filter(|windows| windows.len() <= 8)? {
            let window = window.as_object().filter(|window| window.len() == 2)?;
            let number = |name: &str, max: u64| window.get(name)?.as_u64().filter(|number| (1..=max).contains(number));
            number("limit", u32::MAX.into())?;
            seen.push(number("window_seconds", 31 * 86_400).filter(|seconds| !seen.contains(seconds))?);
        }
        windows.as_array().cloned()
    };
    let (requests, tokens) = (windows("requests")?, windows("tokens")?);
    let are_all = limits.keys().all(|name| matches!(name.as_str(), "requests" | "tokens"));
    (are_all && !requests.is_empty()).then(|| json!({"requests": requests, "tokens": tokens}))
}

/// The range as it is shown: its lowest address, and how many bits of it count.
fn range(text: &str) -> Option<String> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let (number, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => return None,
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let bits = match bits {
        None => width,
        Some(bits) => bits.parse::<u32>().ok().filter(|number| *number <= width && number.to_string() == bits)?,
    };
    let rest = number.checked_shl(bits).unwrap_or_default();
    (rest == 0).then(|| format!("{address}/{bits}"))
}
