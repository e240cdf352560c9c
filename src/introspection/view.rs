//! What whoever asks about a credential is told: the verdict, who it is, and by which steps. A hint of it, and never more.

use crate::{
    admission::server_key::Needs,
    call::{config::Config, log::Notes, reply::Reply},
    codec::time::Timestamp,
    credential::{CredentialKind, Verified, ending},
    error::{Reason, refusal::Refusal},
    limits::window::Quota,
    policy::Route,
    road::dispatch::{LimitShown, limit_shown},
    value::{
        id::{Environment, WorkspaceId},
        scope::Scope,
    },
};
use serde::Serialize;

/// What a genuine text says of itself.
pub struct Subject {
    /// Which kind.
    pub kind: CredentialKind,
    /// The workspace that it names.
    pub workspace: Option<WorkspaceId>,
    /// The environment that it names.
    pub environment: Option<Environment>,
    id: Option<String>,
    expires_at: Option<Timestamp>,
    hint: String,
}

impl Subject {
    /// Reads what can be told without asking anybody.
    pub fn of(verified: &Verified, text: &str, config: &Config) -> Self {
        let brand = &config.policy.brand;
        let of = |tag: &str, environment: Environment| format!("{brand}{tag}_{}_", environment.as_str());
        let (id, workspace, environment, expires_at, prefix) = match verified {
            Verified::DeployKey(key, _) => {
                let prefix = format!("{}:{}|{brand}_dk_", key.stage.as_str(), key.deployment);
                (Some(key.id.as_str()), None, None, Some(key.expires_at), prefix)
            }
            Verified::HistorySecret(secret) => {
                let (id, environment) = (&secret.conversation, secret.environment);
                let prefix = of("_hs", environment);
                (Some(id.as_str()), id.workspace(), Some(environment), Some(secret.expires_at), prefix)
            }
            Verified::WidgetKey(key) => {
                let prefix = of("_wk", key.environment);
                (Some(key.id.as_str()), key.id.workspace(), Some(key.environment), None, prefix)
            }
            Verified::ServerKey(key, _) => (None, None, Some(key.environment), None, of("", key.environment)),
            Verified::ServiceToken(token, ..) => {
                (None, None, Some(token.environment), None, of("_st", token.environment))
            }
        };
        let (id, hint) = (id.map(str::to_owned), format!("{prefix}…{}", ending(text)));
        Self { kind: verified.kind(), workspace, environment, id, expires_at, hint }
    }

    /// Whether only its object knows whose it is.
    pub fn is_opaque(&self) -> bool {
        matches!(self.kind, CredentialKind::ServerKey | CredentialKind::ServiceToken)
    }
}

/// What was decided, and all that was learnt on the way.
pub struct Verdict<'a> {
    /// Why not; none: it would be admitted.
    pub reason: Option<Reason>,
    /// What the text says; none where it proves nothing.
    pub subject: Option<Subject>,
    /// The route that was asked about, if there is one.
    pub route: Option<&'a Route>,
    /// The scope that was asked about.
    pub scope: Option<&'a Needs>,
    /// What the road noted.
    pub noted: Notes,
}

#[derive(Serialize)]
struct Answer<'a> {
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    principal: Option<PrincipalShown<'a>>,
    limits: Vec<LimitShown<'a>>,
    trace: [StepShown<'a>; 4],
}

#[derive(Serialize)]
struct PrincipalShown<'a> {
    kind: &'static str,
    id: &'a str,
    workspace: Option<String>,
    environment: Option<&'static str>,
    scopes: Vec<&'a str>,
    tier: Option<&'a str>,
    expires_at: Option<String>,
}

#[derive(Serialize)]
struct StepShown<'a> {
    step: &'static str,
    outcome: &'static str,
    compared: Compared<'a>,
}

/// What a step held against what; each has its own members.
#[derive(Default, Serialize)]
struct Compared<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepts: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holds: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u32>,
}

/// The steps, in their order.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    Parse,
    Authenticate,
    Authorize,
    Meter,
}

/// The step that said no.
fn refusing(reason: &Reason) -> Step {
    match reason {
        Reason::NotFound
        | Reason::InvalidRequest(..)
        | Reason::Missing(..)
        | Reason::Unknown(..)
        | Reason::AmbiguousCredential
        | Reason::HeaderTooLarge => Step::Parse,
        Reason::KindNotAllowed(_)
        | Reason::KindNotTaken(..)
        | Reason::InsufficientScope(_)
        | Reason::NoScopeOpens(_)
        | Reason::ReviewRequired
        | Reason::RouteNotServed(_)
        | Reason::NotConfigured(_) => Step::Authorize,
        Reason::RateLimited { .. } | Reason::TokensLimited { .. } | Reason::TokensTooMany(..) => Step::Meter,
        _ => Step::Authenticate,
    }
}

