//! What is recorded of an act: who, what, to what, and how it ended.

use crate::{
    codec::{
        cbor::{Malformed, Reader, Wire, Writer},
        time::Timestamp,
    },
    error::Reason,
    wire,
};

/// The acts that are recorded, with their names in a chain.
macro_rules! acts {
    ($($(#[$doc:meta])* $act:ident $name:literal),* $(,)?) => {
        /// What can be done and is recorded.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Act {
            $($(#[$doc])* $act,)*
        }

        impl Act {
            /// Every act there is.
            pub const ALL: &[Self] = &[$(Self::$act),*];

            /// The name in a chain.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$act => $name),* }
            }
        }
    };
}

acts! {
    /// A key pair that signs what the upstream is told was made.
    AssertionKeyCreate "assertion_key.create",
    /// The same, because somebody asked for another one.
    AssertionKeyRotate "assertion_key.rotate",
    /// A conversation was deleted.
    ConversationDelete "conversation.delete",
    /// Conversations in which nobody had written for as long as the policy keeps one were swept.
    ConversationSweep "conversation.sweep",
    /// A credential was changed.
    CredentialChange "credential.change",
    /// A credential was made.
    CredentialCreate "credential.create",
    /// A genuine credential was refused.
    CredentialRefuse "credential.refuse",
    /// A credential was revoked.
    CredentialRevoke "credential.revoke",
    /// A credential got another secret.
    CredentialRotate "credential.rotate",
    /// The old secret of a rotation was ended before its time.
    CredentialRotateFinish "credential.rotate_finish",
    /// A deploy key was revoked.
    DeployKeyRevoke "deploy_key.revoke",
    /// A deploy key was admitted to a call.
    DeployKeyUse "deploy_key.use",
    /// A history secret was ended, with its conversation: somebody found it.
    HistorySecretRevoke "history_secret.revoke",
    /// An identity secret was made.
    IdentitySecretCreate "identity_secret.create",
    /// An identity secret ended.
    IdentitySecretRevoke "identity_secret.revoke",
    /// A call went to the upstream, and nobody knows what came of it.
    UpstreamUnknown "upstream.unknown",
    /// A workspace's name or another of its settings was changed.
    WorkspaceChange "workspace.change",
    /// A workspace was made.
    WorkspaceCreate "workspace.create",
}

/// Whoever acts, as far as the record needs it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct By {
    /// `<kind>:<id>` of the credential.
    pub actor: String,
    /// The request, as its answer and its log line name it.
    pub request_id: String,
    /// The client's network, where that is known.
    pub network: Option<String>,
}

/// By hand, so that no command can be written without it, and one of an older version, which has none, can still be read.
impl Wire for By {
    fn put(&self, writer: &mut Writer) {
        writer.parts(3);
        self.actor.put(writer);
        self.request_id.put(writer);
        self.network.put(writer);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut left = reader.parts()?;
        let (actor, request_id) = (reader.part(&mut left)?, reader.part(&mut left)?);
        let by = Self { actor, request_id, network: reader.part(&mut left)? };
        reader.rest(left)?;
        Ok(by)
    }

    fn missing() -> Result<Self, Malformed> {
        Ok(Self { actor: "unknown:".to_owned(), request_id: String::new(), network: None })
    }
}

/// An event that has no place in a chain yet.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it happened: the first of those that are counted together.
    pub at: Timestamp,
    /// By whom.
    pub by: By,
    /// What: the name of an [`Act`].
    pub action: String,
    /// To what.
    pub target: String,
    /// `done`, `refused` or `unknown`.
    pub outcome: String,
    /// Why it was refused; or what was changed.
    pub reason: Option<String>,
    /// How many are told of together.
    pub count: Option<u64>,
}

wire!(Entry { at, by, action, target, outcome, reason, count });

impl Entry {
    /// Something was done.
    pub fn done(act: Act, by: By, target: &str, at: Timestamp) -> Self {
        let (action, outcome) = (act.as_str().to_owned(), "done".to_owned());
        Self { at, by, action, target: target.to_owned(), outcome, reason: None, count: None }
    }

    /// A genuine credential was refused.
    pub fn refused(by: By, target: &str, reason: &Reason, at: Timestamp) -> Self {
        let done = Self::done(Act::CredentialRefuse, by, target, at);
        Self { outcome: "refused".to_owned(), reason: Some(reason.name().to_owned()), ..done }
    }
}
