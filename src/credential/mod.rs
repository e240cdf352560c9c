//! Who is asking. One file per kind of credential, each with the same shape: [`Kind`].

mod anywhere;
mod deploy_key;
mod history_secret;
mod identity;
mod identity_secret;
mod opaque;
mod server_key;
mod service_token;
mod signed;
mod widget_key;

pub use deploy_key::{DeployKey, MAX_LIFE_SECONDS};
pub use history_secret::HistorySecret;
pub use identity::Identity;
pub use identity_secret::IdentitySecret;
pub use opaque::{Digest, Opaque, digest};
pub use server_key::ServerKey;
pub use service_token::ServiceToken;
pub use widget_key::WidgetKey;

pub use crate::codec::kind::CredentialKind;

use crate::{
    call::request::pairs,
    codec::{secret::Secret, work},
    crypto::keyring::KeyRing,
    error::Reason,
    object::machine::World,
    value::id::Environment,
};

/// The shape of every kind. `Self` is the credential with its tag verified, and nothing known of its life yet.
pub trait Kind: Sized {
    /// `None`: the text is of another kind. `Some(Err)`: of this kind, and broken or forged. Touches no storage.
    fn verify(text: &str, brand: &str, ring: &KeyRing) -> Option<Result<Self, Reason>>;

    /// The text that its holder sees once.
    fn issue(&self, brand: &str, ring: &KeyRing) -> Result<Secret, Reason>;
}

/// A credential whose tag or check is genuine. The set is closed on purpose.
#[derive(Debug)]
pub enum Verified {
    /// Administration of one stage, with the last characters of the text, for people.
    DeployKey(DeployKey, String),
    /// One conversation.
    HistorySecret(HistorySecret),
    /// A customer's server, with the digest of the whole text.
    ServerKey(ServerKey, Digest),
    /// A service of the operator's own, with the digest of the whole text and the name that stands beside it.
    ServiceToken(ServiceToken, Digest, Option<String>),
    /// The widget of one workspace.
    WidgetKey(WidgetKey),
}

impl Verified {
    /// Which kind.
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::DeployKey(..) => CredentialKind::DeployKey,
            Self::HistorySecret(_) => CredentialKind::HistorySecret,
            Self::ServerKey(..) => CredentialKind::ServerKey,
            Self::ServiceToken(..) => CredentialKind::ServiceToken,
            Self::WidgetKey(_) => CredentialKind::WidgetKey,
        }
    }
}

/// What credentials are verified against.
pub struct Door<'a> {
    /// The root secrets.
    pub ring: &'a KeyRing,
    /// What every credential starts with.
    pub brand: &'a str,
    /// The `Authorization` schemes of deploy keys, beside `Bearer` for all else.
    pub deploy_schemes: &'a [String],
}

impl Door<'_> {
    /// The credential in the headers: exactly one, in one header, once; `None` where there is none at all.
    pub fn in_headers(&self, world: &impl World) -> Result<Option<Verified>, Reason> {
        self.in_header(None, world)
    }

    /// The same, of the one header that is ours, where the policy names one: then the others are nothing to us.
    pub fn in_header(&self, own: Option<&str>, world: &impl World) -> Result<Option<Verified>, Reason> {
        let header = |name: &str| own.is_none_or(|own| own == name).then(|| world.header(name)).flatten();
        let authorization = header("authorization");
        let api_key = header("x-api-key");
        let service_token = header("x-service-token");
        match (authorization, api_key, service_token) {
            (None, None, None) => Ok(None),
            (Some(authorization), None, None) => {
                let authorization = Secret::new(authorization);
                self.authorization(once(&authorization)?).map(Some)
            }
            (None, Some(key), None) => {
                let key = Secret::new(key);
                match self.bearer(once(&key)?)? {
                    // A history secret is a bearer token and nothing else.
                    Verified::HistorySecret(_) => Err(Reason::CredentialMalformed),
                    verified => Ok(Some(verified)),
                }
            }
            (None, None, Some(token)) => {
                let token = Secret::new(token);
                self.service_token(once(&token)?, world.header("x-service-name")).map(Some)
            }
            _ => Err(Reason::AmbiguousCredential),
        }
    }

    /// The credential in a path segment.
    pub fn in_path(&self, text: &str) -> Result<Verified, Reason> {
        self.bearer(text)
    }

    /// A bare credential, read as the header of its kind would be; `service` stands beside a service token.
    pub fn bare(&self, text: &Secret, service: Option<String>) -> Result<Verified, Reason> {
        let text = once(text)?;
        if let Some(key) = DeployKey::verify(text, self.brand, self.ring) {
            return key.map(|key| Verified::DeployKey(key, ending(text).to_owned()));
        }
        match ServiceToken::verify(text, self.brand, self.ring) {
            Some(token) => beside(service, token, text),
            None => self.bearer(text),
        }
    }

    /// Whether `text` looks like one of our credentials, in any case, or holds one; it never belongs into a URL's query. One pass,
    /// whatever the text: anybody can send it.
    pub fn is_like_credential(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        work::charge(text.len());
        let start = text.rsplit_once('|').map_or(0, |(place, _)| place.len() + 1);
        let mut runs = None;
        // Each brand is found by what must follow it: so one that overlaps another is found too.
        text.match_indices('_').any(|(at, _)| {
            work::charge(self.brand.len() + TAGS.len());
            let brand_at = text.get(..at).and_then(|before| before.strip_suffix(self.brand)).map(str::len);
            let rest = text.get(at + 1..).unwrap_or_default();
            let tag = TAGS.iter().find(|(tag, _)| rest.starts_with(tag));
            let (Some(brand_at), Some((tag, characters))) = (brand_at, tag) else { return false };
            // Within a longer text, ids and names of workspaces may hold as much as a tag.
            brand_at == start || {
                let runs = runs.get_or_insert_with(|| Runs::of(&text));
                runs.last(*characters).is_some_and(|last| at + 1 + tag.len() <= last)
            }
        })
    }

    /// The same, or anything as long as a key of 32 bytes: what no name of a thing and no public path has to hold.
    pub fn is_like_secret(&self, text: &str) -> bool {
        let is_like = |text: &str| self.is_like_credential(text) || last_run(text, SECRET_CHARACTERS).is_some();
        // Percent-encoded it is as much of a secret.
        is_like(text) || pairs(text).any(|(name, value)| is_like(&name) || is_like(&value))
    }

    /// `<scheme> <credential>` with exactly one space (RFC 9110 §11.4); the scheme in any case, and bound to the kind.
    fn authorization(&self, value: &str) -> Result<Verified, Reason> {
        let (scheme, token) = value.split_once(' ').ok_or(Reason::CredentialMalformed)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.bearer(token);
        }
        if self.deploy_schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
            let key = DeployKey::verify(token, self.brand, self.ring).ok_or(Reason::CredentialMalformed)?;
            return key.map(|key| Verified::DeployKey(key, ending(token).to_owned()));
        }
        Err(Reason::CredentialMalformed)
    }

    /// The token of a service, beside its name.
    fn service_token(&self, text: &str, name: Option<String>) -> Result<Verified, Reason> {
        let token = ServiceToken::verify(text, self.brand, self.ring).unwrap_or(Err(Reason::CredentialMalformed));
        beside(name, token, text)
    }

    fn bearer(&self, token: &str) -> Result<Verified, Reason> {
        if let Some(key) = ServerKey::verify(token, self.brand, self.ring) {
            return Ok(Verified::ServerKey(key?, digest(token)));
        }
        if let Some(key) = WidgetKey::verify(token, self.brand, self.ring) {
            return key.map(Verified::WidgetKey);
        }
        if let Some(secret) = HistorySecret::verify(token, self.brand, self.ring) {
            return secret.map(Verified::HistorySecret);
        }
        Err(Reason::CredentialMalformed)
    }
}

