//! What objects are asked and answer, and what they store.
//!
//! Types and their codecs. Parts and variants are only ever appended: rows and messages of earlier builds must stay readable.
//!
//! Begin with `workspace.rs`.

pub mod conversation;
pub mod conversation_note;
pub mod credential_record;
pub mod deploy_key_record;
pub mod deploy_keys;
pub mod record_name;
pub mod workspace;
