//! The keys of assertions as an isolate has them: fetched about once a minute from the deployment's object, opened when they
//! are to sign, made when one is due, and published at `/.well-known/jwks.json`.

use super::{
    sign::Signed,
    store::{Command, Mandate, Pair, SigningKey, signers},
};
use crate::{
    audit::{self, By},
    call::{config::Config, reply::Reply, request::Request},
    codec::time::Timestamp,
    crypto::{
        job::{self, Job},
        jwk::{self, Jwk, JwkSet},
        keyring::Purpose,
    },
    error::Reason,
    machines::deployment::{self, Deployment},
    object::machine::World,
    road::dispatch::Asked,
};
use serde::Serialize;
use std::{future::Future, pin::Pin, rc::Rc};
use zeroize::Zeroizing;

/// After this one request fetches the keys again, and the others go on with those that are known.
const REFRESH_SECONDS: u64 = 60;

/// After this nobody goes on with them.
const STALE_SECONDS: u64 = 600;

/// How long one request may take to fetch them until another one tries.
const PATIENCE_SECONDS: u64 = 5;

/// An isolate that knows no keys fetches them for strangers so many times a second: whatever comes, the object is not flooded.
const STRANGERS_PER_SECOND: u32 = 10;

/// How long others may remember the published keys. Not longer than an isolate does: one that was withdrawn is to be forgotten.
const CACHE_CONTROL: &str = "public, max-age=60";

/// AES-GCM's nonce (NIST SP 800-38D §8.2.1).
const NONCE_BYTES: usize = 12;

/// A road that is seldom taken, and stands in the module once: what is awaited in several places would be copied into each.
pub type Detour<'a, T> = Pin<Box<dyn Future<Output = Result<T, Reason>> + 'a>>;

/// What an isolate knows of the keys.
#[derive(Default)]
struct Memory {
    known: Option<Rc<Known>>,
    opened: Vec<Rc<PrivateKey>>,
    /// When somebody last went to fetch them again.
    tried_at: Timestamp,
    /// How many strangers had them fetched in the second that began then.
    strangers: (Timestamp, u32),
}

/// The keys as they were at a moment, and the document that publishes them.
struct Known {
    keys: Vec<SigningKey>,
    fetched_at: Timestamp,
    document: String,
}

/// A private key that was opened: it does not print, clone or serialize, and is wiped on drop.
pub struct PrivateKey {
    kid: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl PrivateKey {
    /// The name of the pair.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// PKCS #8, for the platform's cryptography to sign with, and for nobody else.
    pub fn private(&self) -> &[u8] {
        &self.bytes
    }
}

impl Memory {
    /// The keys, while they may be used; and whether this request is the one that fetches them again.
    fn look(&mut self, at: Timestamp) -> Option<(Rc<Known>, bool)> {
        let known = self.known.as_ref().filter(|known| is_within(known.fetched_at, STALE_SECONDS, at))?;
        if is_within(known.fetched_at, REFRESH_SECONDS, at) || is_within(self.tried_at, PATIENCE_SECONDS, at) {
            return Some((Rc::clone(known), false));
        }
        self.tried_at = at;
        Some((Rc::clone(known), true))
    }

    /// Whether a stranger may have them now: they are known here, or few others have had them fetched.
    fn admits_stranger(&mut self, at: Timestamp) -> bool {
        if self.known.as_ref().is_some_and(|known| is_within(known.fetched_at, STALE_SECONDS, at)) {
            return true;
        }
        let (since, count) = &mut self.strangers;
        if !is_within(*since, 1, at) {
            (*since, *count) = (at, 0);
        }
        *count += 1;
        *count <= STRANGERS_PER_SECOND
    }
}

/// Never where the clock stepped back behind `since`.
fn is_within(since: Timestamp, seconds: u64, at: Timestamp) -> bool {
    (since..since.plus_seconds(seconds)).contains(&at)
}

/// The key that signs at this moment.
pub fn signer<'a>(request: &'a Request, config: &'a Config, world: &'a impl World) -> Detour<'a, Rc<PrivateKey>> {
    Box::pin(async move {
        let known = current(request, config, world).await?;
        if let Some(key) = open(&known, config, world).await? {
            return Ok(key);
        }
        // All of them are damaged, or sealed under a root secret that opens nothing any more.
        let closed = known.keys.iter().map(|key| key.pair.kid.clone()).collect();
        let known = offer(closed, request, config, world).await?;
        open(&known, config, world).await?.ok_or(Reason::Unavailable)
    })
}

