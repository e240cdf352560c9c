//! Checks the trail of administrative acts: one event for each that was acknowledged, in a chain without a gap.

use crate::{client::Client, http::Request, report::Violation};
use serde_json::Value;

/// What an administrator did, and how many events it may have left: calls whose outcome got lost may have left some too.
#[derive(Clone, Debug)]
pub struct Act {
    action: &'static str,
    target: String,
    most: u64,
}

impl Act {
    /// Left exactly one event.
    pub fn once(action: &'static str, target: &str) -> Self {
        Self::times(action, target, 1)
    }

    /// Left at least one event, and at most so many.
    pub fn times(action: &'static str, target: &str, most: u64) -> Self {
        Self { action, target: target.to_owned(), most }
    }
}

/// What is wrong with a trail, oldest event first.
pub fn verdict(events: &[Value], head: &Value, acts: &[Act]) -> Option<String> {
    for pair in events.windows(2) {
        let [before, after] = pair else { continue };
        if before["seq"].as_u64().map(|seq| seq + 1) != after["seq"].as_u64() {
            return Some(format!("a gap between {} and {}", before["seq"], after["seq"]));
        }
        if before["hash"] != after["prev"] {
            return Some(format!("the chain is broken at {}", after["seq"]));
        }
    }
    if events.last().is_some_and(|last| last["hash"] != *head) {
        return Some(format!("the head {head} is not the last event"));
    }
    // Several rotations of one key are several acts with one target.
    for act in acts {
        let same = acts.iter().filter(|other| other.action == act.action && other.target == act.target);
        let (least, most) = same.fold((0, 0), |(least, most), act| (least + 1, most + act.most));
        let is_it = |event: &&Value| event["action"] == act.action && event["target"] == act.target;
        let count = events.iter().filter(is_it).count() as u64;
        if !(least..=most).contains(&count) {
            return Some(format!("{count} events of {least} to {most}: {} of {}", act.action, act.target));
        }
    }
    None
}

/// Reads the trail of a workspace and looks whether it tells of these acts.
pub fn check(client: &mut Client, workspace: &str, acts: &[Act]) {
    let Some(Trail { events, head }) = read(client, workspace) else {
        return;
    };
    let report = &client.world.report;
    report.tally().audited += acts.len() as u64;
    if let Some(what) = verdict(&events, &head, acts) {
        report.violation(Violation::Audit, format!("{workspace}: {what}"));
    }
}

struct Trail {
    events: Vec<Value>,
    head: Value,
}

/// All events, once what the worker says of its own chain is about the same events: refusals may be told meanwhile.
fn read(client: &mut Client, workspace: &str) -> Option<Trail> {
    let mut told = Value::Null;
    for _ in 0..10 {
        let trail = events(client, workspace)?;
        let verified = client.as_operator(Request::get(format!("/v1/audit/verify?workspace={workspace}")));
        let (.., verified) = client.resolve(&verified)?;
        told = verified.body;
        if told["valid"] == false {
            break;
        }
        if told["head"]["hash"] == trail.head && told["count"] == trail.events.len() {
            return Some(trail);
        }
    }
    let what = format!("{workspace}: its own proof says {told}");
    client.world.report.violation(Violation::Audit, what);
    None
}

fn events(client: &mut Client, workspace: &str) -> Option<Trail> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = client.as_operator(Request::get(format!("/v1/audit?workspace={workspace}&limit=100&after={after}")));
        let (.., page) = client.resolve(&page)?;
        events.extend(page.items().iter().cloned());
        match page.body["next_after"].as_u64() {
            Some(next) => after = next,
            None => return Some(Trail { events, head: page.body["head"]["hash"].clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(seq: u64, action: &str, target: &str) -> Value {
        json!({"seq": seq, "action": action, "target": target, "prev": format!("h{}", seq - 1), "hash": format!("h{seq}")})
    }

    fn trail() -> Vec<Value> {
        vec![event(1, "credential.create", "a"), event(2, "credential.rotate", "a"), event(3, "credential.revoke", "a")]
    }

    #[test]
    fn a_whole_trail_passes() {
        let acts = ["credential.create", "credential.rotate", "credential.revoke"].map(|action| Act::once(action, "a"));
        assert_eq!(verdict(&trail(), &json!("h3"), &acts), None);
        assert_eq!(verdict(&[], &Value::Null, &[]), None);
    }

    #[test]
    fn a_missing_a_doubled_and_a_foreign_event_are_seen() {
        let missing = [Act::once("credential.create", "b")];
        assert!(verdict(&trail(), &json!("h3"), &missing).is_some());
        let doubled = [trail(), vec![event(4, "credential.create", "a")]].concat();
        assert!(verdict(&doubled, &json!("h4"), &[Act::once("credential.create", "a")]).is_some());
        assert_eq!(verdict(&doubled, &json!("h4"), &[Act::times("credential.create", "a", 2)]), None);
        let two = [Act::once("credential.rotate", "a"), Act::once("credential.rotate", "a")];
        assert!(verdict(&trail(), &json!("h3"), &two).is_some());
    }

    #[test]
    fn a_gap_a_broken_chain_and_a_wrong_head_are_seen() {
        let gap = [event(1, "x", "a"), event(3, "x", "a")];
        assert!(verdict(&gap, &json!("h3"), &[]).is_some_and(|what| what.contains("gap")));
        let mut broken = trail();
        broken[1]["prev"] = json!("another");
        assert!(verdict(&broken, &json!("h3"), &[]).is_some_and(|what| what.contains("chain")));
        assert!(verdict(&trail(), &json!("h2"), &[]).is_some_and(|what| what.contains("head")));
    }
}
