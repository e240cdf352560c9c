//! `POST /v1/verify`: whether a credential would be admitted, for an origin that asks instead of being fronted.
//!
//! It is the road itself without its last step: what is asked about is counted and recorded as if it had come here. An asker
//! that is bound to a workspace and an environment learns nothing of what is not theirs.

use super::view::{Subject, Verdict};
use crate::{
    admission::{introspection::Asking, server_key::Needs},
    call::{
        authenticate::{Call, ClientOrigin, believe_from, page},
        body::{Fields, required},
        config::Config,
        decide::{Cost, RouteCall, refuse_reviewed},
        log::Notes,
        network::network_of,
        reply::Reply,
    },
    codec::{kind::CredentialKind, secret::Secret},
    credential::{Door, Verified, WidgetKey},
    error::{Part, Reason},
    gateway::api::unserved,
    machines::credential::{self, Credential, WidgetOperation},
    object::machine::World,
    policy::Route,
    principal::{Caller, visit},
    road::dispatch::Asked,
};
use std::net::IpAddr;

/// What is asked.
struct Question {
    credential: Secret,
    service: Option<String>,
    /// Method, and path with its query.
    call: Option<(String, String)>,
    scope: Option<Needs>,
    /// What the call takes: nobody tells of it later, so all of it counts as used.
    tokens: Option<u32>,
    origin: Option<String>,
    address: Option<IpAddr>,
}

impl Question {
    fn read(mut fields: Fields, config: &Config) -> Result<Self, Reason> {
        let credential =
            required("credential", fields.optional_token("credential")?, "The text of the credential, as it came.")?;
        let service = fields.optional_text("service", 200)?;
        let call = match (
            fields.optional_text("method", 40)?,
            fields.optional_text("path", crate::call::request::MAX_HEADER_BYTES)?,
        ) {
            (None, None) => None,
            (Some(method), Some(path)) if path.starts_with('/') => Some((method, path)),
            (Some(_), None) => return Err(Reason::missing(Part::Member, "path", "It goes with `method`.")),
            (None, Some(_)) => return Err(Reason::missing(Part::Member, "method", "It goes with `path`.")),
            _ => return Err(Reason::invalid("path", "A path from its first slash on, with its query.")),
        };
        let scope = match fields.optional_text("scope", 64)? {
            None => None,
            Some(scope) => {
                let enough = config.policy.satisfying(&scope);
                if enough.is_empty() {
                    return Err(Reason::invalid("scope", &config.policy.no_such_scope(&scope)));
                }
                Some(Needs { scope, enough })
            }
        };
        let tokens = fields.optional_number("tokens", 0, u64::from(u32::MAX))?;
        let tokens = tokens.and_then(|tokens| u32::try_from(tokens).ok());
        let origin = fields.optional_text("origin", 2_048)?;
        let address = match fields.optional_text("address", 64)?.map(|text| text.parse::<IpAddr>()) {
            None => None,
            Some(Ok(address)) => Some(address.to_canonical()),
            Some(Err(_)) => return Err(Reason::invalid("address", "One IPv4 or IPv6 address.")),
        };
        fields.finish()?;
        let question = Self { credential, service, call, scope, tokens, origin, address };
        match question.route(config) {
            Some(route) if route.tokens.is_some() && question.tokens.is_none() => {
                let wanted = "This route is counted in tokens: say how many the call takes.";
                Err(Reason::missing(Part::Member, "tokens", wanted))
            }
            _ => Ok(question),
        }
    }
}

impl Question {
    /// The route of the call that is asked about, if one is.
    fn route<'a>(&self, config: &'a Config) -> Option<&'a Route> {
        let (method, path) = self.call.as_ref()?;
        let number = config.policy.route(method, path.split('?').next()?)?;
        config.policy.routes.get(number)
    }
}

/// `POST /v1/verify`.
pub async fn verify(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let (_, fields) = asked.body()?;
    let question = Question::read(fields, asked.config)?;
    let (mut inner, mut subject) = (Notes::default(), None);
    let decided = decide(&question, asked, &mut subject, world, &mut inner).await;
    let reason = match decided {
        Ok(()) => None,
        // That is no answer about the credential: whoever asks may ask again.
        Err(
            reason @ (Reason::Unavailable | Reason::Unreadable(_) | Reason::ObjectFailed | Reason::DeliveryPending),
        ) => {
            return Err(reason);
        }
        Err(reason) => Some(reason),
    };
    let route = question.route(asked.config);
    let verdict = Verdict { reason, subject, route, scope: question.scope.as_ref(), noted: inner };
    if let Some((id, workspace)) = verdict.about() {
        (notes.target, notes.workspace) = (Some(id), workspace);
    }
    verdict.reply()
}

