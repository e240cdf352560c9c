//! A bound belongs to somebody above: what a workspace's own credentials may grant, and that none of them is widened by itself.
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
    audit::By,
    codec::cbor,
    machines::{
        deployment::{Command as AskDeployment, Deployment, Reply as DeploymentReply, WorkspaceRecord},
        workspace::{Command, Workspace},
    },
    value::id::Stage,
};
use serde_json::{Value, json};
use toy::{Answer, ORIGIN, Toy};

const EVERY: u32 = u32::MAX;

fn world() -> Toy {
    world_of("default")
}

fn world_of(policy: &str) -> Toy {
    let toy = Toy::new(policy);
    toy.workspace("acme");
    toy
}

fn limits(limit: u32) -> Value {
    json!({"requests": [{"limit": limit, "window_seconds": 60}]})
}

/// An administrator's key of the workspace: its id and its text.
fn admin(toy: &Toy, members: &Value) -> (String, String) {
    let mut all = json!({"scopes": ["admin"]});
    all.as_object_mut().unwrap().extend(members.as_object().cloned().unwrap_or_default());
    toy.server_key("acme", "live", &all)
}

fn order(members: &Value) -> Value {
    let mut body = json!({"kind": "server_key", "environment": "live", "name": "n"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

fn create(toy: &Toy, key: &str, members: &Value) -> Answer {
    toy.server(key, "POST", "/v1/credentials", &order(members))
}

fn patch(toy: &Toy, key: &str, id: &str, members: &Value) -> Answer {
    toy.server(key, "PATCH", &format!("/v1/credentials/{id}"), members)
}

fn read(toy: &Toy, id: &str) -> Value {
    toy.admin("GET", &format!("/v1/credentials/{id}"), &Value::Null).ok(200).json
}

fn settle(toy: &Toy, members: &Value) -> Answer {
    toy.admin("PATCH", "/v1/workspaces/acme", members)
}

fn shown(toy: &Toy) -> Value {
    toy.admin("GET", "/v1/workspaces/acme", &Value::Null).ok(200).json
}

/// Whether it is refused by the plan, and says what the plan holds.
#[track_caller]
fn beyond(answer: &Answer, holds: &str) {
    answer.refused(403, "plan_exceeded");
    assert!(answer.text_at("fix").contains(holds), "{}", answer.text);
}

#[test]
fn a3_a_free_workspaces_administrator_does_not_raise_itself_nor_makes_or_changes_keys_beyond_the_plan() {
    let toy = world();
    let (id, key) = admin(&toy, &json!({}));
    let (other, _) = toy.server_key("acme", "live", &json!({}));
    let state = |toy: &Toy| {
        let list = toy.admin("GET", "/v1/credentials?workspace=acme", &Value::Null).ok(200).json;
        let items = list["items"].as_array().unwrap();
        let known = items.iter().map(|item| (item["id"].clone(), item["tier"].clone(), item["limits"].clone()));
        (shown(toy), known.collect::<Vec<_>>())
    };
    let before = state(&toy);
    for members in [
        json!({"tier": "enterprise", "limits": limits(EVERY)}),
        json!({"tier": "enterprise", "limits": limits(1)}),
        json!({"tier": "standard"}),
    ] {
        for target in [&id, &other] {
            beyond(&patch(&toy, &key, target, &members), "It grants the tier free.");
        }
        beyond(&create(&toy, &key, &members), "It grants the tier free.");
        let token = json!({"kind": "service_token", "service": "a"});
        let mut members = members;
        members.as_object_mut().unwrap().extend(token.as_object().unwrap().clone());
        beyond(&create(&toy, &key, &members), "It grants the tier free.");
    }
    for members in [
        json!({"default_tier": "standard"}),
        json!({"plan": {"tiers": ["free", "standard"], "custom_limits": null}}),
        json!({"plan": {"tiers": ["free"], "custom_limits": limits(EVERY)}}),
        json!({"plan": {"tiers": []}}),
        json!({"name": "n", "plan": {"tiers": ["enterprise"]}}),
    ] {
        toy.server(&key, "PATCH", "/v1/workspaces/acme", &members).refused(403, "plan_exceeded");
    }
    assert_eq!(state(&toy), before);
    create(&toy, &key, &json!({})).ok(201);
    create(&toy, &key, &json!({"tier": "free"})).ok(201);
}

#[test]
fn a3_a_deploy_key_sets_the_plan_and_within_it_administrators_grant() {
    let toy = world();
    let (id, key) = admin(&toy, &json!({}));
    assert_eq!(shown(&toy)["plan"], json!({"tiers": ["free"], "custom_limits": null, "default": true}));
    let plan = json!({"tiers": ["enterprise", "free"], "custom_limits": limits(1_000)});
    let set = settle(&toy, &json!({"plan": plan})).ok(200).json;
    let told = json!({"tiers": ["enterprise", "free"], "custom_limits": {
        "requests": [{"limit": 1_000, "window_seconds": 60}], "tokens": []}});
    assert_eq!((&set["plan"], &shown(&toy)["plan"]), (&told, &told));
    let list = toy.admin("GET", "/v1/workspaces", &Value::Null).ok(200).json;
    assert_eq!(list["items"][0]["plan"], told, "the list tells it too");
    create(&toy, &key, &json!({"tier": "enterprise", "limits": limits(1_000)})).ok(201);
    patch(&toy, &key, &id, &json!({"tier": "enterprise", "limits": limits(7)})).ok(200);
    patch(&toy, &key, &id, &json!({"limits": limits(1_000)})).ok(200);
    let holds = "It grants the tiers enterprise, free.";
    beyond(&create(&toy, &key, &json!({"tier": "enterprise", "limits": limits(1_001)})), holds);
    beyond(&patch(&toy, &key, &id, &json!({"limits": limits(1_001)})), holds);
    beyond(&create(&toy, &key, &json!({"tier": "standard"})), holds);
    // Nothing that admits more in any of the plan's windows.
    let windows = |windows: &[(u32, u32)]| {
        let windows: Vec<Value> =
            windows.iter().map(|(limit, seconds)| json!({"limit": limit, "window_seconds": seconds})).collect();
        create(&toy, &key, &json!({"tier": "enterprise", "limits": {"requests": windows}})).status
    };
    for (asked, status) in [
        (&[(16, 1)][..], 201),
        (&[(17, 1)], 403),
        (&[(1_000, 3_600)], 201),
        (&[(60_000, 3_600)], 403),
        (&[(500, 40)], 201),
        (&[(501, 40)], 403),
        (&[(EVERY, 3_600), (1_000, 61)], 201),
        (&[(EVERY, 3_600), (1_000, 59)], 403),
    ] {
        assert_eq!(windows(asked), status, "{asked:?}");
    }
    // Taken away again: none of its own, or none at all.
    settle(&toy, &json!({"plan": null})).ok(200);
    assert_eq!(shown(&toy)["plan"]["default"], true);
    beyond(&create(&toy, &key, &json!({"tier": "enterprise", "limits": limits(1)})), "It grants the tier free.");
    settle(&toy, &json!({"plan": {"tiers": []}})).ok(200);
    beyond(&create(&toy, &key, &json!({})), "It grants no tier.");
}

#[test]
fn a3_a_workspace_is_made_with_its_plan() {
    let toy = world();
    let body = json!({"id": "big", "name": "big", "plan": {"tiers": ["standard", "free"]}});
    let made = toy.admin("POST", "/v1/workspaces", &body).ok(201).json;
    assert_eq!(made["plan"], json!({"tiers": ["free", "standard"], "custom_limits": null}), "in the policy's order");
    let (_, key) = toy.server_key("big", "live", &json!({"scopes": ["admin"]}));
    create(&toy, &key, &json!({"tier": "standard"})).ok(201);
    beyond(&create(&toy, &key, &json!({"tier": "enterprise", "limits": limits(1)})), "free, standard");
}

#[test]
fn a3_a_plan_is_of_the_policys_tiers_and_of_sound_numbers() {
    let toy = world();
    for plan in [
        json!({}),
        json!([]),
        json!("free"),
        json!({"tiers": null}),
        json!({"tiers": "free"}),
        json!({"tiers": ["gold"]}),
        json!({"tiers": ["Free"]}),
        json!({"tiers": ["free", "free"]}),
        json!({"tiers": [1]}),
        json!({"tiers": ["free"], "custom_limits": {}}),
        json!({"tiers": ["free"], "custom_limits": []}),
        json!({"tiers": ["free"], "custom_limits": limits(0)}),
        json!({"tiers": ["free"], "custom_limits": {"tokens": [{"limit": 1, "window_seconds": 1}]}}),
        json!({"tiers": ["free"], "limits": limits(1)}),
        json!({"tiers": ["free"], "default": 1}),
    ] {
        let refused = settle(&toy, &json!({"plan": plan}));
        refused.refused(400, "invalid_request");
        assert!(refused.text_at("error").contains("`plan"), "{}", refused.text);
        toy.admin("POST", "/v1/workspaces", &json!({"id": "x", "name": "x", "plan": plan}))
            .refused(400, "invalid_request");
    }
    settle(&toy, &json!({"plan": {"tiers": ["free"], "default": true}})).ok(200);
    settle(&toy, &json!({"plan": {"tiers": ["standard"], "default": true}})).refused(409, "conflict");
    assert_eq!(shown(&toy)["plan"]["default"], true);
}

#[test]
fn a3_what_was_granted_before_works_and_rotates_and_may_be_sent_back_as_it_is_shown_or_made_less() {
    let toy = world();
    let given = json!({"tier": "enterprise", "limits": limits(5_000)});
    let (id, key) = admin(&toy, &given);
    let (other, _) = toy.server_key("acme", "live", &json!({"tier": "standard"}));
    let whoami = toy.whoami(&key).ok(200).json;
    assert_eq!((&whoami["tier"], &whoami["limits"][0]["limit"]), (&json!("enterprise"), &json!(5_000)));
    for id in [&id, &other] {
        let before = read(&toy, id);
        let mut back = json!({});
        for name in ["name", "scopes", "tier", "limits", "allowed_addresses", "expires_at"] {
            back[name] = before[name].clone();
        }
        patch(&toy, &key, id, &back).ok(200);
        assert_eq!(read(&toy, id), before);
        toy.server(&key, "POST", &format!("/v1/credentials/{id}/rotate"), &Value::Null).ok(201);
    }
    patch(&toy, &key, &id, &json!({"limits": limits(4_000)})).ok(200);
    beyond(&patch(&toy, &key, &id, &json!({"limits": limits(4_001)})), "It grants the tier free.");
    patch(&toy, &key, &other, &json!({"tier": "free"})).ok(200);
    beyond(&patch(&toy, &key, &other, &json!({"tier": "standard"})), "It grants the tier free.");
    // Of a workspace: all that is shown.
    settle(&toy, &json!({"default_tier": "standard"})).ok(200);
    let before = shown(&toy);
    let back = json!({"name": before["name"], "default_tier": before["default_tier"], "plan": before["plan"]});
    toy.server(&key, "PATCH", "/v1/workspaces/acme", &back).ok(200);
    settle(&toy, &back).ok(200);
    assert_eq!(shown(&toy), before);
    settle(&toy, &json!({"plan": {"tiers": ["standard"]}})).ok(200);
    let before = shown(&toy);
    toy.server(&key, "PATCH", "/v1/workspaces/acme", &json!({"plan": before["plan"]})).ok(200);
    assert_eq!(shown(&toy), before);
}

#[test]
fn a3_the_default_tier_is_the_plan_where_there_is_no_other_and_an_administrator_does_not_move_it() {
    let toy = world();
    let (_, key) = admin(&toy, &json!({}));
    let ask = |tier: Value| toy.server(&key, "PATCH", "/v1/workspaces/acme", &json!({"default_tier": tier}));
    settle(&toy, &json!({"default_tier": "standard"})).ok(200);
    assert_eq!(shown(&toy)["plan"], json!({"tiers": ["standard"], "custom_limits": null, "default": true}));
    create(&toy, &key, &json!({"tier": "standard"})).ok(201);
    beyond(&create(&toy, &key, &json!({"tier": "free"})), "It grants the tier standard.");
    beyond(&ask(Value::Null), "It grants the tier standard.");
    beyond(&ask(json!("free")), "It grants the tier standard.");
    ask(json!("standard")).ok(200);
    // Within a plan it chooses.
    settle(&toy, &json!({"plan": {"tiers": ["free", "standard"]}})).ok(200);
    ask(json!("free")).ok(200);
    ask(Value::Null).ok(200);
    ask(json!("standard")).ok(200);
    // What new keys get cannot be left out of a plan by mistake.
    settle(&toy, &json!({"plan": {"tiers": ["free"]}})).refused(400, "invalid_request");
    settle(&toy, &json!({"plan": {"tiers": ["free"]}, "default_tier": null})).ok(200);
    settle(&toy, &json!({"default_tier": "standard"})).refused(400, "invalid_request");
    settle(&toy, &json!({"plan": {"tiers": ["standard"]}, "default_tier": "standard"})).ok(200);
}

#[test]
fn a3_a_deploy_key_grants_beyond_the_plan() {
    let toy = world();
    settle(&toy, &json!({"plan": {"tiers": ["free"]}})).ok(200);
    let (id, _) = toy.server_key("acme", "live", &json!({"tier": "enterprise", "limits": limits(EVERY)}));
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"tier": "standard"})).ok(200);
    let gold = toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"tier": "gold"}));
    gold.refused(400, "invalid_request");
}

