//! A name, a number or a text of JSON, kept as it is read: without its escapes, and only as long as a path could name it.

/// So much is kept. Paths are shorter.
const MAX_KEPT_BYTES: usize = 1_024;

/// What is kept of the text that is being read.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    is_wanted: bool,
    is_long: bool,
    /// The first half of a character that is escaped in two.
    half: Option<u32>,
}

impl Kept {
    /// Another text begins; nothing of it is kept unless it is wanted.
    pub fn begin(&mut self, is_wanted: bool) {
        self.bytes.clear();
        (self.is_wanted, self.is_long, self.half) = (is_wanted, false, None);
    }

    /// These bytes, as they stand.
    #[inline(never)]
    pub fn extend(&mut self, bytes: &[u8]) {
        if !self.is_wanted || self.is_long || bytes.is_empty() {
            return;
        }
        self.end_half();
        self.is_long = self.bytes.len() + bytes.len() > MAX_KEPT_BYTES;
        if !self.is_long {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// A character that was escaped as the four hexadecimal digits of this number. What is no character becomes U+FFFD.
    #[inline(never)]
    pub fn push_escaped(&mut self, value: u32) {
        match (value, self.half.take()) {
            (0xdc00..=0xdfff, Some(half)) => {
                self.push(char::from_u32(0x1_0000 + ((half - 0xd800) << 10) + (value - 0xdc00)));
            }
            (_, half) => {
                self.half = half;
                self.end_half();
                match value {
                    0xd800..=0xdbff => self.half = Some(value),
                    _ => self.push(char::from_u32(value)),
                }
            }
        }
    }

    /// It is over: its bytes, unless it is not wanted or too long.
    #[inline(never)]
    pub fn end(&mut self) -> Option<Vec<u8>> {
        self.end_half();
        (self.is_wanted && !self.is_long).then(|| std::mem::take(&mut self.bytes))
    }

    /// A first half that no second one followed.
    fn end_half(&mut self) {
        if self.half.take().is_some() {
            self.push(None);
        }
    }

    #[inline(never)]
    fn push(&mut self, character: Option<char>) {
        self.extend(character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// What an escape of one letter stands for.
pub fn unescaped(letter: u8) -> Option<u8> {
    match letter {
        b'"' | b'\\' | b'/' => Some(letter),
        b'b' => Some(0x08),
        b'f' => Some(0x0c),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        _ => None,
    }
}

/// Whether some reader may take one name for the other: many do not tell letter case apart, some not `max_tokens` and `maxTokens`.
pub fn are_alike(one: &[u8], other: &[u8]) -> bool {
    folded(one).eq(folded(other))
}

/// Without case, `_` and `-`. Two letters that are not ASCII are folded into some that are (Unicode, CaseFolding.txt).
fn folded(mut name: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        while let [b'_' | b'-', rest @ ..] = name {
            name = rest;
        }
        let (byte, rest) = match name {
            [0xe2, 0x84, 0xaa, rest @ ..] => (b'k', rest),
            [0xc5, 0xbf, rest @ ..] => (b's', rest),
            [byte, rest @ ..] => (byte.to_ascii_lowercase(), rest),
            [] => return None,
        };
        name = rest;
        Some(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::{Kept, are_alike};

    fn kept(escaped: &[u32]) -> Option<String> {
        let mut kept = Kept::default();
        kept.begin(true);
        escaped.iter().for_each(|value| kept.push_escaped(*value));
        kept.extend(b"!");
        kept.end().and_then(|bytes| String::from_utf8(bytes).ok())
    }

    #[test]
    fn characters_that_are_escaped_in_two_are_one_and_half_of_one_is_none() {
        assert_eq!(kept(&[0x5f]).as_deref(), Some("_!"));
        assert_eq!(kept(&[0xd83d, 0xde00]).as_deref(), Some("\u{1f600}!"));
        assert_eq!(kept(&[0xd83d]).as_deref(), Some("\u{fffd}!"));
        assert_eq!(kept(&[0xde00]).as_deref(), Some("\u{fffd}!"));
        assert_eq!(kept(&[0xd83d, 0xd83d, 0xde00]).as_deref(), Some("\u{fffd}\u{1f600}!"));
        assert_eq!(kept(&[0xd83d, 0x61]).as_deref(), Some("\u{fffd}a!"));
    }

    #[test]
    fn names_are_alike_where_some_reader_takes_one_for_the_other() {
        for other in [
            "max_tokens",
            "Max_Tokens",
            "MAX_TOKENS",
            "maxTokens",
            "max-tokens",
            "max_to\u{212a}ens",
            "max_token\u{17f}",
        ] {
            assert!(are_alike(b"max_tokens", other.as_bytes()), "{other}");
        }
        for other in ["max_token", "max_tokens ", "max.tokens", "maxtokens1", "", "max_tok\u{e9}ns"] {
            assert!(!are_alike(b"max_tokens", other.as_bytes()), "{other}");
        }
    }
}
