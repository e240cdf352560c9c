//! What is learnt of a request on its way, for its line in the log and for the headers of its answer.

use crate::{limits::window::Quota, policy::ErrorDialect, principal::Facts, value::id::CredentialId};
use std::borrow::Cow;

/// What is learnt of a request on its way, for the log and for the headers of its answer.
#[derive(Default)]
pub struct Notes {
    pub(crate) route: Option<Cow<'static, str>>,
    pub(crate) kind: Option<&'static str>,
    pub(crate) credential: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) workspace: Option<String>,
    /// On the widget's routes.
    pub(crate) is_widget: bool,
    /// What was metered on the way, for an answer that says no after all.
    pub(crate) quotas: Vec<Quota>,
    /// What is known of a genuine credential that was refused, for whoever asks about it.
    pub(crate) facts: Option<Facts>,
    /// How the route of the call has refusals written.
    pub(crate) dialect: ErrorDialect,
    /// The origin that may read the answer: only ever one that the key lists.
    pub(crate) readable_by: Option<String>,
}

impl Notes {
    /// The credential that the call is about; only what was found to exist may stand in a log.
    pub(crate) fn found(&mut self, id: &CredentialId) {
        self.target = Some(id.as_str().to_owned());
        self.workspace = id.workspace().map(String::from);
    }
}
