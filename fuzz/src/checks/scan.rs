//! JSON that is read as it comes: however its bytes arrive the same is found, and where another reader takes the whole text, it is what
//! stands there.
//!
//! The first byte says in how large parts the others arrive.

use claviger::json::{Event, Path, Scanner, Shape, Value};

const PATHS: [&str; 5] = ["max_tokens", "usage.total", "usage", "n", "usage.parts.n"];

pub fn check(bytes: &[u8]) {
    let Some((size, text)) = bytes.split_first() else { return };
    for shape in [Shape::One, Shape::Many, Shape::Lists] {
        let whole = read(shape, text, text.len().max(1));
        for size in [usize::from(*size).max(1), 1] {
            assert_eq!(read(shape, text, size), whole, "in parts of {size}");
        }
        if shape == Shape::One {
            same(text, &whole);
        }
    }
}

/// What was found, in words, and whether the text was whole.
fn read(shape: Shape, text: &[u8], size: usize) -> (Vec<(usize, String)>, bool) {
    let paths = PATHS.map(Path::from);
    let (mut scanner, mut found) = (Scanner::new(shape, paths.len()), Vec::new());
    let mut keep = |event: Event| match event {
        Event::Found { path, is_exact: true, value: Value::Number(number) } => found.push((path, number.to_string())),
        Event::Found { path, is_exact, value } => found.push((path, format!("{is_exact} {value:?}"))),
        Event::End => found.push((usize::MAX, String::new())),
    };
    text.chunks(size).for_each(|part| scanner.feed(&paths, part, &mut keep));
    let is_whole = scanner.end(&paths, &mut keep);
    (found, is_whole && !text.trim_ascii().is_empty())
}

/// The reader of the whole text gives up on what is very deep, on numbers that are too large for it, and on halves of characters.
fn same(text: &[u8], (found, is_whole): &(Vec<(usize, String)>, bool)) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(text) else { return };
    assert!(is_whole, "another reader reads it");
    for (number, path) in PATHS.iter().enumerate() {
        let told: Vec<&str> =
            found.iter().filter(|(path, _)| *path == number).map(|(_, value)| value.as_str()).collect();
        if told.iter().any(|value| value.contains("Twice") || value.starts_with("false")) {
            continue;
        }
        let there = path.split('.').try_fold(&value, |value, name| value.as_object()?.get(name));
        match there.and_then(serde_json::Value::as_u64) {
            Some(there) => assert_eq!(told, [there.to_string()], "{path}"),
            None => assert!(
                there.is_some_and(serde_json::Value::is_f64) || told.iter().all(|value| value.contains(' ')),
                "{path}"
            ),
        }
    }
}
