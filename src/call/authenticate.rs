//! How a credential in the headers becomes a principal: each kind asks its own object, once.

use super::{
    config::Config,
    log::Notes,
    network::{address, network_of},
    request::{Request, pairs},
};
use crate::{
    admission::{
        introspection::Asking,
        server_key::{AdmitKey, Needs},
        visit_refusals::Use,
    },
    audit::By,
    codec::kind::CredentialKind,
    credential::{DeployKey, Digest, Door, Verified},
    credentials,
    error::Reason,
    object::machine::World,
    principal::{self, Principal, authenticate, present},
    value::{id::Environment, origin::Origin},
};
use std::{
    future::{Future, ready},
    net::IpAddr,
    pin::Pin,
};

/// What the call is, as far as whoever believes must know.
#[derive(Clone)]
pub struct Call<'a> {
    /// The name of its route.
    pub name: String,
    /// What it needs; none: any credential of a kind that may.
    pub needs: Option<Needs>,
    /// Requests that it counts as; 0: it is not metered.
    pub cost: u32,
    /// Tokens that it may take at most; none: it is not counted in tokens.
    pub tokens: Option<u32>,
    /// Whether a permit that the isolate holds is enough: then it may come from a credential that has ended since.
    pub lease_allowed: bool,
    /// The request.
    pub request: &'a Request,
    /// The deployment.
    pub config: &'a Config,
}

/// Where a credential comes from, as far as that is known.
#[derive(Clone, Default)]
pub struct ClientOrigin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// From a browser, on a page of this origin; empty where that is no sound origin.
    pub browser: Option<String>,
    /// Who asks about it; none: it is presented here.
    pub asking: Option<Asking>,
}

impl ClientOrigin {
    /// Where the request itself comes from.
    pub fn of_request(config: &Config, world: &impl World) -> Self {
        Self { address: address(config, world), browser: browser(config, world), asking: None }
    }
}

/// Who calls, and whoever that is for the record.
pub async fn authenticate_call(
    verified: Verified,
    call: Call<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<(Principal, By), Reason> {
    let client_origin = ClientOrigin::of_request(call.config, world);
    believe_from(client_origin, verified, call, world, notes).await
}

/// The same of a credential that comes from elsewhere.
pub async fn believe_from(
    client_origin: ClientOrigin,
    verified: Verified,
    call: Call<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<(Principal, By), Reason> {
    ask(client_origin, &verified, Asked { call, is_ahead: false }, world, notes).await
}

/// Whether the caller would be believed, asked before the body is read: nothing is counted but a refusal. What comes back cannot act.
pub async fn check(
    verified: &Verified,
    call: Call<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<Principal, Reason> {
    let client_origin = ClientOrigin::of_request(call.config, world);
    ask(client_origin, verified, Asked { call, is_ahead: true }, world, notes).await.map(|(principal, _)| principal)
}

/// A call, and whether it is only asked what would become of it.
struct Asked<'a> {
    call: Call<'a>,
    is_ahead: bool,
}

/// What comes of asking: boxed, so that the module holds it once and not for each caller.
type Told<'a> = Pin<Box<dyn Future<Output = Result<(Principal, By), Reason>> + 'a>>;

fn ask<'a>(
    client_origin: ClientOrigin,
    verified: &'a Verified,
    asked: Asked<'a>,
    world: &'a impl World,
    notes: &'a mut Notes,
) -> Told<'a> {
    let (kind, environment, locator, digest, service) = match verified {
        Verified::DeployKey(key, ending) => {
            return Box::pin(believe_deploy_key(key.clone(), ending, client_origin, asked, world, notes));
        }
        Verified::ServerKey(key, digest) => {
            (CredentialKind::ServerKey, key.environment, &key.opaque.locator, *digest, None)
        }
        Verified::ServiceToken(token, digest, name) => {
            (CredentialKind::ServiceToken, token.environment, &token.opaque.locator, *digest, name.clone())
        }
        Verified::HistorySecret(_) | Verified::WidgetKey(_) => {
            return Box::pin(ready(Err(Reason::KindNotAllowed(verified.kind().as_str().to_owned()))));
        }
    };
    let opaque = principal::Opaque { kind, environment, locator: locator.clone() };
    Box::pin(believe_opaque(opaque, (digest, service), client_origin, asked, world, notes))
}

/// Refuses a credential that a call does not take. A server's that comes from a browser has leaked, wherever it was put: its
/// own object is told, and the answer says so.
pub async fn reject(verified: Verified, call: Call<'_>, world: &impl World, notes: &mut Notes) -> Reason {
    let client_origin = ClientOrigin::of_request(call.config, world);
    decline_from(client_origin, verified, call, world, notes).await
}

