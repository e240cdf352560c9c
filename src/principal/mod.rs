//! A caller we authenticate_call. Only [`authenticate`], [`present`] and [`visit`] can make one, and each asks the credential's object, or
//! holds permits of it.

pub mod lease;
mod visitor;
pub use visitor::{Caller, Visited, check_visit, match_history, visit};

use crate::{
    admission::{
        deploy_key::DeployText,
        server_key::{Admission, AdmitKey, object_name},
        visit_refusals::Use,
    },
    codec::time::Timestamp,
    credential::{CredentialKind, DeployKey, HistorySecret, MAX_LIFE_SECONDS},
    error::Reason,
    limits::window::Quota,
    machines::credential::{Command, Credential, Reply},
    object::machine::World,
    value::{
        id::{CredentialId, Environment, Locator, Stage, WorkspaceId},
        scope::Scope,
    },
};

/// How far the clock of whoever made a deploy key may be ahead.
const CLOCK_SKEW_SECONDS: u64 = 300;

/// Who is asking. Private fields: there is no other way in.
#[derive(Debug)]
pub struct Principal {
    kind: CredentialKind,
    id: CredentialId,
    workspace: Option<WorkspaceId>,
    environment: Option<Environment>,
    conversation: Option<HistorySecret>,
    expires_at: Option<Timestamp>,
    scopes: Vec<Scope>,
    tier: Option<String>,
    /// The name of its `Credential` object.
    object: String,
    /// The text that came, of a deploy key.
    text: Option<DeployText>,
    /// What the object admitted in the same call that vouched for the credential.
    metered: Result<Vec<Quota>, Reason>,
    /// Its object was only asked whether it would be admitted: nothing was, so it cannot act.
    is_ahead: bool,
}

impl Principal {
    /// The kind that speaks: beside a widget key, the history secret does.
    pub fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// The credential's id; beside a widget key, the widget key's.
    pub fn id(&self) -> &CredentialId {
        &self.id
    }

    /// The one workspace it is bound to; none for a deploy key.
    pub fn workspace(&self) -> Option<&WorkspaceId> {
        self.workspace.as_ref()
    }

    /// The one environment it is bound to; none for a deploy key.
    pub fn environment(&self) -> Option<Environment> {
        self.environment
    }

    /// The history secret that opens one conversation.
    pub fn history(&self) -> Option<&HistorySecret> {
        self.conversation.as_ref()
    }

    /// When it ends.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// What it may do; a deploy key and the widget's credentials have no scopes.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// Whether it has one of the scopes of these names.
    pub fn holds_one_of(&self, names: &[String]) -> bool {
        self.scopes.iter().any(|held| names.iter().any(|name| name == held.as_str()))
    }

    /// How much, by the policy's name.
    pub fn tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    /// The text that came, without what is secret in it: of a deploy key.
    pub fn deploy_text(&self) -> Option<&DeployText> {
        self.text.as_ref()
    }

    /// The name of the `Credential` object that vouched for it.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// Who it is, for the record: `<kind>:<id>`.
    pub fn actor(&self) -> String {
        format!("{}:{}", self.kind.as_str(), self.id)
    }

    /// The same as of one that is refused, for whoever asks about it.
    pub fn facts(&self) -> Facts {
        Facts { scopes: self.scopes.clone(), tier: self.tier.clone(), expires_at: self.expires_at }
    }

    /// What its object metered.
    pub fn into_metered(self) -> (Self, Result<Vec<Quota>, Reason>) {
        let metered = if self.is_ahead { Err(Reason::Unavailable) } else { self.metered };
        (Self { metered: Ok(Vec::new()), ..self }, metered)
    }

    /// Whether its object would meter it.
    pub fn would_be_metered(self) -> Result<(), Reason> {
        self.metered.map(drop)
    }
}