const GIVEN: &str = "brand = \"gs\"\n[scopes]\nadmin = { says = \"All\", implies = \"*\" }\n\
    [tiers.free]\nrequests = { limit = 60, window_seconds = 60 }\n\
    [tiers.more]\nrequests = { limit = 600, window_seconds = 60 }\ngranted_by = \"admin\"\n\
    [tiers.most]\nrequests = { limit = 6000, window_seconds = 60 }\ngranted_by = \"plan\"\n\
    [tiers.own]\ncustom = true\ngranted_by = \"admin\"\n";

#[test]
fn a3_a_tier_that_the_policy_lets_administrators_grant_needs_no_plan() {
    let toy = Toy::changed(&[("POLICY_TOML", GIVEN)]);
    toy.workspace("acme");
    let (id, key) = admin(&toy, &json!({}));
    create(&toy, &key, &json!({"tier": "more"})).ok(201);
    patch(&toy, &key, &id, &json!({"tier": "more"})).ok(200);
    beyond(&create(&toy, &key, &json!({"tier": "most"})), "It grants the tier free.");
    create(&toy, &key, &json!({"tier": "own", "limits": limits(EVERY)})).ok(201);
    settle(&toy, &json!({"plan": {"tiers": ["free"], "custom_limits": limits(5)}})).ok(200);
    create(&toy, &key, &json!({"tier": "own", "limits": limits(5)})).ok(201);
    create(&toy, &key, &json!({"tier": "own", "limits": limits(6)})).refused(403, "plan_exceeded");
    // Cost it for new keys moves no plan: what could be granted before can be still, and nothing else.
    settle(&toy, &json!({"plan": null})).ok(200);
    let ask = |tier: Value| toy.server(&key, "PATCH", "/v1/workspaces/acme", &json!({"default_tier": tier}));
    ask(json!("more")).ok(200);
    assert_eq!(shown(&toy)["plan"]["tiers"], json!(["free"]));
    create(&toy, &key, &json!({"tier": "free"})).ok(201);
    assert_eq!(create(&toy, &key, &json!({})).ok(201).json["tier"], "more");
    beyond(&ask(json!("most")), "It grants the tier free.");
    ask(json!(null)).ok(200);
}

