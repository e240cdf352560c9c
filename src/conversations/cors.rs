//! Which request headers a preflight allows: what a page's own scripts add to every call of the page is not ours to refuse.

use crate::{codec::work, credential::Door};
use std::borrow::Cow;

/// What the widget sends.
const OWN: &str = "Authorization, Content-Type, Idempotency-Key";

/// A page that traces its calls adds some hundred bytes of names; this is several times that.
const MAX_BYTES: usize = 1_024;

/// What a preflight of a widget call answers: the headers of the widget, and whatever else was asked for. A preflight decides
/// nothing, no call here acts on a header that it does not know, and no cookie travels.
pub fn widget_headers(asked: Option<&str>, door: &Door) -> Cow<'static, str> {
    match asked.and_then(|asked| echo(asked, OWN, door)) {
        None => Cow::Borrowed(OWN),
        Some(more) => Cow::Owned(format!("{OWN}, {more}")),
    }
}

/// What a preflight of a document for anybody answers, if the page asked for any header.
pub fn document_headers(asked: Option<&str>, door: &Door) -> Option<String> {
    echo(asked?, "", door)
}

/// The names that are not among `own`; nothing where one of them is no name of a header, or could be a secret.
fn echo(asked: &str, own: &str, door: &Door) -> Option<String> {
    if asked.len() > MAX_BYTES {
        return None;
    }
    let names = asked.split(',').map(|name| name.trim_matches([' ', '\t'])).filter(|name| !name.is_empty());
    let mut echoed = String::new();
    for name in names.filter(|name| !own.split(", ").any(|known| known.eq_ignore_ascii_case(name))) {
        work::charge(name.len() + own.len());
        if !is_field_name(name) || (!is_words(name) && door.is_like_secret(name)) {
            return None;
        }
        if !echoed.is_empty() {
            echoed.push_str(", ");
        }
        echoed.push_str(name);
    }
    (!echoed.is_empty()).then_some(echoed)
}

/// Words as browsers send them, in lower case: a long name is no secret, which has capitals, digits or `_`.
fn is_words(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// A token (RFC 9110 §5.6.2). Alone, `*` would allow every header there is.
fn is_field_name(name: &str) -> bool {
    name != "*" && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
