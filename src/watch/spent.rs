//! How many tokens a call has used, by what its answer says while it passes; and the settlement that follows.

use super::Ending;
use crate::{
    error::Reason,
    json::{Found, find},
    machine::World,
    registry::credential::{Command, Credential},
    sse::Events,
};

/// An answer in JSON is kept to its end if it is no longer than this: its usage may stand anywhere in it.
pub const MAX_JSON_BYTES: usize = 1 << 20;

/// Refusals that somebody makes who has waited for the API, which may be at work all the same. So may it be behind any 5xx.
const AMBIGUOUS: [u16; 2] = [408, 499];

/// What is held for a call, and where.
#[derive(Debug)]
pub struct Held {
    /// The name of the credential's object.
    pub object: String,
    /// The request.
    pub id: String,
    /// The member of the answer that tells what was used.
    pub path: String,
}

impl Held {
    /// Settles the call: so many were used. Where nobody knows, all that was held counts.
    pub async fn settle(self, used: Option<u32>, world: &impl World) -> Result<(), Reason> {
        world.ask::<Credential>(&self.object, Command::Settle(self.id, used)).await.map(drop)
    }
}

/// An answer that is read for what it used; see the module.
#[derive(Debug)]
pub struct Spent {
    held: Held,
    status: u16,
    form: Form,
    /// The last number that stood where the policy says.
    seen: Option<u32>,
}

/// How an answer is read.
#[derive(Debug)]
enum Form {
    /// Kept, and parsed at its end.
    Json(Vec<u8>),
    /// Event by event.
    Events(Events),
    /// Not at all.
    Unread,
}

impl Spent {
    /// Reads an answer of this status and `Content-Type`.
    pub fn new(held: Held, status: u16, content_type: Option<&str>) -> Self {
        let media_type = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        let form = match media_type.trim().to_ascii_lowercase().as_str() {
            "text/event-stream" => Form::Events(Events::default()),
            json if json == "application/json" || json.ends_with("+json") => Form::Json(Vec::new()),
            _ => Form::Unread,
        };
        Self { held, status, form, seen: None }
    }

    /// A part of the answer has come.
    pub fn feed(&mut self, part: &[u8]) {
        let Self { held, form, seen, .. } = self;
        match form {
            Form::Json(kept) if kept.len() + part.len() <= MAX_JSON_BYTES => kept.extend_from_slice(part),
            Form::Json(_) => *form = Form::Unread,
            Form::Events(events) => events.feed(part, &mut |data| *seen = number(data, &held.path).or(*seen)),
            Form::Unread => {}
        }
    }

    /// Bytes that are held so far.
    pub fn held_bytes(&self) -> usize {
        match &self.form {
            Form::Json(kept) => kept.len(),
            Form::Events(events) => events.held_bytes(),
            Form::Unread => 0,
        }
    }

    /// There is no room to hold more: it is not read, and all that is held for the call counts.
    pub fn give_up(&mut self) {
        (self.form, self.seen) = (Form::Unread, None);
    }

    /// It is over, and the call is settled.
    pub async fn end(mut self, ending: Ending, world: &impl World) -> Result<(), Reason> {
        let used = self.used(ending);
        self.held.settle(used, world).await
    }

    /// How many were used; none where nobody knows.
    fn used(&mut self, ending: Ending) -> Option<u32> {
        let Self { held, form, seen, .. } = self;
        match form {
            Form::Json(kept) => *seen = number(kept, &held.path),
            Form::Events(events) if ending == Ending::Whole => {
                events.end(&mut |data| *seen = number(data, &held.path).or(*seen));
            }
            Form::Events(_) | Form::Unread => {}
        }
        // What was refused has generated nothing.
        let is_refused = (400..500).contains(&self.status) && !AMBIGUOUS.contains(&self.status);
        self.seen.or_else(|| is_refused.then_some(0))
    }
}

