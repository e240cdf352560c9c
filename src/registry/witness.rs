//! What an object that admits tells the audit chains: uses, refusals and the end of a deploy key, refusals of a widget key.

use super::{
    credential::{Credential, RECORD, REVOKED, Reply, Visit, shard_for},
    record::ShardRecord,
    tally::{Place, tell},
};
use crate::{
    audit::{self, Act, By, Entry},
    error::Reason,
    id::CredentialId,
    machine::{Lesson, Step, Turn},
    time::Timestamp,
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
}

wire!(Use { id, by, call, deployment });

impl Use {
    fn place(&self) -> Place {
        Place { source: self.id.as_str().to_owned(), chain: audit::deployment(&self.deployment) }
    }
}

impl Credential {
    /// Admits a deploy key that was not revoked, and counts that in the same transaction.
    pub(super) fn use_deploy_key(&self, used: Option<Use>, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let revoked_at: Option<Timestamp> = turn.get(REVOKED)?;
        match used {
            Some(used) if revoked_at.is_some() => {
                self.refuse_deploy_key(used, &Reason::CredentialRevoked, revoked_at, turn)
            }
            Some(used) => {
                let entry = Entry::done(Act::DeployKeyUse, used.by.clone(), &used.call, turn.at());
                self.tallies.admit(used.place(), entry, turn)?;
                Ok(Step::reply(Reply::DeployKey(None)))
            }
            // From a version that had no audit yet.
            None => Ok(Step::reply(Reply::DeployKey(revoked_at))),
        }
    }

    /// Counts a refusal of a genuine deploy key.
    pub(super) fn refuse_deploy_key(
        &self,
        used: Use,
        reason: &Reason,
        revoked_at: Option<Timestamp>,
        turn: &mut Turn,
    ) -> Result<Step<Self>, Reason> {
        let place = used.place();
        let counted = self.tallies.refuse(|| place, used.by, used.id.as_str(), reason, turn)?;
        let lesson: Lesson<Self> = Some(Box::new(|credential| credential.tallies.learn(counted)));
        Ok(Step { lesson, reply: Reply::DeployKey(revoked_at) })
    }

    /// Counts a visit that was refused; what was never made is nobody's.
    pub(super) fn witness(&self, visit: Visit, step: Step<Self>, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let Step { lesson, reply } = step;
        let Reply::Visited { outcome: Err(reason), .. } = &reply else { return Ok(Step { lesson, reply }) };
        let reason = match reason {
            Reason::CredentialUnknown if turn.get::<ShardRecord>(RECORD)?.is_none() => {
                return Ok(Step { lesson, reply });
            }
            Reason::CredentialUnknown => &Reason::EnvironmentMismatch,
            reason => reason,
        };
        let Visit { id, network, request_id, .. } = visit;
        let Some(workspace) = id.workspace() else { return Ok(Step { lesson, reply }) };
        let place = || Place { source: shard_for(&id, &network), chain: audit::workspace(workspace.as_str()) };
        let by = By {
            actor: format!("widget_key:{id}"),
            request_id: request_id.unwrap_or_default(),
            network: Some(network.clone()).filter(|network| !network.is_empty()),
        };
        let counted = self.tallies.refuse(place, by, id.as_str(), reason, turn)?;
        let learn = move |credential: &mut Self| {
            if let Some(learn) = lesson {
                learn(credential);
            }
            credential.tallies.learn(counted);
        };
        Ok(Step { lesson: Some(Box::new(learn)), reply })
    }
}

/// Ends a deploy key for good; recorded once.
pub(super) fn revoke_deploy_key(used: Option<Use>, turn: &mut Turn) -> Result<Reply, Reason> {
    if let Some(known) = turn.get(REVOKED)? {
        return Ok(Reply::DeployKey(Some(known)));
    }
    turn.put(REVOKED, &turn.at());
    if let Some(used) = used {
        let entry = Entry::done(Act::DeployKeyRevoke, used.by.clone(), used.id.as_str(), turn.at());
        tell(used.place(), entry, turn)?;
    }
    Ok(Reply::DeployKey(Some(turn.at())))
}
