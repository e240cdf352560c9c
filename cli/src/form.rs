//! What each kind of credential looks like, taken apart without believing any of it.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use claviger::{
    credential::{DeployKey, HistorySecret, Kind, ServerKey, ServiceToken, WidgetKey},
    crypto::keyring::KeyRing,
    error::Reason,
    value::id::{Environment, Stage, is_deployment_name},
};
use zeroize::Zeroizing;

/// The wire form of one kind.
pub struct Form {
    /// The name on the wire.
    pub kind: &'static str,
    /// What stands between the brand and the rest; a server key has no tag.
    tag: &'static str,
    /// Whether `live` or `test` comes next.
    has_environment: bool,
    body: Body,
    /// Where it stands in a request.
    pub sent_as: &'static str,
    /// The scheme or header that is right for it, in lower case, where a header is.
    pub carriers: &'static [&'static str],
    /// Whether its check or tag is genuine; nothing where no key of ours says so.
    pub verify: Option<Verify>,
}

/// [`Kind::verify`], without what it found.
pub type Verify = fn(&str, &str, &KeyRing) -> Option<Result<(), Reason>>;

/// What a form ends in.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Body {
    /// 32 characters of base62, the first eight of them public.
    Opaque,
    /// 43 characters of base64url.
    Derived,
    /// base64url of a version, a key id, so many fields and a tag.
    Signed(usize),
}

const BEARER: &[&str] = &["bearer", "x-api-key"];
const CONVEX: &[&str] = &["convex", "deploy"];

/// Every kind that is shown to people: one line for each.
const FORMS: [Form; 6] = [
    form("deploy_key", "dk", false, Body::Signed(3), "Authorization: Convex <key>", CONVEX, Some(verify::<DeployKey>)),
    form(
        "history_secret",
        "hs",
        true,
        Body::Signed(3),
        "Authorization: Bearer <secret>, beside a widget key",
        &["bearer"],
        Some(verify::<HistorySecret>),
    ),
    form(
        "identity_secret",
        "is",
        false,
        Body::Derived,
        "no request: a customer's server signs visitors' identity with it",
        &[],
        None,
    ),
    form(
        "server_key",
        "",
        true,
        Body::Opaque,
        "Authorization: Bearer <key>, or x-api-key: <key>",
        BEARER,
        Some(verify::<ServerKey>),
    ),
    form(
        "service_token",
        "st",
        true,
        Body::Opaque,
        "X-Service-Token: <token>, beside X-Service-Name: <service>",
        &["x-service-token"],
        Some(verify::<ServiceToken>),
    ),
    form(
        "widget_key",
        "wk",
        true,
        Body::Signed(2),
        "the path: /w/<key>/…, or data-key of the widget's script tag",
        &[],
        Some(verify::<WidgetKey>),
    ),
];

const fn form(
    kind: &'static str,
    tag: &'static str,
    has_environment: bool,
    body: Body,
    sent_as: &'static str,
    carriers: &'static [&'static str],
    verify: Option<Verify>,
) -> Form {
    Form { kind, tag, has_environment, body, sent_as, carriers, verify }
}

fn verify<K: Kind>(text: &str, brand: &str, ring: &KeyRing) -> Option<Result<(), Reason>> {
    K::verify(text, brand, ring).map(|verified| verified.map(drop))
}

/// A text that has the form of a kind, whatever is wrong with its end.
pub struct Reading<'a> {
    pub form: &'static Form,
    pub brand: &'a str,
    pub environment: Option<Environment>,
    /// What stands before the `|` of a deploy key.
    pub place: Option<&'a str>,
    /// What stands behind the last `_` of the prefix.
    body: &'a str,
}

/// What can be read in the end of a credential.
#[derive(Default)]
pub struct Opened {
    /// The public part of an opaque credential: it names the object.
    pub locator: Option<String>,
    /// The id in a signed one.
    pub id: Option<String>,
    /// Which root secret signed it.
    pub key_id: Option<u8>,
    /// Milliseconds since 1970.
    pub expires_at: Option<u64>,
    /// How it differs from what was handed out.
    pub flaw: Option<String>,
}

