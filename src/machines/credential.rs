//! The object that admits: one shard of a widget key, or one server key, service
//! token or deploy key. An admission reads storage, not only memory.

use super::workspace::{self, Workspace};
use crate::{
    admission::{
        self,
        deploy_key::{self, DeployKeyState},
        key_meter::KeyMeter,
        locator_reservation,
        minute_counts::MinuteCounts,
        server_key::{Admission, AdmitKey, KeyRecord},
        shard_meter::{CEILING, MESSAGES_CEILING, Metered, Meters, network_row},
        usage::{Minute, Span, Usage},
        use_reports,
        visit_refusals::Use,
    },
    codec::time::Timestamp,
    error::Reason,
    gateway,
    leaks::store::Found,
    limits::window::{Limit, Quota},
    object::machine::{Machine, MemoryUpdate, Step, Turn},
    protocol::credential_record::{ShardRecord, Sighting},
    value::id::{ConversationId, CredentialId, Environment},
    wire,
};
use sha2::{Digest as _, Sha256};

/// Objects over which a widget key is spread, by client network.
pub const SHARDS: u8 = 16;

pub(crate) const RECORD: &str = "record";
pub(crate) const REVOKED: &str = "revoked";
/// When a shard was last used, to the hour.
const USED: &str = "used";
const USED_SECONDS: u64 = 3_600;

/// The name of the shard that admits calls from `network`.
pub fn shard_for(id: &CredentialId, network: &str) -> String {
    let [first, ..]: [u8; 32] = Sha256::digest(network).into();
    shard_name(id, first % SHARDS)
}

/// The name of shard `number` of a widget key.
pub fn shard_name(id: &CredentialId, number: u8) -> String {
    format!("{id}/{number:02}")
}

/// See the module.
#[derive(Default)]
pub struct Credential {
    meters: Meters,
    pub(crate) meter: KeyMeter,
    pub(crate) minute_counts: MinuteCounts,
}

/// What the object can be asked.
pub enum Command {
    /// The workspace's registry changed.
    Store(ShardRecord),
    /// A deploy key asks to be admitted.
    UseDeployKey(Option<Use>),
    /// A deploy key ends, for this reason; and where it was found, if it was.
    RevokeDeployKey(Option<Use>, Option<String>, Option<Found>),
    /// A widget call asks to be admitted.
    Visit(Visit),
    /// A genuine deploy key was refused before its object was asked.
    RefuseDeployKey(Use, Reason),
    /// A server key or service token asks to be admitted.
    AdmitKey(Box<AdmitKey>),
    /// The workspace's registry changed, of a server key or service token.
    StoreKey(Box<KeyRecord>),
    /// A credential is about to be made here.
    Reserve(CredentialId),
    /// How much was it used?
    ReadUsage(Span),
    /// The deployment's list changed, of a deploy key.
    StoreDeployKey(DeployKeyState),
    /// The call of this id used so many tokens; none: nobody knows, and all that were held for it count.
    Settle(String, Option<u32>),
    /// Whose secret is this, of a server key or service token? By its digest; nobody uses it.
    Identify([u8; 32]),
    /// A call with an `Idempotency-Key` is about to go out, or came back.
    Once(Box<gateway::store_once::Command>),
}

wire!(enum Command {
    0 Store(a), 1 UseDeployKey(a), 2 RevokeDeployKey(a, b, c), 3 Visit(a), 4 RefuseDeployKey(a, b), 5 AdmitKey(a), 6 StoreKey(a), 7 Reserve(a),
    8 ReadUsage(a), 9 StoreDeployKey(a), 10 Settle(a, b), 11 Identify(a), 12 Once(a) });

/// What a widget call asks for.
pub struct Visit {
    /// The key.
    pub id: CredentialId,
    /// The environment of the key's text.
    pub environment: Environment,
    /// The serial of the key's text.
    pub serial: u64,
    /// The `Origin` header.
    pub origin: Option<String>,
    /// Whom per-network limits are counted for.
    pub network: String,
    /// What is to be done.
    pub operation: WidgetOperation,
    /// The request, for the record.
    pub request_id: Option<String>,
    /// What is to be done once the body has come: whether that would be admitted. Then `operation` is `Manage`, and nothing is counted
    /// but a refusal.
    pub ahead: Option<WidgetOperation>,
}

wire!(Visit { id, environment, serial, origin, network, operation, request_id, ahead });

/// What a widget call is about to do, with the limits that apply.
pub enum WidgetOperation {
    /// Something that is not metered here: reading, rotating, closing.
    Manage,
    /// Open a conversation: per network, and per key (each shard holds its part).
    Open(Limit, Limit),
    /// Write, rotate the secret, or close: per network, and per key (each shard holds its part). A message is in this
    /// conversation: its workspace is told that somebody wrote there.
    Write(Limit, Option<ConversationId>, Option<Limit>),
    /// Nothing: somebody asks about the key. Where they name no page, it is only whether it lives.
    Ask,
}

