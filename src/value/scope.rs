//! Scopes (RFC 6749 §3.3): names for what a credential may do.

use crate::{
    codec::cbor::{Malformed, Reader, Wire, Writer},
    error::Reason,
};
use std::fmt;

/// One `scope-token`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Scope(String);

impl Scope {
    /// The name of the scope.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Scope {
    type Error = Reason;

    /// RFC 6749 §3.3: visible ASCII without `"` and `\`; at most 64 characters (ours).
    fn try_from(text: String) -> Result<Self, Reason> {
        let sound =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E));
        if !sound {
            return Err(Reason::invalid("scopes", "A scope is 1 to 64 visible ASCII characters."));
        }
        Ok(Self(text))
    }
}

impl Wire for Scope {
    fn put(&self, writer: &mut Writer) {
        self.0.put(writer);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        Self::try_from(String::take(reader)?).map_err(|_| Malformed)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Scope;

    #[test]
    fn a_scope_is_1_to_64_visible_characters_and_shown_as_it_is_written() {
        for text in ["a", "conversations:read", "!", "~", &"a".repeat(64)] {
            let scope = Scope::try_from(text.to_owned()).unwrap();
            assert_eq!(
                (scope.as_str(), scope.to_string().as_str(), String::from(scope.clone()).as_str()),
                (text, text, text)
            );
        }
        for text in ["", " ", "a b", "a\"b", "a\\b", "ä", "\u{7f}", &"a".repeat(65)] {
            assert!(Scope::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
