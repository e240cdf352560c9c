//! Workload: widget keys are made and revoked. What was acknowledged is in the list once, and what was ended stays ended.

use crate::{
    audit::{self, Act},
    client::Client,
    http::Request,
    report::Violation,
    team::Workload,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Mutex};

/// Keys that each member makes in one workspace.
const CREATIONS: usize = 3;

/// A key whose making was acknowledged.
#[derive(Clone, Debug)]
pub struct Made {
    /// Also its `Idempotency-Key`.
    pub name: String,
    /// The ids of all answers.
    pub ids: Vec<String>,
    /// Whether its revocation was acknowledged.
    pub revoked: bool,
}

/// What is wrong with a workspace's list (name, id and status) of these keys.
pub fn verdict(made: &[Made], listed: &[(String, String, String)]) -> Option<(Violation, String)> {
    let mut by_name: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (name, id, status) in listed {
        by_name.entry(name).or_default().push((id, status));
    }
    if let Some((name, listed)) = by_name.iter().find(|(_, listed)| listed.len() > 1) {
        return Some((Violation::Doubled, format!("`{name}` is there more than once: {listed:?}")));
    }
    for Made { name, ids, revoked } in made {
        let Some([(id, status)]) = by_name.get(name.as_str()).map(Vec::as_slice) else {
            return Some((Violation::Lost, format!("`{name}` ({ids:?}) is not in the list")));
        };
        if ids.iter().any(|told| told != id) {
            return Some((Violation::Doubled, format!("one Idempotency-Key, several ids: {ids:?}, listed {id}")));
        }
        if *revoked != (*status == "revoked") {
            return Some((Violation::Lost, format!("`{name}`: revoked {revoked}, and listed as {status}")));
        }
    }
    None
}

/// See the module.
pub struct ControlPlane;

/// One workspace.
pub struct Workspace {
    id: String,
    made: Mutex<Vec<Made>>,
}

impl Workspace {
    fn create(&self, client: &mut Client) -> Option<Made> {
        let name = client.fresh("made");
        let request = client.creation(&self.id, &name).with("Idempotency-Key", name.as_str());
        let mut ids = Vec::new();
        // Also again where the first answer came: it must name the same key.
        for _ in 0..client.dice.usize(1..=2) {
            let (.., answer) = client.resolve(&request)?;
            if answer.status != 201 {
                client.surprise(&request, &answer.body);
                return None;
            }
            ids.push(answer.text("id"));
        }
        Some(Made { name, ids, revoked: false })
    }

    fn revoke(&self, client: &mut Client, id: &str) -> bool {
        let request = client.as_operator(Request::post(format!("/v1/credentials/{id}/revoke"), &json!({})));
        let Some((.., answer)) = client.resolve(&request) else {
            return false;
        };
        if answer.status != 200 {
            client.surprise(&request, &answer.body);
        }
        answer.status == 200
    }

    fn list(&self, client: &mut Client) -> Option<Vec<(String, String, String)>> {
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/credentials?workspace={}&limit=5{cursor}", self.id);
            let request = client.as_operator(Request::get(path));
            let (.., answer) = client.resolve(&request)?;
            let text = |item: &Value, member: &str| item[member].as_str().unwrap_or_default().to_owned();
            let row = |item| (text(item, "name"), text(item, "id"), text(item, "status"));
            listed.extend(answer.items().iter().map(row));
            match answer.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Some(listed),
            }
        }
    }
}

impl Workload for ControlPlane {
    type Object = Workspace;

    fn prepare(&self, client: &mut Client) -> Option<Workspace> {
        let id = client.fresh("workspace");
        client.workspace(&id)?;
        Some(Workspace { id, made: Mutex::default() })
    }

    fn play(&self, workspace: &Workspace, _: usize, client: &mut Client) {
        for _ in 0..CREATIONS {
            let Some(mut made) = workspace.create(client) else {
                return;
            };
            if client.dice.u8(..3) == 0 {
                made.revoked = workspace.revoke(client, &made.ids[0]);
            }
            workspace.made.lock().expect("no client panics").push(made);
        }
    }

    fn check(&self, workspace: &Workspace, client: &mut Client) {
        let Some(listed) = workspace.list(client) else {
            return;
        };
        let made = workspace.made.lock().expect("no client panics");
        if let Some((kind, what)) = verdict(&made, &listed) {
            client.world.report.violation(kind, format!("{}: {what}", workspace.id));
        }
        let mut acts = Vec::new();
        for Made { ids, revoked, .. } in made.iter() {
            acts.push(Act::once("credential.create", &ids[0]));
            acts.extend(revoked.then(|| Act::once("credential.revoke", &ids[0])));
        }
        audit::check(client, &workspace.id, &acts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(ids: &[&str], revoked: bool, listed: &[(&str, &str, &str)]) -> Option<Violation> {
        let ids = ids.iter().map(ToString::to_string).collect();
        let own = |(name, id, status): &(&str, &str, &str)| (name.to_string(), id.to_string(), status.to_string());
        let listed: Vec<_> = listed.iter().map(own).collect();
        verdict(&[Made { name: "a".to_owned(), ids, revoked }], &listed).map(|(kind, _)| kind)
    }

    #[test]
    fn what_was_acknowledged_is_listed_once() {
        assert_eq!(kind(&["1", "1"], false, &[("b", "2", "active"), ("a", "1", "active")]), None);
        assert_eq!(kind(&["1"], false, &[("b", "2", "active")]), Some(Violation::Lost));
        assert_eq!(kind(&["1"], false, &[("a", "1", "active"), ("a", "2", "active")]), Some(Violation::Doubled));
        assert_eq!(kind(&["1", "2"], false, &[("a", "1", "active")]), Some(Violation::Doubled));
    }

    #[test]
    fn what_was_revoked_stays_so_and_nothing_else_does() {
        assert_eq!(kind(&["1"], true, &[("a", "1", "revoked")]), None);
        assert_eq!(kind(&["1"], true, &[("a", "1", "active")]), Some(Violation::Lost));
        assert_eq!(kind(&["1"], false, &[("a", "1", "revoked")]), Some(Violation::Lost));
    }
}
