//! The embedded records: JSON documents that the gateway serves by itself, where a route of the policy leads to them.

use super::{
    Notes, body, media, once,
    reply::{Body, Reply},
};
use crate::{
    audit::By,
    document::Document,
    error::{Part, Reason},
    id::{Environment, WorkspaceId},
    machine::World,
    meter::Admitted,
    policy::Route,
    registry::{
        kept::Answer,
        record_name::{Collection, RecordId},
        records::{Command, Expects, OURS, Place, Record, Reply as Word, Write},
        workspace::{self, Workspace},
    },
    request::Request,
    time::Timestamp,
};

/// Does what was admitted: the path says to what, the method says what.
pub async fn serve(
    admitted: &Admitted,
    route: &Route,
    sent: &[u8],
    by: By,
    request: &Request,
    world: &impl World,
    notes: &mut Notes,
) -> Result<Reply, Reason> {
    let (collection, id) = route.record(request.path()).ok_or(Reason::NotFound)?;
    let workspace = workspace(admitted, request)?;
    let place = Place { environment: environment(admitted, request)?, collection: Collection::parse(collection)? };
    let id = id.map(RecordId::parse).transpose()?;
    let retry = once::key(admitted, route, Some(sent), request, world)?;
    let command = match (request.method.as_str(), id) {
        ("GET" | "HEAD", Some(id)) => Command::Read(place, id),
        ("GET" | "HEAD", None) => Command::List(place, cursor(request)?, request.limit()?),
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
            let tag = record.etag();
            // Whoever has this version already is told so (RFC 9110 §15.4.5).
            let is_known = world.header("if-none-match").is_some_and(|tags| media::names_tag(&tags, &tag));
            let reply = if is_known { Reply::empty(304) } else { json(200, record.json()) };
            Ok(reply.with("etag", tag))
        }
        Word::Page(records, more) => Ok(page(&records, more)),
        Word::Written(answer, was_done) => written(answer, was_done),
    }
}

fn json(status: u16, text: String) -> Reply {
    let mut reply = Reply::empty(status).with("content-type", "application/json");
    reply.body = Body::Json(text);
    reply
}

fn page(records: &[Record], more: bool) -> Reply {
    let items: Vec<String> = records.iter().map(Record::json).collect();
    let last = records.last().filter(|_| more);
    let next = last.map_or("null".to_owned(), |last| format!("\"{}.{}\"", last.created_at.0, last.id.as_str()));
    json(200, format!("{{\"items\":[{}],\"next_cursor\":{next}}}", items.join(",")))
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

/// What must be there (RFC 9110 §13.1.1 and §13.1.2).
fn expects(world: &impl World) -> Result<Expects, Reason> {
    match (world.header("if-match"), world.header("if-none-match")) {
        (None, None) => Ok(Expects::Anything),
        (Some(tags), None) if tags.trim() == "*" => Ok(Expects::Something),
        (Some(tags), None) => Ok(Expects::OneOf(tags.split(',').map(|tag| tag.trim().to_owned()).collect())),
        (None, Some(tags)) if tags.trim() == "*" => Ok(Expects::Nothing),
        _ => Err(Reason::invalid("if-none-match", "A write takes If-Match, or If-None-Match: *, and not both.")),
    }
}

/// Where a page begins: `next_cursor` of the one before.
fn cursor(request: &Request) -> Result<Option<(Timestamp, RecordId)>, Reason> {
    let Some(text) = request.parameter("cursor")? else { return Ok(None) };
    let read = || {
        let (at, id) = text.split_once('.')?;
        let is_moment = at.len() <= 15 && at.bytes().all(|b| b.is_ascii_digit());
        Some((Timestamp(at.parse().ok().filter(|_| is_moment)?), RecordId::parse(id).ok()?))
    };
    read().map(Some).ok_or_else(|| Reason::invalid("cursor", "Use next_cursor of the page before."))
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
