//! A law for every kind of credential and every call there is: nothing that holds a credential is moved by that credential, nor
//! by all that it can make, change or have handed out, one after the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{
    policy::Action,
    road::route::name,
    value::{address::AddressRange, id::Stage},
};
use proptest::{
    prelude::*,
    sample::{Index, select},
};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use toy::{Answer, ORIGIN, Toy, Visitor};

const START: &str = "2026-01-01T00:00:00.000Z";
const ADDRESS: &str = "192.0.2.7";
const SERVICE: &str = "capture";

/// More than any window that is asked for admits.
const ENDLESS: u64 = u64::MAX;

/// Everything that can be asked for, by the member's name.
fn pool(name: &str) -> Vec<Value> {
    let limits = |limit: u32| json!({"requests": [{"limit": limit, "window_seconds": 60}]});
    let plan = |tiers: Value, custom: Value| json!({"tiers": tiers, "custom_limits": custom});
    match name {
        "tier" => vec![json!("free"), json!("standard"), json!("enterprise")],
        "limits" => vec![limits(10), limits(1_000), limits(5_000), limits(u32::MAX)],
        "expires_in" => vec![json!(60), json!(3_600), json!(7_200), json!(316_224_000)],
        "expires_at" => vec![
            Value::Null,
            json!(START),
            json!("2026-01-01T00:30:00Z"),
            json!("2026-01-01T01:00:00Z"),
            json!("2026-01-01T02:00:00Z"),
            json!("9999-12-31T23:59:59Z"),
        ],
        "allowed_addresses" => vec![
            json!([]),
            json!(["192.0.2.0/24"]),
            json!(["192.0.2.7"]),
            json!(["192.0.2.7", "198.51.100.0/24"]),
            json!(["0.0.0.0/0", "::/0"]),
        ],
        "scopes" => {
            vec![json!([]), json!(["admin"]), json!(["messages:read"]), json!(["messages:read", "admin", "verify"])]
        }
        "default_tier" => vec![Value::Null, json!("free"), json!("standard")],
        "plan" => vec![
            Value::Null,
            plan(json!([]), Value::Null),
            plan(json!(["free"]), Value::Null),
            plan(json!(["enterprise", "free", "standard"]), limits(u32::MAX)),
        ],
        "kind" => vec![json!("server_key"), json!("service_token"), json!("widget_key"), json!("deploy_key")],
        "environment" => vec![json!("live"), json!("live"), json!("test")],
        "overlap_seconds" => vec![json!(0), json!(600), json!(604_800)],
        "created_by" => vec![json!("cli:")],
        "stage" => vec![json!("dev")],
        "text" => vec![json!("hello")],
        other => panic!("nothing is known for {other}"),
    }
}

/// What a call can be asked for.
fn members(call: &str) -> &'static [&'static str] {
    match call {
        "POST /v1/credentials" => {
            &["tier", "limits", "expires_in", "allowed_addresses", "scopes", "kind", "environment"]
        }
        "PATCH /v1/credentials/{id}" => &["tier", "limits", "expires_at", "allowed_addresses", "scopes"],
        "PATCH /v1/workspaces/{id}" => &["default_tier", "plan"],
        "POST /v1/workspaces" => &["plan"],
        "POST /v1/credentials/{id}/rotate" => &["overlap_seconds"],
        "POST /v1/workspaces/{id}/credentials/revoke" => &["created_by"],
        call if call.starts_with("POST") && call.ends_with("/messages") => &["text"],
        _ => &[],
    }
}