#[test]
fn a3_a_key_does_not_put_off_its_own_end_nor_widens_where_it_may_be_used_from() {
    let toy = world();
    let ranges = json!(["192.0.2.0/24", "2001:db8::/32"]);
    let (id, key) = admin(&toy, &json!({"expires_in": 3_600, "allowed_addresses": ranges, "tier": "standard"}));
    let send = |method: &str, path: &str, body: &Value| {
        let (bearer, body) = (format!("Bearer {key}"), if body.is_null() { String::new() } else { body.to_string() });
        toy.send(method, path, &[("authorization", &bearer), ("x-client", "192.0.2.7")], &body)
    };
    let path = format!("/v1/credentials/{id}");
    let before = read(&toy, &id);
    for members in [
        json!({"expires_at": null}),
        json!({"expires_at": "2026-01-01T01:00:00.001Z"}),
        json!({"expires_at": "2035-12-31T23:59:59Z"}),
        json!({"allowed_addresses": []}),
        json!({"allowed_addresses": ["192.0.2.0/24", "192.0.3.0/24"]}),
        json!({"allowed_addresses": ["192.0.2.0/23"]}),
        json!({"allowed_addresses": ["0.0.0.0/0"]}),
        json!({"allowed_addresses": ["::/0"]}),
        json!({"allowed_addresses": ["2001:db8::/31"]}),
        json!({"name": "n", "expires_at": null}),
    ] {
        send("PATCH", &path, &members).refused(403, "escalation_not_allowed");
        assert_eq!(read(&toy, &id)["expires_at"], before["expires_at"]);
        assert_eq!(read(&toy, &id)["allowed_addresses"], before["allowed_addresses"]);
    }
    // A rotation gives it nothing that it had not.
    let rotated = send("POST", &format!("{path}/rotate"), &json!({"overlap_seconds": 600})).ok(201).json;
    assert_eq!((&rotated["expires_at"], &rotated["allowed_addresses"]), (&before["expires_at"], &ranges));
    // Less is its own affair; and what is left then is its bound.
    let less = json!({"expires_at": "2026-01-01T00:30:00.000Z", "allowed_addresses": ["192.0.2.0/25"]});
    send("PATCH", &path, &less).ok(200);
    send("PATCH", &path, &json!({"expires_at": before["expires_at"]})).refused(403, "escalation_not_allowed");
    send("PATCH", &path, &json!({"allowed_addresses": ranges})).refused(403, "escalation_not_allowed");
    // Who is not bound so may.
    let (_, free) = admin(&toy, &json!({}));
    patch(&toy, &free, &id, &json!({"expires_at": null, "allowed_addresses": []})).ok(200);
}