/// Believes a deploy key: of this stage and deployment, in its time, neither rotated out nor revoked, and not from a browser.
/// One hop, which counts the use; with `used.ahead`, it only says whether the key would be believed.
pub async fn authenticate(key: DeployKey, stage: Stage, used: Use, world: &impl World) -> Result<Principal, Reason> {
    let at = world.now();
    if key.stage != stage || key.deployment != used.deployment {
        return Err(refuse(used, Reason::StageMismatch, world).await);
    }
    // A pipeline that holds the sub-key still cannot make a key that lives for ever, or one for the years to come.
    if key.issued_at > at.plus_seconds(CLOCK_SKEW_SECONDS) {
        return Err(Reason::CredentialForged);
    }
    if key.expires_at.millis_since(key.issued_at) > MAX_LIFE_SECONDS * 1_000 {
        return Err(Reason::CredentialForged);
    }
    if key.expires_at <= at {
        return Err(refuse(used, Reason::CredentialExpired, world).await);
    }
    let (text, browser, is_ahead) = (used.text.clone(), used.browser.is_some(), used.ahead.is_some());
    let judged = world.ask::<Credential>(key.id.as_str(), Command::UseDeployKey(Some(used))).await;
    let expires_at = match judged {
        Ok(Reply::Judged(Err(reason))) => return Err(reason),
        // From a browser it is refused, whatever its object says or cannot say.
        _ if browser => return Err(Reason::BrowserNotAllowed),
        Ok(Reply::Judged(Ok(expires_at))) => expires_at,
        // A version of the object that cannot say beforehand: it will say when it is asked to admit.
        Err(Reason::Unavailable) if is_ahead => key.expires_at,
        Ok(_) => return Err(Reason::Unavailable),
        Err(reason) => return Err(reason),
    };
    Ok(Principal {
        kind: CredentialKind::DeployKey,
        object: key.id.as_str().to_owned(),
        id: key.id,
        workspace: None,
        environment: None,
        conversation: None,
        expires_at: Some(expires_at),
        scopes: Vec::new(),
        tier: None,
        text,
        metered: Ok(Vec::new()),
        is_ahead,
    })
}

/// What a server key or service token says of itself, before its object was asked.
pub struct Opaque {
    /// `server_key` or `service_token`.
    pub kind: CredentialKind,
    /// Live or test data.
    pub environment: Environment,
    /// Where its object is found.
    pub locator: Locator,
}

/// Who presented it, once its object knows that it is genuine; and whether the call may go on.
pub struct Known {
    /// Which credential.
    pub id: CredentialId,
    /// Who, or why not.
    pub outcome: Result<Principal, (Reason, Facts)>,
}

/// What is known of a genuine credential that is refused all the same.
pub struct Facts {
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How much, by the policy's name.
    pub tier: Option<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Believes a server key or service token. One hop, which answers status, scopes, limits and usage together; none, where the call
/// may ride on a lease and one is held.
pub async fn present(
    opaque: Opaque,
    present: AdmitKey,
    lease_allowed: bool,
    world: &impl World,
) -> Result<Known, Reason> {
    let Opaque { kind, environment, locator } = opaque;
    let name = object_name(kind, environment, &locator);
    let is_ahead = present.ahead.is_some();
    let presented = lease::present(&name, present, lease_allowed, world).await?;
    let metered = match presented.outcome {
        Ok(quotas) => Ok(quotas),
        Err(reason @ (Reason::RateLimited { .. } | Reason::TokensLimited { .. } | Reason::TokensTooMany(..))) => {
            Err(reason)
        }
        Err(reason) => {
            let Admission { id, scopes, tier, expires_at, .. } = presented;
            return Ok(Known { id, outcome: Err((reason, Facts { scopes, tier, expires_at })) });
        }
    };
    let principal = Principal {
        kind,
        workspace: presented.id.workspace(),
        id: presented.id.clone(),
        environment: Some(environment),
        conversation: None,
        expires_at: presented.expires_at,
        scopes: presented.scopes,
        tier: presented.tier,
        object: name,
        text: None,
        metered,
        is_ahead,
    };
    Ok(Known { id: presented.id, outcome: Ok(principal) })
}

/// Refuses a genuine deploy key, and has its object count that. Where that cannot be reached, the key is refused all the same.
async fn refuse(used: Use, reason: Reason, world: &impl World) -> Reason {
    let name = String::from(used.id.clone());
    drop(world.ask::<Credential>(&name, Command::RefuseDeployKey(used, reason.clone())).await);
    reason
}
