//! The embedded records: JSON documents that the gateway serves by itself, where a route of the policy leads to them.

use super::{
    once,
    preconditions::{Reading, expects, reading},
    store_answers::Answer,
    store_records::{Command, Expects, OURS, Place, Record, Reply as Word, Write},
};
use crate::{
    audit::By,
    call::{
        body,
        config::Config,
        cursor::{self, Cursor},
        log::Notes,
        meter::Admitted,
        reply::{Body, Reply},
        request::Request,
    },
    codec::{raw_object::Document, time::Timestamp},
    error::{Part, Reason},
    machines::workspace::{self, Workspace},
    object::machine::World,
    policy::Route,
    protocol::record_name::{Collection, RecordId},
    value::id::{Environment, WorkspaceId},
    workspaces::{self, store_pages::stale_cursor},
};

/// Does what was admitted: the path says to what, the method says what.
pub async fn serve(
    admitted: &Admitted,
    route: &Route,
    sent: &[u8],
    by: By,
    (request, config): (&Request, &Config),
    world: &impl World,
    notes: &mut Notes,
) -> Result<Reply, Reason> {
    let (collection, id) = route.record(request.path()).ok_or(Reason::NotFound)?;
    let workspace = workspace(admitted, request)?;
    let workspace =
        workspaces::api_known::workspace(workspace, admitted.principal(), &config.deployment, world).await?;
    let place = Place { environment: environment(admitted, request)?, collection: Collection::parse(collection)? };
    let of = ["records", workspace.as_str(), place.environment.as_str(), place.collection.as_str()].map(str::to_owned);
    let of: Vec<&str> = of.iter().map(String::as_str).collect();
    let id = id.map(RecordId::parse).transpose()?;
    let retry = once::key(admitted, route, Some(sent), request, world)?;
    let command = match (request.method.as_str(), id) {
        ("GET" | "HEAD", Some(id)) => Command::Read(place, id),
        ("GET" | "HEAD", None) => Command::List(place, after(request, &of, config)?, request.limit()?),
        ("POST", None) => {
            let id = RecordId::issue(world.now(), world.random()?);
            let text = Some(document(sent, world)?);
            Command::Write(Box::new(Write { place, id, text, expects: Expects::Nothing, retry, by }))
        }
        ("PUT", Some(id)) => {
            let (text, expects) = (Some(document(sent, world)?), expects(world)?);
            Command::Write(Box::new(Write { place, id, text, expects, retry, by }))
        }
        ("DELETE", Some(id)) => {
            Command::Write(Box::new(Write { place, id, text: None, expects: expects(world)?, retry, by }))
        }
        _ => return Err(Reason::NotFound),
    };
    if !matches!(request.method.as_str(), "POST" | "PUT") && !sent.is_empty() {
        return Err(Reason::invalid("", "This call has no body."));
    }
    let asked = workspace::Command::Records(command);
    let workspace::Reply::Records(word) = world.ask::<Workspace>(workspace.as_str(), asked).await? else {
        return Err(Reason::Unavailable);
    };
    notes.workspace = Some(workspace.into());
    match word {
        Word::One(record) => {
            let etag = record.etag();
            let reply = match reading(&etag, world) {
                Reading::Whole => json(200, record.json()),
                Reading::Known => Reply::empty(304),
                Reading::Other => {
                    return Err(Reason::Conflict("This record is not the one that If-Match names.".to_owned()));
                }
            };
            Ok(reply.with("etag", etag))
        }
        Word::Page(records, more) => page(&records, more, &of, config),
        Word::Written(answer, was_done) => written(answer, was_done),
    }
}

fn json(status: u16, text: String) -> Reply {
    let mut reply = Reply::empty(status).with("content-type", "application/json");
    reply.body = Body::Json(text);
    reply
}

fn page(records: &[Record], more: bool, of: cursor::List, config: &Config) -> Result<Reply, Reason> {
    let items: Vec<String> = records.iter().map(Record::json).collect();
    let last = records.last().filter(|_| more);
    let place = last.map(|last| format!("{}.{}", last.created_at.0, last.id.as_str()));
    let next = place.map(|place| cursor::issue(&place, of, &config.ring)).transpose()?;
    let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
    Ok(json(200, format!("{{\"items\":[{}],\"next_cursor\":{next}}}", items.join(","))))
}

fn written(Answer { status, headers, body }: Answer, was_done: bool) -> Result<Reply, Reason> {
    let text = String::from_utf8(body.0).map_err(|_| Reason::Unreadable("record".to_owned()))?;
    let mut reply = if text.is_empty() { Reply::empty(status) } else { json(status, text) };
    if let Some((_, etag)) = headers.into_iter().find(|(name, _)| name == "etag") {
        reply = reply.with("etag", etag);
    }
    Ok(if was_done { reply.with("idempotent-replayed", "true") } else { reply })
}

/// The document that was sent.
fn document(sent: &[u8], world: &impl World) -> Result<String, Reason> {
    body::require_json(world)?;
    let text = std::str::from_utf8(sent).map_err(|_| Reason::invalid("", "The body is not well-formed UTF-8."))?;
    let unfit = |error: serde_json::Error| {
        let why = if error.is_data() {
            "The body must be a JSON object that has each member once, at every depth.".to_owned()
        } else {
            format!("The body is not well-formed JSON (line {}, column {}).", error.line(), error.column())
        };
        Reason::invalid("", &why)
    };
    Document::parse(text, &OURS).map(Document::into_text).map_err(unfit)
}

/// Where a page begins: `next_cursor` of the one before. One of an earlier version names a place of the caller's own collection too.
fn after(request: &Request, of: cursor::List, config: &Config) -> Result<Option<(Timestamp, RecordId)>, Reason> {
    let cursor = cursor::read(request.parameter("cursor")?, of, &config.ring)?;
    let Some(Cursor::Tagged(text) | Cursor::Plain(text)) = cursor else { return Ok(None) };
    let read = || {
        let (at, id) = text.split_once('.')?;
        let is_moment = at.len() <= 15 && at.bytes().all(|b| b.is_ascii_digit());
        Some((Timestamp(at.parse().ok().filter(|_| is_moment)?), RecordId::parse(id).ok()?))
    };
    read().map(Some).ok_or_else(stale_cursor)
}

/// The workspace whose records are meant: implied by a bound credential, which it must match; else it must be given.
fn workspace(admitted: &Admitted, request: &Request) -> Result<WorkspaceId, Reason> {
    let given = request.parameter("workspace")?.map(WorkspaceId::try_from).transpose()?;
    match (admitted.principal().workspace(), given) {
        (Some(bound), Some(given)) if *bound != given => Err(Reason::WrongWorkspace),
        (Some(bound), _) => Ok(bound.clone()),
        (None, given) => {
            let wanted = "A deploy key must say which workspace is meant.";
            given.ok_or_else(|| Reason::missing(Part::Parameter, "workspace", wanted))
        }
    }
}

/// The same for the environment.
fn environment(admitted: &Admitted, request: &Request) -> Result<Environment, Reason> {
    const RULE: &str = "Either live or test; a deploy key must say which.";
    let unfit = || Reason::invalid("environment", RULE);
    let given = request.parameter("environment")?;
    let given = given.map(|text| Environment::parse(&text).ok_or_else(unfit)).transpose()?;
    match (admitted.principal().environment(), given) {
        (Some(bound), Some(given)) if bound != given => Err(Reason::EnvironmentMismatch),
        (Some(bound), _) => Ok(bound),
        (None, given) => given.ok_or_else(|| Reason::missing(Part::Parameter, "environment", RULE)),
    }
}
