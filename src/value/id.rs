//! Names of things: parsed once at the door, trusted afterwards.
//!
//! Ids are made of a tag, 20 base62 characters and the workspace: `conv_<7 of time><13 random>_<workspace>`. So they sort
//! by creation, and an id alone tells which workspace's objects know it. Where an object is named from an id, `crypto/id_check.rs`
//! puts a keyed check into the last five of the random characters.

use crate::{
    codec::{
        base62,
        cbor::{Malformed, Reader, Wire, Writer},
        time::Timestamp,
    },
    error::Reason,
    wire,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use std::fmt;

/// Characters between the tag and the workspace.
pub const UNIQUE_LENGTH: usize = 20;

/// Characters of a locator: 47 bits.
const LOCATOR_LENGTH: usize = 8;

/// Text that was parsed into one of the names of this file.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:literal, $rule:literal, $sound:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Reason;

            fn try_from(text: String) -> Result<Self, Reason> {
                let sound: fn(&str) -> bool = $sound;
                if !sound(&text) {
                    return Err(Reason::invalid($field, $rule));
                }
                Ok(Self(text))
            }
        }

        impl Wire for $name {
            fn put(&self, writer: &mut Writer) {
                self.0.put(writer);
            }

            fn take(reader: &mut Reader) -> Result<Self, Malformed> {
                Self::try_from(String::take(reader)?).map_err(|_| Malformed)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a workspace: chosen by whoever makes it, or made here.
    WorkspaceId, "workspace",
    "A workspace id is 1 to 64 of a-z, A-Z, 0-9, _ and -, and starts with a letter or digit.",
    |text| {
        (1..=64).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    }
}

name! {
    /// The public half of a credential: which one, never the secret.
    CredentialId, "id", "This is not a credential's id.",
    |text| match text.split_once('_') {
        Some(("dk", unique)) => is_unique(unique),
        Some(("sk" | "st" | "wk", rest)) => is_located(rest),
        _ => false,
    }
}

name! {
    /// Where the object of an opaque credential is found; the same for every secret of one identity.
    Locator, "id", "This is not a locator.",
    |text| base62::is_base62(text, LOCATOR_LENGTH)
}

name! {
    /// One conversation of a visitor.
    ConversationId, "id", "This is not a conversation's id.",
    |text| text.strip_prefix("conv_").is_some_and(is_located)
}

name! {
    /// The public half of an identity secret: `is_` and base64url of the root secret's key id and 128 random bits.
    IdentitySecretId, "kid", "This is not an identity secret's id.",
    |text| identity_secret_bytes(text).is_some()
}

impl IdentitySecretId {
    /// A fresh id under the root secret of this key id.
    pub fn issue(key_id: u8, random: [u8; 16]) -> Self {
        let bytes = [&[key_id], random.as_slice()].concat();
        Self(format!("is_{}", Base64UrlUnpadded::encode_string(&bytes)))
    }

    /// The key id of the root secret that it is derived from.
    pub fn key_id(&self) -> u8 {
        identity_secret_bytes(&self.0).map_or(0, |[key_id, ..]| key_id)
    }
}

fn identity_secret_bytes(text: &str) -> Option<[u8; 17]> {
    let mut bytes = [0; 18];
    Base64UrlUnpadded::decode(text.strip_prefix("is_")?, &mut bytes).ok()?.try_into().ok()
}

impl WorkspaceId {
    /// A fresh name.
    pub fn issue(at: Timestamp, random: [u8; 16]) -> Self {
        Self(format!("ws-{}", unique(at, random)))
    }
}

impl CredentialId {
    /// A fresh widget key's id.
    pub fn issue_widget_key(workspace: &WorkspaceId, at: Timestamp, random: [u8; 16]) -> Self {
        Self(format!("wk_{}_{workspace}", unique(at, random)))
    }

    /// A fresh server key's id.
    pub fn issue_server_key(workspace: &WorkspaceId, at: Timestamp, random: [u8; 16]) -> Self {
        Self(format!("sk_{}_{workspace}", unique(at, random)))
    }

    /// A fresh service token's id.
    pub fn issue_service_token(workspace: &WorkspaceId, at: Timestamp, random: [u8; 16]) -> Self {
        Self(format!("st_{}_{workspace}", unique(at, random)))
    }

    /// A fresh deploy key's id; deploy keys belong to a deployment, not to a workspace.
    pub fn issue_deploy_key(at: Timestamp, random: [u8; 16]) -> Self {
        Self(format!("dk_{}", unique(at, random)))
    }

    /// The workspace that knows this credential; none for a deploy key.
    pub fn workspace(&self) -> Option<WorkspaceId> {
        located(&self.0)
    }
}

impl Locator {
    /// A place nobody can guess.
    pub fn draw(random: [u8; 16]) -> Self {
        Self(base62::encode(u128::from_le_bytes(random), LOCATOR_LENGTH))
    }
}

impl ConversationId {
    /// A fresh conversation's id.
    pub fn issue(workspace: &WorkspaceId, at: Timestamp, random: [u8; 16]) -> Self {
        Self(format!("conv_{}_{workspace}", unique(at, random)))
    }

    /// The workspace of this conversation.
    pub fn workspace(&self) -> Option<WorkspaceId> {
        located(&self.0)
    }

    /// The last id that this moment could have in this workspace: it tells of no conversation.
    pub fn of_its_moment(&self) -> Option<Self> {
        let (moment, workspace) = (self.0.get(..5 + 7)?, self.workspace()?);
        Self::try_from(format!("{moment}{}_{workspace}", "z".repeat(UNIQUE_LENGTH - 7))).ok()
    }
}

/// The workspace at the end of `<tag>_<unique>_<workspace>`.
fn located(id: &str) -> Option<WorkspaceId> {
    id.splitn(3, '_').nth(2).and_then(|workspace| workspace.to_owned().try_into().ok())
}

fn is_located(rest: &str) -> bool {
    rest.split_once('_')
        .is_some_and(|(unique, workspace)| is_unique(unique) && WorkspaceId::try_from(workspace.to_owned()).is_ok())
}

fn is_unique(text: &str) -> bool {
    base62::is_base62(text, UNIQUE_LENGTH)
}

/// 7 characters that grow with time, then 13 random ones (77 bits).
fn unique(at: Timestamp, random: [u8; 16]) -> String {
    let mut text = base62::encode(u128::from(at.0), 7);
    text.push_str(&base62::encode(u128::from_le_bytes(random), UNIQUE_LENGTH - 7));
    text
}

/// Data of customers' customers, or data to try things out with; the two never mix.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Environment {
    /// Real data.
    Live,
    /// Data to try things out with.
    Test,
}

