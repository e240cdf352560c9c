//! A running worker, called over HTTP: where it is, what it is called with, and what its refusals say to people.

use crate::{
    Answer, Failure,
    commands::{policy, variable},
    form::{self, Caller},
    misused, refused,
    table::plain,
};
use claviger::{codec::secret::Secret, value::origin};
use serde::Deserialize;
use serde_json::Value;
use std::{io, time::Duration};
use ureq::{
    Agent, Body, Error,
    http::{HeaderValue, Request, Response, header},
};
use zeroize::Zeroizing;

/// The worker delivers for at most 5 s before it answers; a slow network may take as long again, twice over.
const CALL_SECONDS: u64 = 20;
const CONNECT_SECONDS: u64 = 5;

/// A worker, and the credential to call it with.
pub struct Worker {
    agent: Agent,
    origin: String,
    key: Secret,
    authorization: HeaderValue,
}

/// Why a call has no good answer.
pub enum Fault {
    /// The worker said no.
    Refused {
        /// HTTP status.
        status: u16,
        /// What to tell people.
        line: String,
        /// The header `Retry-After`.
        retry_after_seconds: Option<u64>,
    },
    /// No answer, or none of a worker: for people.
    Silent(String),
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refused {
    code: String,
    error: String,
    fix: String,
    request_id: String,
}

impl Fault {
    /// Whether the same call may well succeed in a while.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Silent(_) | Self::Refused { status: 429 | 500.., .. })
    }

    /// How long the worker asks to wait.
    pub fn retry_after(&self) -> Duration {
        let Self::Refused { retry_after_seconds: Some(seconds), .. } = self else { return Duration::ZERO };
        Duration::from_secs(*seconds)
    }

    /// For people.
    pub fn line(&self) -> &str {
        let (Self::Refused { line, .. } | Self::Silent(line)) = self;
        line
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        refused(fault.line())
    }
}

impl Worker {
    /// The worker that `--url` or the environment names. Nothing is sent yet.
    pub fn parse(url: Option<String>) -> Answer<Self> {
        let url = url.map(Zeroizing::new).map_or_else(|| variable("CLAVIGER_URL"), |url| Ok(Some(url)))?;
        let url =
            url.ok_or_else(|| misused("Which worker? Set CLAVIGER_URL, or give --url: https://keys.example.com"))?;
        // It is not repeated: there may be a password in it.
        let unfit = || misused("The worker's URL is https://host or https://host:port, as browsers write an origin.");
        let origin = url.strip_suffix('/').unwrap_or(&url);
        let (scheme, host) = origin::split(origin).ok_or_else(unfit)?;
        let key = key()?;
        let (scheme_of_key, is_for_real) = form::caller(key.reveal()).ok_or_else(|| {
            let what = "CLAVIGER_KEY is neither a deploy key nor a server key, and was not sent.";
            misused(format!("{what} `claviger doctor` says what it is."))
        })?;
        if scheme == "http" && is_for_real && !origin::is_loopback(host) {
            let what = "Over http: everybody on the way could read a key of live data, and it was not sent.";
            return Err(misused(format!("{what} Use https:.")));
        }
        let scheme = match scheme_of_key {
            // What deploy keys are sent under is a setting of the policy.
            Caller::DeployKey => policy()?.deploy_schemes.into_iter().next().unwrap_or_else(|| "Convex".to_owned()),
            Caller::ServerKey => "Bearer".to_owned(),
        };
        let value = Zeroizing::new(format!("{scheme} {}", key.reveal()));
        let mut authorization = HeaderValue::from_str(&value).map_err(|_| unfit())?;
        authorization.set_sensitive(true);
        Ok(Self { agent: agent(), origin: origin.to_owned(), key, authorization })
    }

