//! Whether visitors must prove who they are before they may open a conversation.

use super::table::{Fault, Text};

/// What `[widget] identity` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IdentityRule {
    /// Whoever sends none is unverified.
    Optional,
    /// Whoever sends none opens nothing.
    Required,
}

impl IdentityRule {
    /// Reads the key's value; optional where it is missing.
    pub fn read(value: Option<Text>) -> Result<Self, Fault> {
        match value {
            None => Ok(Self::Optional),
            Some(value) if value.text == "optional" => Ok(Self::Optional),
            Some(value) if value.text == "required" => Ok(Self::Required),
            Some(value) => Err((value.span, "`identity` is \"optional\" or \"required\"".to_owned())),
        }
    }
}
