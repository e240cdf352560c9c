//! `/v1`: calls with a credential in the headers.

use super::route;
use crate::{
    admission::visit_refusals::Use,
    assertion,
    audit::By,
    call::{
        authenticate::{Call, authenticate_call, check, reject},
        body::{self, MAX_BYTES, Read},
        body_arrival::{Arrival, whose},
        config::Config,
        log::Notes,
        meter::{Admitted, meter, would_admit},
        reply::Reply,
        request::Request,
    },
    conversations,
    credential::CredentialKind,
    credentials, deploy_keys,
    error::{Part, Reason},
    identity, introspection,
    limits::window::Quota,
    object::machine::World,
    policy::{Action, authorize},
    value::{
        id::{CredentialId, Environment, WorkspaceId},
        scope::Scope,
    },
    workspaces,
    world::memory_budget::Holder,
};
use serde::Serialize;
use std::cell::Cell;

/// The environments that there are, for people.
pub const ENVIRONMENTS: &str = "Either live or test.";

/// A call that was admitted, and what it asks for.
pub struct Asked<'a> {
    /// The proof of the road behind it.
    pub admitted: &'a Admitted,
    /// The id in the path.
    pub id: &'a str,
    /// The request.
    pub request: &'a Request,
    /// The deployment.
    pub config: &'a Config,
    /// Who asks, for the record.
    pub by: By,
    /// The request's body, or why it cannot be read; none where it was not asked for, or taken already.
    body: Cell<Option<Read>>,
}

/// The whole road of a `/v1` call.
pub async fn call(
    action: Action,
    id: &str,
    request: &Request,
    config: &Config,
    world: &impl World,
    notes: &mut Notes,
) -> Result<Reply, Reason> {
    let door = config.door();
    let presented = door.in_headers(world)?;
    crate::call::authenticate::refuse_credentials_in(request.query(), &door, presented.is_some())?;
    let verified = presented.ok_or(Reason::CredentialMissing)?;
    notes.kind = Some(verified.kind().as_str());
    let needs = action.needs(verified.kind(), &config.policy);
    let closed = needs.as_ref().filter(|needs| needs.enough.is_empty()).map(|needs| needs.scope.clone());
    // Whoever finds a leaked key can always kill it.
    let cost = u32::from(action != Action::RevokeSelf);
    let lease_allowed = action.lease_allowed();
    let call = Call { name: route::name(action).to_owned(), needs, cost, tokens: None, lease_allowed, request, config };
    if action.admits(verified.kind()).is_err() {
        let taken = action.accepts().iter().map(|kind| kind.as_str());
        return Err(reject(verified, call, world, notes).await.among(taken));
    }
    let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
    let mut arrival = if is_read { Arrival::none() } else { Arrival::json(MAX_BYTES, request, world) };
    arrival.early(world).await;
    if arrival.is_expected() {
        let principal = check(&verified, call.clone(), world, notes).await?;
        let who = whose(&principal).into_owned();
        would_admit(authorize(principal, action, &config.policy)?)?;
        arrival.rest(Holder::Server, &who, world).await?;
    }
    let mut body = (!is_read).then(|| body::read(arrival.take()));
    // The one call that is not metered is sound before anybody is asked: so it comes once, and ends what it came with.
    if let Some(body) = body.take_if(|_| action == Action::RevokeSelf) {
        request.only(action.parameters())?;
        body?.1.finish()?;
    }
    let believed = authenticate_call(verified, call, world, notes).await;
    let authorized = believed.and_then(|(principal, by)| Ok((authorize(principal, action, &config.policy)?, by)));
    // Of a scope that the policy does not have, no credential can be made.
    let (permit, by) = authorized.map_err(|reason| match (reason, closed) {
        (Reason::InsufficientScope(_), Some(scope)) => Reason::NoScopeOpens(scope),
        (reason, _) => reason,
    })?;
    let admitted = meter(permit)?;
    admitted.quotas().clone_into(&mut notes.quotas);
    request.only(action.parameters())?;
    arrival.belongs_to(Holder::Server, &whose(admitted.principal()));
    let asked = Asked { admitted: &admitted, id, request, config, by, body: Cell::new(body) };
    let reply = act(&asked, world, notes).await?;
    Ok(reply.with_quotas(admitted.quotas(), world.now()))
}

