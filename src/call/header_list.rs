//! Lists and parameters of headers, read by their grammar (RFC 9110 §5.6): what stands in quotes ends nothing and begins nothing.

use crate::codec::work;

/// The items of a list, without those that are empty (RFC 9110 §5.6.1).
pub fn items(list: &str) -> Vec<&str> {
    split(list, b',').into_iter().filter(|item| !item.is_empty()).collect()
}

/// A media type or range in lower case, and its parameters: names in lower case, values without their quotes.
pub fn media_type(text: &str) -> (String, Vec<(String, String)>) {
    let mut parts = split(text, b';').into_iter();
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let parameters = parts.filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.trim_end_matches([' ', '\t']).to_ascii_lowercase(), unquoted(value.trim_start_matches([' ', '\t'])))
    });
    (media_type, parameters.collect())
}

/// Whether errors are to be problem details (RFC 9457): only where `Accept` prefers them to plain JSON, or names them and likes
/// both alike (RFC 9110 §12.5.1).
pub fn prefers_problem(accept: &str) -> bool {
    let ranges: Vec<(String, u16)> = items(accept).into_iter().filter_map(range).collect();
    let weight_of = |wanted: &str| {
        // The most specific range counts.
        work::charge(ranges.len());
        let weight = |name: &str| ranges.iter().filter(|(range, _)| range == name).map(|(_, weight)| *weight).max();
        weight(wanted).or_else(|| weight("application/*")).or_else(|| weight("*/*")).unwrap_or_default()
    };
    let (problem, json) = (weight_of(PROBLEM), weight_of("application/json"));
    let is_named = ranges.iter().any(|(range, _)| range == PROBLEM);
    problem > json || (is_named && problem == json && problem > 0)
}

/// The media type of problem details.
pub const PROBLEM: &str = "application/problem+json";

/// A media range and its weight in thousandths; none where the weight is malformed. Other parameters of the type say nothing here:
/// no representation of ours differs by one.
fn range(item: &str) -> Option<(String, u16)> {
    let (range, parameters) = media_type(item);
    match parameters.iter().find(|(name, _)| name == "q") {
        None => Some((range, 1_000)),
        Some((_, weight)) => self::weight(weight).map(|weight| (range, weight)),
    }
}

/// `0`, `1`, or one of them with at most three digits behind a dot, and never more than 1 (RFC 9110 §12.4.2).
fn weight(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || rest.len() > 3 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{whole}{rest:0<3}").parse().ok()?;
    (thousandths <= 1_000).then_some(thousandths)
}

/// The parts between `at`, trimmed, wherever that does not stand within quotes.
fn split(text: &str, at: u8) -> Vec<&str> {
    work::charge(text.len());
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            byte if byte == at && !is_quoted => {
                parts.push(text.get(begin..place).unwrap_or_default());
                begin = place + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts.into_iter().map(|part| part.trim_matches([' ', '\t'])).collect()
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return value.to_owned() };
    let (mut text, mut characters) = (String::new(), inner.chars());
    while let Some(character) = characters.next() {
        if character == '\\' {
            text.extend(characters.next());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{items, media_type, prefers_problem};

    #[test]
    fn f19_what_stands_in_quotes_ends_nothing_and_empty_items_are_none() {
        assert_eq!(items("a, b;c=\"x, y\" ,, d;e=\"\\\", f\""), ["a", "b;c=\"x, y\"", "d;e=\"\\\", f\""]);
        assert_eq!(items(" , ,"), [""; 0]);
        let (name, parameters) = media_type("Text/HTML ; Charset=\"a\\\"; b\";; Q=0.5 ;x");
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!((name.as_str(), parameters), ("text/html", vec![("charset", "a\"; b"), ("q", "0.5"), ("x", "")]));
    }

    #[test]
    fn x_white_space_around_the_sign_hides_no_parameter() {
        // None may stand there (RFC 9110 §5.6.6), and servers read it all the same.
        let (_, parameters) = media_type("application/json; charset = utf-16;q\t=\t\"0\"");
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(parameters, [("charset", "utf-16"), ("q", "0")]);
        assert!(
            !prefers_problem("application/problem+json;q = 0") && prefers_problem("application/problem+json;q = 1")
        );
    }

    #[test]
    fn f19_accept_is_read_and_not_searched() {
        for accept in [
            "application/problem+json",
            "APPLICATION/Problem+JSON",
            "application/problem+json;q=0.1",
            "application/problem+json; charset=utf-8 ; Q=0.9, application/json;q=0.8",
            "application/json, application/problem+json",
            "application/problem+json, */*",
            "text/html, application/problem+json;q=0.5, application/json;q=0.5",
            "application/json;q=0, */*",
            ",, application/problem+json;q=1.000",
        ] {
            assert!(prefers_problem(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/*",
            "application/json",
            "application/problem+json;q=0",
            "application/problem+json;q=0.000, text/html",
            "application/problem+json;q=0, application/*",
            "application/json, application/problem+json;q=0.9",
            "application/problem+json;q=0.5, */*",
            "application/problem+jsonx",
            "application/problem+xml",
            "x-application/problem+json",
            "text/plain;a=\"application/problem+json\"",
            "text/plain;a=\", application/problem+json, \"",
            "application/problem+json;q=2",
            "application/problem+json;q=-1",
            "application/problem+json;q=0.1234",
            "application/problem+json;q=0.0001",
            "application/problem+json;q=1.001",
            "application/problem+json;q=",
            "application/json;profile=application/problem+json",
        ] {
            assert!(!prefers_problem(accept), "{accept}");
        }
    }
}
