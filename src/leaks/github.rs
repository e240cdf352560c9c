//! What GitHub says, believed by its signature: the keys that it publishes, and the report of what it found.

use crate::{
    call::{body::MAX_BYTES, body_arrival::Arrival, config::Config, request::Request},
    codec::{p256_der, secret::Secret, time::Timestamp, work},
    crypto::job::{Job, is_good},
    error::Reason,
    json::{Member, Members},
    object::machine::World,
    world::{
        fetch::{Reach, Wanted},
        memory_budget::Holder,
    },
};

/// Where GitHub publishes its keys.
const KEYS_URL: &str = "https://api.github.com/meta/public_keys/secret_scanning";
const MAX_KEYS_BYTES: u32 = 64 * 1_024;
const MAX_KEYS_MILLIS: u32 = 5_000;

/// Keys that are remembered, of those that are published.
const MAX_KEYS: usize = 32;

/// They are not fetched again before this, whoever names a key that nobody knows: ten minutes.
const FLOOR_SECONDS: u64 = 600;
/// The same where nothing came of it.
const FAILED_FLOOR_SECONDS: u64 = 60;
/// And are not believed for longer than this: a day.
const CEILING_SECONDS: u64 = 86_400;

/// Findings in one report.
const MAX_FINDINGS: usize = 500;

/// A public key, by its name.
pub type Key = (String, [u8; 65]);

/// What an isolate knows of the keys.
#[derive(Default)]
struct Known {
    keys: Vec<Key>,
    fetched_at: Option<Timestamp>,
    /// Not before then.
    again_at: Option<(Timestamp, Timestamp)>,
}

/// What GitHub found: the proof that it said so. Only [`vouched`] makes one.
pub struct Report(Vec<Finding>);

/// One text that was found.
pub struct Finding {
    /// The text.
    pub token: Secret,
    /// What GitHub calls it.
    pub token_type: String,
    /// Where.
    pub url: String,
}

impl Report {
    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }
}

/// The report in the request's body. Nothing of it is read before its signature was verified, over its bytes as they came.
pub async fn vouched(request: &Request, config: &Config, world: &impl World) -> Result<Report, Reason> {
    let header = |name| world.header(name).ok_or(Reason::SignatureInvalid);
    let (id, signature) = (header("github-public-key-identifier")?, header("github-public-key-signature")?);
    // Of two lines of one name no text here is made: they arrive joined by a comma.
    let signature = p256_der::p256_signature(&signature).ok_or(Reason::SignatureInvalid)?;
    let is_name = (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    let key = if is_name { key(&id, config, world).await? } else { None };
    let key = key.ok_or(Reason::SignatureInvalid)?;
    if world.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Reason::UnsupportedMediaType);
    }
    // Nobody can be asked who sends it: its signature is over all of it.
    let mut arrival = Arrival::plain(MAX_BYTES, request, world);
    arrival.rest(Holder::Report, "", world).await?;
    let body = arrival.take()?;
    let verify = Job::VerifyP256 { key: &key, message: &body, signature: &signature };
    if !is_good(&world.crypto(verify).await?) {
        return Err(Reason::SignatureInvalid);
    }
    findings(&body).map(Report)
}

/// The key of this name: remembered, or fetched now where that may be.
async fn key(id: &str, config: &Config, world: &impl World) -> Result<Option<[u8; 65]>, Reason> {
    let at = world.now();
    let look = |known: &Known| known.keys.iter().find(|(name, _)| name == id).map(|(_, key)| *key);
    let (found, is_fresh, may_ask) = world.isolate().with(|known: &mut Known| {
        // A clock that stepped back keeps nothing alive, and nobody out.
        let is_within = |from: Timestamp, until: Timestamp| from <= at && at < until;
        let is_fresh = known.fetched_at.is_some_and(|from| is_within(from, from.plus_seconds(CEILING_SECONDS)));
        let found = look(known).filter(|_| is_fresh);
        let may_ask = found.is_none() && !known.again_at.is_some_and(|(from, until)| is_within(from, until));
        if may_ask {
            // Said before anything comes: of many requests at once, one asks.
            known.again_at = Some((at, at.plus_seconds(FAILED_FLOOR_SECONDS)));
        }
        (found, is_fresh, may_ask)
    });
    if !may_ask {
        // Nothing can be said about a signature while no key is known.
        return if found.is_some() || is_fresh { Ok(found) } else { Err(Reason::Unavailable) };
    }
    let (url, reach) = match &config.github_keys_url {
        Some(url) => (url.as_str(), Reach::Configured),
        None => (KEYS_URL, Reach::Public),
    };
    let wanted = Wanted { url, reach, max_bytes: MAX_KEYS_BYTES, max_millis: MAX_KEYS_MILLIS };
    let came = world.fetch(wanted).await?;
    let keys = Some(came).filter(|came| came.status == 200).map(|came| keys(&came.body)).unwrap_or_default();
    if keys.is_empty() {
        return Err(Reason::Unavailable);
    }
    Ok(world.isolate().with(|known: &mut Known| {
        let again_at = Some((at, at.plus_seconds(FLOOR_SECONDS)));
        *known = Known { keys, fetched_at: Some(at), again_at };
        look(known)
    }))
}

/// The keys that GitHub publishes. One of a form that is not known here is left out: another may be the one that signs.
pub fn keys(body: &[u8]) -> Vec<Key> {
    let published = std::str::from_utf8(body).ok().and_then(|text| Members::parse(text).ok());
    let Some(Member::List(list)) = published.and_then(|mut members| members.take("public_keys")) else {
        return Vec::new();
    };
    let read = |entry| {
        let Member::Object(mut entry) = entry else { return None };
        match (entry.take("key_identifier"), entry.take("key")) {
            (Some(Member::Text(id)), Some(Member::Text(pem))) => Some((id, p256_der::p256_point(&pem)?)),
            _ => None,
        }
    };
    list.into_iter().filter_map(read).take(MAX_KEYS).collect()
}

/// What a report says. GitHub may say more than is read here.
pub fn findings(body: &[u8]) -> Result<Vec<Finding>, Reason> {
    let unfit = |why: &str| Reason::invalid("", why);
    work::charge(body.len());
    let read = std::str::from_utf8(body).ok().and_then(|text| serde_json::from_str(text).ok());
    let list = match read {
        Some(Member::List(list)) => list,
        Some(Member::Texts(texts)) if texts.is_empty() => Vec::new(),
        _ => return Err(unfit("A list of what was found, in JSON.")),
    };
    if list.len() > MAX_FINDINGS {
        return Err(unfit(&format!("At most {MAX_FINDINGS} at once.")));
    }
    let read = |entry| {
        let Member::Object(mut entry) = entry else { return None };
        let Some(Member::Text(token)) = entry.take("token") else { return None };
        let token = Secret::new(token);
        let Some(Member::Text(token_type)) = entry.take("type") else { return None };
        let url = match entry.take("url") {
            Some(Member::Text(url)) => url,
            None | Some(Member::Null) => String::new(),
            _ => return None,
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let is_sound = (1..=100).contains(&token_type.len()) && token_type.bytes().all(is_name);
        is_sound.then_some(Finding { token, token_type, url })
    };
    let read = list.into_iter().map(read).collect::<Option<_>>();
    read.ok_or_else(|| {
        unfit("Each with a `token`, a `type` of at most 100 of A-Z, a-z, 0-9, `_`, `-` and `.`, and a `url`.")
    })
}
