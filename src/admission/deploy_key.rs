//! A deploy key in its own object: one turn believes its text, admits the call and counts it; the deployment's list is told.
//!
//! The text is signed, so its object need not know it beforehand: whoever holds the sub-key makes deploy keys offline. From
//! its first use on, or from when the list made it, the object knows which of the key's texts live. The moment of issue, which
//! stands in the text, tells them apart.

use super::{key_meter::Tick, use_reports, visit_refusals::Use};
use crate::{
    audit::{self, Act, Entry, Report},
    codec::time::Timestamp,
    deploy_keys::{
        self,
        store::{Ended, Seen},
    },
    error::Reason,
    leaks::store::Found,
    machines::{
        credential::{Credential, REVOKED, Reply},
        deployment::{self, Deployment},
    },
    object::machine::{MemoryUpdate, Step, Turn},
    wire,
};

const STATE: &str = "deploy-key";
/// When the list was last told of a use, and of a browser.
const TOLD: &str = "deploy-key-told";
const SIGHTED: &str = "deploy-key-sighted";

/// One of the texts of a deploy key, without what is secret in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeployText {
    /// Which one: the moment of issue that is signed in it, in milliseconds. A later one is greater.
    pub serial: u64,
    /// The end that is signed in it: nothing puts that off.
    pub expires_at: Timestamp,
    /// Prefix and last four characters, for people.
    pub hint: String,
}

wire!(DeployText { serial, expires_at, hint });

/// A deploy key as its own object keeps it: enough to admit a call without asking anybody.
#[derive(Clone, Debug)]
pub struct DeployKeyState {
    /// The list's version of this; 0: made offline, and not changed since.
    pub version: u64,
    /// The serial that lives.
    pub current: u64,
    /// The serial before, and until when it lives.
    pub previous: Option<(u64, Timestamp)>,
    /// An end before the one that is signed.
    pub ends_at: Option<Timestamp>,
    /// The serial that lives leaked: until when it does.
    pub current_until: Option<Timestamp>,
}

wire!(DeployKeyState { version, current, previous, ends_at, current_until });

impl DeployKeyState {
    fn lives(&self, serial: u64, at: Timestamp) -> bool {
        let is_current = serial == self.current && self.current_until.is_none_or(|until| at < until);
        is_current || self.previous.is_some_and(|(previous, until)| serial == previous && at < until)
    }
}

impl Credential {
    /// The whole of an admission: which text, may it still, and the usage of it.
    pub(crate) fn use_deploy_key(&self, used: Option<Use>, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        // A version that did not say which text is one that is being replaced right now.
        let used = used.ok_or(Reason::Unavailable)?;
        let text = used.text.clone().ok_or(Reason::Unavailable)?;
        let expires_at = match authenticate_text(&text, turn) {
            Ok(expires_at) => expires_at,
            Err(reason @ (Reason::CredentialExpired | Reason::CredentialRevoked)) => {
                return self.refuse_deploy_key(used, &reason, Reply::Judged(Err(reason.clone())), turn);
            }
            Err(reason) => return Err(reason),
        };
        let seen = Seen { id: used.id.clone(), text, used_at: None, sighting: None };
        if let Some(origin) = &used.browser {
            if let Some(sighting) = use_reports::see(SIGHTED, used.id.as_str(), origin, turn)? {
                tell(&used, deploy_keys::store::Command::Seen(Seen { sighting: Some(sighting), ..seen }), turn)?;
            }
            let reason = Reason::BrowserNotAllowed;
            return self.refuse_deploy_key(used, &reason, Reply::Judged(Err(reason.clone())), turn);
        }
        let entry = Entry::done(Act::DeployKeyUse, used.by.clone(), &used.call, turn.at());
        self.minute_counts.admit(used.place(), entry, turn)?;
        let network = used.by.network.as_deref();
        let learnt = self.meter.count(&Tick { secret: &seen.text.hint, scope: None, network }, turn)?;
        if use_reports::is_due(TOLD, used.id.as_str(), turn)? {
            let seen = Seen { used_at: Some(turn.at()), ..seen };
            tell(&used, deploy_keys::store::Command::Seen(seen), turn)?;
        }
        let update: MemoryUpdate<Self> = Some(Box::new(|credential| credential.meter.apply(learnt)));
        Ok(Step { update, reply: Reply::Judged(Ok(expires_at)) })
    }