#[test]
fn a3_what_a_key_makes_changes_or_rotates_does_not_outlive_it_and_is_not_usable_from_elsewhere() {
    let toy = world();
    let ranges = json!(["192.0.2.0/24"]);
    let (_, key) = admin(&toy, &json!({"expires_in": 3_600, "allowed_addresses": ranges, "tier": "standard"}));
    let (lasting, _) = toy.server_key("acme", "live", &json!({"expires_in": 7_200}));
    let (endless, _) = admin(&toy, &json!({}));
    let (near, _) = toy.server_key("acme", "live", &json!({"expires_in": 60, "allowed_addresses": ["192.0.2.7"]}));
    let (widget, _) = toy.widget_key("acme", "live", &[ORIGIN]);
    let send = |method: &str, path: &str, body: &Value| {
        let (bearer, body) = (format!("Bearer {key}"), if body.is_null() { String::new() } else { body.to_string() });
        toy.send(method, path, &[("authorization", &bearer), ("x-client", "192.0.2.7")], &body)
    };
    settle(&toy, &json!({"plan": {"tiers": ["free", "standard"]}})).ok(200);
    // What says nothing gets what its maker has.
    let made = send("POST", "/v1/credentials", &order(&json!({"scopes": ["admin"]}))).ok(201);
    assert_eq!(made.text_at("expires_at"), "2026-01-01T01:00:00.000Z");
    assert_eq!(made.json["allowed_addresses"], ranges);
    let token = json!({"kind": "service_token", "service": "a"});
    assert_eq!(send("POST", "/v1/credentials", &order(&token)).ok(201).json["allowed_addresses"], ranges);
    let page = json!({"kind": "widget_key", "origins": [ORIGIN]});
    assert_eq!(
        send("POST", "/v1/credentials", &order(&page)).ok(201).text_at("expires_at"),
        "2026-01-01T01:00:00.000Z"
    );
    for members in [
        json!({"expires_in": 3_601}),
        json!({"expires_in": 316_224_000, "scopes": ["admin"]}),
        json!({"allowed_addresses": ["192.0.2.7", "198.51.100.7"]}),
        json!({"allowed_addresses": ["192.0.0.0/16"]}),
        json!({"kind": "widget_key", "origins": [ORIGIN], "expires_in": 3_601}),
    ] {
        send("POST", "/v1/credentials", &order(&members)).refused(403, "escalation_not_allowed");
    }
    send("POST", "/v1/credentials", &order(&json!({"expires_in": 3_600, "allowed_addresses": ["192.0.2.7"]}))).ok(201);
    let path = |id: &str| format!("/v1/credentials/{id}");
    for (id, members) in [
        (&near, json!({"expires_at": null})),
        (&near, json!({"expires_at": "2026-01-01T01:00:00.001Z"})),
        (&near, json!({"allowed_addresses": []})),
        (&near, json!({"allowed_addresses": ["198.51.100.7"]})),
        (&lasting, json!({"expires_at": null})),
    ] {
        send("PATCH", &path(id), &members).refused(403, "escalation_not_allowed");
    }
    send("PATCH", &path(&near), &json!({"expires_at": "2026-01-01T01:00:00Z", "allowed_addresses": ranges})).ok(200);
    send("PATCH", &path(&lasting), &json!({"expires_at": "2026-01-01T01:59:59Z", "name": "less"})).ok(200);
    send("PATCH", &path(&endless), &json!({"name": "still"})).ok(200);
    // Another secret of what is wider would be a way out.
    let rotate = |id: &str| send("POST", &format!("{}/rotate", path(id)), &Value::Null);
    for id in [&lasting, &endless] {
        rotate(id).refused(403, "escalation_not_allowed");
        send("POST", &format!("{}/rotate/finish", path(id)), &Value::Null).ok(200);
    }
    for id in [near.as_str(), widget.as_str(), &made.text_at("id")] {
        rotate(id).ok(201);
    }
    send("POST", &format!("{}/revoke", path(&endless)), &Value::Null).ok(200);
}

