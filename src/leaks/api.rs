//! `POST /v1/leaks/github`: GitHub found texts that look like credentials of ours. What is genuine and lives, ends.

use super::{
    github::{self, Finding},
    store::{Found, Leak},
};
use crate::{
    admission::{server_key::object_name, visit_refusals::Use},
    audit::By,
    call::{
        config::Config,
        log::Notes,
        network::{address, network_of},
        reply::Reply,
        request::Request,
    },
    codec::kind::CredentialKind,
    conversations::{self, store::Conversation},
    credential::{DeployKey, Digest, HistorySecret, Kind as _, Opaque, ServiceToken, Verified, digest, ending},
    credentials,
    deploy_keys::{self, store::Seen},
    error::Reason,
    machines::{
        credential::{self, Credential},
        deployment::{self, Deployment},
        workspace::{self, Workspace},
    },
    object::machine::World,
    road::route::Route,
    value::id::Environment,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// Who acts, as the audit names it.
const ACTOR: &str = "github:secret-scanning";

/// The longest URL that is recorded.
const MAX_URL_BYTES: usize = 300;

/// Texts that are seen to at once.
const AT_ONCE: usize = 25;

/// One of them on its way.
type Seeing<'a> = Pin<Box<dyn Future<Output = Result<bool, Reason>> + 'a>>;

/// What came of one text, as GitHub takes it: never the text itself.
#[derive(Serialize)]
struct Verdict<'a> {
    token_hash: &'a str,
    token_type: &'a str,
    label: &'static str,
}

/// The whole road of a report: no credential is believed here, and GitHub by its signature alone.
pub async fn call(request: &Request, config: &Config, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    crate::call::authenticate::refuse_credentials_in(request.query(), &config.door(), false)?;
    let report = github::vouched(request, config, world).await?;
    let by =
        By { actor: ACTOR.to_owned(), request_id: request.id.clone(), network: address(config, world).map(network_of) };
    // The text is hashed, which is all that goes back.
    let hashes: Vec<String> = report.findings().iter().map(|found| hex(&digest(found.token.reveal()))).collect();
    // What lies in many places is seen to once.
    let mut known = BTreeMap::new();
    let firsts: Vec<usize> =
        hashes.iter().enumerate().map(|(at, hash)| *known.entry(hash.clone()).or_insert(at)).collect();
    let mut seen_to = Vec::new();
    for slice in report.findings().chunks(AT_ONCE) {
        let start = seen_to.len();
        let see_to = |(at, finding)| {
            let is_first = firsts.get(start + at) == Some(&(start + at));
            let grace_seconds = config.policy.leak_grace_seconds;
            let found = Found { by: by.clone(), url: url_of(finding, config), grace_seconds };
            let seeing = async move { if is_first { end(finding, found, config, world).await } else { Ok(false) } };
            Box::pin(seeing) as Seeing
        };
        seen_to.extend(all(slice.iter().enumerate().map(see_to).collect()).await);
    }
    // All were seen to, whatever became of one. Where one is undecided GitHub reports again, and what ended stays ended.
    let genuine = seen_to.into_iter().collect::<Result<Vec<bool>, Reason>>()?;
    if report.findings().iter().any(|finding| is_like_identity_secret(finding, config)) {
        notes.kind = Some("identity_secret");
    }
    let verdicts: Vec<Verdict> = report
        .findings()
        .iter()
        .zip(hashes.iter().zip(&firsts))
        .filter(|(finding, _)| !is_like_identity_secret(finding, config))
        .map(|(finding, (hash, first))| Verdict {
            token_hash: hash,
            token_type: &finding.token_type,
            label: if genuine.get(*first) == Some(&true) { "true_positive" } else { "false_positive" },
        })
        .collect();
    Reply::json(200, &verdicts)
}

/// Waits for all of them at once: each is asked again whenever anything has come, since nothing wakes anybody here.
async fn all(mut waiting: Vec<Seeing<'_>>) -> Vec<Result<bool, Reason>> {
    let mut came: Vec<_> = waiting.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (one, place) in waiting.iter_mut().zip(came.iter_mut()).filter(|(_, place)| place.is_none()) {
            if let Poll::Ready(outcome) = one.as_mut().poll(context) {
                *place = Some(outcome);
            }
        }
        if came.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    came.into_iter().flatten().collect()
}

/// Ends what was found, if it is genuine and lives; whether it is genuine. What is not costs nobody anything.
async fn end(finding: &Finding, found: Found, config: &Config, world: &impl World) -> Result<bool, Reason> {
    // It goes to the parsers of the kinds alone.
    let text = finding.token.reveal();
    let Some(verified) = verify(text, config) else { return Ok(false) };
    let ended = match verified {
        Verified::DeployKey(key, ending) => end_deploy_key(&key, &ending, found, config, world).await,
        Verified::HistorySecret(secret) => end_history_secret(&secret, found, world).await,
        Verified::ServerKey(key, digest) => {
            end_opaque((CredentialKind::ServerKey, key.environment, key.opaque), digest, found, world).await
        }
        Verified::ServiceToken(token, digest, _) => {
            end_opaque((CredentialKind::ServiceToken, token.environment, token.opaque), digest, found, world).await
        }
        // Public by nature: every page that has the widget shows one.
        Verified::WidgetKey(_) => Ok(false),
    };
    match ended {
        // Whoever has a root secret can make a check or a tag, and no credential.
        Err(Reason::NotFound | Reason::CredentialUnknown) => Ok(false),
        ended => ended,
    }
}