wire!(enum WidgetOperation { 0 Manage, 1 Open(a, b), 2 Write(a, b, c), 3 Ask });

/// What the object answers.
pub enum Reply {
    /// Done; or known already.
    Done,
    /// Since when the deploy key is revoked, if it is.
    DeployKey(Option<Timestamp>),
    /// To a visit.
    Visited {
        /// Whether the origin is on the key's list: only then may a browser read the answer, refusals included.
        listed: bool,
        /// The limits as they stand, or why not.
        outcome: Result<Vec<Quota>, Reason>,
    },
    /// To a server key or service token.
    Admission(Box<Admission>),
    /// How much it was used, and when; and where it was last seen in a browser.
    Usage(Box<Usage>, Vec<Minute>, Option<Sighting>),
    /// To a deploy key: when it ends, or why it is refused.
    Judged(Result<Timestamp, Reason>),
    /// Whose secret it is or was.
    Identified(Option<CredentialId>),
    /// To a call with an `Idempotency-Key`.
    Once(gateway::store_once::Reply),
}

wire!(enum Reply { 0 Done, 1 DeployKey(a), 2 Visited { listed, outcome }, 3 Admission(a), 4 Usage(a, b, c), 5 Judged(a), 6 Identified(a), 7 Once(a) });

impl Machine for Credential {
    const BINDING: &'static str = "CREDENTIAL";
    type Command = Command;
    type Reply = Reply;

    fn handle(&self, command: Command, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let reply = match command {
            Command::Store(record) => store(record, turn)?,
            Command::UseDeployKey(mut used) => {
                let text = used.as_mut().and_then(|used| used.ahead.take());
                let is_ahead = text.is_some();
                if let Some(used) = used.as_mut().filter(|_| is_ahead) {
                    used.text = text;
                }
                return decide(is_ahead, turn, |turn| self.use_deploy_key(used, turn));
            }
            Command::RevokeDeployKey(used, why, found) => deploy_key::revoke(used, why, found.as_ref(), turn)?,
            Command::StoreDeployKey(state) => deploy_key::store(&state, turn)?,
            Command::AdmitKey(mut present) => {
                let ahead = present.ahead.take();
                present.cost = ahead.unwrap_or(present.cost);
                return decide(ahead.is_some(), turn, |turn| self.present(*present, turn));
            }
            Command::Identify(digest) => Reply::Identified(admission::server_key::identify(&digest, turn)?),
            Command::StoreKey(record) => admission::server_key::store(*record, turn)?,
            Command::Once(command) => Reply::Once(gateway::store_once::handle(*command, turn)?),
            Command::Reserve(id) => locator_reservation::reserve(&id, turn)?,
            Command::ReadUsage(span) => {
                let mut usage = self.meter.usage(turn)?;
                usage.last_used_at = usage.last_used_at.max(turn.get(USED)?);
                let series = usage.series(span, turn)?;
                Reply::Usage(Box::new(usage), series, turn.get(use_reports::SEEN)?)
            }
            Command::Settle(id, used) => {
                let learnt = self.meter.settle(&id, used, turn)?;
                let update: MemoryUpdate<Self> = Some(Box::new(|memory: &mut Self| memory.meter.apply(learnt)));
                return Ok(Step { update, reply: Reply::Done });
            }
            Command::RefuseDeployKey(used, reason) => {
                return self.refuse_deploy_key(used, &reason, Reply::Done, turn);
            }
            Command::Visit(mut visit) => {
                let ahead = visit.ahead.take();
                let is_ahead = ahead.is_some();
                visit.operation = ahead.unwrap_or(visit.operation);
                return decide(is_ahead, turn, |turn| {
                    let step = self.visit(&visit, turn)?;
                    self.record_refusal(visit, step, turn)
                });
            }
        };
        Ok(Step::reply(reply))
    }

    fn wake(&self, turn: &mut Turn) -> Result<MemoryUpdate<Self>, Reason> {
        locator_reservation::wake(turn)?;
        gateway::store_once::wake(turn)?;
        self.tell_of_use(turn)?;
        self.minute_counts.wake(turn)?;
        let closed = self.meters.wake(turn)?;
        let learnt = self.meter.wake(turn)?;
        Ok(Some(Box::new(move |memory: &mut Self| {
            memory.meters.forget(&closed);
            if let Some(learnt) = learnt {
                memory.meter.apply(learnt);
            }
        })))
    }
}

/// Decides; or says beforehand what would be decided: the decision itself, of which nothing stays where it is yes. A refusal ends the
/// call, so it is counted.
fn decide<'a>(
    is_ahead: bool,
    turn: &mut Turn<'a>,
    decision: impl FnOnce(&mut Turn<'a>) -> Result<Step<Credential>, Reason>,
) -> Result<Step<Credential>, Reason> {
    let mut fork = is_ahead.then(|| turn.fork());
    let step = decision(fork.as_mut().unwrap_or(turn))?;
    let Some(fork) = fork else { return Ok(step) };
    let is_refused = match &step.reply {
        Reply::Visited { outcome, .. } => outcome.is_err(),
        Reply::Admission(presented) => presented.outcome.is_err(),
        Reply::Judged(judged) => judged.is_err(),
        _ => false,
    };
    if !is_refused {
        return Ok(Step::reply(step.reply));
    }
    *turn = fork;
    Ok(step)
}