#[test]
fn a3_a_secret_that_leaked_does_not_replace_itself() {
    use claviger::leaks::store::{Found, Leak};
    let toy = world();
    let (id, key) = admin(&toy, &json!({}));
    let (_, other) = admin(&toy, &json!({}));
    let by = By { actor: "github:secret-scanning".into(), request_id: "req_toy".into(), network: None };
    let found = Found { by, url: None, grace_seconds: Some(600) };
    let leak = Leak { id: id.clone().try_into().unwrap(), digest: claviger::credential::digest(&key), found };
    assert!(toy.tell::<Workspace>("acme", Command::Leaked(leak)).is_ok());
    let rotate = |key: &str| toy.server(key, "POST", &format!("/v1/credentials/{id}/rotate"), &Value::Null);
    rotate(&key).refused(403, "escalation_not_allowed");
    let made = create(&toy, &key, &json!({"scopes": ["admin"]})).ok(201);
    assert_eq!(made.text_at("expires_at"), "2026-01-01T00:10:00.000Z", "nor does it make what outlives it");
    patch(&toy, &key, &id, &json!({"expires_at": "2027-01-01T00:00:00Z"})).ok(200);
    assert_eq!(read(&toy, &id)["expires_at"], "2026-01-01T00:10:00.000Z");
    rotate(&other).ok(201);
}

#[test]
fn a3_a_deploy_key_does_not_put_off_its_own_end() {
    let toy = world();
    let one = format!("Convex {}", toy.deploy_key_for(Stage::Dev, "local", 3_600));
    let send =
        |key: &str, path: &str, body: &Value| toy.send("PATCH", path, &[("authorization", key)], &body.to_string());
    let id = toy.send("GET", "/v1/whoami", &[("authorization", &one)], "").ok(200).text_at("id");
    let path = format!("/v1/credentials/{id}");
    send(&one, &path, &json!({"expires_at": "2026-01-01T00:10:00Z"})).ok(200);
    send(&one, &path, &json!({"expires_at": "2026-01-01T00:10:00.001Z"})).refused(403, "escalation_not_allowed");
    send(&one, &path, &json!({"expires_at": "2026-01-01T00:59:00Z"})).refused(403, "escalation_not_allowed");
    let body = "{}";
    toy.send("POST", &format!("{path}/rotate"), &[("authorization", &one)], body).ok(201);
    assert_eq!(toy.admin("GET", &path, &Value::Null).ok(200).text_at("expires_at"), "2026-01-01T00:10:00.000Z");
    send(&toy.deploy_key(), &path, &json!({"expires_at": "2026-01-01T00:59:00Z"})).ok(200);
}

#[test]
fn a3_an_administrator_gives_itself_no_scope_that_it_does_not_hold() {
    let policy = "brand = \"gs\"\n[scopes]\nadmin = \"Administer\"\n\"a:read\" = \"A\"\n\
        \"b:write\" = { says = \"B\", implies = [\"b:read\"] }\n\"b:read\" = \"B\"\n\
        [tiers.free]\nrequests = { limit = 600, window_seconds = 60 }\n";
    let toy = Toy::changed(&[("POLICY_TOML", policy)]);
    toy.workspace("acme");
    let (id, key) = admin(&toy, &json!({"scopes": ["admin", "b:write"]}));
    for scopes in [json!(["admin", "a:read"]), json!(["admin", "b:write", "a:read"])] {
        let refused = patch(&toy, &key, &id, &json!({"scopes": scopes}));
        refused.refused(403, "insufficient_scope");
        assert_eq!(refused.json["required"], json!(["a:read"]));
    }
    patch(&toy, &key, &id, &json!({"scopes": ["admin", "b:read", "b:write"]})).ok(200);
    patch(&toy, &key, &id, &json!({"scopes": ["admin"]})).ok(200);
    patch(&toy, &key, &id, &json!({"scopes": ["admin", "b:read"]})).refused(403, "insufficient_scope");
    // To others an administrator hands on any scope of the workspace.
    create(&toy, &key, &json!({"scopes": ["a:read"]})).ok(201);
}