async fn act(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    if let Some(id) = deploy_keys::api::named(asked)? {
        return deploy_keys::api::act(id, asked, world, notes).await;
    }
    match asked.admitted.action() {
        Action::Whoami => whoami(asked),
        Action::CreateWorkspace => workspaces::api::create(asked, world, notes).await,
        Action::ListWorkspaces => workspaces::api::list(asked, world).await,
        Action::ReadWorkspace => workspaces::api::read(asked, world, notes).await,
        Action::ChangeWorkspace => workspaces::api::change(asked, world, notes).await,
        Action::CreateCredential => credentials::api_create::create(asked, world, notes).await,
        Action::ListCredentials => credentials::api::list(asked, world, notes).await,
        Action::ReadCredential => credentials::api::read(asked, world, notes).await,
        Action::ChangeCredential => credentials::api::change(asked, world, notes).await,
        Action::RotateAssertionKey => assertion::key_cache::rotate(asked, world).await,
        Action::RotateCredential => credentials::api_rotate::rotate(asked, world, notes).await,
        Action::RevokeCredential => credentials::api::revoke(asked, world, notes).await,
        Action::FinishRotation => credentials::api_rotate::finish(asked, world, notes).await,
        Action::ReadUsage => credentials::api_usage::read(asked, world, notes).await,
        Action::RevokeSelf => credentials::api::revoke_self(asked, world).await,
        Action::CreateIdentitySecret => identity::api::create(asked, world, notes).await,
        Action::ListIdentitySecrets => identity::api::list(asked, world, notes).await,
        Action::RevokeCredentials => credentials::api_revoke_many::revoke(asked, world, notes).await,
        Action::RevokeIdentitySecret => identity::api::revoke(asked, world, notes).await,
        Action::ListConversations => conversations::api::list(asked, world, notes).await,
        Action::ReadMessages => conversations::api::read(asked, world, notes).await,
        Action::Reply => conversations::api::reply(asked, world, notes).await,
        Action::DeleteConversation => conversations::api::delete(asked, world, notes).await,
        Action::ReadAudit => workspaces::api_audit::list(asked, world, notes).await,
        Action::ExportAudit => workspaces::api_audit::export(asked, world, notes).await,
        Action::VerifyAudit => workspaces::api_audit::verify(asked, world, notes).await,
        Action::Verify => introspection::api_verify::verify(asked, world, notes).await,
        Action::CloseConversation
        | Action::Forward(_)
        | Action::OpenConversation
        | Action::ReadHistory
        | Action::RotateHistorySecret
        | Action::Write => Err(Reason::NotFound),
    }
}