/// The number at `path` of a JSON text: one that could be a number of tokens.
fn number(text: &[u8], path: &str) -> Option<u32> {
    match find(std::str::from_utf8(text).ok()?, path).ok()? {
        Found::Number(number) => u32::try_from(number).ok(),
        Found::Missing | Found::Unfit => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, Form, Held, MAX_JSON_BYTES, Spent};

    fn used(status: u16, content_type: &str, parts: &[&[u8]], ending: Ending) -> Option<u32> {
        let held = Held { object: String::new(), id: String::new(), path: "usage.total".to_owned() };
        let mut spent = Spent::new(held, status, Some(content_type));
        parts.iter().for_each(|part| spent.feed(part));
        spent.used(ending)
    }

    #[test]
    fn usage_is_read_from_json_wherever_it_is_cut() {
        let text = b"{\"choices\":[{\"usage\":{\"total\":1}}],\"usage\":{\"total\":42}}";
        for at in 0..text.len() {
            let (one, other) = text.split_at(at);
            for json in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"] {
                assert_eq!(used(200, json, &[one, other], Ending::Whole), Some(42));
            }
            assert_eq!(used(200, "application/json", &[one], Ending::Cut), None);
            assert_eq!(used(200, "text/plain", &[one, other], Ending::Whole), None);
        }
    }

    #[test]
    fn usage_that_is_none_is_not_taken_for_one() {
        for value in ["-1", "\"5\"", "1.5", "null", "4294967296", "1e99", "true", "[]", "{}"] {
            let text = format!("{{\"usage\":{{\"total\":{value}}}}}");
            assert_eq!(used(200, "application/json", &[text.as_bytes()], Ending::Whole), None, "{value}");
            let event = format!("data: {text}\n\n");
            assert_eq!(used(200, "text/event-stream", &[event.as_bytes()], Ending::Whole), None, "{value}");
        }
        let most = b"{\"usage\":{\"total\":4294967295}}";
        assert_eq!(used(200, "application/json", &[most], Ending::Whole), Some(u32::MAX));
        let twice = b"{\"usage\":{\"total\":1,\"total\":2}}";
        assert_eq!(used(200, "application/json", &[twice], Ending::Whole), None);
    }

    #[test]
    fn the_last_usage_of_a_stream_counts_and_only_data_tells_it() {
        let stream = |text: &str| used(200, "text/event-stream", &[text.as_bytes()], Ending::Whole);
        let usage = |number: u32| format!("{{\"usage\":{{\"total\":{number}}}}}");
        assert_eq!(stream(&format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", usage(1), usage(9))), Some(9));
        assert_eq!(stream(&format!("data: {}\n\ndata: {{\"usage\":null}}\n\n: end\n\n", usage(9))), Some(9));
        // Anthropic's form: the number comes before the last event.
        assert_eq!(
            stream(&format!("event: d\ndata: {}\n\nevent: s\ndata: {{\"type\":\"stop\"}}\n\n", usage(9))),
            Some(9)
        );
        // Nothing follows the last event, not even the end of its line.
        assert_eq!(stream(&format!("data: {}", usage(9))), Some(9));
        for wrong in ["event: ", "id: ", ": ", "usage: ", "data", " data: ", "Data: "] {
            assert_eq!(stream(&format!("{wrong}{}\n\ndata: [DONE]\n\n", usage(9))), None, "{wrong}");
        }
        let cut = format!("data: {}\n\ndata: {}", usage(3), usage(9));
        assert_eq!(used(200, "text/event-stream", &[cut.as_bytes()], Ending::Cut), Some(3));
    }

    #[test]
    fn what_is_refused_has_used_nothing_unless_it_says_so() {
        for (status, expected) in
            [(200, None), (302, None), (400, Some(0)), (404, Some(0)), (429, Some(0)), (500, None)]
        {
            assert_eq!(used(status, "application/json", &[b"{\"error\":1}"], Ending::Whole), expected, "{status}");
        }
        for status in [408, 499, 502, 503, 504, 524] {
            assert_eq!(used(status, "text/html", &[b"<h1>"], Ending::Whole), None, "{status}");
        }
        assert_eq!(used(400, "application/json", &[b"{\"usage\":{\"total\":5}}"], Ending::Whole), Some(5));
    }

    #[test]
    fn a_json_answer_is_kept_up_to_a_mebibyte() {
        let long = |spaces: usize| [b"{\"usage\":{\"total\":5}}".to_vec(), vec![b' '; spaces]].concat();
        let room = MAX_JSON_BYTES - long(0).len();
        assert_eq!(used(200, "application/json", &[&long(room)], Ending::Whole), Some(5));
        assert_eq!(used(200, "application/json", &[&long(room + 1)], Ending::Whole), None);
        let held = Held { object: String::new(), id: String::new(), path: "a".to_owned() };
        let mut spent = Spent::new(held, 200, Some("application/json"));
        (0..3).for_each(|_| spent.feed(&long(room)));
        assert!(matches!(spent.form, Form::Unread), "nothing of it is kept");
    }
}
