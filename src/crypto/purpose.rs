//! What sub-keys are for: one purpose, one label.

/// What a sub-key is for. A tag made for one purpose verifies for no other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// Seals the key pairs that sign what the upstream is told.
    AssertionKey,
    /// Signatures under the head of an audit chain.
    AuditCheckpoint,
    /// Keyed checks of opaque credentials.
    CredentialCheck,
    /// Tags of the cursors of lists.
    Cursor,
    /// Tags of deploy keys.
    DeployKey,
    /// Tags of history secrets.
    HistorySecret,
    /// Keyed checks of ids.
    IdCheck,
    /// Secrets that customers' servers sign visitors' identity with.
    IdentitySecret,
    /// Tags of widget keys.
    WidgetKey,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 9] = [
        Self::AssertionKey,
        Self::AuditCheckpoint,
        Self::CredentialCheck,
        Self::Cursor,
        Self::DeployKey,
        Self::HistorySecret,
        Self::IdCheck,
        Self::IdentitySecret,
        Self::WidgetKey,
    ];

    /// The purpose as a sub-key's text names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AssertionKey => "assertion_key",
            Self::AuditCheckpoint => "audit_checkpoint",
            Self::CredentialCheck => "credential_check",
            Self::Cursor => "cursor",
            Self::DeployKey => "deploy_key",
            Self::HistorySecret => "history_secret",
            Self::IdCheck => "id_check",
            Self::IdentitySecret => "identity_secret",
            Self::WidgetKey => "widget_key",
        }
    }

    /// The label that separates sub-keys: HKDF's `info` (RFC 5869 §2.3).
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::AssertionKey => "claviger/1/assertion_key",
            Self::AuditCheckpoint => "claviger/1/audit_checkpoint",
            Self::CredentialCheck => "claviger/1/credential_check",
            Self::Cursor => "claviger/1/cursor",
            Self::DeployKey => "claviger/1/deploy_key",
            Self::HistorySecret => "claviger/1/history_secret",
            Self::IdCheck => "claviger/1/id_check",
            Self::IdentitySecret => "claviger/1/identity_secret",
            Self::WidgetKey => "claviger/1/widget_key",
        }
    }
}
