//! Conditions of a request (RFC 9110 §13): the entity tags that it names, and whether a route wants one of a write.

use super::store_records::Expects;
use crate::{codec::work, error::Reason, object::machine::World, policy::Route, world::upstream::without_space};

/// One entity tag (RFC 9110 §8.8.3), quotes included.
struct Tag<'a> {
    is_weak: bool,
    opaque: &'a str,
}

/// What a list of entity tags names.
enum Tags<'a> {
    /// `*`: anything there is.
    Any,
    These(Vec<Tag<'a>>),
}

impl<'a> Tags<'a> {
    /// Reads `*` or a list, in which elements may be missing (RFC 9110 §5.6.1); `None` where it is neither. A comma may stand in a tag.
    fn parse(text: &'a str) -> Option<Self> {
        let mut rest = without_space(text);
        if rest == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            let begin = rest.len();
            rest = rest.trim_start_matches([' ', '\t', ',']);
            work::charge(begin - rest.len());
            if rest.is_empty() {
                return Some(Self::These(tags));
            }
            let quoted = rest.strip_prefix("W/");
            let is_weak = quoted.is_some();
            let quoted = quoted.unwrap_or(rest);
            let inner = quoted.strip_prefix('"')?.split('"').next()?;
            work::charge(inner.len() + 2);
            let is_sound = inner.chars().all(|c| c > ' ' && c != '\u{7f}');
            let opaque = quoted.get(..inner.len() + 2).filter(|opaque| is_sound && opaque.ends_with('"'))?;
            tags.push(Tag { is_weak, opaque });
            rest = quoted.get(opaque.len()..)?.trim_start_matches([' ', '\t']);
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
        }
    }

    /// The tags that a strong comparison may find: a weak one never matches so.
    fn strong(self) -> Expects {
        match self {
            Self::Any => Expects::Something,
            Self::These(tags) => {
                Expects::OneOf(tags.into_iter().filter(|tag| !tag.is_weak).map(|tag| tag.opaque.to_owned()).collect())
            }
        }
    }
}

/// What a write must find.
pub fn expects(world: &impl World) -> Result<Expects, Reason> {
    match (world.header("if-match"), world.header("if-none-match")) {
        (None, None) => Ok(Expects::Anything),
        (Some(tags), None) => Tags::parse(&tags).map(Tags::strong).ok_or_else(|| {
            Reason::invalid("if-match", "Send `*`, or ETags as they came, quotes included, with commas between them.")
        }),
        (None, Some(tags)) if without_space(&tags) == "*" => Ok(Expects::Nothing),
        _ => Err(Reason::invalid("if-none-match", "A write takes If-Match, or If-None-Match: *, and not both.")),
    }
}

/// What becomes of a read of what is there: all of it, or the word that it is known. What cannot be read asks for nothing.
pub enum Reading {
    /// It goes out.
    Whole,
    /// 304: the caller has it.
    Known,
    /// It is not the one that was wanted.
    Other,
}

/// A read of what has this entity tag.
pub fn reading(etag: &str, world: &impl World) -> Reading {
    let names = |name: &str, is_weak: bool| {
        let tags = world.header(name)?;
        Some(match Tags::parse(&tags)? {
            Tags::Any => true,
            Tags::These(tags) => tags.iter().any(|tag| tag.opaque == etag && (is_weak || !tag.is_weak)),
        })
    };
    match (names("if-match", false), names("if-none-match", true)) {
        (Some(false), _) => Reading::Other,
        (_, Some(true)) => Reading::Known,
        _ => Reading::Whole,
    }
}

/// Refuses a write that does not say what it expects to find, where the route wants that. A header without a value does not arrive,
/// and one that `Connection` lists does not go on.
pub fn require(route: &Route, world: &impl World) -> Result<(), Reason> {
    let ends = world.header("connection").unwrap_or_default();
    work::charge(2 * ends.len());
    let goes_on = |name: &str| !ends.split(',').any(|listed| without_space(listed).eq_ignore_ascii_case(name));
    let says = |name: &str| goes_on(name) && world.header(name).is_some_and(|value| !without_space(&value).is_empty());
    if route.requires_condition && !says("if-match") && !says("if-none-match") {
        return Err(Reason::invalid(
            "if-match",
            "Read what is there, and send its ETag in If-Match; or If-None-Match: * to make what is not there.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Expects, Tags};

    fn strong(text: &str) -> Option<String> {
        Tags::parse(text).map(|tags| match tags.strong() {
            Expects::OneOf(tags) => tags.join(" "),
            _ => "any".to_owned(),
        })
    }

    #[test]
    fn a11_a_list_of_entity_tags_is_read_as_the_rfc_says() {
        for (text, found) in [
            ("*", "any"),
            (" * ", "any"),
            ("\"1\"", "\"1\""),
            ("\"1\",\"2\"", "\"1\" \"2\""),
            ("\"1\"\t, , \"2\" ,", "\"1\" \"2\""),
            ("W/\"1\", \"2\"", "\"2\""),
            ("\"a,b\"", "\"a,b\""),
            ("\"a, \"", ""),
            ("\"\"", "\"\""),
            ("\"é\"", "\"é\""),
            ("\"a\\\"", "\"a\\\""),
            ("", ""),
            (",", ""),
        ] {
            let found = Some(found.to_owned()).filter(|_| text != "\"a, \"");
            assert_eq!(strong(text), found, "{text}");
        }
        // A tag may hold commas: so this is no list that names `"1"`.
        for text in [
            "\"a,\"1\",b\"",
            "1",
            "\"1",
            "1\"",
            "w/\"1\"",
            "W/1",
            "*, \"1\"",
            "\"1\" \"2\"",
            "\"1\";x",
            "**",
            "\"a\u{7f}\"",
            "\u{a0}\"1\"",
        ] {
            assert_eq!(strong(text), None, "{text}");
        }
    }
}
