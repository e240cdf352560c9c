//! The decision about a call of the policy's routes: one and the same for whoever forwards it, and for whoever only asks.

use super::{
    authenticate::{Call, ClientOrigin, believe_from, check, decline_from},
    body_arrival::whose,
    config::Config,
    log::Notes,
    meter::{Admitted, meter, would_admit},
    request::Request,
};
use crate::{
    audit::By,
    credential::{CredentialKind, Door, Verified},
    error::Reason,
    object::machine::World,
    policy::{Route, authorize_route},
};

/// A call that is to be decided: the request itself, or one that somebody asks about.
pub struct RouteCall<'a> {
    /// Its method, as it was sent.
    pub method: &'a str,
    /// Its path, as it was sent.
    pub path: &'a str,
    /// Its query, without the `?`.
    pub query: &'a str,
    /// Where it comes from.
    pub client_origin: ClientOrigin,
    /// The request that is answered, for the record.
    pub request: &'a Request,
    /// The deployment.
    pub config: &'a Config,
}

/// How the credential of a call is read, once its route is known.
pub type Presents<'a> = dyn FnMut(&Door, &Route) -> Result<Option<Verified>, Reason> + 'a;

/// What a call takes beside itself.
#[derive(Default)]
pub struct Cost {
    /// Tokens that it may take at most; none: it is not counted in tokens.
    pub tokens: Option<u32>,
    /// Whether a permit that the isolate holds is enough.
    pub lease_allowed: bool,
}

/// A call whose route takes the kind of credential that came. Nobody was believed yet.
pub struct MatchedRoute<'a> {
    /// Its route.
    pub route: &'a Route,
    number: usize,
    verified: Verified,
}

impl<'a> RouteCall<'a> {
    /// The request itself.
    pub fn of_request(request: &'a Request, config: &'a Config, world: &impl World) -> Self {
        let (method, path, query) = (request.method.as_str(), request.path(), request.query());
        Self { method, path, query, client_origin: ClientOrigin::of_request(config, world), request, config }
    }

    /// The route, and the credential that `present` reads; a kind that the route does not take is declined. The path comes
    /// first: what has no route is not there, whatever came with it.
    pub async fn find(
        &self,
        present: &mut Presents<'_>,
        world: &impl World,
        notes: &mut Notes,
    ) -> Result<MatchedRoute<'a>, Reason> {
        let policy = &self.config.policy;
        let number = policy.route(self.method, self.path).ok_or(Reason::NotFound)?;
        let route = policy.routes.get(number).ok_or(Reason::NotFound)?;
        notes.route = Some(match notes.route.take() {
            Some(asked) => format!("{asked} for {}", route.name()).into(),
            None => route.name().into(),
        });
        notes.dialect = route.errors;
        let door = self.config.door();
        let presented = present(&door, route)?;
        super::authenticate::refuse_credentials_in(self.query, &door, presented.is_some())?;
        super::authenticate::refuse_credentials_in_path(self.path, &door)?;
        let missing =
            || route.own_header.map_or(Reason::CredentialMissing, |own| Reason::CredentialMissingIn(own.to_owned()));
        let verified = presented.ok_or_else(missing)?;
        notes.kind = Some(verified.kind().as_str());
        let found = MatchedRoute { route, number, verified };
        if route.admits(found.verified.kind()).is_err() {
            let call = self.call(&found, Cost::default());
            let declined = decline_from(self.client_origin.clone(), found.verified, call, world, notes).await;
            // Kinds of later versions are read in a policy, and made by nobody yet.
            let taken = route.accept.iter().map(String::as_str).filter(|name| CredentialKind::parse(name).is_some());
            return Err(declined.among(taken));
        }
        Ok(found)
    }

    /// Whether the call would be admitted, asked before its body is read; and for whom that is then held. Nothing is counted but a
    /// refusal.
    pub async fn check(
        &self,
        found: &MatchedRoute<'a>,
        world: &impl World,
        notes: &mut Notes,
    ) -> Result<String, Reason> {
        let call = self.call(found, Cost::default());
        let principal = check(&found.verified, call, world, notes).await?;
        let who = whose(&principal).into_owned();
        would_admit(authorize_route(principal, found.number, &self.config.policy)?)?;
        Ok(who)
    }

    /// Believes whoever calls, authorizes and meters: one hop.
    pub async fn admit(
        &self,
        found: MatchedRoute<'a>,
        cost: Cost,
        world: &impl World,
        notes: &mut Notes,
    ) -> Result<(Admitted, By), Reason> {
        let call = self.call(&found, cost);
        let (principal, by) = believe_from(self.client_origin.clone(), found.verified, call, world, notes).await?;
        let permit = authorize_route(principal, found.number, &self.config.policy)?;
        // Whoever only asks is told who it is, also where the limit says no.
        notes.facts = self.client_origin.asking.is_some().then(|| permit.principal().facts());
        let admitted = meter(permit)?;
        notes.quotas = admitted.quotas().to_vec();
        Ok((admitted, by))
    }

    fn call(&self, found: &MatchedRoute, Cost { tokens, lease_allowed }: Cost) -> Call<'a> {
        let (name, needs) = (found.route.name(), found.route.needs(found.verified.kind(), &self.config.policy));
        Call { name, needs, cost: 1, tokens, lease_allowed, request: self.request, config: self.config }
    }
}

/// Whoever only asks is no way around a person's approval: the write itself must come here.
pub fn refuse_reviewed(route: &Route) -> Result<(), Reason> {
    if route.review { Err(Reason::ReviewRequired) } else { Ok(()) }
}