wire!(enum Environment { 0 Live, 1 Test });

impl Environment {
    /// As it stands inside credentials and bodies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// Reads `live` or `test`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Live, Self::Test].into_iter().find(|environment| environment.as_str() == text)
    }
}

/// Which copy of the whole deployment this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// Somebody's own machine.
    Dev,
    /// The last rehearsal.
    Staging,
    /// The real thing.
    Prod,
}

impl Stage {
    /// As it stands inside deploy keys and in the variable `STAGE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }

    /// Every stage.
    pub const ALL: [Self; 3] = [Self::Dev, Self::Staging, Self::Prod];

    /// The word that `as_str` shortens: taken wherever a stage is told, and shown nowhere.
    pub fn long(self) -> &'static str {
        match self {
            Self::Dev => "development",
            Self::Staging => "staging",
            Self::Prod => "production",
        }
    }

    /// Reads `dev`, `staging` or `prod`, or the long word for it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text || stage.long() == text)
    }

    /// Reads a stage inside a credential: that has one spelling, under its signature.
    pub fn parse_signed(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

/// Whether `text` may name a deployment: 1 to 64 of a-z, A-Z, 0-9, `_` and `-`.
pub fn is_deployment_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{ConversationId, CredentialId, WorkspaceId};
    use crate::codec::time::Timestamp;

    #[test]
    fn an_id_names_its_workspace_and_sorts_by_creation() {
        let workspace: WorkspaceId = "acme_2-x".to_owned().try_into().unwrap();
        let early = ConversationId::issue(&workspace, Timestamp(1_700_000_000_000), [255; 16]);
        let late = ConversationId::issue(&workspace, Timestamp(1_700_000_000_001), [0; 16]);
        assert!(early < late);
        assert_eq!(early.workspace(), Some(workspace.clone()));
        let key = CredentialId::issue_widget_key(&workspace, Timestamp(1), [1; 16]);
        assert_eq!(key.workspace(), Some(workspace));
        assert_eq!(CredentialId::issue_deploy_key(Timestamp(1), [1; 16]).workspace(), None);
        assert_eq!(CredentialId::try_from(key.as_str().to_owned()).unwrap(), key);
    }

    #[test]
    fn b15_what_is_no_id_is_refused() {
        for text in ["", "wk_", "wk_../../x", "conv_0123456789012345678_a", "dk_' OR 1=1", "wk_01234567890123456789_"] {
            assert!(CredentialId::try_from(text.to_owned()).is_err(), "{text}");
            assert!(ConversationId::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in ["", "-a", "a b", "a/b", "ä", &"a".repeat(65)] {
            assert!(WorkspaceId::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