/// `GET /.well-known/jwks.json`: for anybody, so out of memory wherever that knows it.
pub async fn document(request: &Request, config: &Config, world: &impl World) -> Result<Reply, Reason> {
    let at = world.now();
    if !world.isolate().with(|memory: &mut Memory| memory.admits_stranger(at)) {
        return Err(Reason::Unavailable);
    }
    let known = current(request, config, world).await?;
    Ok(Reply::text(200, known.document.clone()).with("cache-control", CACHE_CONTROL))
}

#[derive(Serialize)]
struct Rotated<'a> {
    kid: &'a str,
    created_at: String,
    signs_from: String,
    published: Vec<&'a str>,
}

/// `POST /v1/assertion-keys/rotate`: another key, at once where the old ones are not to be kept.
pub async fn rotate(asked: &Asked<'_>, world: &impl World) -> Result<Reply, Reason> {
    let (_, mut fields) = asked.body()?;
    let keeps_old = fields.optional_flag("keep_old")?.unwrap_or(false);
    fields.finish()?;
    let (pair, private) = make(asked.config, world).await?;
    let mandate = Mandate { by: asked.by.clone(), deployment: asked.config.deployment.clone() };
    let known = ask(Command::Rotate(Box::new(pair), !keeps_old, mandate), asked.config, world).await?.0;
    let known = apply(known, Some(private), world)?;
    let key = known.keys.last().ok_or(Reason::Unavailable)?;
    let rotated = Rotated {
        kid: &key.pair.kid,
        created_at: key.made_at.rfc3339(),
        signs_from: key.signs_from.rfc3339(),
        published: known.keys.iter().map(|key| key.pair.kid.as_str()).collect(),
    };
    Reply::json(201, &rotated)
}

/// The keys: from memory, unless it is time to fetch them.
async fn current(request: &Request, config: &Config, world: &impl World) -> Result<Rc<Known>, Reason> {
    let at = world.now();
    match world.isolate().with(|memory: &mut Memory| memory.look(at)) {
        Some((known, false)) => Ok(known),
        Some((known, true)) => Ok(fetch(request, config, world).await.unwrap_or(known)),
        None => fetch(request, config, world).await,
    }
}

fn fetch<'a>(request: &'a Request, config: &'a Config, world: &'a impl World) -> Detour<'a, Rc<Known>> {
    Box::pin(async move {
        let (keys, is_due) = ask(Command::Fetch(config.ring.signing_id()?), config, world).await?;
        let closed = keys.iter().filter(|key| !config.ring.derives(key.pair.root)).map(|key| key.pair.kid.clone());
        let closed: Vec<String> = closed.collect();
        let is_lost = closed.len() == keys.len();
        if !is_due && !is_lost {
            return apply(keys, None, world);
        }
        match offer(closed, request, config, world).await {
            // The next key can wait a minute, while there is one that signs.
            Err(_) if !is_lost => apply(keys, None, world),
            answer => answer,
        }
    })
}

/// Makes a key pair and offers it: the answer holds it, or the one that came first.
fn offer<'a>(
    closed: Vec<String>,
    request: &'a Request,
    config: &'a Config,
    world: &'a impl World,
) -> Detour<'a, Rc<Known>> {
    Box::pin(async move {
        let (pair, private) = make(config, world).await?;
        let actor = audit::deployment(&config.deployment);
        let by = By { actor, request_id: request.id.clone(), network: None };
        let mandate = Mandate { by, deployment: config.deployment.clone() };
        let (keys, _) = ask(Command::Offer(Box::new(pair), closed, mandate), config, world).await?;
        apply(keys, Some(private), world)
    })
}

fn ask<'a>(command: Command, config: &'a Config, world: &'a impl World) -> Detour<'a, (Vec<SigningKey>, bool)> {
    Box::pin(async move {
        let command = deployment::Command::AssertionKeys(command);
        match world.ask::<Deployment>(&config.deployment, command).await? {
            deployment::Reply::AssertionKeys(answer) => Ok((answer.keys, answer.is_due)),
            _ => Err(Reason::Unavailable),
        }
    })
}

