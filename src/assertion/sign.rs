//! The assertion: who is asking, as a token that the upstream can check by itself (`Claviger-Assertion`).
//!
//! It is signed at most every 30 seconds for equal facts, and looked up otherwise. Without a key to sign with, nothing goes out.

use super::key_cache::Detour;
use crate::{
    assertion,
    call::{config::Config, request::Request},
    codec::time::Timestamp,
    crypto::{job::Job, jws},
    error::Reason,
    object::machine::World,
    principal::Principal,
    value::{id::WorkspaceId, scope::Scope},
};
use serde::Serialize;

/// The life of an assertion, from `iat` to `exp`: it is made for a call that goes out at once.
pub const LIFE_SECONDS: u64 = 60;

/// How long one is used again for the same facts: so it always has half its life before it.
const REUSE_MILLIS: u64 = 30_000;

/// Credentials whose assertions an isolate remembers, at most.
const MOST: usize = 1_000;

/// What kind of token it is (RFC 8725 §3.11): so that no other one that is ever signed here passes for an assertion.
pub const TYPE: &str = "claviger-assertion+jwt";

/// RFC 7519 §4.1; `scope` as RFC 8693 §4.2 has it. What the principal has not is left out.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: u64,
    exp: u64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// The assertions that an isolate has signed: the last one of each credential, in the order of their ids.
#[derive(Default)]
pub struct Signed(Vec<Made>);

/// One of them, and what it depends on.
struct Made {
    id: String,
    at: Timestamp,
    kid: String,
    kind: &'static str,
    environment: Option<&'static str>,
    scopes: Vec<Scope>,
    audience: String,
    text: String,
}

impl Made {
    /// A clock that stepped back finds none: what was signed in the future says so.
    fn is_fresh(&self, at: Timestamp) -> bool {
        self.at <= at && at.millis_since(self.at) < REUSE_MILLIS
    }

    fn says(&self, principal: &Principal, audience: &str) -> bool {
        self.kind == principal.kind().as_str()
            && self.environment == environment(principal)
            && self.scopes == principal.scopes()
            && self.audience == audience
    }
}

impl Signed {
    fn find(&self, principal: &Principal, audience: &str, at: Timestamp) -> Option<String> {
        let made = self.0.get(self.place(principal.id().as_str()).ok()?)?;
        (made.is_fresh(at) && made.says(principal, audience)).then(|| made.text.clone())
    }

    fn place(&self, id: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|made| made.id.as_str().cmp(id))
    }

    fn remember(&mut self, made: Made) {
        if self.0.len() >= MOST {
            self.0.retain(|known| known.is_fresh(made.at));
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        match self.place(&made.id) {
            Ok(place) => {
                if let Some(known) = self.0.get_mut(place) {
                    *known = made;
                }
            }
            Err(place) => self.0.insert(place, made),
        }
    }

    /// Forgets what was signed by keys that are not published any more.
    pub fn keep(&mut self, is_published: impl Fn(&str) -> bool) {
        self.0.retain(|made| is_published(&made.kid));
    }
}

/// The assertion about this principal for `audience`, the origin of the upstream.
pub async fn assert(
    principal: &Principal,
    audience: &str,
    request: &Request,
    config: &Config,
    world: &impl World,
) -> Result<String, Reason> {
    let at = world.now();
    if let Some(text) = world.isolate().with(|signed: &mut Signed| signed.find(principal, audience, at)) {
        return Ok(text);
    }
    sign(principal, audience, request, config, world).await
}

/// The longer way, twice a minute at most.
fn sign<'a>(
    principal: &'a Principal,
    audience: &'a str,
    request: &'a Request,
    config: &'a Config,
    world: &'a impl World,
) -> Detour<'a, String> {
    Box::pin(async move {
        let at = world.now();
        let key = assertion::key_cache::signer(request, config, world).await?;
        let scopes: Vec<&str> = principal.scopes().iter().map(Scope::as_str).collect();
        let iat = at.0 / 1_000;
        let claims = Claims {
            iss: &config.origin,
            aud: audience,
            sub: principal.id().as_str(),
            iat,
            exp: iat.saturating_add(LIFE_SECONDS),
            kind: principal.kind().as_str(),
            workspace: principal.workspace().map(WorkspaceId::as_str),
            environment: environment(principal),
            scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
        };
        let unsigned = jws::unsigned(TYPE, key.kid(), &claims).ok_or(Reason::Unavailable)?;
        let signature = world.crypto(Job::SignP256 { key: key.private(), message: unsigned.as_bytes() }).await?;
        let text = jws::signed(&unsigned, &signature).ok_or(Reason::Unavailable)?;
        let made = Made {
            id: principal.id().as_str().to_owned(),
            at,
            kid: key.kid().to_owned(),
            kind: principal.kind().as_str(),
            environment: environment(principal),
            scopes: principal.scopes().to_vec(),
            audience: audience.to_owned(),
            text: text.clone(),
        };
        world.isolate().with(|signed: &mut Signed| signed.remember(made));
        Ok(text)
    })
}

fn environment(principal: &Principal) -> Option<&'static str> {
    principal.environment().map(|environment| environment.as_str())
}

#[cfg(test)]
mod tests {
    use super::{MOST, Made, REUSE_MILLIS, Signed};
    use crate::codec::time::Timestamp;

    fn made(id: usize, at: u64) -> Made {
        Made {
            id: format!("sk_{id:05}"),
            at: Timestamp(at),
            kid: "k".to_owned(),
            kind: "server_key",
            environment: None,
            scopes: Vec::new(),
            audience: String::new(),
            text: String::new(),
        }
    }

    #[test]
    fn an_isolate_remembers_so_many_and_forgets_what_is_over_first() {
        let mut signed = Signed::default();
        // In any order, each once.
        (0..2 * MOST).for_each(|turn| signed.remember(made(turn * 7 % MOST, u64::from(turn >= MOST / 2))));
        assert_eq!(signed.0.len(), MOST);
        assert!(signed.0.is_sorted_by(|one, next| one.id < next.id));
        // Those that are over make room.
        let mut signed = Signed::default();
        (0..MOST).for_each(|id| signed.remember(made(id, u64::from(id >= 10))));
        signed.remember(made(MOST, REUSE_MILLIS));
        assert_eq!(signed.0.len(), MOST - 10 + 1);
        // And where none is, all of them.
        (0..10).for_each(|id| signed.remember(made(MOST + 1 + id, REUSE_MILLIS)));
        assert!((1..=10).contains(&signed.0.len()), "{}", signed.0.len());
    }
}
