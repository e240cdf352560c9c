//! When a credential was last used, and seen in a browser, as its own objects know it: asked for what is shown, all at once and for a short
//! time. What does not answer in time is shown as its workspace, or its deployment, was last told: that is at most once a day.

use crate::{
    admission::usage::Span,
    codec::time::Timestamp,
    machines::credential::{Command, Credential, Reply, SHARDS, shard_name},
    object::machine::World,
    protocol::{
        credential_record::{CredentialRecord, Sighting},
        deploy_key_record::DeployKeyRecord,
    },
};
use std::{future::poll_fn, pin::Pin, task::Poll};

/// Who shows a list waits no longer than this for all answers together.
const WAIT_MILLIS: u32 = 1_000;

/// What one object knows.
type News = (Option<Timestamp>, Option<Sighting>);
type Asking<'a> = Pin<Box<dyn Future<Output = News> + 'a>>;

/// Credentials of a list. A widget key has sixteen objects and is not asked for.
pub async fn refresh(records: &mut [CredentialRecord], world: &impl World) {
    let names = records.iter().map(CredentialRecord::key_object).collect();
    for (record, news) in records.iter_mut().zip(ask_all(names, world).await) {
        apply(record, news);
    }
}

/// One that is shown alone, whatever its kind.
pub async fn refresh_one(record: &mut CredentialRecord, world: &impl World) {
    let names = match record.key_object() {
        Some(name) => vec![Some(name)],
        None => (0..SHARDS).map(|number| Some(shard_name(&record.id, number))).collect(),
    };
    for news in ask_all(names, world).await {
        apply(record, news);
    }
}

/// The same of deploy keys.
pub async fn refresh_deploy_keys(records: &mut [DeployKeyRecord], world: &impl World) {
    let names = records.iter().map(|record| Some(record.id.as_str().to_owned())).collect();
    for (record, (used_at, sighting)) in records.iter_mut().zip(ask_all(names, world).await) {
        record.last_used_at = record.last_used_at.max(used_at);
        see(&mut record.sighting, sighting);
    }
}

fn apply(record: &mut CredentialRecord, (used_at, sighting): News) {
    record.last_used_at = record.last_used_at.max(used_at);
    if let Some(key) = &mut record.key {
        see(&mut key.sighting, sighting);
    }
}

fn see(known: &mut Option<Sighting>, new: Option<Sighting>) {
    if new.as_ref().map(|new| new.at) > known.as_ref().map(|known| known.at) {
        *known = new;
    }
}

/// What each object of these names knows; nothing where there is none, or no answer.
async fn ask_all(names: Vec<Option<String>>, world: &impl World) -> Vec<News> {
    let ask = |name: &Option<String>| {
        let name = name.clone();
        Box::pin(async move {
            match name {
                Some(name) => ask(&name, world).await,
                None => News::default(),
            }
        }) as Asking
    };
    let mut asking: Vec<Asking> = names.iter().map(ask).collect();
    let mut came: Vec<Option<News>> = asking.iter().map(|_| None).collect();
    // Each is asked again whenever anything has come, since nothing wakes anybody here.
    poll_fn(|context| {
        for (one, place) in asking.iter_mut().zip(came.iter_mut()).filter(|(_, place)| place.is_none()) {
            if let Poll::Ready(news) = one.as_mut().poll(context) {
                *place = Some(news);
            }
        }
        if came.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    came.into_iter().flatten().collect()
}

async fn ask(name: &str, world: &impl World) -> News {
    // No part of the past is asked for: the total alone.
    let ask = Command::ReadUsage(Span { from: 0, to: 0, step: 1 });
    match world.ask_within::<Credential>(name, ask, WAIT_MILLIS).await {
        Ok(Reply::Usage(usage, _, sighting)) => (usage.last_used_at, sighting),
        _ => News::default(),
    }
}