#[test]
fn a3_the_decision_is_made_in_the_workspaces_own_turn_by_what_is_stored_then() {
    let toy = world();
    settle(&toy, &json!({"plan": {"tiers": ["free", "standard"]}})).ok(200);
    let (id, key) = admin(&toy, &json!({}));
    // While it is on its way the plan becomes less.
    for call in [&(|| create(&toy, &key, &json!({"tier": "standard"}))) as &dyn Fn() -> Answer, &|| {
        patch(&toy, &key, &id, &json!({"tier": "standard"}))
    }] {
        settle(&toy, &json!({"plan": {"tiers": ["free", "standard"]}})).ok(200);
        toy.after_hops(2, |toy| drop(settle(toy, &json!({"plan": {"tiers": ["free"]}})).ok(200)));
        beyond(&call(), "It grants the tier free.");
    }
    // Or the key itself ends sooner.
    let soon = json!({"expires_at": "2026-01-01T00:10:00Z"});
    let own = id.clone();
    toy.after_hops(2, move |toy| drop(toy.admin("PATCH", &format!("/v1/credentials/{own}"), &soon).ok(200)));
    create(&toy, &key, &json!({"expires_in": 3_600})).refused(403, "escalation_not_allowed");
}

/// What a version that knows no plans keeps of a workspace when it changes something else of it.
#[test]
fn a3_a_version_that_knows_no_plans_takes_none_away() {
    let toy = world();
    settle(&toy, &json!({"plan": {"tiers": ["standard"]}})).ok(200);
    let name = ("WORKSPACE".to_owned(), "acme".to_owned());
    let row = toy.objects.borrow()[&name].rows["info"].clone();
    let mut record: WorkspaceRecord = cbor::read(&row).unwrap();
    assert_eq!(record.plan, None, "it would be lost there");
    record.name = "other".to_owned();
    toy.objects.borrow_mut().get_mut(&name).unwrap().rows.insert("info".to_owned(), cbor::write(&record));
    assert_eq!(shown(&toy)["plan"]["tiers"], json!(["standard"]));
    // Its messages to the list come without a plan; the next change tells it.
    let register = AskDeployment::Register(WorkspaceRecord { version: Some(9), ..record }, None);
    assert!(matches!(toy.tell::<Deployment>("local", register), Ok(DeploymentReply::Done)));
    assert_eq!(toy.admin("GET", "/v1/workspaces", &Value::Null).ok(200).json["items"][0].get("plan"), None);
}

#[test]
fn a3_a_plan_that_is_changed_is_recorded_and_what_changes_nothing_is_not() {
    let toy = world();
    for plan in [json!({"tiers": ["free"]}), json!({"tiers": ["free"]}), Value::Null, Value::Null] {
        settle(&toy, &json!({"plan": plan})).ok(200);
    }
    let page = toy.admin("GET", "/v1/audit?workspace=acme&action=workspace.change", &Value::Null).ok(200).json;
    let reasons: Vec<&str> =
        page["items"].as_array().unwrap().iter().map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["plan", "plan"]);
}

#[test]
fn n3_under_support_each_scope_opens_what_it_says_and_nothing_else() {
    let toy = world_of("support");
    let calls = |name: &str| -> Vec<(String, String, &str)> {
        let [read, write] = ["read", "write"].map(|what| format!("{name}:{what}"));
        let records = |path: &str| {
            vec![
                ("GET", path.to_owned(), read.clone()),
                ("POST", path.to_owned(), write.clone()),
                ("GET", format!("{path}/one"), read.clone()),
                ("PUT", format!("{path}/one"), write.clone()),
                ("DELETE", format!("{path}/one"), write.clone()),
            ]
        };
        let all = match name {
            "workspace" => {
                vec![("GET", "/v1/workspaces/acme".into(), read), ("PATCH", "/v1/workspaces/acme".into(), write)]
            }
            "messages" => vec![
                ("GET", "/v1/conversations/CONVERSATION/messages".into(), read),
                ("POST", "/v1/conversations/CONVERSATION/messages".into(), write),
            ],
            "conversations" => {
                [vec![("GET", "/v1/conversations".into(), read.clone())], records("/v1/conversation-notes")].concat()
            }
            "agents" => [records("/v1/agents"), records("/v1/labs")].concat(),
            name => records(&format!("/v1/{name}")),
        };
        all.into_iter().map(|(method, path, scope)| (path, scope, method)).collect()
    };
    let names = ["workspace", "conversations", "messages", "customers", "sources", "agents", "channels", "webhooks"];
    let (_, page) = toy.widget_key("acme", "live", &[ORIGIN]);
    let visitor = toy.open(&page);
    let all: Vec<_> = names.into_iter().flat_map(calls).collect();
    for name in names {
        for what in ["read", "write"] {
            let scope = format!("{name}:{what}");
            let (_, key) = toy.server_key("acme", "live", &json!({"scopes": [scope], "tier": "standard"}));
            for (path, needed, method) in &all {
                let path = path.replace("CONVERSATION", &visitor.conversation);
                let body = if path.ends_with("/messages") { json!({"text": "hi"}) } else { json!({}) };
                let body = if matches!(*method, "GET" | "DELETE") { Value::Null } else { body };
                let answer = toy.server(&key, method, &path, &body);
                let is_open = answer.status < 300 || answer.status == 404;
                assert_eq!(is_open, *needed == scope, "{scope} at {method} {path}: {}", answer.text);
                if !is_open {
                    answer.refused(403, "insufficient_scope");
                    assert_eq!(answer.json["required"][0], json!(needed), "{}", answer.text);
                }
            }
        }
    }
    let (_, key) = toy.server_key("acme", "live", &json!({"scopes": ["workspace:read"]}));
    let settings = toy.server(&key, "GET", "/v1/workspaces/acme", &Value::Null).ok(200).json;
    assert_eq!((&settings["name"], &settings["default_tier"]), (&json!("acme"), &Value::Null));
}

