//! `/w/{widget_key}`: what a browser on a customer's page may do, across origins and without cookies.

use super::{
    api::{after, appended, page},
    cors,
    store::{Append, Command, Conversation, Open, Party, Reply as Answer},
    view::{Closed, Opened, Rotated},
};
use crate::{
    audit::By,
    call::{
        authenticate::{Call, reject},
        body::{self, Fields},
        body_arrival::Arrival,
        config::Config,
        idempotency_key,
        log::Notes,
        meter::{Admitted, meter},
        network::network,
        reply::Reply,
        request::Request,
    },
    credential::{CredentialKind, HistorySecret, Identity, Kind as _, Verified, WidgetKey},
    crypto::id_check,
    error::Reason,
    identity::verify_visitor,
    limits::window::Quota,
    machines::credential::WidgetOperation,
    object::machine::World,
    policy::{Action, WidgetPolicy, authorize},
    principal::{Caller, Visited, check_visit, match_history, visit},
    road::route,
    value::id::{ConversationId, Environment},
    world::memory_budget::{self, Holder},
};
use futures_util::future::join;

/// The kind of credential that stands in the path.
const IN_PATH: &str = "widget_key";

/// The browser asks whether it may ask: any genuine key, any origin, no state. The real call decides.
pub fn preflight(key: &str, config: &Config, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    config.widget()?;
    notes.is_widget = true;
    let door = config.door();
    match door.in_path(key)? {
        Verified::WidgetKey(_) => {}
        other => return Err(Reason::KindNotAllowed(other.kind().as_str().to_owned()).among([IN_PATH])),
    }
    notes.readable_by = world.header("origin");
    let asked = world.header("access-control-request-headers");
    Ok(Reply::empty(204)
        .with("access-control-allow-methods", "GET, POST")
        .with("access-control-allow-headers", cors::widget_headers(asked.as_deref(), &door))
        .with("access-control-max-age", "7200"))
}

/// The whole road of a widget call.
pub async fn call(
    key: &str,
    action: Action,
    conversation: &str,
    request: &Request,
    config: &Config,
    world: &impl World,
    notes: &mut Notes,
) -> Result<Reply, Reason> {
    let policy = config.widget()?;
    notes.is_widget = true;
    let door = config.door();
    let name = route::name(action).to_owned();
    let call = Call { name, needs: None, cost: 0, tokens: None, lease_allowed: false, request, config };
    let key = match door.in_path(key)? {
        Verified::WidgetKey(key) => key,
        other => return Err(reject(other, call, world, notes).await.among([IN_PATH])),
    };
    notes.kind = Some(CredentialKind::WidgetKey.as_str());
    notes.credential = Some(key.id.as_str().to_owned());
    notes.workspace = key.id.workspace().map(String::from);
    let beside = beside(action, call, world, notes).await;
    // Whatever is refused from here on is refused after the key's shard was asked: only that knows whether the page may read why.
    let matched = beside.as_ref().map(drop).map_err(Clone::clone);
    let history = beside.ok().flatten();
    let fits = || match &history {
        Some(secret) => ConversationId::try_from(conversation.to_owned())
            .map_err(|_| Reason::WrongConversation)
            .and_then(|path| match_history(&key, secret, &path, world.now())),
        None => Ok(()),
    };
    let matched = matched.and_then(|()| fits());
    let operation = |matched: &Result<(), Reason>| match action {
        _ if matched.is_err() => WidgetOperation::Manage,
        Action::OpenConversation => {
            WidgetOperation::Open(policy.conversations.clone(), policy.shard_conversations.clone())
        }
        // Whatever writes counts: a rotation costs as much as a message.
        Action::Write | Action::RotateHistorySecret | Action::CloseConversation => {
            let writes = history.as_ref().filter(|_| action == Action::Write);
            let conversation = writes.map(|secret| secret.conversation.clone());
            WidgetOperation::Write(policy.messages.clone(), conversation, Some(policy.shard_messages.clone()))
        }
        _ => WidgetOperation::Manage,
    };
    let origin = world.header("origin");
    // Without a page nobody needs to read why, and nobody is asked.
    if let (Err(reason), None, None) = (&matched, &origin, &history) {
        return Err(reason.clone());
    }
    let network = network(config, world);
    let who = network.clone().unwrap_or_else(|| key.id.as_str().to_owned());
    let who = memory_budget::caller(&who, key.environment == Environment::Test).into_owned();
    let caller = Caller {
        key: key.clone(),
        history: history.clone(),
        origin: origin.clone(),
        network: network.clone().unwrap_or_default(),
        request_id: request.id.clone(),
    };

    let mut arrival = match action {
        Action::ReadHistory => Arrival::none(),
        _ if matched.is_err() => Arrival::none(),
        _ => Arrival::json(max_bytes(action, policy), request, world),
    };
    arrival.early(world).await;
    if arrival.is_expected() {
        let (listed, outcome) = check_visit(caller.clone(), operation(&matched), world).await?;
        notes.readable_by = origin.clone().filter(|_| listed);
        outcome?;
        arrival.rest(Holder::Widget, &who, world).await?;
    }
    // Time has passed since.
    let matched = matched.and_then(|()| fits());
    let by = |secret: &HistorySecret| By {
        actor: format!("{}:{}", CredentialKind::HistorySecret.as_str(), secret.conversation),
        request_id: request.id.clone(),
        network: network.clone(),
    };
    let talk = history.clone().map(|secret| Talk { by: by(&secret), secret });
    // A read asks the shard and the conversation at once; what was read is dropped unless the call is admitted.
    let reading = talk.as_ref().filter(|_| action == Action::ReadHistory && matched.is_ok());
    let operation = operation(&matched);
    let (visited, read) = match reading {
        Some(talk) => {
            let read = read_history(talk, request, policy.page, world);
            let (visited, read) = join(visit(caller, operation, world), read).await;
            (visited?, Some(read))
        }
        None => (visit(caller, operation, world).await?, None),
    };
    let Visited { listed, outcome } = visited;
    notes.readable_by = origin.filter(|_| listed);
    // A server's credential in a browser has leaked, whatever the page is.
    if let Err(Reason::BrowserNotAllowed) = &matched {
        return Err(Reason::BrowserNotAllowed);
    }
    let principal = outcome?;
    if let (Err(reason), Some(talk)) = (&matched, &talk) {
        // Its conversation counts that; where that cannot be reached, the secret is refused all the same.
        drop(talk.tell(Command::Refused(talk.by.clone(), reason.clone()), world).await);
    }
    matched?;
    let admitted = meter(authorize(principal, action, &config.policy)?)?;
    notes.quotas = admitted.quotas().to_vec();
    arrival.belongs_to(Holder::Widget, &who);
    match (read, &talk) {
        (Some(read), Some(talk)) => {
            let (reply, is_first_use) = read?;
            if is_first_use {
                talk.tell(Command::NoteUse(talk.secret.generation), world).await?;
            }
            Ok(reply)
        }
        _ => act(&admitted, talk.as_ref(), &key, body::read(arrival.take())?, config, world).await,
    }
}