/// One call: by which of the credentials that are held by then, about which of those that there are, asking for what.
#[derive(Clone, Debug)]
struct Step {
    call: &'static str,
    by: Index,
    about: Index,
    asks: Vec<(&'static str, Value)>,
}

fn step() -> impl Strategy<Value = Step> {
    let all: Vec<&'static str> = Action::ALL.into_iter().map(name).collect();
    // The calls that could widen something come often, and all others too.
    let often: Vec<&'static str> = all.iter().copied().filter(|call| !members(call).is_empty()).collect();
    (prop_oneof![4 => select(often), 1 => select(all)], any::<Index>(), any::<Index>()).prop_flat_map(
        |(call, by, about)| {
            let asks: Vec<_> = members(call)
                .iter()
                .map(|name| {
                    // Most of what can be asked for is asked for one by one.
                    prop::option::weighted(0.4, select(pool(name)))
                        .prop_map(move |value| value.map(|value| (*name, value)))
                })
                .collect();
            asks.prop_map(move |asks| Step { call, by, about, asks: asks.into_iter().flatten().collect() })
        },
    )
}

/// A credential that somebody holds, and how it is sent.
#[derive(Clone, Debug)]
enum Held {
    Server(String),
    Service(String),
    Deploy(String),
    Page(Visitor),
}

/// What holds a credential.
#[derive(Clone, Debug)]
struct Bounds {
    environment: String,
    scopes: Vec<String>,
    addresses: Vec<AddressRange>,
    /// RFC 3339 in one form: later is greater, and `~` is never.
    end: String,
    /// Requests a minute.
    rate: u64,
}

struct World {
    toy: Toy,
    held: Vec<Held>,
    /// Whether what is held administers.
    me: Option<String>,
    /// Every credential that a call can be about.
    ids: Vec<String>,
    visitor: Visitor,
}

/// What the principal is: its kind, and what holds it.
fn principals() -> Vec<(&'static str, Value)> {
    let bound = json!({"scopes": ["admin"], "expires_in": 3_600, "allowed_addresses": ["192.0.2.0/24"]});
    let big = json!({"requests": [{"limit": 2_000, "window_seconds": 60}]});
    vec![
        ("server_key", bound.clone()),
        ("server_key", json!({"scopes": ["admin"], "expires_in": 3_600})),
        ("server_key", json!({"scopes": ["admin"], "allowed_addresses": ["192.0.2.0/24"]})),
        ("server_key", json!({"scopes": ["admin"]})),
        ("server_key", json!({"scopes": ["admin"], "tier": "enterprise", "limits": big})),
        ("server_key", json!({"scopes": ["credentials:read", "messages:read"], "expires_in": 3_600})),
        ("service_token", bound),
        ("widget_key", json!({})),
        ("history_secret", json!({})),
        ("deploy_key", json!({})),
    ]
}

impl World {
    fn new(kind: &str, principal: &Value, plan: &Value) -> Self {
        let toy = Toy::new("default");
        let (widget, text) = toy.shop();
        let visitor = toy.open(&text);
        toy.admin("PATCH", "/v1/workspaces/acme", plan).ok(200);
        let (other, _) = toy.server_key("acme", "live", &json!({"scopes": ["admin"]}));
        let limits = json!({"requests": [{"limit": 9_000, "window_seconds": 60}]});
        let (most, _) = toy.server_key("acme", "live", &json!({"tier": "enterprise", "limits": limits}));
        let (near, _) = toy.server_key("acme", "live", &json!({"expires_in": 60, "allowed_addresses": [ADDRESS]}));
        let (test, _) = toy.server_key("acme", "test", &json!({"scopes": ["admin"]}));
        let (me, held) = match kind {
            "server_key" => {
                let (id, text) = toy.server_key("acme", "live", principal);
                (Some(id), Held::Server(text))
            }
            "service_token" => {
                let (id, text) = toy.service_token("acme", "live", SERVICE, principal);
                (Some(id), Held::Service(text))
            }
            "deploy_key" => {
                let text = format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 7_200));
                let known = toy.send("GET", "/v1/whoami", &[("authorization", &text)], "").ok(200);
                let path = format!("/v1/credentials/{}", known.text_at("id"));
                toy.admin("PATCH", &path, &json!({"expires_at": "2026-01-01T00:30:00Z"})).ok(200);
                (Some(known.text_at("id")), Held::Deploy(text))
            }
            "widget_key" => (Some(widget.clone()), Held::Server(text)),
            _ => (None, Held::Page(visitor.clone())),
        };
        let ids = me.iter().cloned().chain([other, most, near, test, widget]).collect();
        Self { toy, held: vec![held], me, ids, visitor }
    }

    /// What holds a credential of the workspace.
    fn bounds(&self, id: &str) -> Bounds {
        let shown = self.toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200).json;
        let texts = |name: &str| {
            let items = shown[name].as_array().into_iter().flatten();
            items.map(|item| item.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let windows = shown["limits"]["requests"].as_array().into_iter().flatten();
        let own =
            windows.map(|window| window["limit"].as_u64().unwrap() * 60 / window["window_seconds"].as_u64().unwrap());
        Bounds {
            environment: shown["environment"].to_string(),
            scopes: texts("scopes"),
            addresses: texts("allowed_addresses").iter().map(|text| AddressRange::parse(text).unwrap()).collect(),
            end: shown["expires_at"].as_str().unwrap_or("~").to_owned(),
            rate: rate(shown["tier"].as_str(), own.min().unwrap_or(ENDLESS)),
        }
    }

    /// The workspace as it is shown, without its name.
    fn settings(&self) -> Value {
        let mut shown = self.toy.admin("GET", "/v1/workspaces/acme", &Value::Null).ok(200).json;
        shown.as_object_mut().unwrap().remove("identity_secret_count");
        shown
    }

    fn send(&self, by: &Held, call: &str, path: &str, body: &Value) -> Answer {
        let (method, _) = call.split_once(' ').unwrap();
        let mut headers = vec![("x-client", ADDRESS.to_owned())];
        match by {
            Held::Server(text) => headers.push(("authorization", format!("Bearer {text}"))),
            Held::Service(text) => {
                headers.extend([("x-service-token", text.clone()), ("x-service-name", SERVICE.into())])
            }
            Held::Deploy(text) => headers.push(("authorization", text.clone())),
            Held::Page(visitor) => headers.push(("authorization", format!("Bearer {}", visitor.secret))),
        }
        if path.starts_with("/w/") {
            headers.push(("origin", ORIGIN.to_owned()));
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = if method == "GET" { String::new() } else { body.to_string() };
        self.toy.send(method, path, &headers, &body)
    }

    /// Makes the call, and keeps what it hands out.
    fn walk(&mut self, step: &Step) -> Answer {
        let by = self.held[step.by.index(self.held.len())].clone();
        // Every other call is about the principal itself.
        let own = self.me.clone().filter(|_| step.about.index(2) == 0);
        let about = own.unwrap_or_else(|| self.ids[step.about.index(self.ids.len())].clone());
        let (method, pattern) = step.call.split_once(' ').unwrap();
        let id = match pattern {
            pattern if pattern.starts_with("/v1/credentials") => about.as_str(),
            pattern if pattern.starts_with("/v1/workspaces") => "acme",
            _ => &self.visitor.conversation,
        };
        let path = pattern.replace("{widget_key}", &self.visitor.key).replace("{id}", id).replace("{kid}", "is_x");
        let path = if matches!(by, Held::Deploy(_)) && method == "GET" && !path.contains(id) {
            format!("{path}?workspace=acme")
        } else {
            path
        };
        let mut body: Map<String, Value> =
            step.asks.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        if step.call == "POST /v1/credentials" {
            body.entry("kind").or_insert(json!("server_key"));
            body.entry("environment").or_insert(json!("live"));
            body.insert("name".to_owned(), json!("n"));
            let foreign: &[&str] = match body["kind"].as_str().unwrap() {
                "service_token" => {
                    body.insert("service".to_owned(), json!(SERVICE));
                    &[]
                }
                "widget_key" => {
                    body.insert("origins".to_owned(), json!([ORIGIN]));
                    &["tier", "limits", "allowed_addresses", "scopes"]
                }
                "deploy_key" => {
                    body.insert("stage".to_owned(), json!("dev"));
                    &["tier", "limits", "allowed_addresses", "scopes", "environment"]
                }
                _ => &[],
            };
            foreign.iter().for_each(|name| drop(body.remove(*name)));
            if matches!(by, Held::Deploy(_)) && body["kind"] != "deploy_key" {
                body.insert("workspace".to_owned(), json!("acme"));
            }
            // The numbers of a tier come with it or not at all.
            if body.get("tier") != Some(&json!("enterprise")) {
                body.remove("limits");
            }
        }
        if step.call == "POST /v1/workspaces" {
            body.insert("name".to_owned(), json!("n"));
        }
        let answer = self.send(&by, step.call, &path, &Value::Object(body));
        if let (true, Some(secret)) = (answer.status == 201, answer.json["secret"].as_str()) {
            if let Some(id) = answer.json["id"].as_str() {
                self.ids.push(id.to_owned());
            }
            match answer.json["kind"].as_str() {
                Some("server_key") => self.held.push(Held::Server(secret.to_owned())),
                Some("service_token") => self.held.push(Held::Service(secret.to_owned())),
                _ => {}
            }
        }
        answer
    }
}

/// Requests a minute of a tier of the policy `default`.
fn rate(tier: Option<&str>, own: u64) -> u64 {
    match tier {
        Some("free") => 60,
        Some("standard") => 500,
        _ => own,
    }
}

/// The most that a workspace's plan grants.
fn granted(settings: &Value) -> u64 {
    let plan = &settings["plan"];
    let custom = plan["custom_limits"]["requests"][0]["limit"].as_u64().unwrap_or_default();
    let tiers = plan["tiers"].as_array().unwrap().iter();
    tiers.map(|tier| rate(tier.as_str(), custom)).max().unwrap_or_default()
}

/// Whether all of these addresses are among those; none listed: anywhere.
fn is_among(these: &[AddressRange], those: &[AddressRange]) -> bool {
    those.is_empty() || !these.is_empty() && these.iter().all(|range| those.iter().any(|known| known.holds(range)))
}

thread_local! {
    /// Calls that were answered yes, and no, and secrets that were handed out: so that nobody takes nothing for a proof.
    static SEEN: Cell<[usize; 3]> = const { Cell::new([0; 3]) };
}

fn obeys(which: usize, plan: &Value, steps: &[Step]) -> Result<(), TestCaseError> {
    let (kind, principal) = principals()[which].clone();
    let mut world = World::new(kind, &principal, plan);
    let is_above = kind == "deploy_key";
    let settings = world.settings();
    let first: Vec<(String, Option<Bounds>)> = world
        .ids
        .clone()
        .into_iter()
        .map(|id| (id.clone(), (!id.starts_with("dk_")).then(|| world.bounds(&id))))
        .collect();
    let known = |id: &str| first.iter().find(|(known, _)| known == id).and_then(|(_, bounds)| bounds.clone());
    let own_end = |world: &World| {
        let shown = world.toy.admin("GET", &format!("/v1/credentials/{}", world.me.as_ref().unwrap()), &Value::Null);
        shown.ok(200).json["expires_at"].as_str().unwrap_or("~").to_owned()
    };
    let end = is_above.then(|| own_end(&world));
    for step in steps {
        let answer = world.walk(step);
        let is_yes = answer.status < 300;
        let [yes, no, handed] = SEEN.get();
        SEEN.set([
            yes + usize::from(is_yes),
            no + usize::from(answer.status == 403),
            handed + usize::from(is_yes && answer.json["secret"].is_string()),
        ]);
        prop_assert!(answer.status < 500, "{step:?}: {}", answer.text);
        if let Some(end) = &end {
            prop_assert!(own_end(&world) <= *end, "{step:?} put off its own end");
            continue;
        }
        let now = world.settings();
        let [plan, tier] = ["plan", "default_tier"].map(|name| (&settings[name], &now[name]));
        let is_same_plan = (&plan.0["tiers"], &plan.0["custom_limits"]) == (&plan.1["tiers"], &plan.1["custom_limits"]);
        prop_assert!(is_same_plan, "{step:?} moved the plan: {now}");
        prop_assert!(tier.0 == tier.1 || granted(&now) >= rate(tier.1.as_str().or(Some("free")), ENDLESS), "{step:?}");
        let Some(mine) = world.me.as_deref().and_then(known) else { continue };
        let most = granted(&settings);
        let own = world.bounds(world.me.as_ref().unwrap());
        prop_assert!(own.scopes.iter().all(|scope| mine.scopes.iter().any(|held| held == scope || held == "admin")));
        prop_assert!(
            own.end <= mine.end && is_among(&own.addresses, &mine.addresses),
            "{step:?} widened itself: {own:?}"
        );
        prop_assert!(own.rate <= mine.rate.max(most) && own.environment == mine.environment, "{step:?}: {own:?}");
        // And all that is handed out to it, whether it was made or rotated: so no detour leads further either.
        if let (true, Some(id)) = (answer.json["secret"].is_string() && is_yes, answer.json["id"].as_str()) {
            let got = world.bounds(id);
            let is_key = !id.starts_with("wk_");
            // The text of a widget key is in every page: rotating it hands out nothing that was not public.
            let is_public = !is_key && step.call.ends_with("/rotate");
            prop_assert!(is_public || got.end <= mine.end, "{step:?} handed out what outlives it: {got:?}");
            prop_assert!(!is_key || is_among(&got.addresses, &mine.addresses), "{step:?}: from elsewhere: {got:?}");
            prop_assert!(got.environment == mine.environment, "{step:?}: {got:?}");
            let before = known(id).map_or(0, |known| known.rate);
            prop_assert!(!is_key || got.rate <= before.max(most), "{step:?}: beyond the plan: {got:?}");
        }
        for (id, before) in &first {
            let (Some(before), now) = (before, world.bounds(id)) else { continue };
            prop_assert!(now.end <= before.end.clone().max(mine.end.clone()), "{step:?}: {id}: {now:?}");
            prop_assert!(now.rate <= before.rate.max(most), "{step:?}: {id}: {now:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a3_no_credential_widens_what_holds_it_by_any_calls_in_any_order(
        // The one kind that stands above a workspace is one in four.
        which in prop_oneof![3 => 0..9_usize, 1 => Just(9)],
        plan in select(vec![
            json!({}),
            json!({"default_tier": "standard"}),
            json!({"plan": {"tiers": ["free", "standard"]}}),
            json!({"plan": {"tiers": ["enterprise", "free"], "custom_limits": {"requests": [{"limit": 1_000, "window_seconds": 60}]}}}),
        ]),
        steps in prop::collection::vec(step(), 1..14),
    ) {
        obeys(which, &plan, &steps)?;
    }
}

#[test]
fn the_calls_of_the_law_are_answered_yes_and_no_and_hand_out_secrets() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    for which in 0..principals().len() {
        for _ in 0..8 {
            let steps = prop::collection::vec(step(), 10).new_tree(&mut runner).unwrap().current();
            obeys(which, &json!({"plan": {"tiers": ["free", "standard"]}}), &steps).unwrap();
        }
    }
    let [yes, no, handed] = SEEN.get();
    assert!(yes > 150 && no > 150 && handed > 30, "{yes} yes, {no} no, {handed} secrets");
    let calls = Action::ALL.into_iter().map(name).filter(|call| !members(call).is_empty()).count();
    assert!(calls >= 7, "{calls}");
}
