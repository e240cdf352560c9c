//! Which route of the policy a request means. Read by `Policy::route`; the table is made once, with the policy.

use super::{Policy, Route, routes::is_ours};
use crate::codec::work;

/// The patterns, the closest first.
#[derive(Clone, Debug)]
pub(crate) struct Router(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    method: String,
    segments: Vec<Segment>,
    /// The route's place in the policy.
    number: usize,
}

/// In the order in which they are tried: a name that is spelled out is meant more closely than a variable.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Segment {
    Literal(String),
    One,
    Rest,
}

impl Router {
    pub(crate) fn new(routes: &[Route]) -> Self {
        let mut patterns: Vec<Pattern> =
            routes.iter().enumerate().map(|(number, route)| pattern(route, number)).collect();
        patterns.sort_by(|one, other| one.segments.cmp(&other.segments));
        Self(patterns)
    }

    /// The first pattern that fits. `HEAD` is taken wherever `GET` is, and may have a route of its own.
    fn find(&self, method: &str, path: &str) -> Option<usize> {
        work::charge(path.len());
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let at = |method: &str| {
            let fits = |pattern: &&Pattern| pattern.method == method && pattern.fits(&segments);
            self.0.iter().find(fits).map(|pattern| pattern.number)
        };
        at(method).or_else(|| if method == "HEAD" { at("GET") } else { None })
    }
}

fn pattern(route: &Route, number: usize) -> Pattern {
    let segments = route.path.split('/').skip(1).map(|segment| match segment.strip_prefix('{') {
        Some(name) if name.ends_with("...}") => Segment::Rest,
        Some(_) => Segment::One,
        None => Segment::Literal(segment.to_owned()),
    });
    Pattern { method: route.method.clone(), segments: segments.collect(), number }
}

impl Pattern {
    fn fits(&self, path: &[&str]) -> bool {
        let mut rest = path.iter();
        for segment in &self.segments {
            work::charge(1);
            let Some(sent) = rest.next() else {
                return false;
            };
            match segment {
                Segment::Literal(name) if name == sent => {}
                Segment::One if !sent.is_empty() => {}
                Segment::Rest => return !sent.is_empty(),
                Segment::Literal(_) | Segment::One => return false,
            }
        }
        rest.next().is_none()
    }
}

impl Policy {
    /// The number of the route that a request means, of a path exactly as it was sent; `None` where there is none.
    ///
    /// The upstream may read a path with its percent-encoding undone. One that would then lead to another route, to a path
    /// of ours or out of its folder leads nowhere here: else a spelling would choose a weaker rule than the name it hides.
    pub fn route(&self, method: &str, path: &str) -> Option<usize> {
        let decoded = decode(path)?;
        if is_ours(path) || is_ours(&decoded) {
            return None;
        }
        let number = self.router.find(method, path)?;
        (self.router.find(method, &decoded) == Some(number)).then_some(number)
    }
}

/// The path with its percent-encoding undone; `None` where two servers might not agree on what it means.
fn decode(path: &str) -> Option<String> {
    work::charge(path.len());
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let is_encoded = byte == b'%';
        let byte = match byte {
            b'%' => hexadecimal(bytes.next()?)? << 4 | hexadecimal(bytes.next()?)?,
            _ => byte,
        };
        let sound = if is_encoded {
            // A separator or a dot that only some servers see, and what could be decoded once more.
            !byte.is_ascii_control() && !matches!(byte, b'/' | b'\\' | b';' | b'%')
        } else {
            // RFC 3986 §3.3, without `;`, behind which some servers see parameters.
            byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/".contains(&byte)
        };
        if !sound {
            return None;
        }
        decoded.push(byte);
    }
    if hides_dots(&decoded) {
        return None;
    }
    // What is no UTF-8 fits no name that is spelled out, and a variable all the same.
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let is_plain = !decoded.contains("//") && !decoded.split('/').any(|segment| matches!(segment, "." | ".."));
    is_plain.then_some(decoded)
}

/// Whether a segment is dots alone to a server that reads characters of ASCII in more bytes than one, which is no UTF-8 (RFC 3629 §10).
fn hides_dots(bytes: &[u8]) -> bool {
    let (mut read, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some((byte, behind)) = rest.split_first() {
        let (character, length) = match rest {
            [first @ (0xc0 | 0xc1), last @ 0x80..=0xbf, ..] => ((first & 1) << 6 | last & 0x3f, 2),
            [0xe0, middle @ (0x80 | 0x81), last @ 0x80..=0xbf, ..] => ((middle & 1) << 6 | last & 0x3f, 3),
            [0xf0, 0x80, middle @ (0x80 | 0x81), last @ 0x80..=0xbf, ..] => ((middle & 1) << 6 | last & 0x3f, 4),
            _ => (*byte, 1),
        };
        read.push(character);
        rest = behind.get(length - 1..).unwrap_or_default();
    }
    // Nothing hides where nothing became shorter.
    read.len() < bytes.len()
        && read.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| matches!(segment, b"." | b".."))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn x_a_segment_of_dots_that_are_spelled_in_too_many_bytes_leads_nowhere() {
        for path in [
            "/a/%c0%ae%c0%ae/b",
            "/a/..%C0%AFb",
            "/a/%e0%80%ae",
            "/a/%F0%80%80%af../b",
            "/a/..%c1%9cb",
            "/%C0%2e%C0%ae%c0%ae/%c0%ae",
        ] {
            assert_eq!(decode(path), None, "{path}");
        }
        for path in [
            "/a/%c3%a9",
            "/a/%e9t%e9",
            "/a/%c0",
            "/a/%e0%a4%85",
            "/a/%f0%9f%98%80",
            "/a/%c0x",
            "/a/%c0%af",
            "/a/b%c0%ae",
            "/a/%c0%ae%c0%ae%c0%ae",
        ] {
            assert!(decode(path).is_some(), "{path}");
        }
    }
}