const SILENT: &str = "brand = \"gs\"\n[scopes]\nadmin = { says = \"All\", implies = \"*\" }\n";

#[test]
fn n4_under_a_policy_without_tiers_new_keys_get_600_requests_a_minute_and_old_ones_stay_as_they_are() {
    let toy = Toy::changed(&[("POLICY_TOML", SILENT)]);
    toy.workspace("acme");
    let (id, key) = admin(&toy, &json!({}));
    let six_hundred = json!({"requests": [{"limit": 600, "window_seconds": 60}], "tokens": []});
    assert_eq!((&read(&toy, &id)["tier"], &read(&toy, &id)["limits"]), (&Value::Null, &six_hundred));
    for _ in 0..600 {
        toy.whoami(&key).ok(200);
    }
    toy.whoami(&key).refused(429, "rate_limited");
    toy.advance(62);
    // What is shown can be sent back; an administrator makes it less and not more, for itself and for others.
    let back = json!({"tier": null, "limits": six_hundred, "name": "n"});
    patch(&toy, &key, &id, &back).ok(200);
    assert_eq!(create(&toy, &key, &json!({})).ok(201).json["limits"], six_hundred);
    for members in
        [json!({"limits": limits(601)}), json!({"limits": {"requests": [{"limit": 36_001, "window_seconds": 3_600}]}})]
    {
        patch(&toy, &key, &id, &members).refused(403, "plan_exceeded");
        create(&toy, &key, &members).refused(403, "plan_exceeded");
    }
    patch(&toy, &key, &id, &json!({"limits": limits(500)})).ok(200);
    patch(&toy, &key, &id, &json!({"limits": limits(600)})).ok(200);
    // A deploy key gives more, or lets the workspace do so.
    toy.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"limits": limits(1_000)})).ok(200);
    settle(&toy, &json!({"plan": {"tiers": [], "custom_limits": limits(2_000)}})).ok(200);
    patch(&toy, &key, &id, &json!({"limits": limits(2_000)})).ok(200);
    patch(&toy, &key, &id, &json!({"limits": limits(2_001)})).refused(403, "plan_exceeded");
    // One that was made before has no numbers, and nothing limits it.
    let name = ("WORKSPACE".to_owned(), "acme".to_owned());
    let row = format!("credential/{id}");
    let mut record: claviger::protocol::credential_record::CredentialRecord =
        cbor::read(&toy.objects.borrow()[&name].rows[&row]).unwrap();
    record.key.as_mut().unwrap().numbers = None;
    toy.objects.borrow_mut().get_mut(&name).unwrap().rows.insert(row, cbor::write(&record));
    patch(&toy, &key, &id, &json!({"name": "old"})).ok(200);
    for _ in 0..700 {
        toy.whoami(&key).ok(200);
    }
    assert_eq!(read(&toy, &id).get("limits"), None);
}

#[test]
fn n4_keys_of_a_policy_without_tiers_keep_their_numbers_when_it_gets_some() {
    let toy = Toy::changed(&[("POLICY_TOML", SILENT)]);
    toy.workspace("acme");
    let (id, key) = admin(&toy, &json!({}));
    let mut later = Toy::changed(&[("POLICY_TOML", GIVEN)]);
    later.objects = std::cell::RefCell::new(toy.snapshot());
    assert_eq!(later.whoami(&key).ok(200).json["limits"][0]["limit"], 600);
    let shown = read(&later, &id);
    patch(&later, &key, &id, &json!({"tier": shown["tier"], "limits": shown["limits"]})).ok(200);
    patch(&later, &key, &id, &json!({"tier": "most"})).refused(403, "plan_exceeded");
    patch(&later, &key, &id, &json!({"tier": "free"})).ok(200);
}