impl<'a> Reading<'a> {
    /// Reads the beginning; nothing where it is no kind's.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (place, token) = text.rsplit_once('|').map_or((None, text), |(place, token)| (Some(place), token));
        let (brand, rest) = token.split_once('_')?;
        if !(2..=8).contains(&brand.len()) || !brand.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        FORMS.iter().find_map(|form| {
            let rest = if form.tag.is_empty() { rest } else { rest.strip_prefix(form.tag)?.strip_prefix('_')? };
            let (environment, body) = if form.has_environment {
                let (environment, body) = rest.split_once('_')?;
                (Some(Environment::parse(environment)?), body)
            } else {
                (None, rest)
            };
            Some(Self { form, brand, environment, place, body })
        })
    }

    /// Stage and deployment of a deploy key.
    pub fn stage(&self) -> Option<(Stage, &'a str)> {
        let (stage, deployment) = self.place?.split_once(':')?;
        Some((Stage::parse_signed(stage)?, deployment)).filter(|_| is_deployment_name(deployment))
    }

    /// Reads the end.
    pub fn open(&self) -> Opened {
        let flaw = |text: &str| Opened { flaw: Some(text.to_owned()), ..Opened::default() };
        let is_base62 = self.form.body == Body::Opaque;
        let is_sound = |c: char| c.is_ascii_alphanumeric() || (!is_base62 && matches!(c, '-' | '_'));
        if self.body.chars().any(|c| !is_sound(c)) {
            return flaw("It holds a character that no credential has: something was changed, or stands behind it.");
        }
        match self.form.body {
            Body::Opaque => {
                let locator = self.body.get(..8).map(str::to_owned);
                Opened { locator, flaw: length(self.body.len(), 32), ..Opened::default() }
            }
            Body::Derived => Opened { flaw: length(self.body.len(), 43), ..Opened::default() },
            Body::Signed(fields) => self.open_signed(fields),
        }
    }

    fn open_signed(&self, fields: usize) -> Opened {
        // As far as whole groups go: the end may be cut off.
        let whole = self.body.get(..self.body.len() / 4 * 4).unwrap_or_default();
        let bytes = Base64UrlUnpadded::decode_vec(self.body).or_else(|_| Base64UrlUnpadded::decode_vec(whole));
        let bytes = Zeroizing::new(bytes.unwrap_or_default());
        let mut opened = Opened { key_id: bytes.get(1).copied(), ..Opened::default() };
        let (mut at, mut last) = (2, None);
        for field in 0..fields {
            let content = bytes.get(at).and_then(|length| bytes.get(at + 1..at + 1 + usize::from(*length)));
            let Some(content) = content else {
                opened.flaw = Some(cut_off("most of it is"));
                return opened;
            };
            if field == 0 {
                opened.id = String::from_utf8(content.to_vec()).ok();
            }
            (at, last) = (at + 1 + content.len(), Some(content));
        }
        // The last of three is the end of its life.
        let last = last.filter(|_| fields == 3).and_then(|last| Some(u64::from_be_bytes(last.try_into().ok()?)));
        opened.expires_at = last;
        let characters = ((at + TAG_BYTES) * 4).div_ceil(3);
        opened.flaw = length(self.body.len(), characters);
        if opened.flaw.is_none() && Base64UrlUnpadded::decode_vec(self.body).is_err() {
            opened.flaw = Some("Its last character was changed.".to_owned());
        }
        opened
    }
}

/// HMAC-SHA-256.
const TAG_BYTES: usize = 32;

fn length(is: usize, should: usize) -> Option<String> {
    match is.cmp(&should) {
        std::cmp::Ordering::Less => {
            let missing = should - is;
            Some(cut_off(&format!("{missing} of its characters {}", if missing == 1 { "is" } else { "are" })))
        }
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => {
            Some(format!("It is {} characters too long: something stands behind it.", is - should))
        }
    }
}

fn cut_off(what: &str) -> String {
    format!("It was cut off: {what} missing at the end. Copy it whole.")
}

/// Who may administer over HTTP.
#[derive(Debug, Eq, PartialEq)]
pub enum Caller {
    DeployKey,
    ServerKey,
}

/// What the text would call as, and whether it opens anything real; nothing where it is of neither form.
pub fn caller(text: &str) -> Option<(Caller, bool)> {
    let reading = Reading::parse(text).filter(|_| text.bytes().all(|b| b.is_ascii_graphic()))?;
    match reading.form.kind {
        "deploy_key" => reading.stage().map(|(stage, _)| (Caller::DeployKey, stage == Stage::Prod)),
        "server_key" => {
            reading.place.is_none().then_some((Caller::ServerKey, reading.environment == Some(Environment::Live)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, FORMS, caller};
    use claviger::codec::kind::CredentialKind;

    #[test]
    fn every_kind_has_its_form() {
        for kind in CredentialKind::ALL {
            assert!(FORMS.iter().any(|form| form.kind == kind.as_str() && form.verify.is_some()), "{}", kind.as_str());
        }
    }

    #[test]
    fn only_a_deploy_key_and_a_server_key_administer() {
        for (text, expected) in [
            ("prod:main|clv_dk_AA", Some((Caller::DeployKey, true))),
            ("staging:main|clv_dk_AA", Some((Caller::DeployKey, false))),
            ("clv_live_AA", Some((Caller::ServerKey, true))),
            ("clv_test_AA", Some((Caller::ServerKey, false))),
            ("clv_dk_AA", None),
            ("x|clv_live_AA", None),
            ("clv_wk_live_AA", None),
            ("clv_live_A A", None),
            ("", None),
        ] {
            assert_eq!(caller(text), expected, "{text}");
        }
    }
}