/// Older versions are ignored, and `revoked` is for good: messages may come twice and late.
fn store(record: ShardRecord, turn: &mut Turn) -> Result<Reply, Reason> {
    let known: Option<ShardRecord> = turn.get(RECORD)?;
    if known.is_none_or(|known| known.version < record.version && !known.revoked) {
        turn.put(RECORD, &record);
    }
    Ok(Reply::Done)
}

impl Credential {
    fn visit(&self, visit: &Visit, turn: &mut Turn) -> Result<Step<Self>, Reason> {
        let Some(record) = turn.get::<ShardRecord>(RECORD)? else {
            return Ok(Step::reply(Reply::Visited { listed: false, outcome: Err(Reason::CredentialUnknown) }));
        };
        let listed =
            visit.origin.as_deref().is_some_and(|header| record.origins.iter().any(|origin| origin.admits(header)));
        let is_of_no_page = visit.origin.is_none() && matches!(visit.operation, WidgetOperation::Ask);
        let (outcome, update) = match alive(&record, visit, turn.at()) {
            Ok(()) if listed || is_of_no_page => meter(visit, &self.meters, turn)?,
            Ok(()) => (Err(Reason::OriginNotAllowed), None),
            Err(reason) => (Err(reason), None),
        };
        Ok(Step { update, reply: Reply::Visited { listed, outcome } })
    }
}

fn alive(record: &ShardRecord, visit: &Visit, at: Timestamp) -> Result<(), Reason> {
    let current = record.serial == visit.serial;
    let overlaps = record.previous.is_some_and(|(serial, until)| serial == visit.serial && at < until);
    if record.environment != visit.environment {
        return Err(Reason::CredentialUnknown);
    }
    if record.revoked || !(current || overlaps) {
        return Err(Reason::CredentialRevoked);
    }
    if record.expires_at.is_some_and(|expires_at| expires_at <= at) {
        return Err(Reason::CredentialExpired);
    }
    Ok(())
}

/// Counts the visit in every window that applies, or in none.
fn meter(visit: &Visit, meters: &Meters, turn: &mut Turn) -> Result<(Metered, MemoryUpdate<Credential>), Reason> {
    let network = |operation| network_row(operation, &visit.network);
    let (windows, writes) = match &visit.operation {
        WidgetOperation::Manage | WidgetOperation::Ask => return Ok((Ok(Vec::new()), None)),
        WidgetOperation::Open(per_network, per_shard) => {
            (vec![(per_network, network("open")), (per_shard, CEILING.to_owned())], None)
        }
        WidgetOperation::Write(per_network, conversation, per_shard) => {
            let mut windows = vec![(per_network, network("write"))];
            windows.extend(per_shard.as_ref().map(|per_shard| (per_shard, MESSAGES_CEILING.to_owned())));
            (windows, conversation.as_ref())
        }
    };
    let (mut outcome, learnt) = meters.meter(&windows, writes, turn)?;
    // The ceiling of messages is told where it is what refuses.
    if let (WidgetOperation::Write(per_network, ..), Err(Reason::RateLimited { quotas, .. }) | Ok(quotas)) =
        (&visit.operation, &mut outcome)
    {
        quotas.retain(|quota| quota.limit == *per_network || quota.remaining == 0);
    }
    if outcome.is_ok() && turn.writes() {
        note_use(visit, turn)?;
    }
    Ok((outcome, Some(Box::new(|memory: &mut Credential| memory.meters.apply(learnt)))))
}

/// Notes that the key is in use, to the hour, and tells its workspace.
fn note_use(visit: &Visit, turn: &mut Turn) -> Result<(), Reason> {
    let known: Option<Timestamp> = turn.get(USED)?;
    if known.is_some_and(|known| known <= turn.at() && known.plus_seconds(USED_SECONDS) > turn.at()) {
        return Ok(());
    }
    turn.put(USED, &turn.at());
    let seed = shard_for(&visit.id, &visit.network);
    if use_reports::is_due(use_reports::REPORTED, &seed, turn)? {
        tell_of_use(&visit.id, turn.at(), turn)
    } else {
        Ok(())
    }
}

/// Tells the workspace when a credential was used.
pub(crate) fn tell_of_use(id: &CredentialId, used_at: Timestamp, turn: &mut Turn) -> Result<(), Reason> {
    let Some(workspace) = id.workspace() else { return Ok(()) };
    turn.send::<Workspace>(workspace.as_str(), &workspace::Command::CredentialUsed(id.clone(), used_at))
}