#[test]
fn n4_a_policy_that_says_so_makes_unlimited_keys() {
    let toy = Toy::changed(&[("POLICY_TOML", &format!("unlimited = true\n{SILENT}"))]);
    toy.workspace("acme");
    let (id, key) = admin(&toy, &json!({}));
    (0..700).for_each(|_| drop(toy.whoami(&key).ok(200)));
    assert_eq!(read(&toy, &id).get("limits"), None);
    create(&toy, &key, &json!({})).ok(201);
    patch(&toy, &key, &id, &json!({"limits": limits(5)})).ok(200);
    assert_eq!(toy.whoami(&key).ok(200).json["limits"][0]["limit"], 5);
}

#[test]
fn n4_the_worker_warns_once_for_each_isolate() {
    let said = |toy: &Toy| toy.send("GET", "/healthz", &[], "").log["warnings"].clone();
    let toy = Toy::changed(&[("POLICY_TOML", SILENT)]);
    for isolate in [0, 1] {
        toy.chosen.set(isolate);
        let first = said(&toy);
        assert!(first[0].as_str().unwrap().contains("no [tiers]"), "{first}");
        assert_eq!(first.as_array().unwrap().len(), 1);
        assert_eq!((said(&toy), said(&toy)), (Value::Null, Value::Null));
    }
    for policy in [GIVEN.to_owned(), format!("unlimited = true\n{SILENT}")] {
        assert_eq!(said(&Toy::changed(&[("POLICY_TOML", &policy)])), Value::Null);
    }
}

#[test]
fn n4_custom_numbers_do_not_leave_tokens_out_where_a_route_counts_them() {
    let toy = world_of("llm");
    let both =
        json!({"requests": [{"limit": 5, "window_seconds": 60}], "tokens": [{"limit": 9, "window_seconds": 60}]});
    let made = toy.server_key("acme", "live", &json!({"tier": "enterprise", "limits": both}));
    let path = format!("/v1/credentials/{}", made.0);
    for none in [limits(5), json!({"requests": [{"limit": 5, "window_seconds": 60}], "tokens": []})] {
        let mut body = order(&json!({"workspace": "acme", "tier": "enterprise", "limits": none}));
        let refused = toy.admin("POST", "/v1/credentials", &body);
        refused.refused(400, "invalid_request");
        assert!(refused.text_at("fix").contains("POST /v1/chat/completions"), "{}", refused.text);
        toy.admin("PATCH", &path, &json!({"limits": none})).refused(400, "invalid_request");
        settle(&toy, &json!({"plan": {"tiers": ["enterprise"], "custom_limits": none}}))
            .refused(400, "invalid_request");
        body["limits"] = both.clone();
        toy.admin("POST", "/v1/credentials", &body).ok(201);
    }
    settle(&toy, &json!({"plan": {"tiers": ["enterprise", "free"], "custom_limits": both}})).ok(200);
    let (_, key) = admin(&toy, &json!({}));
    let more =
        json!({"requests": [{"limit": 5, "window_seconds": 60}], "tokens": [{"limit": 10, "window_seconds": 60}]});
    create(&toy, &key, &json!({"tier": "enterprise", "limits": both})).ok(201);
    create(&toy, &key, &json!({"tier": "enterprise", "limits": more})).refused(403, "plan_exceeded");
}

#[test]
fn n4_a_key_whose_tier_the_policy_lost_is_refused_and_told_which() {
    let toy = Toy::changed(&[("POLICY_TOML", GIVEN)]);
    toy.workspace("acme");
    let (id, key) = admin(&toy, &json!({"tier": "most"}));
    let mut later = Toy::changed(&[("POLICY_TOML", &GIVEN.replace("[tiers.most]", "[tiers.gone]"))]);
    later.objects = std::cell::RefCell::new(toy.snapshot());
    let refused = later.whoami(&key);
    refused.refused(503, "not_configured");
    assert!(refused.text_at("error").contains("`most`"), "{}", refused.text);
    // What it says to do, done.
    later.admin("PATCH", &format!("/v1/credentials/{id}"), &json!({"tier": "free"})).ok(200);
    later.whoami(&key).ok(200);
}

#[test]
fn n8_a_stage_written_out_is_the_same_stage_and_is_shown_short() {
    for (word, stage) in [("development", "dev"), ("production", "prod"), ("staging", "staging")] {
        let toy = Toy::changed(&[("STAGE", word)]);
        let key = toy.deploy_key_for(Stage::parse(stage).unwrap(), "local", 3_600);
        let scheme = format!("Convex {key}");
        let shown = toy.send("GET", "/v1/whoami", &[("authorization", &scheme)], "").ok(200);
        assert_eq!(shown.text_at("stage"), stage);
        for told in [word, stage] {
            let body = json!({"kind": "deploy_key", "stage": told, "name": "n"}).to_string();
            let made = toy.send("POST", "/v1/credentials", &[("authorization", &scheme)], &body).ok(201);
            assert_eq!(made.text_at("stage"), stage);
            assert!(made.text_at("secret").starts_with(&format!("{stage}:local|")));
        }
        // In the credential itself there is one spelling, which is signed.
        if word != stage {
            let other = format!("Convex {}", key.replacen(stage, word, 1));
            toy.send("GET", "/v1/whoami", &[("authorization", &other)], "").refused(401, "invalid_credential");
        }
    }
    for wrong in ["Production", "prod ", "live", "developmen"] {
        assert!(Toy::changed(&[("STAGE", wrong)]).config.is_err(), "{wrong}");
    }
}
