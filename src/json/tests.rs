//! The scanner on texts that are cut anywhere: what it finds, what it does not, and what is no JSON.

use super::{Event, MAX_DEPTH, Path, Scanner, Shape};

/// What is told of a text, in parts of so many bytes; and whether it is whole.
fn told(shape: Shape, paths: &[&'static str], text: &str, size: usize) -> (Vec<String>, bool) {
    let paths: Vec<Path> = paths.iter().copied().map(Path::from).collect();
    let (mut scanner, mut found) = (Scanner::new(shape, paths.len()), Vec::new());
    let mut keep = |event: Event| {
        found.push(match event {
            Event::Found { path, is_exact, value } => {
                let value = format!("{value:?}").replace("Number(", "").replace(')', "");
                format!(
                    "{}{} {value}",
                    if is_exact { "" } else { "~" },
                    paths.get(path).map_or("", |path| path.as_ref())
                )
            }
            Event::End => ".".to_owned(),
        });
    };
    for part in text.as_bytes().chunks(size) {
        scanner.feed(&paths, part, &mut keep);
    }
    let is_whole = scanner.end(&paths, &mut keep);
    (found, is_whole)
}

fn whole(shape: Shape, paths: &[&'static str], text: &str) -> String {
    let all: Vec<_> = [1, 2, 3, 7, text.len().max(1)].map(|size| told(shape, paths, text, size)).into();
    assert!(all.iter().all(|one| Some(one) == all.first()), "{text}: {all:?}");
    let (found, is_whole) = all.into_iter().next().unwrap_or_default();
    assert!(is_whole, "{text}");
    found.join(", ")
}

#[test]
fn a_value_is_found_where_the_path_leads_and_nowhere_else() {
    for (text, path, found) in [
        ("{\"max_tokens\":7}", "max_tokens", "max_tokens 7, ."),
        ("{\"max\\u005ftokens\":7}", "max_tokens", "max_tokens 7, ."),
        (" { \"a\" : { \"b\" : { \"c\" : 0 } } , \"c\" : 1 } ", "a.b.c", "a.b.c 0, ."),
        ("{\"u\":18446744073709551615}", "u", "u 18446744073709551615, ."),
        ("{\"a\":[{\"b\":1}],\"b\":2}", "a.b", "a.b Unfit, ."),
        ("{\"b\":{\"a\":1},\"x\":[{\"a\":2},[\"a\",3]]}", "a", "."),
        ("{\"a\":{\"c\":1}}", "a.b", "."),
        ("{\"a\":null}", "a.b", "a.b Null, ."),
        ("{\"a\":5}", "a.b", "a.b Unfit, ."),
        ("{\"a\":{\"b\":\"x\"}}", "a.b", "a.b Text(\"x\", ."),
        ("{\"a\":1,\"a\":2}", "a", "a 1, a Twice, a 2, ."),
        ("{\"a\":{\"b\":1},\"a\":{\"b\":2}}", "a.b", "a.b 1, a.b Twice, a.b 2, ."),
        ("{\"a\":{\"a\":1},\"b\":{\"a\":2}}", "a.a", "a.a 1, ."),
        ("{\"a\":{\"x\":{\"b\":1}},\"b\":2}", "a.b", "."),
        ("{\"p\":[\"a\",[1],{},null,5,[[\"b\"]]]}", "p", "p Items(5, ."),
        ("{\"p\":[1,2,3]}", "p", "p Items(0, ."),
        ("{\"a\":{}}", "a", "a Unfit, ."),
        ("null", "a", ""),
        ("[{\"a\":1}]", "a", ""),
        ("\"a\"", "a", ""),
    ] {
        assert_eq!(whole(Shape::Many, &[path], text), found, "{text} {path}");
    }
    let deep = format!("{{\"x\":{}{},\"a\":3}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(whole(Shape::Many, &["a"], &deep), "a 3, .");
    assert!(!told(Shape::Many, &["a"], &"[".repeat(MAX_DEPTH + 1), 4_096).1);
}

#[test]
fn names_that_are_alike_are_told_apart_from_exact_ones() {
    let paths = &["options.max_tokens", "n"];
    for (text, found) in [
        ("{\"Options\":{\"max_tokens\":7}}", "~options.max_tokens 7, ."),
        ("{\"options\":{\"maxTokens\":7},\"N\":2}", "~options.max_tokens 7, ~n 2, ."),
        ("{\"options\":{\"max_tokens\":1,\"MAX_TOKENS\":2}}", "options.max_tokens 1, ~options.max_tokens 2, ."),
        ("{\"OPTIONS\":{\"x\":1},\"options\":{\"max_tokens\":2}}", "options.max_tokens 2, ."),
    ] {
        assert_eq!(whole(Shape::One, paths, text), found, "{text}");
    }
    assert_eq!(whole(Shape::Many, paths, "{\"Options\":{\"max_tokens\":7},\"N\":1}"), ".");
}

#[test]
fn documents_follow_each_other_or_stand_in_a_list() {
    assert_eq!(whole(Shape::Many, &["a"], "{\"a\":1}\n{\"a\":2} {}\r\n\u{1e}{\"a\":3}\n"), "a 1, ., a 2, ., ., a 3, .");
    assert_eq!(whole(Shape::Many, &["a"], "\u{feff}{\"a\":1}"), "a 1, .");
    assert_eq!(whole(Shape::Lists, &["a"], "[{\"a\":1}\n,\n{\"a\":2},[{\"a\":3}]]"), "a 1, ., a 2, .");
    assert_eq!(whole(Shape::Lists, &["a"], "{\"a\":1,\"b\":[{\"a\":2}]}"), "a 1, .");
    for text in ["{}{}", "{} 1", "\u{feff}{}", "\u{1e}{}"] {
        assert!(!told(Shape::One, &["a"], text, 1).1, "{text}");
    }
}

#[test]
fn what_is_no_json_is_said_to_be_none_and_where() {
    for text in [
        "[",
        "{",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":1}x",
        "[DONE]",
        "{a:1}",
        "{\"a\" 1}",
        "[1 2]",
        "[1,]",
        "{\"a\":+1}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "nul",
        "nulll",
        "tru",
        "{\"a\":1]",
        "[1}",
        "-",
        "1.",
        "'a'",
        "{\"a\":NaN}",
        "}",
        ",",
        "{\"a\"}",
        "{1:2}",
        "\"a",
        "\"\\",
    ] {
        for size in [1, 3, 64] {
            assert!(!told(Shape::Many, &["a"], text, size).1, "{text}");
        }
    }
    for text in ["", "1", "-0.5e3", "\"\\u00e9\\\"\"", "[[],{}]", "true", "{\"a\":{\"b\":[null,false]}}"] {
        assert!(told(Shape::Many, &["a"], text, 1).1, "{text}");
    }
    let mut scanner = Scanner::new(Shape::One, 0);
    scanner.feed(&[], b"{\"a\":x}", &mut |_| ());
    assert_eq!(scanner.read_bytes(), 6);
}
