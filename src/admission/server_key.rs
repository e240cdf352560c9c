//! A server key or a service token in its own object: one turn believes it, allows the call and counts it.

use super::{
    introspection::Asking,
    key_meter::Tick,
    lease::{Lease, LeaseRequest},
    locator_reservation,
    minute_counts::Place,
    token_holds::Ask,
    use_reports,
};
use crate::{
    audit::{self, By},
    codec::{kind::CredentialKind, time::Timestamp},
    error::Reason,
    limits::{
        tier::{self, Limits, Numbers},
        window::Quota,
    },
    machines::{
        credential::{self, Credential, Reply},
        workspace::{self, Workspace},
    },
    object::machine::{MemoryUpdate, Step, Turn},
    value::{
        address::AddressRange,
        id::{CredentialId, Environment, Locator},
        scope::Scope,
    },
    wire,
};

pub(crate) const KEY: &str = "key";
const SIGHTED: &str = "sighted";

/// A credential as its own object keeps it: enough to admit a call without asking anybody.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// The registry's version of this.
    pub version: u64,
    /// Which one; names the workspace.
    pub id: CredentialId,
    /// `server_key` or `service_token`.
    pub kind: CredentialKind,
    /// Live or test data.
    pub environment: Environment,
    /// The secrets, newest first: at most two of them live.
    pub secrets: Vec<KeySecret>,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How much, by the policy's name; none: the policy has no tiers.
    pub tier: Option<String>,
    /// The numbers of a custom tier.
    pub numbers: Option<Numbers>,
    /// Where it may be used from; anywhere, where none is listed.
    pub addresses: Vec<AddressRange>,
    /// The name that must stand beside it: of a service token.
    pub service: Option<String>,
    /// The moment from which it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// For good.
    pub revoked: bool,
}

wire!(KeyRecord {
    version,
    id,
    kind,
    environment,
    secrets,
    scopes,
    tier,
    numbers,
    addresses,
    service,
    expires_at,
    revoked
});

/// A secret, by its digest.
#[derive(Clone, Debug)]
pub struct KeySecret {
    /// SHA-256 of the whole text.
    pub digest: [u8; 32],
    /// Prefix and last four characters, for people.
    pub hint: String,
    /// The moment from which it opens nothing; the newest has none.
    pub until: Option<Timestamp>,
}

wire!(KeySecret { digest, hint, until });

/// A call with a credential, as its object is asked about it.
pub struct AdmitKey {
    /// SHA-256 of the whole text.
    pub digest: [u8; 32],
    /// What the call takes; none: any credential will do.
    pub needs: Option<Needs>,
    /// The name beside a service token.
    pub service: Option<String>,
    /// The client's address, where the deployment knows it.
    pub address: Option<String>,
    /// The client's network, for the record.
    pub network: Option<String>,
    /// From a browser, on a page of this origin; empty where that is no sound origin.
    pub browser: Option<String>,
    /// Requests that the call counts as; 0: it is not metered.
    pub cost: u32,
    /// The request, for the record.
    pub request_id: String,
    /// What the isolate wants and tells beside the call.
    pub lease_request: Option<LeaseRequest>,
    /// Tokens that the call may take at most, held until it is settled by the id of the request; none: it takes none.
    pub tokens: Option<u32>,
    /// Somebody only asks about it; none: it was presented here.
    pub asking: Option<Asking>,
    /// Its body is still on its way: whether a call of this cost would be admitted. Then `cost` is 0, and nothing is counted but a
    /// refusal.
    pub ahead: Option<u32>,
}

wire!(AdmitKey {
    digest,
    needs,
    service,
    address,
    network,
    browser,
    cost,
    request_id,
    lease_request,
    tokens,
    asking,
    ahead
});

impl AdmitKey {
    /// Whether it is presented only to be ended: that call is not metered.
    pub(crate) fn is_for_its_end(&self) -> bool {
        self.cost == 0
    }

    /// All that it needs, what the call takes first.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &Needs> {
        self.needs.iter().chain(self.asking.iter().filter_map(|asking| asking.scope.as_ref()))
    }
}

/// A scope, and those that are enough for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Needs {
    /// What the call is for.
    pub scope: String,
    /// The scope itself and those that imply it; nobody has one of none.
    pub enough: Vec<String>,
}

wire!(Needs { scope, enough });

/// Who presented it, and whether the call may go on.
pub struct Admission {
    /// Which credential: it is genuine.
    pub id: CredentialId,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How much, by the policy's name.
    pub tier: Option<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The limits as they stand, or why not.
    pub outcome: Result<Vec<Quota>, Reason>,
    /// Permits for later; none: the tier has no leases.
    pub lease: Option<Lease>,
}

wire!(Admission { id, scopes, tier, expires_at, outcome, lease });

/// The name of the object at `locator`.
pub fn object_name(kind: CredentialKind, environment: Environment, locator: &Locator) -> String {
    let tag = if kind == CredentialKind::ServiceToken { "st" } else { "sk" };
    format!("{tag}_{}_{locator}", environment.as_str())
}

/// Older versions are ignored, and `revoked` is for good. What belongs to another credential is left alone.
pub(crate) fn store(record: KeyRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    let known: Option<KeyRecord> = turn.get(KEY)?;
    let is_newer = |known: KeyRecord| known.id == record.id && known.version < record.version && !known.revoked;
    if known.is_none_or(is_newer) {
        turn.put(KEY, &record);
        locator_reservation::take(turn);
    }
    Ok(Reply::Done)
}

