//! What an object that admits tells the audit chains: who used a deploy key and for what, and refusals of a widget key.

use super::{deploy_key::DeployText, minute_counts::Place};
use crate::{
    audit::{self, By},
    error::Reason,
    machines::credential::{Credential, RECORD, Reply, Visit, shard_for},
    object::machine::{Step, Turn},
    protocol::credential_record::ShardRecord,
    value::id::CredentialId,
    wire,
};

/// A call with a deploy key, or about one, as that key's object is told of it.
#[derive(Clone)]
pub struct Use {
    /// Which deploy key.
    pub id: CredentialId,
    /// Who calls.
    pub by: By,
    /// What: the name of a route.
    pub call: String,
    /// The deployment that keeps the chain.
    pub deployment: String,
    /// The text that came; none where the call is about the key of another.
    pub text: Option<DeployText>,
    /// From a browser, on a page of this origin; empty where that is no sound origin.
    pub browser: Option<String>,
    /// The text that came with a call whose body is still on its way: whether it would be admitted. Then `text` is none, and
    /// nothing is counted but a refusal.
    pub ahead: Option<DeployText>,
}

wire!(Use { id, by, call, deployment, text, browser, ahead });

impl Use {
    /// Where it is told.
    pub(crate) fn place(&self) -> Place {
        Place { source: self.id.as_str().to_owned(), chain: audit::deployment(&self.deployment) }
    }
}

impl Credential {
    /// Counts a visit that was refused; what was never made is nobody's.
    pub(crate) fn record_refusal(&self, visit: Visit, step: Step<Self>, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let Step { update, reply } = step;
        let Reply::Visited { outcome: Err(reason), .. } = &reply else { return Ok(Step { update, reply }) };
        let reason = match reason {
            Reason::CredentialUnknown if turn.get::<ShardRecord>(RECORD)?.is_none() => {
                return Ok(Step { update, reply });
            }
            Reason::CredentialUnknown => &Reason::EnvironmentMismatch,
            reason => reason,
        };
        let Visit { id, network, request_id, .. } = visit;
        let Some(workspace) = id.workspace() else { return Ok(Step { update, reply }) };
        let place = || Place { source: shard_for(&id, &network), chain: audit::workspace(workspace.as_str()) };
        let by = By {
            actor: format!("widget_key:{id}"),
            request_id: request_id.unwrap_or_default(),
            network: Some(network.clone()).filter(|network| !network.is_empty()),
        };
        let counted = self.minute_counts.refuse(place, by, id.as_str(), reason, turn)?;
        let apply = move |credential: &mut Self| {
            if let Some(apply) = update {
                apply(credential);
            }
            credential.minute_counts.apply(counted);
        };
        Ok(Step { update: Some(Box::new(apply)), reply })
    }
}
