//! Records: what another parser of JSON takes for an object is kept as the same, on one line, and is kept so again.

use claviger::{codec::raw_object::Document, gateway::store_records::OURS};
use serde_json::{Map, Value};

pub fn check(bytes: &[u8]) {
    let Ok(sent) = std::str::from_utf8(bytes) else { return };
    let naive = serde_json::from_str::<Map<String, Value>>(sent);
    let document = Document::parse(sent, &OURS);
    match (document, naive) {
        (Ok(document), Ok(mut naive)) => {
            OURS.iter().for_each(|name| drop(naive.remove(*name)));
            let whole = format!("{{{}}}", document.clone().into_text());
            assert!(!whole.contains(['\n', '\r']), "an answer's body is one line");
            assert_eq!(serde_json::from_str::<Map<String, Value>>(&whole).expect("an object"), naive);
            assert_eq!(Document::parse(&whole, &[]).ok(), Some(document));
        }
        // Each member is read for itself, so it may be one deeper.
        (Ok(_), Err(error)) => assert!(error.to_string().contains("recursion limit"), "{error}"),
        // Only because a name stood there twice: written anew it is taken.
        (Err(_), Ok(naive)) => assert!(Document::parse(&Value::Object(naive).to_string(), &OURS).is_ok()),
        (Err(_), Err(_)) => {}
    }
}
