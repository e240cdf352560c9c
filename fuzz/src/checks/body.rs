//! Bodies: what another parser of JSON takes for an object with each member once is read as the same, all else is refused.

use claviger::{call::body::Fields, error::Reason};
use serde_json::{Map, Value};

const MEMBERS: usize = 64;

pub fn check(bytes: &[u8]) {
    let naive = serde_json::from_slice::<Map<String, Value>>(bytes);
    match Fields::parse(bytes) {
        Ok(mut fields) => {
            let naive = naive.expect("what we read is an object");
            assert!(naive.len() <= MEMBERS);
            for (name, value) in &naive {
                same(&mut fields, name, value);
            }
            assert!(fields.finish().is_ok(), "more members than there are");
        }
        Err(Reason::InvalidRequest(member, why)) => {
            assert!(member.is_empty() && why.len() < 100, "a refusal does not repeat the body: {why}");
            if let Ok(naive) = naive.map(Value::Object) {
                // Only because a member stood there twice, or too many did: written anew it is taken.
                let many = naive.as_object().is_some_and(|members| members.len() > MEMBERS);
                assert!(many || Fields::parse(naive.to_string().as_bytes()).is_ok());
            }
        }
        Err(reason) => panic!("{reason:?}"),
    }
}

/// Takes the member out, as what it is; as anything else it is refused.
fn same(fields: &mut Fields, name: &str, value: &Value) {
    let refused = |reason: Option<Reason>| match reason {
        Some(Reason::InvalidRequest(member, _)) => assert_eq!(member, name),
        Some(Reason::BodyTooLarge(most)) => assert!(value.as_str().is_some_and(|text| text.len() > most)),
        other => panic!("{other:?} for {name}: {value}"),
    };
    match value {
        Value::Null => assert!(fields.take_null(name) && matches!(fields.optional_texts(name, 1), Ok(None))),
        Value::Number(number) => match (number.as_u64(), fields.optional_number(name, 1, 1_000)) {
            (Some(number @ 1..=1_000), Ok(taken)) => assert_eq!(taken, Some(number)),
            (other, taken) => {
                assert!(!other.is_some_and(|number| (1..=1_000).contains(&number)));
                refused(taken.err());
            }
        },
        Value::String(text) if text.len() % 2 == 0 => match fields.text(name, 30) {
            Ok(taken) => assert!(taken == *text && (1..=30).contains(&text.chars().count())),
            reason => refused(reason.err()),
        },
        Value::String(text) => match fields.prose(name, 30) {
            Ok(taken) => assert!(taken == *text && !text.trim().is_empty() && text.len() <= 30),
            reason => refused(reason.err()),
        },
        Value::Array(items) => match fields.optional_texts(name, 3) {
            Ok(taken) => assert_eq!(taken.map(Value::from), Some(value.clone())),
            reason => {
                assert!(items.len() > 3 || !items.iter().all(Value::is_string));
                refused(reason.err());
            }
        },
        Value::Bool(_) | Value::Object(_) => refused(fields.optional_text(name, 30).err()),
    }
}