/// The credential whose secret this is or was. Nothing is counted: a secret that somebody found was not used.
pub(crate) fn identify(digest: &[u8; 32], turn: &Turn) -> Result<Option<CredentialId>, Reason> {
    let record: Option<KeyRecord> = turn.get(KEY)?;
    Ok(record.filter(|record| record.secret(digest).is_some()).map(|record| record.id))
}

impl Credential {
    /// The whole of an admission: who, may they, how much, and the usage of it.
    pub(crate) fn present(&self, mut present: AdmitKey, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let LeaseRequest { permits: wanted, told } = present.lease_request.take().unwrap_or_default();
        let heard = told.map(|told| self.meter.hear(told, turn.at()));
        let meter = heard.as_ref().unwrap_or(&self.meter);
        let record: KeyRecord = turn.get(KEY)?.ok_or(Reason::CredentialUnknown)?;
        let secret = record.secret(&present.digest).ok_or(Reason::CredentialUnknown)?;
        if let Some(asking) = &present.asking {
            asking.may_know(&record)?;
        }
        let judged = record.judge(secret, &present, turn.at());
        let scope = present.needs().next().map(|needs| needs.scope.as_str());
        let tick = Tick { secret: &secret.hint, scope, network: present.network.as_deref() };
        let (mut outcome, mut learnt) = match judged {
            Ok(()) if present.is_for_its_end() => (Ok(Vec::new()), meter.count(&tick, turn)?),
            Ok(()) => {
                let ask = Ask { id: &present.request_id, amount: present.tokens.unwrap_or_default() };
                meter.meter(record.limits(turn)?, present.cost, ask, &tick, turn)?
            }
            Err(reason) => (Err(reason), meter.deny(turn)?),
        };
        let lease = match &mut outcome {
            Ok(quotas) if present.cost == 1 => record.lease(&present.digest, wanted, &mut learnt, quotas, turn)?,
            _ => None,
        };
        let counted = match &outcome {
            Ok(_) => None,
            Err(reason) => Some(self.refuse(&record, &present, reason, turn)?),
        };
        if outcome.is_ok()
            && turn.writes()
            && use_reports::is_due_later(use_reports::REPORTED, record.id.as_str(), turn)?
        {
            credential::tell_of_use(&record.id, turn.at(), turn)?;
        }
        let KeyRecord { id, scopes, tier, expires_at, .. } = record;
        let update: MemoryUpdate<Self> = Some(Box::new(|memory: &mut Self| {
            memory.meter.apply(learnt);
            if let Some(counted) = counted {
                memory.minute_counts.apply(counted);
            }
        }));
        let presented = Admission { id, scopes, tier, expires_at, outcome, lease };
        Ok(Step { update, reply: Reply::Admission(Box::new(presented)) })
    }

    /// The alarm rang: a use of which the workspace was not told yet.
    pub(crate) fn tell_of_use(&self, turn: &mut Turn) -> Result<(), Reason> {
        let told =
            turn.get::<Timestamp>(use_reports::REPORTED)?.filter(|told| use_reports::is_of_another_day(*told, turn));
        let Some(told) = told else { return Ok(()) };
        let Some(record) = turn.get::<KeyRecord>(KEY)? else { return Ok(()) };
        let used_at = self.meter.usage(turn)?.last_used_at.filter(|used_at| *used_at > told);
        match used_at {
            Some(used_at) if use_reports::is_due(use_reports::REPORTED, record.id.as_str(), turn)? => {
                credential::tell_of_use(&record.id, used_at, turn)
            }
            _ => Ok(()),
        }
    }

    /// Counts a refusal for the audit; of one in a browser, the workspace is told where.
    fn refuse(
        &self,
        record: &KeyRecord,
        present: &AdmitKey,
        reason: &Reason,
        turn: &mut Turn,
    ) -> Result<super::minute_counts::Counted, Reason> {
        let by = By {
            actor: format!("{}:{}", record.kind.as_str(), record.id),
            request_id: present.request_id.clone(),
            network: present.network.clone(),
        };
        if let (Reason::BrowserNotAllowed, Some(origin)) = (reason, &present.browser) {
            sight(&record.id, origin, turn)?;
        }
        self.minute_counts.refuse(|| record.place(), by, record.id.as_str(), reason, turn)
    }
}

/// Tells the workspace that the key is in a browser.
fn sight(id: &CredentialId, origin: &str, turn: &mut Turn) -> Result<(), Reason> {
    let sighting = use_reports::see(SIGHTED, id.as_str(), origin, turn)?;
    match (id.workspace(), sighting) {
        (Some(workspace), Some(sighting)) => {
            turn.send::<Workspace>(workspace.as_str(), &workspace::Command::CredentialSighted(id.clone(), sighting))
        }
        _ => Ok(()),
    }
}

impl KeyRecord {
    /// The windows that all must admit; refused where the policy that serves does not know them.
    pub(crate) fn limits<'a>(&'a self, turn: &Turn<'a>) -> Result<Limits<'a>, Reason> {
        let own = || self.numbers.as_ref().map(|own| Limits { requests: &own.requests, tokens: &own.tokens });
        let Some(tier) = &self.tier else { return Ok(own().unwrap_or_default()) };
        tier::limits(turn.tiers(), tier, self.numbers.as_ref()).ok_or_else(|| Reason::TierUnknown(tier.clone()))
    }

    fn place(&self) -> Place {
        let chain = self.id.workspace().map(|workspace| audit::workspace(workspace.as_str()));
        Place { source: self.id.as_str().to_owned(), chain: chain.unwrap_or_default() }
    }
}