    /// Counts a refusal of a genuine deploy key.
    pub(crate) fn refuse_deploy_key(
        &self,
        used: Use,
        reason: &Reason,
        reply: Reply,
        turn: &mut Turn,
    ) -> Result<Step<Self>, Reason> {
        let place = used.place();
        let counted = self.minute_counts.refuse(|| place, used.by, used.id.as_str(), reason, turn)?;
        let learnt = self.meter.deny(turn)?;
        let update: MemoryUpdate<Self> = Some(Box::new(|credential| {
            credential.minute_counts.apply(counted);
            credential.meter.apply(learnt);
        }));
        Ok(Step { update, reply })
    }
}

/// When the text ends, if it lives. The first text of a key that nobody knew is the one that lives.
fn authenticate_text(text: &DeployText, turn: &mut Turn) -> Result<Timestamp, Reason> {
    if turn.get::<Timestamp>(REVOKED)?.is_some() {
        return Err(Reason::CredentialRevoked);
    }
    let known: Option<DeployKeyState> = turn.get(STATE)?;
    if known.as_ref().is_some_and(|known| !known.lives(text.serial, turn.at())) {
        return Err(Reason::CredentialRevoked);
    }
    let ends_at = known.as_ref().and_then(|known| known.ends_at);
    let expires_at = ends_at.map_or(text.expires_at, |ends_at| ends_at.min(text.expires_at));
    if expires_at <= turn.at() {
        return Err(Reason::CredentialExpired);
    }
    if known.is_none() {
        turn.put(
            STATE,
            &DeployKeyState { version: 0, current: text.serial, previous: None, ends_at: None, current_until: None },
        );
    }
    Ok(expires_at)
}

/// Older versions are ignored: messages may come twice and late. What was revoked stays so, whatever is stored beside it.
pub(crate) fn store(state: &DeployKeyState, turn: &mut Turn) -> Result<Reply, Reason> {
    let known: Option<DeployKeyState> = turn.get(STATE)?;
    if known.is_none_or(|known| known.version < state.version) {
        turn.put(STATE, state);
    }
    Ok(Reply::Done)
}

/// Ends a deploy key for good: here first, where it is admitted; recorded once, and told to the list before the answer goes.
pub(crate) fn revoke(
    used: Option<Use>,
    why: Option<String>,
    found: Option<&Found>,
    turn: &mut Turn,
) -> Result<Reply, Reason> {
    let known: Option<Timestamp> = turn.get(REVOKED)?;
    let at = known.unwrap_or(turn.at());
    if known.is_none() {
        turn.put(REVOKED, &at);
    }
    if let Some(used) = used {
        let report = match known {
            Some(_) => None,
            None => {
                let done = Entry::done(Act::DeployKeyRevoke, used.by.clone(), used.id.as_str(), at);
                let entry = Entry { reason: found.map(Found::why), ..done };
                let chain = audit::deployment(&used.deployment);
                Some(Report::new(chain, used.id.as_str().to_owned(), entry, turn)?)
            }
        };
        // Told again where it was known: an earlier answer may have gone before the list knew.
        let ended = Ended { id: used.id.clone(), at, why, report };
        tell(&used, deploy_keys::store::Command::Ended(Box::new(ended)), turn)?;
        turn.await_delivery();
    }
    Ok(Reply::DeployKey(Some(at)))
}

fn tell(used: &Use, what: deploy_keys::store::Command, turn: &mut Turn) -> Result<(), Reason> {
    turn.send::<Deployment>(&used.deployment, &deployment::Command::DeployKeys(Box::new(what)))
}
