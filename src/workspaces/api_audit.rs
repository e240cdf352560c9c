//! `/v1/audit`: who did what, in pages, as an export that anybody can verify, and verified here.

use crate::{
    audit::{
        Act, Ask, Checkpoint, Event, Head, Page, Signature, Walk, deployment as deployments, workspace as workspaces,
    },
    call::{
        body,
        log::Notes,
        reply::{Body, Reply},
    },
    crypto::keyring::KeyRing,
    error::Reason,
    machines::{
        deployment::{self, Deployment},
        workspace::{self, Workspace},
    },
    object::machine::World,
    road::dispatch::Asked,
    value::id::WorkspaceId,
};
use serde::Serialize;

/// Events that one hop answers in an export or a verification.
const HOP: usize = 500;

/// Hops of one export: 10,000 events.
const EXPORT_HOPS: usize = 20;

/// Hops of one verification: 40,000 events.
const VERIFY_HOPS: usize = 80;

#[derive(Serialize)]
struct Shown {
    items: Vec<Event>,
    head: Option<Head>,
    next_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<u64>,
}

#[derive(Serialize)]
struct Signed<'a> {
    checkpoint: &'a Checkpoint,
}

#[derive(Serialize)]
struct End<'a> {
    head: Option<&'a Head>,
    next_after: Option<u64>,
}

#[derive(Serialize)]
struct Verified<'a> {
    valid: bool,
    head: Option<&'a Head>,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_bad: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    checkpoints: Checkpoints,
    next_after: Option<u64>,
}

/// What was found of checkpoints.
#[derive(Default, Serialize)]
struct Checkpoints {
    /// They lie on the chain, and their signatures hold.
    sound: u64,
    /// They lie on the chain, and the key of their signatures is gone.
    unsigned: u64,
}

/// Which chain is meant.
enum Chain {
    Workspace(WorkspaceId),
    Deployment(String),
}

impl Chain {
    async fn of(asked: &Asked<'_>, world: &impl World) -> Result<Self, Reason> {
        let given = asked.query("workspace")?;
        match (asked.admitted.principal().workspace(), &given) {
            (None, None) => Ok(Self::Deployment(asked.config.deployment.clone())),
            _ => asked.workspace(given, world).await.map(Self::Workspace),
        }
    }

    async fn read(&self, ask: Ask, world: &impl World, notes: &mut Notes) -> Result<Page, Reason> {
        match self {
            Self::Workspace(id) => match world.ask::<Workspace>(id.as_str(), workspace::Command::ReadAudit(ask)).await?
            {
                workspace::Reply::Audit(page) => {
                    notes.workspace = Some(id.as_str().to_owned());
                    Ok(*page)
                }
                _ => Err(Reason::Unavailable),
            },
            Self::Deployment(name) => match world.ask::<Deployment>(name, deployment::Command::ReadAudit(ask)).await? {
                deployment::Reply::Audit(page) => Ok(*page),
                _ => Err(Reason::Unavailable),
            },
        }
    }

    /// The checkpoints that the deployment keeps of a workspace's chain; nobody keeps any of its own.
    async fn kept(&self, asked: &Asked<'_>, world: &impl World) -> Result<Vec<Checkpoint>, Reason> {
        let Self::Workspace(id) = self else { return Ok(Vec::new()) };
        let kept = deployment::Command::Kept(workspaces(id.as_str()));
        match world.ask::<Deployment>(&asked.config.deployment, kept).await? {
            deployment::Reply::Checkpoints(kept) => Ok(kept),
            _ => Err(Reason::Unavailable),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Workspace(id) => workspaces(id.as_str()),
            Self::Deployment(name) => deployments(name),
        }
    }
}

/// `GET /v1/audit`.
pub async fn list(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let chain = Chain::of(asked, world).await?;
    let before = asked.query("before")?;
    let after = place(asked, "after")?;
    if before.is_some() && after.is_some() {
        return Err(Reason::invalid("before", "Either after or before, not both."));
    }
    let action = asked.query("action")?;
    if action.as_deref().is_some_and(|name| Act::ALL.iter().all(|act| act.as_str() != name)) {
        let known: Vec<&str> = Act::ALL.iter().map(|act| act.as_str()).collect();
        return Err(Reason::invalid(
            "action",
            &format!("There is no such action in a chain: take one of {}.", known.join(", ")),
        ));
    }
    let (since, until) = (body::moment("since", asked.query("since")?)?, body::moment("until", asked.query("until")?)?);
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        return Err(Reason::invalid("since", "A moment that is not later than `until`."));
    }
    let ask = Ask {
        from: after.or(place(asked, "before")?),
        newest_first: before.is_some(),
        action,
        actor: asked.query("actor")?,
        limit: asked.limit()?,
        checkpoints: false,
        since,
        until,
    };
    let Page { mut items, head, next, .. } = chain.read(ask.clone(), world, notes).await?;
    // An object of the previous build does not know these two.
    items.retain(|event| ask.is_in_time(event));
    let (next_after, next_before) = if before.is_some() { (None, next) } else { (next, None) };
    Reply::json(200, &Shown { items, head, next_after, next_before })
}

