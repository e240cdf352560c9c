//! Leases: permits of a server key or service token that this isolate holds, so that it need not ask for every call.
//!
//! The object has counted them as used, until the last moment at which they may be. Both measure the same time, each by its own
//! clock: the isolate from when it asked, the object from when it was asked, which is later. So the clocks need not agree on
//! the hour, only on how long a second is, and the isolate's lease ends first. Where the isolate finds its clock behind what it
//! has shown before, nobody can say how long ago anything was, and every lease is over. (A clock that is set back by less than
//! the time since it was last looked at is not found behind: by as much a lease then lives longer.)
//!
//! Whoever holds a lease admits and never refuses: what does not fit is asked of the object, as always. What was changed there
//! meanwhile, a revocation too, a lease does not know before it ends: that is the bound that `docs/policy.md` states.

use crate::{
    admission::{
        key_meter::{Rate, Tick},
        lease::{Lease, LeaseRequest},
        server_key::{Admission, AdmitKey, KeyRecord},
        usage::Usage,
    },
    codec::time::Timestamp,
    credential::Digest,
    error::Reason,
    limits::window::{FEWEST_LEASED, Quota},
    machines::credential::{Command, Credential, Reply},
    object::machine::World,
};

/// Credentials of which permits are held; the one that was not used for longest makes room.
const MOST: usize = 500;

/// A credential that is used less often in a second costs its object little.
const SLOWEST: u32 = 5;

/// Of what the last second's rate would use up, three quarters are asked for: so what is handed out is used.
const QUARTERS: u64 = 3;

/// When a fifth is left of the permits or of their time, more are asked for: the others go on meanwhile.
const LOW: u64 = 5;

/// One call at a time asks for permits. After so long another one does, where nobody has heard of it.
const LOST_MILLIS: u64 = 1_000;

/// Where there were none to have, nobody asks again before this.
const NONE_MILLIS: u64 = 250;

/// What an isolate holds, by the digest of the whole text that was presented: another secret of the same credential has no part
/// in it.
#[derive(Default)]
pub struct Leases {
    /// Whoever was used last stands first: so the busy ones are found at once.
    held: Vec<(Digest, Box<HeldPermits>)>,
    /// The latest moment that the clock has shown.
    seen: Timestamp,
    /// How often it was found behind.
    steps: u32,
}

#[derive(Default)]
struct HeldPermits {
    parts: Vec<Part>,
    /// The limits as the object last told them, with all that is held here counted as used.
    quotas: Vec<Quota>,
    /// Calls that came here.
    rate: Rate,
    /// How long a lease lives.
    millis: u64,
    /// What is known of the credential.
    version: u64,
    /// Calls that were admitted here, and that the object has not heard of.
    untold: Usage,
    ask_at: Timestamp,
}

/// Permits that were handed out together.
struct Part {
    record: KeyRecord,
    permits: u32,
    left: u32,
    ends_at: Timestamp,
}

/// What was asked for beside a call.
struct Asked {
    at: Timestamp,
    steps: u32,
    permits: u32,
}

/// Who presents this, and whether the call may go on: by a lease, where `lease_allowed` allows that and one is held; else the object
/// of the name is asked.
pub async fn present(
    name: &str,
    mut present: AdmitKey,
    lease_allowed: bool,
    world: &impl World,
) -> Result<Admission, Reason> {
    if present.ahead.is_some() {
        return ask(name, present, world).await;
    }
    let (at, digest) = (world.now(), present.digest);
    // A permit is one request: no tokens, and no answer for whoever only asks.
    let is_used = present.asking.is_none();
    let lease_allowed = lease_allowed && present.cost == 1 && present.tokens.is_none() && is_used;
    let ridden = |leases: &mut Leases| leases.admit(&present, at);
    if lease_allowed && let Some(presented) = world.isolate().with(ridden) {
        return Ok(presented);
    }
    let (lease_request, asked) =
        world.isolate().with(|leases: &mut Leases| leases.ask(&digest, lease_allowed, is_used, at));
    present.lease_request = lease_request;
    let answer = ask(name, present, world).await;
    if is_used {
        world.isolate().with(|leases: &mut Leases| leases.apply(digest, &asked, answer.as_ref()));
    }
    answer
}

async fn ask(name: &str, present: AdmitKey, world: &impl World) -> Result<Admission, Reason> {
    match world.ask::<Credential>(name, Command::AdmitKey(Box::new(present))).await? {
        Reply::Admission(presented) => Ok(*presented),
        _ => Err(Reason::Unavailable),
    }
}

impl Leases {
    /// Admits a call with a permit that is held; none: its object is to be asked.
    fn admit(&mut self, present: &AdmitKey, at: Timestamp) -> Option<Admission> {
        self.look(at);
        let held = self.find(&present.digest)?;
        held.parts.retain(|part| part.left > 0 && at < part.ends_at);
        if held.is_low(at) && held.wanted(at) > 0 {
            return None;
        }
        let part = held.parts.first_mut()?;
        let secret = part.record.secret(&present.digest)?;
        part.record.judge(secret, present, at).ok()?;
        part.left -= 1;
        let scope = present.needs.as_ref().map(|needs| needs.scope.as_str());
        held.untold.count(&Tick { secret: &secret.hint, scope, network: present.network.as_deref() }, at);
        held.rate = held.rate.and(1, at);
        let KeyRecord { id, scopes, tier, expires_at, .. } = &part.record;
        Some(Admission {
            id: id.clone(),
            scopes: scopes.clone(),
            tier: tier.clone(),
            expires_at: *expires_at,
            outcome: Ok(held.quotas.clone()),
            lease: None,
        })
    }