/// The history secret beside the key, where one came; refused where the call needs one, or where it is anything else.
async fn beside(
    action: Action,
    call: Call<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<Option<HistorySecret>, Reason> {
    let door = call.config.door();
    let presented = door.in_headers(world)?;
    crate::call::authenticate::refuse_credentials_in(call.request.query(), &door, presented.is_some())?;
    match presented {
        None if action == Action::OpenConversation => Ok(None),
        None => Err(Reason::CredentialMissing),
        Some(Verified::HistorySecret(secret)) if action.admits(CredentialKind::HistorySecret).is_ok() => {
            Ok(Some(secret))
        }
        // A second widget key beside the one in the path, too.
        Some(other) => {
            let taken = action.accepts().iter().map(|kind| kind.as_str());
            Err(reject(other, call, world, notes).await.among(taken))
        }
    }
}

/// The longest body of an action. Every character of a text may be escaped, which makes it six times as long.
fn max_bytes(action: Action, policy: &WidgetPolicy) -> usize {
    match action {
        Action::Write => MAX_MESSAGE_BYTES.max(6 * policy.text_bytes + 4_096),
        _ => MAX_OTHER_BYTES,
    }
}

/// The longest body with a message: 100 KiB, unless the policy takes longer texts.
const MAX_MESSAGE_BYTES: usize = 100 << 10;
/// And any other: 16 KiB, in which an identity has room.
const MAX_OTHER_BYTES: usize = 16 << 10;

/// A genuine history secret, and who holds it, for the record.
struct Talk {
    secret: HistorySecret,
    by: By,
}

impl Talk {
    /// Asks the conversation as its visitor: what that refuses, it counts.
    async fn ask(&self, command: Command, world: &impl World) -> Result<Answer, Reason> {
        self.tell(Command::Visited(self.by.clone(), Box::new(command)), world).await
    }

    async fn tell(&self, command: Command, world: &impl World) -> Result<Answer, Reason> {
        match world.ask::<Conversation>(self.secret.conversation.as_str(), command).await? {
            Answer::Refused(reason) => Err(reason),
            answer => Ok(answer),
        }
    }
}

async fn act(
    admitted: &Admitted,
    talk: Option<&Talk>,
    key: &WidgetKey,
    body: (Vec<u8>, Fields),
    config: &Config,
    world: &impl World,
) -> Result<Reply, Reason> {
    let (bytes, fields) = body;
    if admitted.action() == Action::OpenConversation {
        return open(admitted, key, fields, config, world).await;
    }
    let talk = talk.ok_or(Reason::CredentialMissing)?;
    match admitted.action() {
        Action::Write => write(admitted, talk, (bytes, fields), config, world).await,
        Action::RotateHistorySecret => {
            Ok(rotate(talk, fields, config, world).await?.with_quotas(admitted.quotas(), world.now()))
        }
        Action::CloseConversation => Ok(close(talk, fields, world).await?.with_quotas(admitted.quotas(), world.now())),
        _ => Err(Reason::NotFound),
    }
}

async fn open(
    admitted: &Admitted,
    key: &WidgetKey,
    mut fields: Fields,
    config: &Config,
    world: &impl World,
) -> Result<Reply, Reason> {
    let presented = fields.optional_token("identity")?;
    fields.finish()?;
    let workspace = key.id.workspace().ok_or(Reason::NotFound)?;
    let identity = verify_visitor::verify(presented, &workspace, config, world).await?;
    let subject = identity.map(Identity::into_subject);
    let at = world.now();
    let secret = HistorySecret {
        conversation: id_check::conversation(&workspace, at, world.random()?, &config.ring)?,
        environment: key.environment,
        generation: 1,
        expires_at: at.plus_seconds(config.widget()?.history_secret_seconds),
    };
    let open = Open {
        id: secret.conversation.clone(),
        environment: key.environment,
        widget_key: key.id.clone(),
        expires_at: secret.expires_at,
        subject,
    };
    let verified = open.subject.is_some();
    world.ask::<Conversation>(secret.conversation.as_str(), Command::Open(open)).await?;
    let issued = secret.issue(&config.policy.brand, &config.ring)?;
    let opened = Opened {
        conversation: secret.conversation.as_str(),
        // Shown to the one browser that opened the conversation.
        history_secret: issued.reveal(),
        expires_at: secret.expires_at.rfc3339(),
        verified,
    };
    Ok(Reply::json(201, &opened)?.with_quotas(admitted.quotas(), at))
}

/// The page, and whether a rotated secret was seen for the first time.
async fn read_history(
    talk: &Talk,
    request: &Request,
    page_size: usize,
    world: &impl World,
) -> Result<(Reply, bool), Reason> {
    let after = after(request.parameter("after")?)?;
    let read = Command::Read(Party::Visitor(talk.secret.generation), after, page_size);
    match talk.ask(read, world).await? {
        Answer::Page(messages, more, _, first) => {
            Ok((Reply::json(200, &page(messages, more))?, first.unwrap_or_default()))
        }
        _ => Err(Reason::Unavailable),
    }
}

async fn write(
    admitted: &Admitted,
    talk: &Talk,
    (bytes, mut fields): (Vec<u8>, Fields),
    config: &Config,
    world: &impl World,
) -> Result<Reply, Reason> {
    let policy = config.widget()?;
    let text = fields.prose("text", policy.text_bytes)?;
    fields.finish()?;
    let append = Append {
        by: Party::Visitor(talk.secret.generation),
        text,
        retry: idempotency_key::parse(world, &["visitor", talk.secret.conversation.as_str()], &bytes)?,
        limit: Some(policy.conversation_messages.clone()),
        room: Some(policy.room),
    };
    let answer = talk.ask(Command::Append(append), world).await?;
    let mut quotas: Vec<Quota> = admitted.quotas().to_vec();
    if let Answer::Appended(_, _, own) = &answer {
        quotas.extend(own.iter().cloned());
    }
    Ok(appended(answer)?.with_quotas(&quotas, world.now()))
}

async fn rotate(talk: &Talk, fields: Fields, config: &Config, world: &impl World) -> Result<Reply, Reason> {
    fields.finish()?;
    let rotate = Command::Rotate(talk.secret.generation, config.widget()?.history_secret_seconds);
    let Answer::Rotated(generation, expires_at) = talk.ask(rotate, world).await? else {
        return Err(Reason::Unavailable);
    };
    let next = HistorySecret { generation, expires_at, ..talk.secret.clone() };
    let issued = next.issue(&config.policy.brand, &config.ring)?;
    // Shown to the one browser that holds the secret before.
    Reply::json(201, &Rotated { history_secret: issued.reveal(), expires_at: expires_at.rfc3339() })
}

async fn close(talk: &Talk, fields: Fields, world: &impl World) -> Result<Reply, Reason> {
    fields.finish()?;
    match talk.ask(Command::Close(talk.secret.generation), world).await? {
        Answer::Closed(at) => Reply::json(200, &Closed { status: "closed", closed_at: at.rfc3339() }),
        _ => Err(Reason::Unavailable),
    }
}
