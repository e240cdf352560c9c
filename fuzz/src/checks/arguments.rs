//! The command line: what is not understood is said in one line, which repeats nothing like a secret.
//!
//! The input is the words after `claviger`, each on a line.

use super::text;
use claviger_cli::{Failure, understand};

/// 32 bytes of base64url.
const SECRET_LENGTH: usize = 43;

pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let words = || std::iter::once("claviger").chain(text.split('\n')).map(Into::into);
    let Err(answer) = understand(words()) else { return };
    let Err(Failure(code, line)) = answer else { return };
    assert_eq!(code, 2, "{line}");
    if text.is_empty() || line.contains("\nUsage: ") {
        return;
    }
    assert!(line.starts_with("claviger: ") && !line.contains('\n'), "{line:?}");
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(line.split(|c| !is_base64url(c)).all(|run| run.len() < SECRET_LENGTH), "{line}");
}