/// What stands behind the brand in a credential, and how many characters follow at least.
const TAGS: [(&str, usize); 7] = [
    ("dk_", SECRET_CHARACTERS),
    ("hs_", SECRET_CHARACTERS),
    ("is_", SECRET_CHARACTERS),
    ("wk_", SECRET_CHARACTERS),
    ("st_", OPAQUE_CHARACTERS),
    ("live_", OPAQUE_CHARACTERS),
    ("test_", OPAQUE_CHARACTERS),
];

/// Locator, secret and check.
const OPAQUE_CHARACTERS: usize = 32;

/// 32 bytes in base64url: a root secret, or the tag of a credential.
const SECRET_CHARACTERS: usize = 43;

/// A service token beside one name. Two header lines of one name arrive joined by a comma.
fn beside(name: Option<String>, token: Result<ServiceToken, Reason>, text: &str) -> Result<Verified, Reason> {
    if name.as_deref().is_some_and(|name| name.contains(',')) {
        return Err(Reason::AmbiguousCredential);
    }
    Ok(Verified::ServiceToken(token?, digest(text), name))
}

/// The four characters by which people tell two credentials apart.
pub fn ending(text: &str) -> &str {
    text.get(text.len().saturating_sub(4)..).unwrap_or_default()
}

/// Where the last runs begin of as many characters of base64url as a credential has: behind that place there is none as long.
struct Runs {
    opaque: Option<usize>,
    secret: Option<usize>,
}

impl Runs {
    fn of(text: &str) -> Self {
        Self { opaque: last_run(text, OPAQUE_CHARACTERS), secret: last_run(text, SECRET_CHARACTERS) }
    }

    fn last(&self, characters: usize) -> Option<usize> {
        if characters == OPAQUE_CHARACTERS { self.opaque } else { self.secret }
    }
}

/// The last place from which so many characters in a row are of those that base64url is made of.
fn last_run(text: &str, characters: usize) -> Option<usize> {
    work::charge(text.len());
    let mut run = 0;
    text.bytes().enumerate().rev().find_map(|(at, byte)| {
        run = if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') { run + 1 } else { 0 };
        (run >= characters).then_some(at)
    })
}

/// Two header lines of one name arrive joined by `, `, which no credential contains.
fn once(value: &Secret) -> Result<&str, Reason> {
    let value = value.reveal();
    if value.contains(", ") { Err(Reason::AmbiguousCredential) } else { Ok(value) }
}

/// Splits `<brand>_<tag>_<environment>_<body>`; `None` where the text is of another brand or kind.
fn environment_and_body<'a>(text: &'a str, brand: &str, tag: &str) -> Option<(Environment, &'a str)> {
    let rest = text.strip_prefix(brand)?.strip_prefix('_')?.strip_prefix(tag)?.strip_prefix('_')?;
    let (environment, body) = rest.split_once('_')?;
    Some((Environment::parse(environment)?, body))
}
