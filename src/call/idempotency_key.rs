//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-06): a retry that stores nothing twice.

use crate::{
    error::Reason,
    object::{idempotency::RetryKey, machine::World},
};
use sha2::{Digest as _, Sha256};

/// The longest key.
const MAX_CHARACTERS: usize = 255;

/// The digest of the key with all that scopes it (principal, method and path), and of the body; `None` without a key.
pub fn parse(world: &impl World, scope: &[&str], body: &[u8]) -> Result<Option<RetryKey>, Reason> {
    let Some(header) = world.header("idempotency-key") else {
        return Ok(None);
    };
    let key = unquote(&header).ok_or(Reason::IdempotencyKeyMalformed)?;
    let sound = (1..=MAX_CHARACTERS).contains(&key.len())
        && key.bytes().all(|b| (0x20..0x7F).contains(&b))
        && !key.contains(", ");
    if !sound {
        return Err(Reason::IdempotencyKeyMalformed);
    }
    let mut digest = Sha256::new();
    for part in scope.iter().copied().chain([key.as_str()]) {
        digest.update(u64::try_from(part.len()).unwrap_or_default().to_be_bytes());
        digest.update(part);
    }
    Ok(Some(RetryKey { key: digest.finalize().into(), body: Sha256::digest(body).into() }))
}

/// `"k"` (RFC 9651 §3.3.3) and `k` are the same key.
fn unquote(header: &str) -> Option<String> {
    let Some(rest) = header.strip_prefix('"') else {
        return (!header.contains(['"', ' '])).then(|| header.to_owned());
    };
    let (mut key, mut characters) = (String::new(), rest.chars());
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(key),
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            character => key.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::unquote;

    #[test]
    fn j6_bare_and_quoted_keys_are_the_same_and_broken_ones_are_none() {
        assert_eq!(unquote("abc").as_deref(), Some("abc"));
        assert_eq!(unquote("\"abc\"").as_deref(), Some("abc"));
        assert_eq!(unquote("\"a\\\"b\"").as_deref(), Some("a\"b"));
        for broken in ["\"abc", "\"a\"b", "\"a\\b\"", "a\"b", "a b"] {
            assert_eq!(unquote(broken), None, "{broken}");
        }
    }
}