/// The same of a credential that comes from elsewhere.
pub async fn decline_from(
    client_origin: ClientOrigin,
    verified: Verified,
    call: Call<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Reason {
    let kind = verified.kind();
    let declined = Reason::KindNotAllowed(kind.as_str().to_owned());
    notes.kind = Some(kind.as_str());
    let is_servers =
        matches!(kind, CredentialKind::DeployKey | CredentialKind::ServerKey | CredentialKind::ServiceToken);
    if !is_servers || client_origin.browser.is_none() {
        return declined;
    }
    // Nobody is believed in a browser: what comes back says why not.
    believe_from(client_origin, verified, call, world, notes).await.err().unwrap_or(declined)
}

async fn believe_deploy_key(
    key: DeployKey,
    ending: &str,
    client_origin: ClientOrigin,
    Asked { call, is_ahead }: Asked<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<(Principal, By), Reason> {
    notes.credential = Some(key.id.as_str().to_owned());
    let config = call.config;
    let by = By {
        actor: format!("{}:{}", CredentialKind::DeployKey.as_str(), key.id),
        request_id: call.request.id.clone(),
        network: client_origin.address.map(network_of),
    };
    let text = Some(credentials::issue::deploy_text(&key, ending, config));
    let (text, ahead) = if is_ahead { (None, text) } else { (text, None) };
    let used = Use {
        id: key.id.clone(),
        by: by.clone(),
        call: call.name,
        deployment: config.deployment.clone(),
        text,
        browser: client_origin.browser,
        ahead,
    };
    let principal = authenticate(key, config.stage, used, world).await?;
    Ok((principal, by))
}

async fn believe_opaque(
    opaque: principal::Opaque,
    (digest, service): (Digest, Option<String>),
    client_origin: ClientOrigin,
    Asked { call, is_ahead }: Asked<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<(Principal, By), Reason> {
    let ClientOrigin { address, browser, asking } = client_origin;
    let network = address.map(network_of);
    let presented = AdmitKey {
        digest,
        needs: call.needs,
        service,
        address: address.map(|address| address.to_string()),
        network: network.clone(),
        browser,
        cost: if is_ahead { 0 } else { call.cost },
        request_id: call.request.id.clone(),
        lease_request: None,
        tokens: call.tokens,
        asking,
        ahead: is_ahead.then_some(call.cost),
    };
    let known = present(opaque, presented, call.lease_allowed, world).await?;
    notes.credential = Some(known.id.as_str().to_owned());
    notes.workspace = known.id.workspace().map(String::from);
    let principal = known.outcome.map_err(|(reason, facts)| {
        notes.facts = Some(facts);
        reason
    })?;
    let by = By { actor: principal.actor(), request_id: call.request.id.clone(), network };
    Ok((principal, by))
}

/// Whether a browser sends this, and from which page: empty where it does not say so soundly. `Sec-Fetch-Mode` alone proves
/// nothing: Node's `fetch` sends it.
fn browser(config: &Config, world: &impl World) -> Option<String> {
    let origin = world.header("origin");
    if origin.is_none() && world.header("sec-fetch-site").is_none() {
        return None;
    }
    Some(page(origin, config))
}

/// What is recorded of an `Origin`: a sound one in which nobody has hidden a credential, or nothing.
pub fn page(origin: Option<String>, config: &Config) -> String {
    let origin = origin.filter(|text| !config.door().is_like_credential(text));
    let origin = origin.and_then(|text| Origin::parse(&text, Environment::Test).ok());
    origin.map(|origin| origin.as_str().to_owned()).unwrap_or_default()
}

/// RFC 6750 §2.3 is not offered: what stands in a URL stands in logs.
pub fn refuse_credentials_in(query: &str, door: &Door, is_presented: bool) -> Result<(), Reason> {
    if query.is_empty() {
        return Ok(());
    }
    let is_one = |text: &str| door.is_like_credential(text) || door.holds_credential(text);
    let found =
        pairs(query).any(|(name, value)| name == "access_token" && is_presented || is_one(&value) || is_one(&name));
    if found { Err(Reason::invalid("query", CREDENTIAL_IN_URL)) } else { Ok(()) }
}

/// The same of a path that would go on.
pub fn refuse_credentials_in_path(path: &str, door: &Door) -> Result<(), Reason> {
    let found = path.split('/').any(|segment| door.holds_credential(segment));
    if found { Err(Reason::invalid("path", CREDENTIAL_IN_URL)) } else { Ok(()) }
}

const CREDENTIAL_IN_URL: &str =
    "A credential never belongs into a URL. Treat it as leaked, and send one in the Authorization header.";