    /// `GET path?query`.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Zeroizing<String>, Fault> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let query = text.extend_pairs(query).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        let request = self.request("GET", &format!("{path}{mark}{query}"));
        self.answer(request.body(()).map_err(Error::from).and_then(|request| self.agent.run(request)), false)
    }

    /// `POST path`, with a JSON body and perhaps one more header.
    pub fn post(&self, path: &str, body: &Value, header: Option<(&str, &str)>) -> Result<Zeroizing<String>, Fault> {
        self.send("POST", path, body, header)
    }

    /// A call that changes something, with a JSON body unless that is `null`, and perhaps one more header.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        header: Option<(&str, &str)>,
    ) -> Result<Zeroizing<String>, Fault> {
        let request =
            header.into_iter().fold(self.request(method, path), |request, (name, value)| request.header(name, value));
        let sent = if body.is_null() {
            request.body(()).map_err(Error::from).and_then(|request| self.agent.run(request))
        } else {
            let request = request.header(header::CONTENT_TYPE, "application/json");
            request.body(body.to_string()).map_err(Error::from).and_then(|request| self.agent.run(request))
        };
        self.answer(sent, true)
    }

    fn request(&self, method: &str, path: &str) -> ureq::http::request::Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.origin));
        request.header(header::AUTHORIZATION, &self.authorization).header(header::ACCEPT, "application/json")
    }

    fn answer(&self, sent: Result<Response<Body>, Error>, changes: bool) -> Result<Zeroizing<String>, Fault> {
        let mut response = sent.map_err(|error| self.silence(&error, changes))?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let text = response.body_mut().read_to_string().map_err(|error| self.silence(&error, changes))?;
        let text = Zeroizing::new(text);
        if (200..300).contains(&status) && text.trim_start().starts_with('{') {
            return Ok(text);
        }
        let line = match serde_json::from_str::<Refused>(&text) {
            Ok(Refused { code, error, fix, request_id }) => {
                plain(&format!("{error} {fix} ({code}, request {request_id})"))
            }
            Err(_) => {
                let fix = "Check that the URL is the worker's own, and what stands before it.";
                format!("What answers at {} is no Claviger: status {status}. {fix}", self.origin)
            }
        };
        // What a worker says has no key in it; what only pretends to be one may.
        let line = line.replace(self.key.reveal(), "[redacted]");
        Err(Fault::Refused { status, line, retry_after_seconds: retry_after })
    }

    /// Nothing that can be read came back.
    fn silence(&self, error: &Error, changes: bool) -> Fault {
        let never_sent = match error {
            Error::HostNotFound | Error::ConnectionFailed | Error::Tls(_) | Error::Rustls(_) => true,
            Error::Io(error) => {
                // Neither has a kind of its own. Where the words change, the advice is only more careful.
                let text = error.to_string();
                let before =
                    ["failed to lookup address", "invalid peer certificate"].iter().any(|what| text.contains(what));
                before || error.kind() == io::ErrorKind::ConnectionRefused
            }
            Error::Timeout(stage) => matches!(stage, ureq::Timeout::Resolve | ureq::Timeout::Connect),
            _ => false,
        };
        let origin = &self.origin;
        Fault::Silent(if never_sent {
            let fix = "Is the worker running, and is the URL right?";
            format!("Nothing can be reached at {origin}: {error}. {fix}")
        } else if changes {
            let fix = "Look with `claviger credentials list` before you repeat it.";
            format!("No answer came from {origin}: {error}. Whether it was done is not known. {fix}")
        } else {
            format!("No answer came from {origin}: {error}. Try again.")
        })
    }
}

/// The credential to call with, from the environment alone.
fn key() -> Answer<Secret> {
    let missing = "CLAVIGER_KEY is not set. Put a deploy key, or a server key with the scopes that the call takes, into the environment.";
    let key = variable("CLAVIGER_KEY")?.ok_or_else(|| misused(missing))?;
    Ok(Secret::new((*key).clone()))
}

/// No proxy that the environment happens to name, and no redirect: the key goes to the worker that was named, or nowhere.
fn agent() -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_connect(Some(Duration::from_secs(CONNECT_SECONDS)))
        .timeout_global(Some(Duration::from_secs(CALL_SECONDS)))
        .user_agent(concat!("claviger/", env!("CARGO_PKG_VERSION")));
    config.build().new_agent()
}