/// An identity secret says nothing of whose it is, and has no check: only every workspace there is could tell it from what
/// somebody made up, and a stranger must not make us ask them all. So nothing is said of it, and the log line tells of it.
fn is_like_identity_secret(finding: &Finding, config: &Config) -> bool {
    // Its beginning is looked at, which is no secret.
    let rest = finding.token.reveal().strip_prefix(config.policy.brand.as_str());
    rest.is_some_and(|rest| rest.starts_with("_is_"))
}

/// The credential that a text is by itself. Scanners may find a deploy key without the place that stands before it.
fn verify(text: &str, config: &Config) -> Option<Verified> {
    let (brand, ring) = (&config.policy.brand, &config.ring);
    let here = format!("{}:{}|{text}", config.stage.as_str(), config.deployment);
    for whole in [text, &here] {
        if let Some(Ok(key)) = DeployKey::verify(whole, brand, ring) {
            return Some(Verified::DeployKey(key, ending(whole).to_owned()));
        }
    }
    if let Some(token) = ServiceToken::verify(text, brand, ring) {
        return token.ok().map(|token| Verified::ServiceToken(token, digest(text), None));
    }
    config.door().in_path(text).ok()
}

/// Its own object says whose secret it is, and its workspace, which keeps the digests too, ends it.
async fn end_opaque(
    (kind, environment, opaque): (CredentialKind, Environment, Opaque),
    digest: Digest,
    found: Found,
    world: &impl World,
) -> Result<bool, Reason> {
    let name = object_name(kind, environment, &opaque.locator);
    let credential::Reply::Identified(id) =
        world.ask::<Credential>(&name, credential::Command::Identify(digest)).await?
    else {
        return Err(Reason::Unavailable);
    };
    let Some(id) = id else { return Ok(false) };
    let workspace = id.workspace().ok_or(Reason::NotFound)?;
    let leaked = workspace::Command::Leaked(Leak { id, digest, found });
    match world.ask::<Workspace>(workspace.as_str(), leaked).await? {
        workspace::Reply::Leaked(is_genuine) => Ok(is_genuine),
        _ => Err(Reason::Unavailable),
    }
}

/// One of another stage or deployment is genuine, and can only be ended there.
async fn end_deploy_key(
    key: &DeployKey,
    ending: &str,
    found: Found,
    config: &Config,
    world: &impl World,
) -> Result<bool, Reason> {
    if (key.stage, &key.deployment) != (config.stage, &config.deployment) {
        return Ok(true);
    }
    let text = credentials::issue::deploy_text(key, ending, config);
    let seen = Seen { id: key.id.clone(), text, used_at: None, sighting: None };
    let leaked = deploy_keys::store::Command::Leaked(seen, Box::new(found.clone()), config.deployment.clone());
    let leaked = deployment::Command::DeployKeys(Box::new(leaked));
    let deployment::Reply::DeployKeys(deploy_keys::store::Reply::Leaked(ends_for_good)) =
        world.ask::<Deployment>(&config.deployment, leaked).await?
    else {
        return Err(Reason::Unavailable);
    };
    if ends_for_good {
        let used = Use {
            id: key.id.clone(),
            by: found.by.clone(),
            call: Route::Leaks.name().to_owned(),
            deployment: config.deployment.clone(),
            text: None,
            browser: None,
            ahead: None,
        };
        let revoke = credential::Command::RevokeDeployKey(Some(used), Some(found.why()), Some(found));
        world.ask::<Credential>(key.id.as_str(), revoke).await?;
    }
    Ok(true)
}

async fn end_history_secret(secret: &HistorySecret, found: Found, world: &impl World) -> Result<bool, Reason> {
    let leaked = conversations::store::Command::Leaked(secret.generation, found);
    world.ask::<Conversation>(secret.conversation.as_str(), leaked).await.map(|_| true)
}

/// Where it was found, as far as that may be recorded: an address of the web without its query, and without anything like a
/// secret. A chain forgets nothing, and whoever pushed the file chose its name.
fn url_of(finding: &Finding, config: &Config) -> Option<String> {
    let url = finding.url.split(['?', '#']).next()?;
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let is_sound = url.len() <= MAX_URL_BYTES
        && !host.is_empty()
        && host.bytes().all(is_host)
        && path.bytes().all(|b| b.is_ascii_graphic());
    (is_sound && !config.door().is_like_secret(url)).then(|| url.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
