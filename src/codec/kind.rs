//! What the kinds of credentials are called: on the wire, in rows, and in the policy's table.

use crate::wire;

/// The kinds of credentials.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum CredentialKind {
    /// Administration of one stage.
    DeployKey,
    /// One conversation.
    HistorySecret,
    /// A customer's server.
    ServerKey,
    /// A service of the operator's own.
    ServiceToken,
    /// The widget of one workspace.
    WidgetKey,
}

wire!(enum CredentialKind { 0 DeployKey, 1 HistorySecret, 2 WidgetKey, 3 ServerKey, 4 ServiceToken });

impl CredentialKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::DeployKey, Self::HistorySecret, Self::ServerKey, Self::ServiceToken, Self::WidgetKey];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeployKey => "deploy_key",
            Self::HistorySecret => "history_secret",
            Self::ServerKey => "server_key",
            Self::ServiceToken => "service_token",
            Self::WidgetKey => "widget_key",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