    /// What is asked for and told with a call that its object is asked about. Whoever only asks about it tells nothing: they may
    /// apply nothing of it either.
    fn ask(
        &mut self,
        digest: &Digest,
        lease_allowed: bool,
        is_used: bool,
        at: Timestamp,
    ) -> (Option<LeaseRequest>, Asked) {
        if lease_allowed {
            self.look(at);
        }
        let mut lease_request = LeaseRequest::default();
        if let Some(held) = self.find(digest) {
            if lease_allowed {
                held.rate = held.rate.and(1, at);
                lease_request.permits = held.wanted(at);
            }
            if lease_request.permits > 0 {
                held.ask_at = at.plus_millis(LOST_MILLIS);
            }
            if is_used {
                lease_request.told = Some(std::mem::take(&mut held.untold)).filter(|told| !told.is_empty());
            }
        }
        let asked = Asked { at, steps: self.steps, permits: lease_request.permits };
        (Some(lease_request).filter(|lease_request| lease_request.permits > 0 || lease_request.told.is_some()), asked)
    }

    /// Learns what the object answered.
    fn apply(&mut self, digest: Digest, asked: &Asked, answer: Result<&Admission, &Reason>) {
        match answer {
            Ok(Admission { outcome: Ok(quotas), lease: Some(lease), .. }) => self.hold(digest, asked, quotas, lease),
            // What is held may still be used: it was counted before.
            Ok(Admission { outcome: Err(reason), .. }) if !is_end(reason) => {}
            Err(reason) if !is_end(reason) => {}
            _ => self.held.retain(|(known, _)| *known != digest),
        }
    }

    fn hold(&mut self, digest: Digest, asked: &Asked, quotas: &[Quota], lease: &Lease) {
        let is_same_clock = asked.steps == self.steps;
        if self.find(&digest).is_none() {
            self.held.truncate(MOST - 1);
            self.held.insert(0, (digest, Box::default()));
        }
        let Some((_, held)) = self.held.first_mut() else { return };
        held.millis = lease.millis;
        held.quotas = quotas.to_vec();
        held.version = held.version.max(lease.version);
        held.parts.retain(|part| part.record.version >= lease.version);
        if asked.permits > 0 {
            let pause = if lease.permits > 0 { 0 } else { NONE_MILLIS };
            held.ask_at = asked.at.plus_millis(pause);
        }
        if let Some(record) = &lease.record
            && lease.version >= held.version
            && is_same_clock
        {
            let permits = lease.permits.min(asked.permits);
            let ends_at = asked.at.plus_millis(lease.millis);
            held.parts.push(Part { record: record.clone(), permits, left: permits, ends_at });
        }
    }

    fn find(&mut self, digest: &Digest) -> Option<&mut HeldPermits> {
        let place = self.held.iter().position(|(known, _)| known == digest)?;
        if place > 0 {
            let found = self.held.remove(place);
            self.held.insert(0, found);
        }
        self.held.first_mut().map(|(_, held)| &mut **held)
    }

    /// Looks at the clock.
    fn look(&mut self, at: Timestamp) {
        if at < self.seen {
            self.held.clear();
            self.steps = self.steps.wrapping_add(1);
        }
        self.seen = at;
    }
}

impl HeldPermits {
    /// Whether there is little left, of the permits or of their time.
    fn is_low(&self, at: Timestamp) -> bool {
        let Some(last) = self.parts.last() else { return true };
        u64::from(self.left()) * LOW <= u64::from(last.permits) || last.ends_at.millis_since(at) * LOW <= self.millis
    }

    /// How many permits are to be asked for now; 0: none, or nobody.
    fn wanted(&self, at: Timestamp) -> u32 {
        let rate = self.rate.and(0, at).busier();
        if rate < SLOWEST || at < self.ask_at {
            return 0;
        }
        let uses = u64::from(rate) * self.millis * QUARTERS / 4 / 1_000;
        let wanted = u32::try_from(uses).unwrap_or(u32::MAX).saturating_sub(self.left());
        if wanted < FEWEST_LEASED { 0 } else { wanted }
    }

    fn left(&self) -> u32 {
        self.parts.iter().fold(0, |sum: u32, part| sum.saturating_add(part.left))
    }
}

/// Whether the credential opens nothing any more.
fn is_end(reason: &Reason) -> bool {
    matches!(reason, Reason::CredentialExpired | Reason::CredentialRevoked | Reason::CredentialUnknown)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Asked, Leases, MOST};
    use crate::{admission::lease::Lease, codec::time::Timestamp};

    #[test]
    fn an_isolate_remembers_so_many_credentials_and_the_one_that_was_not_used_for_longest_makes_room() {
        let mut leases = Leases::default();
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_le_bytes());
            digest
        };
        let lease = Lease { permits: 0, millis: 2_000, version: 1, record: None };
        let mut hold = |number: usize, at: usize| {
            let asked = Asked { at: Timestamp(u64::try_from(at).unwrap()), steps: 0, permits: 0 };
            leases.hold(digest(number), &asked, &[], &lease);
        };
        (0..MOST).for_each(|number| hold(number, number));
        hold(0, MOST);
        hold(MOST, MOST + 1);
        assert_eq!(leases.held.len(), MOST);
        assert!(leases.find(&digest(0)).is_some() && leases.find(&digest(1)).is_none());
    }
}
