//! What the object of a server key or service token hands to an isolate that holds a lease (see `crate::principal::lease`): permits, and all
//! that is needed to judge a call without asking; and what the isolate tells it of the calls that it admitted so.
//!
//! The permits are stored as used in the turn that hands them out. Nobody gives them back.

use super::{
    key_meter::{ACCOUNT, Account, KeyMeter},
    server_key::KeyRecord,
    stored_window::{Counted, has_block, in_force},
    usage::Usage,
};
use crate::{
    codec::time::Timestamp,
    error::Reason,
    limits::{
        lease_size::lease,
        tier,
        window::{Counter, Limit, Quota},
    },
    object::machine::Turn,
    wire,
};

/// What an isolate wants and has to tell, beside a call.
#[derive(Default)]
pub struct LeaseRequest {
    /// Permits for later; 0: none.
    pub permits: u32,
    /// The calls that it admitted since it last told.
    pub told: Option<Usage>,
}

wire!(LeaseRequest { permits, told });

/// Permits for later; every answer about a credential whose tier has leases says so.
#[derive(Clone)]
pub struct Lease {
    /// So many.
    pub permits: u32,
    /// From the moment at which the isolate asked.
    pub millis: u64,
    /// The version of the credential that it is about.
    pub version: u64,
    /// The credential with the one secret that was presented: beside permits.
    pub record: Option<KeyRecord>,
}

wire!(Lease { permits, millis, version, record });

impl KeyRecord {
    /// Hands out permits after a call was admitted in this turn; `quotas` are then as they stand without them. None: the tier
    /// has no leases.
    pub(crate) fn lease(
        &self,
        digest: &[u8; 32],
        wanted: u32,
        meter: &mut KeyMeter,
        quotas: &mut [Quota],
        turn: &mut Turn,
    ) -> Result<Option<Lease>, Reason> {
        let Some(name) = &self.tier else { return Ok(None) };
        let limits = self.limits(turn)?.requests;
        let Some(millis) = tier::lease_millis(turn.tiers(), name, limits) else { return Ok(None) };
        let permits = if wanted > 0 { meter.lease(limits, wanted, millis, quotas, turn)? } else { 0 };
        let record =
            (permits > 0).then(|| Self { secrets: self.secret(digest).cloned().into_iter().collect(), ..self.clone() });
        Ok(Some(Lease { permits, millis, version: self.version, record }))
    }
}

impl KeyMeter {
    /// Takes over what an isolate counted.
    pub(crate) fn hear(&self, told: Usage, at: Timestamp) -> Self {
        let mut learnt = self.clone();
        learnt.pending.merge(told.until(at));
        learnt
    }

    /// Takes permits out of all windows, and stores them as used. The windows stand in memory while a block is open, else in
    /// this turn, which has just counted a call.
    fn lease(
        &mut self,
        limits: &[Limit],
        wanted: u32,
        millis: u64,
        quotas: &mut [Quota],
        turn: &mut Turn,
    ) -> Result<u32, Reason> {
        let mut account: Account = turn.get(ACCOUNT)?.unwrap_or_default();
        let known = self.open.clone().unwrap_or_else(|| account.counted());
        let mut counted = in_force(limits, known);
        let mut counters: Vec<(&Limit, Counter)> =
            counted.iter().map(|Counted { limit, counter, .. }| (limit, counter.clone())).collect();
        let permits = lease(&mut counters, wanted, millis);
        if permits == 0 {
            return Ok(0);
        }
        // Behind these stand those of tokens, which no lease has.
        for (quota, (limit, counter)) in quotas.iter_mut().zip(counters.iter().take(limits.len())) {
            *quota = counter.quota(limit, turn.at());
        }
        let counters: Vec<Counter> = counters.into_iter().map(|(_, counter)| counter.stored()).collect();
        for (counted, counter) in counted.iter_mut().zip(counters) {
            counted.counter = counter;
        }
        account.windows = counted.iter().map(Counted::row).collect();
        account.usage.absorb(std::mem::take(&mut self.pending), turn)?;
        turn.put(ACCOUNT, &account);
        self.open = Some(counted).filter(|counted| has_block(counted));
        Ok(permits)
    }
}