impl Verdict<'_> {
    /// The credential and its workspace, where whoever asks may know of them.
    pub fn about(&self) -> Option<(String, Option<String>)> {
        let subject = self.known()?;
        let workspace = subject.workspace.clone().map(String::from).or_else(|| self.noted.workspace.clone());
        Some((self.id(subject)?.to_owned(), workspace))
    }

    /// The answer.
    pub fn reply(&self) -> Result<Reply, Reason> {
        let (retry_after_millis, quotas): (_, [&[Quota]; 2]) = match &self.reason {
            Some(Reason::RateLimited { retry_after_millis, quotas }) => (Some(*retry_after_millis), [quotas, &[]]),
            Some(Reason::TokensLimited { retry_after_millis, quotas, tokens }) => {
                (Some(*retry_after_millis), [quotas, tokens])
            }
            _ => (None, [&self.noted.quotas, &[]]),
        };
        let answer = Answer {
            allowed: self.reason.is_none(),
            code: self.reason.as_ref().map(|reason| Refusal::from(reason).code.as_str()),
            retry_after: retry_after_millis.map(|millis| millis.div_ceil(1_000).max(1)),
            principal: self.principal(),
            limits: quotas.into_iter().flatten().map(limit_shown).collect(),
            trace: [Step::Parse, Step::Authenticate, Step::Authorize, Step::Meter].map(|step| self.step(step)),
        };
        Reply::json(200, &answer)
    }

    /// What the text says, where it is genuine and theirs who ask. Unknown and forged ones look alike; another workspace's
    /// says nothing.
    fn known(&self) -> Option<&Subject> {
        let hides = matches!(
            self.reason,
            Some(
                Reason::CredentialForged
                    | Reason::CredentialUnknown
                    | Reason::ServiceMismatch
                    | Reason::WrongWorkspace
                    | Reason::EnvironmentMismatch
            )
        );
        self.subject.as_ref().filter(|_| !hides)
    }

    fn id<'a>(&'a self, subject: &'a Subject) -> Option<&'a str> {
        subject.id.as_deref().or(self.noted.credential.as_deref())
    }

    fn scopes(&self) -> Vec<&str> {
        self.noted.facts.iter().flat_map(|facts| &facts.scopes).map(Scope::as_str).collect()
    }

    fn principal(&self) -> Option<PrincipalShown<'_>> {
        let subject = self.known()?;
        let facts = self.noted.facts.as_ref();
        Some(PrincipalShown {
            kind: subject.kind.as_str(),
            id: self.id(subject)?,
            workspace: self.about()?.1,
            environment: subject.environment.map(Environment::as_str),
            scopes: self.scopes(),
            tier: facts.and_then(|facts| facts.tier.as_deref()),
            expires_at: facts.and_then(|facts| facts.expires_at).or(subject.expires_at).map(Timestamp::rfc3339),
        })
    }

    fn step(&self, step: Step) -> StepShown<'_> {
        let refusing = self.reason.as_ref().map(refusing);
        let is_after_all = matches!(self.reason, Some(Reason::ReviewRequired | Reason::RouteNotServed(_)));
        // A kind that the route does not take is refused before anybody is asked about it.
        let is_unasked = matches!(self.reason, Some(Reason::KindNotAllowed(_) | Reason::KindNotTaken(..)))
            && self.noted.credential.is_none();
        let outcome = match refusing {
            Some(refusing) if refusing == step => "refused",
            Some(_) if is_unasked && step == Step::Authenticate => "skipped",
            Some(refusing) if refusing < step && !is_after_all => "skipped",
            _ => "passed",
        };
        let known = self.known().filter(|_| outcome != "skipped");
        let is_counted = known.is_some_and(Subject::is_opaque);
        let compared = match step {
            Step::Parse => Compared { route: self.route.map(Route::name), ..Compared::default() },
            Step::Authenticate => Compared {
                kind: known.map(|subject| subject.kind.as_str()),
                hint: known.map(|subject| subject.hint.as_str()),
                ..Compared::default()
            },
            Step::Authorize if known.is_some() => Compared {
                kind: known.map(|subject| subject.kind.as_str()),
                accepts: self.route.map(|route| route.accept.as_slice()),
                needs: Some(self.needs()),
                holds: Some(self.scopes()),
                ..Compared::default()
            },
            Step::Meter if known.is_some() => Compared { requests: Some(u32::from(is_counted)), ..Compared::default() },
            Step::Authorize | Step::Meter => Compared::default(),
        };
        StepShown { step: step.name(), outcome, compared }
    }

    fn needs(&self) -> Vec<&str> {
        let route = self.route.and_then(|route| route.scope.as_ref()).map(Scope::as_str);
        route.into_iter().chain(self.scope.map(|needs| needs.scope.as_str())).collect()
    }
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Authenticate => "authenticate",
            Self::Authorize => "authorize",
            Self::Meter => "meter",
        }
    }
}