/// The decision: nothing where it is yes. What is learnt of the credential goes into `subject` and `notes`.
async fn decide(
    question: &Question,
    asked: &Asked<'_>,
    subject: &mut Option<Subject>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<(), Reason> {
    // It goes to the parser of its kind, which keeps nothing of it.
    if question.credential.reveal().len() > crate::call::request::MAX_HEADER_BYTES {
        return Err(Reason::HeaderTooLarge);
    }
    let asker = asked.admitted.principal();
    let asking = Asking {
        workspace: asker.workspace().cloned(),
        environment: asker.environment(),
        scope: question.scope.clone().filter(|_| question.call.is_some()),
    };
    let mut present = |door: &Door| {
        let verified = door.bare(&question.credential, question.service.clone())?;
        let found = subject.insert(Subject::of(&verified, question.credential.reveal(), asked.config));
        // Whose it is, only its object knows of some kinds.
        if !found.is_opaque() {
            asking.reaches(found.workspace.as_ref(), found.environment)?;
        }
        Ok(Some(verified))
    };
    let browser = question.origin.clone().map(|origin| page(Some(origin), asked.config));
    let (request, config) = (asked.request, asked.config);
    let Some((method, target)) = &question.call else {
        let verified = present(&config.door())?.ok_or(Reason::CredentialMissing)?;
        let client_origin = ClientOrigin { address: question.address, browser, asking: Some(asking) };
        return alone(verified, question, client_origin, asked, world, notes).await;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let client_origin = ClientOrigin { address: question.address, browser, asking: Some(asking.clone()) };
    let case = RouteCall { method, path, query, client_origin, request, config };
    let found = case.find(&mut |door, _| present(door), world, notes).await?;
    let route = found.route;
    // Admitted, and nothing acts on it.
    let cost = Cost { tokens: question.tokens, lease_allowed: false };
    let (admitted, _) = case.admit(found, cost, world, notes).await?;
    settle(question, admitted.principal().object(), asked, world).await?;
    refuse_reviewed(route)?;
    match unserved(route) {
        Some(what) => Err(Reason::RouteNotServed(what.to_owned())),
        None => Ok(()),
    }
}

/// Whether a credential is genuine and lives, and has the scope that is asked for, if one is.
async fn alone(
    verified: Verified,
    question: &Question,
    client_origin: ClientOrigin,
    asked: &Asked<'_>,
    world: &impl World,
    notes: &mut Notes,
) -> Result<(), Reason> {
    let kind = verified.kind();
    let principal = match verified {
        // What is safe in a browser has no scope, and never will.
        Verified::WidgetKey(_) | Verified::HistorySecret(_) if question.scope.is_some() => {
            return Err(Reason::KindNotAllowed(kind.as_str().to_owned()));
        }
        Verified::WidgetKey(key) => {
            asked.config.widget()?;
            return on_page(key, question, asked, world).await;
        }
        // It opens nothing alone, and which widget key stood beside it nobody has said.
        Verified::HistorySecret(_) => return Err(Reason::KindNotAllowed(kind.as_str().to_owned())),
        server => {
            let needs = question.scope.clone().filter(|_| kind != CredentialKind::DeployKey);
            let name = crate::road::route::name(asked.admitted.action()).to_owned();
            let call = Call {
                name,
                needs,
                cost: 1,
                tokens: question.tokens,
                lease_allowed: false,
                request: asked.request,
                config: asked.config,
            };
            believe_from(client_origin, server, call, world, notes).await?.0
        }
    };
    notes.facts = Some(principal.facts());
    let (principal, metered) = principal.into_metered();
    notes.quotas = metered?;
    settle(question, principal.object(), asked, world).await
}

/// Nobody tells of the answer: all that the call may take counts as used.
async fn settle(question: &Question, object: &str, asked: &Asked<'_>, world: &impl World) -> Result<(), Reason> {
    let Some(tokens) = question.tokens.filter(|tokens| *tokens > 0) else { return Ok(()) };
    let settle = credential::Command::Settle(asked.request.id.clone(), Some(tokens));
    world.ask::<Credential>(object, settle).await.map(drop)
}

/// A widget key is good on the pages that it lists; where no page is named, it is only whether it lives.
async fn on_page(key: WidgetKey, question: &Question, asked: &Asked<'_>, world: &impl World) -> Result<(), Reason> {
    let network = question.address.map(network_of).unwrap_or_default();
    let request_id = asked.request.id.clone();
    let caller = Caller { key, history: None, origin: question.origin.clone(), network, request_id };
    visit(caller, WidgetOperation::Ask, world).await?.outcome.map(drop)
}