impl Asked<'_> {
    /// The body, once: it was read before anybody was believed.
    pub fn body(&self) -> Read {
        self.body.take().unwrap_or(Err(Reason::Unavailable))
    }

    /// The parameter `name` of the query.
    pub fn query(&self, name: &str) -> Result<Option<String>, Reason> {
        self.request.parameter(name)
    }

    /// The parameter `limit` of the query: 1 to 100, 50 where it is missing.
    pub fn limit(&self) -> Result<usize, Reason> {
        self.request.limit()
    }

    /// The workspace that is meant: implied by a bound credential, which it must match; otherwise it must be given.
    pub async fn workspace(&self, given: Option<String>, world: &impl World) -> Result<WorkspaceId, Reason> {
        let given = given.map(WorkspaceId::try_from).transpose()?;
        match (self.admitted.principal().workspace(), given) {
            (Some(bound), Some(given)) if *bound != given => Err(Reason::WrongWorkspace),
            (Some(bound), _) => Ok(bound.clone()),
            (None, Some(given)) => self.known(given, world).await,
            (None, None) => {
                let part =
                    if matches!(self.request.method.as_str(), "GET" | "HEAD") { Part::Parameter } else { Part::Member };
                Err(Reason::missing(part, "workspace", "A deploy key must say which workspace is meant."))
            }
        }
    }

    /// The workspace that an id names, and that there is; one of another workspace is not there for a bound credential.
    pub async fn workspace_of(&self, named: Option<WorkspaceId>, world: &impl World) -> Result<WorkspaceId, Reason> {
        self.known(self.reaches(named)?, world).await
    }

    async fn known(&self, id: WorkspaceId, world: &impl World) -> Result<WorkspaceId, Reason> {
        workspaces::api_known::workspace(id, self.admitted.principal(), &self.config.deployment, world).await
    }

    /// The workspace that an id names, whether there is one or not; not another one than a bound credential's own.
    pub fn reaches(&self, named: Option<WorkspaceId>) -> Result<WorkspaceId, Reason> {
        let named = named.ok_or(Reason::NotFound)?;
        if let Some(given) = self.query("workspace")?
            && given != named.as_str()
        {
            return Err(Reason::NotFound);
        }
        match self.admitted.principal().workspace() {
            Some(bound) if *bound != named => Err(Reason::NotFound),
            _ => Ok(named),
        }
    }

    /// The environment that is meant: a bound credential's own, which `given` must match; else what is given, or both.
    pub fn environment(&self, given: Option<String>) -> Result<Option<Environment>, Reason> {
        let given =
            given.map(|text| Environment::parse(&text).ok_or_else(|| Reason::invalid("environment", ENVIRONMENTS)));
        self.own_environment(given.transpose()?)
    }

    /// The same of one that was read already.
    pub fn own_environment(&self, given: Option<Environment>) -> Result<Option<Environment>, Reason> {
        match (self.admitted.principal().environment(), given) {
            (Some(bound), Some(given)) if bound != given => Err(Reason::EnvironmentMismatch),
            (Some(bound), _) => Ok(Some(bound)),
            (None, given) => Ok(given),
        }
    }

    /// Whether a bound credential may reach what is of this environment.
    pub fn within(&self, environment: Environment) -> Result<(), Reason> {
        match self.admitted.principal().environment() {
            Some(bound) if bound != environment => Err(Reason::EnvironmentMismatch),
            _ => Ok(()),
        }
    }

    /// Who did it, for the record: `<kind>:<id>`.
    pub fn actor(&self) -> String {
        self.by.actor.clone()
    }

    /// This call, as told to the object of the deploy key that it is about.
    pub fn about(&self, id: &CredentialId) -> Use {
        let call = route::name(self.admitted.action()).to_owned();
        let deployment = self.config.deployment.clone();
        Use { id: id.clone(), by: self.by.clone(), call, deployment, text: None, browser: None, ahead: None }
    }
}

#[derive(Serialize)]
struct Whoami<'a> {
    kind: &'static str,
    id: &'a str,
    workspace: Option<&'a str>,
    environment: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<&'a str>,
    scopes: Vec<&'a str>,
    tier: Option<&'a str>,
    expires_at: Option<String>,
    limits: Vec<LimitShown<'a>>,
}

/// A limit as it stands.
#[derive(Serialize)]
pub struct LimitShown<'a> {
    name: &'a str,
    limit: u32,
    window_seconds: u32,
    remaining: u32,
    reset_at: String,
}

/// Shows a limit.
pub fn limit_shown(quota: &Quota) -> LimitShown<'_> {
    LimitShown {
        name: &quota.limit.name,
        limit: quota.limit.limit,
        window_seconds: quota.limit.window_seconds,
        remaining: quota.remaining,
        reset_at: quota.reset_at.rfc3339(),
    }
}

fn whoami(asked: &Asked<'_>) -> Result<Reply, Reason> {
    let principal = asked.admitted.principal();
    let is_deploy_key = principal.kind() == CredentialKind::DeployKey;
    let body = Whoami {
        kind: principal.kind().as_str(),
        id: principal.id().as_str(),
        workspace: principal.workspace().map(WorkspaceId::as_str),
        environment: principal.environment().map(|environment| environment.as_str()),
        stage: is_deploy_key.then_some(asked.config.stage.as_str()),
        deployment: is_deploy_key.then_some(asked.config.deployment.as_str()),
        scopes: principal.scopes().iter().map(Scope::as_str).collect(),
        tier: principal.tier(),
        expires_at: principal.expires_at().map(|at| at.rfc3339()),
        limits: asked.admitted.quotas().iter().map(limit_shown).collect(),
    };
    Reply::json(200, &body)
}
