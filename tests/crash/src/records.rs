//! Workload: embedded records. A write with an `Idempotency-Key` happens exactly once, however often it is asked for again.

use crate::{client::Client, http::Request, report::Violation, team::Workload};
use serde_json::json;
use std::{collections::BTreeMap, sync::Mutex};

/// The routes of the policy.
pub const ROUTES: &str = "[[routes]]\nmatch = \"GET /v1/records/{rest...}\"\naccept = [\"deploy_key\"]\nto = \"records\"\n\
     [[routes]]\nmatch = \"POST /v1/records/{collection}\"\naccept = [\"deploy_key\"]\nto = \"records\"\nidempotency = \"required\"\n\
     [[routes]]\nmatch = \"PUT /v1/records/{collection}/{id}\"\naccept = [\"deploy_key\"]\nto = \"records\"\nidempotency = \"required\"\n\
     [[routes]]\nmatch = \"DELETE /v1/records/{collection}/{id}\"\naccept = [\"deploy_key\"]\nto = \"records\"\nidempotency = \"required\"\n";

/// The workspace of them all, which is made when a run begins.
pub const WORKSPACE: &str = "records";

/// Writes of each kind by each member.
const ROUNDS: usize = 4;

/// The record that every member writes to.
const SHARED: &str = "shared";

/// A record whose making was acknowledged.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its text, which no other has.
    pub text: String,
    /// The ids of all answers.
    pub ids: Vec<String>,
    /// Whether its end was acknowledged.
    pub deleted: bool,
}

/// What was acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    pub made: Vec<Made>,
    /// Writes to the shared record.
    pub shared: u64,
}

/// What is wrong with a collection: the texts and ids in it, and the version of the shared record.
pub fn verdict(known: &Acknowledged, listed: &[(String, String)], version: u64) -> Option<(Violation, String)> {
    let mut by_text: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (text, id) in listed {
        by_text.entry(text).or_default().push(id);
    }
    for Made { text, ids, deleted } in &known.made {
        match (by_text.get(text.as_str()).map_or(&[][..], Vec::as_slice), deleted) {
            ([], true) => {}
            ([id], false) if ids.iter().all(|told| told == id) => {}
            ([], false) => return Some((Violation::Lost, format!("`{text}` ({ids:?}) is not there"))),
            ([_], true) => return Some((Violation::Lost, format!("`{text}` ({ids:?}) was deleted and is there"))),
            (found, _) => {
                return Some((Violation::Doubled, format!("`{text}`, told as {ids:?}, is there as {found:?}")));
            }
        }
    }
    let kind = if version > known.shared { Violation::Doubled } else { Violation::Lost };
    (version != known.shared)
        .then(|| (kind, format!("{} writes to one record, its version is {version}", known.shared)))
}

/// See the module.
pub struct Records;

/// One collection.
pub struct Collection {
    name: String,
    known: Mutex<Acknowledged>,
}

impl Collection {
    /// A write, and the same again once or twice: the answers, which are all one.
    fn write(&self, client: &mut Client, request: Request, statuses: &[u16]) -> Option<Vec<String>> {
        let key = client.fresh("once");
        let request = client.as_operator(request).with("Idempotency-Key", key);
        let mut ids = Vec::new();
        for _ in 0..client.dice.usize(1..=2) {
            let (.., answer) = client.resolve(&request)?;
            if !statuses.contains(&answer.status) {
                client.surprise(&request, &answer.body);
                return None;
            }
            ids.push(answer.text("id"));
        }
        Some(ids)
    }

    fn path(&self, id: &str) -> String {
        let slash = if id.is_empty() { "" } else { "/" };
        format!("/v1/records/{}{slash}{id}?workspace={WORKSPACE}&environment=test", self.name)
    }

    fn round(&self, client: &mut Client) -> Option<()> {
        let text = client.fresh("text");
        let ids = self.write(client, Request::post(self.path(""), &json!({"text": text})), &[201])?;
        let mut made = Made { text, ids, deleted: false };
        let shared = Request::put(self.path(SHARED), &json!({"by": made.text}));
        self.write(client, shared, &[200, 201])?;
        if client.dice.u8(..3) == 0 {
            let delete = Request::delete(self.path(&made.ids[0]));
            self.write(client, delete, &[204])?;
            made.deleted = true;
        }
        let mut known = self.known.lock().expect("no client panics");
        known.shared += 1;
        known.made.push(made);
        Some(())
    }

    fn list(&self, client: &mut Client) -> Option<(Vec<(String, String)>, u64)> {
        let (mut listed, mut version, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let request = client.as_operator(Request::get(format!("{}&limit=3{cursor}", self.path(""))));
            let (.., answer) = client.resolve(&request)?;
            for item in answer.items() {
                match (item["id"].as_str(), item["text"].as_str()) {
                    (Some(SHARED), _) => version = item["version"].as_u64().unwrap_or_default(),
                    (Some(id), Some(text)) => listed.push((text.to_owned(), id.to_owned())),
                    _ => client.surprise(&request, &answer.body),
                }
            }
            match answer.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Some((listed, version)),
            }
        }
    }
}

impl Workload for Records {
    type Object = Collection;

    fn prepare(&self, client: &mut Client) -> Option<Collection> {
        Some(Collection { name: client.fresh("collection"), known: Mutex::default() })
    }

    fn play(&self, collection: &Collection, _: usize, client: &mut Client) {
        for _ in 0..ROUNDS {
            if collection.round(client).is_none() {
                return;
            }
        }
    }

    fn check(&self, collection: &Collection, client: &mut Client) {
        let Some((listed, version)) = collection.list(client) else {
            return;
        };
        let known = collection.known.lock().expect("no client panics");
        if let Some((kind, what)) = verdict(&known, &listed, version) {
            client.world.report.violation(kind, format!("{}: {what}", collection.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(ids: &[&str], deleted: bool, listed: &[(&str, &str)], version: u64) -> Option<Violation> {
        let ids = ids.iter().map(ToString::to_string).collect();
        let known = Acknowledged { made: vec![Made { text: "a".to_owned(), ids, deleted }], shared: 3 };
        let listed: Vec<_> = listed.iter().map(|(text, id)| (text.to_string(), id.to_string())).collect();
        verdict(&known, &listed, version).map(|(kind, _)| kind)
    }

    #[test]
    fn what_was_acknowledged_is_there_once_and_what_was_deleted_is_not() {
        assert_eq!(kind(&["1", "1"], false, &[("b", "2"), ("a", "1")], 3), None);
        assert_eq!(kind(&["1"], true, &[("b", "2")], 3), None);
        assert_eq!(kind(&["1"], false, &[("b", "2")], 3), Some(Violation::Lost));
        assert_eq!(kind(&["1"], true, &[("a", "1")], 3), Some(Violation::Lost));
        assert_eq!(kind(&["1"], false, &[("a", "1"), ("a", "2")], 3), Some(Violation::Doubled));
        assert_eq!(kind(&["1", "2"], false, &[("a", "1")], 3), Some(Violation::Doubled));
    }

    #[test]
    fn each_write_to_the_shared_record_is_one_version() {
        assert_eq!(kind(&["1"], false, &[("a", "1")], 4), Some(Violation::Doubled));
        assert_eq!(kind(&["1"], false, &[("a", "1")], 2), Some(Violation::Lost));
    }
}
