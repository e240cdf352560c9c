//! When a credential was last used, as its own objects know it: asked for what is shown, all at once and for a short time. What does not
//! answer in time is shown as its workspace, or its deployment, was last told: that is at most once a day.

use crate::{
    error::Reason,
    id::CredentialId,
    machine::World,
    registry::{
        credential::{Command, Credential, Reply, SHARDS, shard_name},
        record::CredentialRecord,
        usage::Span,
    },
    time::Timestamp,
};
use std::{future::poll_fn, pin::Pin, task::Poll};

/// Who shows a list waits no longer than this for all answers together.
const WAIT_MILLIS: u32 = 1_000;

type Asking<'a> = Pin<Box<dyn Future<Output = Option<Timestamp>> + 'a>>;

/// Credentials as they are known, with the last use of each as its own object knows it. A widget key of a list has sixteen objects and
/// is not asked for.
pub async fn refresh(records: &mut [CredentialRecord], world: &impl World) {
    let names = records.iter().map(|record| record.key_object().into_iter().collect()).collect();
    let used = last_used(names, world).await;
    for (record, used) in records.iter_mut().zip(used) {
        record.last_used_at = record.last_used_at.max(used);
    }
}

/// The same of one that is shown alone, whatever its kind.
pub async fn refresh_one(record: &mut CredentialRecord, world: &impl World) {
    let names = match record.key_object() {
        Some(name) => vec![name],
        None => (0..SHARDS).map(|number| shard_name(&record.id, number)).collect(),
    };
    let used = last_used(vec![names], world).await;
    record.last_used_at = record.last_used_at.max(used.into_iter().flatten().max());
}

/// When deploy keys were last used.
pub async fn of_deploy_keys(ids: impl Iterator<Item = &CredentialId>, world: &impl World) -> Vec<Option<Timestamp>> {
    last_used(ids.map(|id| vec![id.as_str().to_owned()]).collect(), world).await
}

/// The latest use that any object of each group knows of.
async fn last_used(groups: Vec<Vec<String>>, world: &impl World) -> Vec<Option<Timestamp>> {
    let ask = |name: &String| {
        let name = name.clone();
        Box::pin(async move { ask(&name, world).await }) as Asking
    };
    let mut asking: Vec<Asking> = groups.iter().flatten().map(ask).collect();
    let mut came: Vec<Option<Option<Timestamp>>> = vec![None; asking.len()];
    // Each is asked again whenever anything has come, since nothing wakes anybody here.
    poll_fn(|context| {
        for (one, place) in asking.iter_mut().zip(came.iter_mut()).filter(|(_, place)| place.is_none()) {
            if let Poll::Ready(used) = one.as_mut().poll(context) {
                *place = Some(used);
            }
        }
        if came.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let mut came = came.into_iter().flatten();
    groups.iter().map(|names| came.by_ref().take(names.len()).flatten().max()).collect()
}

async fn ask(name: &str, world: &impl World) -> Option<Timestamp> {
    // No part of the past is asked for: the total alone.
    let ask = Command::ReadUsage(Span { from: 0, to: 0, step: 1 });
    match world.ask_within::<Credential>(name, ask, WAIT_MILLIS).await {
        Ok(Reply::Usage(usage, _)) => usage.last_used_at,
        Ok(_) | Err(Reason::Unavailable) | Err(_) => None,
    }
}