/// `GET /v1/audit/export`.
pub async fn export(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let chain = Chain::of(asked, world).await?;
    let mut after = place(asked, "after")?.unwrap_or_default();
    let mut lines = Vec::new();
    for hop in 1..=EXPORT_HOPS {
        let page = chain.read(everything(after), world, notes).await?;
        let mut checkpoints = page.checkpoints.iter().peekable();
        // The event that this begins after was exported before; a checkpoint of it may have been made since.
        while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.seq <= after) {
            if hop == 1 {
                lines.push(line(&Signed { checkpoint })?);
            }
        }
        for event in &page.items {
            lines.push(line(event)?);
            after = event.seq;
            while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.seq <= after) {
                lines.push(line(&Signed { checkpoint })?);
            }
        }
        let head = page.head.as_ref();
        if page.next.is_none() || hop == EXPORT_HOPS {
            // Those that lie beyond the head are no secret of a chain that was cut: they are not sound where they stand.
            let lost: Vec<&Checkpoint> = checkpoints.collect();
            for checkpoint in &lost {
                lines.push(line(&Signed { checkpoint })?);
            }
            // Signed now: whoever keeps this export holds all that is in it against us.
            if let Some(head) = head.filter(|head| head.seq == after && lost.is_empty()) {
                lines.push(line(&Signed { checkpoint: &Checkpoint::sign(head, world.now(), &asked.config.ring)? })?);
            }
            lines.push(line(&End { head, next_after: page.next })?);
            break;
        }
    }
    let reply = Reply::empty(200).with("content-type", "application/x-ndjson");
    Ok(Reply { body: Body::Lines(lines), ..reply })
}

/// `GET /v1/audit/verify`.
pub async fn verify(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let chain = Chain::of(asked, world).await?;
    let name = chain.name();
    let kept = chain.kept(asked, world).await?;
    let mut walk = Walk::begin();
    // What an earlier call verified is where this one begins: the last event of that one ties the two together.
    let begin = place(asked, "after")?.unwrap_or_default().saturating_sub(1);
    let (mut after, mut next, mut head) = (begin, None, None);
    let mut found = Checkpoints::default();
    let (mut bad, mut is_lost) = (None, false);
    for hop in 1..=VERIFY_HOPS {
        let page = chain.read(everything(after), world, notes).await?;
        if let (1, true, Some(first)) = (hop, begin > 0, page.items.first()) {
            walk = Walk::after(begin, first.prev.clone());
        }
        let others = kept.iter().filter(|checkpoint| !page.checkpoints.contains(checkpoint));
        let checkpoints: Vec<&Checkpoint> = page.checkpoints.iter().chain(others).collect();
        bad = sound(&page, &checkpoints, &name, &asked.config.ring, &mut walk, &mut found).err();
        is_lost = checkpoints.iter().any(|checkpoint| page.head.as_ref().is_none_or(|head| checkpoint.seq > head.seq));
        (after, next, head) = (walk.seq.max(begin), page.next, page.head);
        if bad.is_some() || next.is_none() {
            break;
        }
    }
    let last = head.as_ref().map_or(0, |head| head.seq);
    if bad.is_none() && next.is_none() && after < last {
        bad = Some((after + 1, "it is missing: the chain goes on"));
    }
    if bad.is_none() && is_lost {
        bad = Some((last + 1, "it is missing: there is a checkpoint of what came later"));
    }
    if bad.is_none() && place(asked, "after")?.is_some_and(|asked| asked > last) {
        bad = Some((last + 1, "it is missing: `after` is beyond the head of the chain"));
    }
    let (first_bad, why) = bad.unzip();
    let next_after = next.filter(|_| bad.is_none());
    let head = head.as_ref();
    let verified =
        Verified { valid: bad.is_none(), head, count: walk.count, first_bad, why, checkpoints: found, next_after };
    Reply::json(200, &verified)
}

/// Walks along a page. The number of the first event that is not sound, and what is wrong with it.
fn sound(
    page: &Page,
    checkpoints: &[&Checkpoint],
    chain: &str,
    ring: &KeyRing,
    walk: &mut Walk,
    found: &mut Checkpoints,
) -> Result<(), (u64, &'static str)> {
    for event in &page.items {
        walk.step(event).map_err(|why| (walk.seq + 1, why))?;
        for checkpoint in checkpoints.iter().filter(|checkpoint| checkpoint.seq == walk.seq) {
            let bad = |why| (walk.seq, why);
            walk.check(checkpoint).map_err(bad)?;
            if checkpoint.chain != chain {
                return Err(bad("a checkpoint is of another chain"));
            }
            match checkpoint.signature(ring) {
                Signature::Sound => found.sound += 1,
                Signature::Unknown => found.unsigned += 1,
                Signature::Forged => return Err(bad("the signature of a checkpoint does not hold")),
            }
        }
    }
    match &page.head {
        Some(head) if head.seq == walk.seq && head.hash != walk.hash => {
            Err((walk.seq, "it is not the head of the chain"))
        }
        Some(head) if head.seq < walk.seq => Err((head.seq + 1, "it lies beyond the head of the chain")),
        None if !page.items.is_empty() => Err((1, "it lies beyond the head of the chain: there is none")),
        _ => Ok(()),
    }
}

/// All that follows `after`.
fn everything(after: u64) -> Ask {
    Ask { from: Some(after), limit: HOP, checkpoints: true, ..Ask::default() }
}

/// The number of an event in the query.
fn place(asked: &Asked<'_>, name: &str) -> Result<Option<u64>, Reason> {
    let Some(text) = asked.query(name)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number = Some(&text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 15);
    let number = number.and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Reason::invalid(name, "Use the seq of an event."))
}

fn line(value: &impl Serialize) -> Result<String, Reason> {
    serde_json::to_string(value).map_err(|error| Reason::Unreadable(error.to_string()))
}
