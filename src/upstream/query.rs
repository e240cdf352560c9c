//! The query of a call on its way out: as it was sent, without what would have a server take another method.

use crate::codec::work;

/// A query without the parameters by which servers take another method, as `?_method=DELETE`: those are taken out, and everything
/// else stays byte for byte. `None` where there are none.
pub fn without_other_method(query: &str) -> Option<String> {
    work::charge(query.len());
    // Some servers read `;` as `&`.
    if !query.split(['&', ';']).any(is_other_method) {
        return None;
    }
    let mut kept: Option<String> = None;
    let (mut rest, mut separator) = (query, "");
    loop {
        let (pair, behind) = rest.split_at(rest.find(['&', ';']).unwrap_or(rest.len()));
        work::charge(pair.len() + 1);
        if !is_other_method(pair) {
            match &mut kept {
                Some(kept) => kept.extend([separator, pair]),
                None => kept = Some(pair.to_owned()),
            }
        }
        if behind.is_empty() {
            return Some(kept.unwrap_or_default());
        }
        (separator, rest) = behind.split_at(1);
    }
}

/// Whether a server might read the name of this parameter as one of those: decoded, in any case, with what PHP makes of it.
fn is_other_method(pair: &str) -> bool {
    work::charge(pair.len());
    let name = pair.split('=').next().unwrap_or_default();
    let says_method = || name.as_bytes().windows(6).any(|part| part.eq_ignore_ascii_case(b"method"));
    if !name.contains('%') && !says_method() {
        return false;
    }
    let spaced = name.replace('+', " ");
    let decoded = percent_decoded(&spaced).unwrap_or(spaced);
    let name = decoded.split('\0').next().unwrap_or_default().trim();
    let end = name.char_indices().skip(1).find(|(_, c)| *c == '[').map_or(name.len(), |(at, _)| at);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = name.get(..end).unwrap_or_default().chars().map(plain).collect();
    let whole = name.trim_matches('_');
    name == "_method"
        || matches!(whole, "x_http_method" | "x_http_method_override" | "http_method_override")
        || matches!(whole, "x_method_override" | "method_override")
}

/// With every percent-encoding undone once; `None` where there is none.
pub fn percent_decoded(text: &str) -> Option<String> {
    work::charge(text.len());
    if !text.contains('%') {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let value = behind.first_chunk::<2>().filter(|_| *byte == b'%').and_then(|[high, low]| {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            Some(digit(*high)? << 4 | digit(*low)?)
        });
        decoded.push(value.unwrap_or(*byte));
        rest = if value.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    (decoded.len() < text.len()).then(|| String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::without_other_method;

    #[test]
    fn a10_a_parameter_that_names_another_method_is_taken_out_and_all_else_stays_as_it_was() {
        for (sent, kept) in [
            ("_method=DELETE", ""),
            ("a=1&_method=DELETE", "a=1"),
            ("_method=DELETE&a=1", "a=1"),
            ("a=1&_METHOD=put&b=%20+x", "a=1&b=%20+x"),
            ("a&%5Fmethod=x&&b=", "a&&b="),
            ("a=1;_method=DELETE;b=2", "a=1;b=2"),
            ("%5f%6D%65thod", ""),
            ("_method", ""),
            ("_method[]=DELETE&a", "a"),
            ("+_method=x&a", "a"),
            ("%20.method=x&a", "a"),
            ("[method=x&a", "a"),
            ("_method%00b=x&a", "a"),
            ("X-HTTP-Method-Override=PUT&a", "a"),
            ("x_http_method=PUT&a", "a"),
            ("a&_method=1&_method=2&_Method=3", "a"),
            ("_method=x&&b", "&b"),
        ] {
            assert_eq!(without_other_method(sent).as_deref(), Some(kept), "{sent}");
        }
        for sent in [
            "",
            "a",
            "method=DELETE",
            "a=_method",
            "_methods=1",
            "x_method=1",
            "__method=1",
            "a[_method]=1",
            "&&",
            "a;b",
            "%zz",
        ] {
            assert_eq!(without_other_method(sent), None, "{sent}");
        }
    }
}
