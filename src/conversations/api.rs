//! `/v1/conversations`: the customer's people read what visitors wrote, and reply.

use super::store::{Append, Command, Conversation, Message, Party, Reply as Answer};
use crate::{
    call::{
        cursor::{self, Cursor},
        idempotency_key,
        log::Notes,
        reply::Reply,
    },
    codec::time::Timestamp,
    error::Reason,
    machines::workspace::{self, ConversationNote, Workspace},
    object::machine::World,
    road::dispatch::Asked,
    value::id::Environment,
    workspaces,
};
use serde::Serialize;

/// A message as it is shown.
#[derive(Serialize)]
pub struct Shown {
    id: String,
    at: String,
    from: &'static str,
    text: String,
}

/// A page of messages.
#[derive(Serialize)]
pub struct Page {
    items: Vec<Shown>,
    next: Option<String>,
    /// Who the visitor is: the operator's to see, and `null` where it was not verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Option<String>>,
}

#[derive(Serialize)]
struct Listed {
    id: String,
    environment: &'static str,
    status: String,
    verified: bool,
    subject: Option<String>,
    created_at: String,
    expires_at: String,
    last_message_at: Option<String>,
}

#[derive(Serialize)]
struct List {
    items: Vec<Listed>,
    next_cursor: Option<String>,
}

impl From<Message> for Shown {
    fn from(message: Message) -> Self {
        Self {
            id: format!("msg_{}", message.sequence),
            at: message.at.rfc3339(),
            from: if message.by_operator { "operator" } else { "visitor" },
            text: message.text,
        }
    }
}

/// A page, and the id after which the next one begins.
pub fn page(messages: Vec<Message>, more: bool) -> Page {
    let next = messages.last().filter(|_| more).map(|message| format!("msg_{}", message.sequence));
    Page { items: messages.into_iter().map(Shown::from).collect(), next, verified: None, subject: None }
}

/// Reads `after`: the id of a message; 0 without one.
pub fn after(text: Option<String>) -> Result<u64, Reason> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(0);
    };
    let number = text.strip_prefix("msg_").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let number = number.and_then(|digits| digits.parse().ok()).filter(|number| *number <= 9_999_999_999);
    number.ok_or_else(|| Reason::invalid("after", "Use the id of a message of this conversation."))
}

/// `GET /v1/conversations`.
pub async fn list(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let workspace = asked.workspace(asked.query("workspace")?, world).await?;
    let environment = asked.environment(asked.query("environment")?)?;
    let of = ["conversations", workspace.as_str(), environment.map_or("", Environment::as_str)].map(str::to_owned);
    let of: Vec<&str> = of.iter().map(String::as_str).collect();
    let (after, is_plain) = Cursor::parse(cursor::read(asked.query("cursor")?, &of, &asked.config.ring)?)?;
    let (limit, is_plain) = (asked.limit()?, Some(is_plain));
    let list = workspace::Command::ListConversations { environment, after, limit, is_plain };
    let workspace::Reply::Conversations(items, next) = world.ask::<Workspace>(workspace.as_str(), list).await? else {
        return Err(Reason::Unavailable);
    };
    // What was shown last is a place of the caller's own, whatever else was looked at.
    let next = next.map(|next| items.last().map_or(next, |note| note.id.clone()));
    let next_cursor = next.map(|next| cursor::issue(next.as_str(), &of, &asked.config.ring)).transpose()?;
    notes.workspace = Some(workspace.into());
    let listed = |note: ConversationNote| Listed {
        id: note.id.into(),
        environment: note.environment.as_str(),
        status: note.status,
        verified: note.verified,
        subject: note.subject,
        created_at: note.created_at.rfc3339(),
        expires_at: note.expires_at.rfc3339(),
        last_message_at: note.last_message_at.map(Timestamp::rfc3339),
    };
    let items = items.into_iter().map(listed).collect();
    Reply::json(200, &List { items, next_cursor })
}

/// `GET /v1/conversations/{id}/messages`.
pub async fn read(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let id = workspaces::api_known::conversation(asked, world).await?;
    let after = after(asked.query("after")?)?;
    let page_size = asked.config.widget()?.page;
    match world.ask::<Conversation>(id.as_str(), Command::Read(operator(asked), after, page_size)).await? {
        Answer::Page(messages, more, subject, _) => {
            notes.workspace = id.workspace().map(String::from);
            let verified = Some(subject.is_some());
            Reply::json(200, &Page { verified, subject: Some(subject), ..page(messages, more) })
        }
        _ => Err(Reason::Unavailable),
    }
}

/// `POST /v1/conversations/{id}/messages`.
pub async fn reply(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let id = workspaces::api_known::conversation(asked, world).await?;
    let (bytes, mut fields) = asked.body()?;
    let policy = asked.config.widget()?;
    let text = fields.prose("text", policy.text_bytes)?;
    fields.finish()?;
    let retry = idempotency_key::parse(world, &["operator", &asked.actor(), id.as_str()], &bytes)?;
    let append = Append { by: operator(asked), text, retry, limit: None, room: Some(policy.room) };
    let answer = world.ask::<Conversation>(id.as_str(), Command::Append(append)).await?;
    notes.workspace = id.workspace().map(String::from);
    appended(answer)
}

#[derive(Serialize)]
struct Deleted<'a> {
    id: &'a str,
    deleted: bool,
}

/// `DELETE /v1/conversations/{id}`: for good, and the same again when repeated.
pub async fn delete(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let id = workspaces::api_known::conversation(asked, world).await?;
    let (_, fields) = asked.body()?;
    fields.finish()?;
    match world.ask::<Conversation>(id.as_str(), Command::Delete(operator(asked), asked.by.clone())).await? {
        Answer::Deleted => {
            notes.workspace = id.workspace().map(String::from);
            Reply::json(200, &Deleted { id: id.as_str(), deleted: true })
        }
        _ => Err(Reason::Unavailable),
    }
}

/// Shows a message that was stored now, or by the request that this one repeats.
pub fn appended(answer: Answer) -> Result<Reply, Reason> {
    let (message, replayed) = match answer {
        Answer::Appended(message, replayed, _) => (message, replayed),
        Answer::Refused(reason) => return Err(reason),
        Answer::Limited(retry_after_millis, quotas) => return Err(Reason::RateLimited { retry_after_millis, quotas }),
        _ => return Err(Reason::Unavailable),
    };
    let reply = Reply::json(201, &Shown::from(message))?;
    Ok(if replayed { reply.with("idempotent-replayed", "true") } else { reply })
}

/// The customer's people; of one environment, where their credential is.
fn operator(asked: &Asked<'_>) -> Party {
    Party::Operator(asked.admitted.principal().environment())
}
