//! What the fuzzer calls: one check for each parser, which takes any bytes and panics where a promise is broken.
//!
//! `tests/corpus.rs` calls the same checks with the whole corpus, so that whatever was found once stays found.

#[path = "../../tests/lawful/mod.rs"]
pub mod lawful;
#[path = "../../tests/lawful/opaque.rs"]
pub mod opaque;
#[path = "../../tests/lawful/tokens.rs"]
pub mod tokens;
#[path = "../../tests/toy/mod.rs"]
pub mod toy;

pub mod checks;