/// Remembers the keys, and of what was opened or signed by others nothing.
fn apply(keys: Vec<SigningKey>, private: Option<PrivateKey>, world: &impl World) -> Result<Rc<Known>, Reason> {
    let set = JwkSet { keys: keys.iter().map(|key| Jwk::es256(&key.pair.kid, &key.pair.x, &key.pair.y)).collect() };
    let document = serde_json::to_string(&set).map_err(|_| Reason::Unavailable)?;
    let known = Rc::new(Known { keys, fetched_at: world.now(), document });
    let is_published = |kid: &str| known.keys.iter().any(|key| key.pair.kid == kid);
    world.isolate().with(|memory: &mut Memory| {
        memory.opened.extend(private.map(Rc::new));
        memory.opened.retain(|key| is_published(&key.kid));
        memory.known = Some(Rc::clone(&known));
    });
    world.isolate().with(|signed: &mut Signed| signed.keep(is_published));
    Ok(known)
}

/// The first of the keys that may sign now and can be opened.
fn open<'a>(known: &'a Known, config: &'a Config, world: &'a impl World) -> Detour<'a, Option<Rc<PrivateKey>>> {
    Box::pin(async move {
        for SigningKey { pair, .. } in signers(&known.keys, world.now()) {
            let opened = |memory: &mut Memory| memory.opened.iter().find(|key| key.kid == pair.kid).cloned();
            if let Some(key) = world.isolate().with(opened) {
                return Ok(Some(key));
            }
            let secret = config.ring.derive(Purpose::AssertionKey, pair.root, &[pair.kid.as_bytes()]);
            let (Some(secret), Some((nonce, sealed))) = (secret, pair.sealed.split_at_checked(NONCE_BYTES)) else {
                continue;
            };
            let data = bound_to(&pair.kid, config);
            let job = Job::OpenAes256Gcm { key: &*secret, nonce, data: data.as_bytes(), sealed };
            let answer = Zeroizing::new(world.crypto(job).await?);
            match job::opened(&answer, "assertion key") {
                Ok(bytes) => {
                    let key = Rc::new(PrivateKey { kid: pair.kid.clone(), bytes: Zeroizing::new(bytes) });
                    world.isolate().with(|memory: &mut Memory| memory.opened.push(Rc::clone(&key)));
                    return Ok(Some(key));
                }
                Err(Reason::Unreadable(_)) => {}
                Err(reason) => return Err(reason),
            }
        }
        Ok(None)
    })
}

/// Makes a key pair, and seals its private part. The sealing key is the pair's own, so its nonce is the only one ever.
fn make<'a>(config: &'a Config, world: &'a impl World) -> Detour<'a, (Pair, PrivateKey)> {
    Box::pin(async move {
        let both = Zeroizing::new(world.crypto(Job::GenerateP256).await?);
        let (point, private) = both.split_at_checked(65).ok_or(Reason::Unavailable)?;
        let (x, y) = jwk::coordinates(point).ok_or(Reason::Unavailable)?;
        let (kid, root) = (jwk::thumbprint(&x, &y), config.ring.signing_id()?);
        let key = config.ring.derive(Purpose::AssertionKey, root, &[kid.as_bytes()]).ok_or(Reason::Unavailable)?;
        let random = world.random()?;
        let nonce = random.get(..NONCE_BYTES).ok_or(Reason::Unavailable)?;
        let data = bound_to(&kid, config);
        let job = Job::SealAes256Gcm { key: &*key, nonce, data: data.as_bytes(), plain: private };
        let sealed = [nonce, &world.crypto(job).await?].concat();
        let private = PrivateKey { kid: kid.clone(), bytes: Zeroizing::new(private.to_vec()) };
        Ok((Pair { kid, x, y, root, sealed }, private))
    })
}

/// What a sealed key belongs to: nothing of another deployment or stage opens here. None of the three has a line end.
fn bound_to(kid: &str, config: &Config) -> String {
    format!("{}\n{}\n{kid}", config.deployment, config.stage.as_str())
}
