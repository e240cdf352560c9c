//! What comes along when a credential is pasted: quotes, a header's name, white space. Takes it off, and says what it was.

use crate::form::Reading;
use base64ct::{Base64Unpadded, Encoding as _};
use claviger::{
    crypto::{jwt::Jws, keyring::KeyRing},
    value::id::{CredentialId, Stage},
};
use zeroize::Zeroizing;

/// What is left of a text once all else is off.
#[derive(Default)]
pub struct Pasted {
    pub text: Zeroizing<String>,
    /// What stood around it, for people.
    pub problems: Vec<&'static str>,
    /// The header or the scheme that it was pasted with, in lower case.
    pub carrier: Option<String>,
}

/// Names of headers that credentials stand in, and the schemes of `Authorization`.
const HEADERS: [&str; 3] = ["authorization", "x-api-key", "x-service-token"];
const SCHEMES: [&str; 5] = ["bearer", "convex", "deploy", "basic", "token"];

/// More than these layers nobody wraps around a key.
const MAX_LAYERS: usize = 16;

impl Pasted {
    /// Takes off what does not belong to a credential. `deploy_schemes` are the policy's.
    pub fn parse(text: &str, deploy_schemes: &[String]) -> Self {
        let mut pasted = Self { text: Zeroizing::new(text.to_owned()), ..Self::default() };
        for _ in 0..MAX_LAYERS {
            let Some((text, problem)) = pasted.peel(deploy_schemes) else { break };
            pasted.text = text;
            if !pasted.problems.contains(&problem) {
                pasted.problems.push(problem);
            }
        }
        pasted
    }

    /// One layer less, and what it was.
    fn peel(&mut self, deploy_schemes: &[String]) -> Option<(Zeroizing<String>, &'static str)> {
        let text: &str = &self.text;
        let less = |rest: &str, problem| (rest.len() < text.len()).then(|| (Zeroizing::new(rest.to_owned()), problem));
        let is_space = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
        if let Some(peeled) =
            less(text.trim_matches(is_space), "White space stands around it. Take it off: not every program does.")
        {
            return Some(peeled);
        }
        if let Some(peeled) = less(text.trim_matches(is_quote), "Quotes stand around it. They are no part of it.") {
            return Some(peeled);
        }
        let first = |rest: &str, known: &[&str]| {
            known.iter().find(|name| name.eq_ignore_ascii_case(rest)).map(|name| name.to_lowercase())
        };
        if let Some((name, rest)) = text.split_once(':')
            && let Some(name) = first(name.trim(), &HEADERS)
        {
            let peeled = less(rest, "The header's name stands before it. It is no part of the credential.");
            self.carrier = Some(name);
            return peeled;
        }
        if let Some((scheme, rest)) = text.split_once(char::is_whitespace)
            && let schemes = deploy_schemes.iter().map(String::as_str).chain(SCHEMES)
            && let Some(scheme) = first(scheme, &schemes.collect::<Vec<_>>())
        {
            let peeled = less(rest, "The scheme stands before it. It is no part of the credential.");
            self.carrier = Some(scheme);
            return peeled;
        }
        // Before a variable's name is looked for: padding ends in `=` too.
        if let Some(inner) = of_base64(text) {
            return Some((
                inner,
                "It is base64 of a credential, as a Kubernetes Secret holds it. Decode it: `base64 -d`.",
            ));
        }
        if let Some((name, rest)) = text.split_once('=')
            && is_variable(name.trim_start_matches("export ").trim())
            // What stands before padding is the credential itself.
            && Reading::parse(name).is_none()
        {
            return less(rest, "A variable's name stands before it. It is no part of the credential.");
        }
        for bar in ["%7C", "%7c", "\\|"] {
            if text.contains(bar) {
                let problem =
                    "Its `|` was written in another way. Write it as it is, in quotes where a shell reads it.";
                return less(&text.replace(bar, "|"), problem);
            }
        }
        self.take_out()
    }

    /// The one credential in a longer text, or its halves put together.
    fn take_out(&self) -> Option<(Zeroizing<String>, &'static str)> {
        let text: &str = &self.text;
        if text.chars().all(is_of_credential) || mistaken(text).is_some() {
            return None;
        }
        let mut found = text.split(|c| !is_of_credential(c)).filter(|part| Reading::parse(part).is_some());
        if let (Some(_), Some(_)) = (found.clone().next(), found.clone().nth(1)) {
            let first = found.next().unwrap_or_default();
            return Some((Zeroizing::new(first.to_owned()), "There is more than one. Only the first was looked at."));
        }
        let is_gap = |c: char| c.is_whitespace() || is_invisible(c);
        let joined = Zeroizing::new(text.replace(is_gap, ""));
        if joined.len() < text.len() && joined.chars().all(is_of_credential) && Reading::parse(&joined).is_some() {
            return Some((joined, "White space or a line's end stands inside it. Copy it as one line."));
        }
        let found = found.next()?;
        Some((Zeroizing::new(found.to_owned()), "Other text stands around it. Only the credential was looked at."))
    }
}

/// What a text is that is no credential at all, and what to do; nothing where nobody knows.
pub fn mistaken(text: &str) -> Option<&'static str> {
    let is_masked = ["…", "...", "***", "•"].iter().any(|mark| text.contains(mark));
    let is_stage = text.split_once(':').is_some_and(|(stage, _)| Stage::parse(stage).is_some());
    let sub_key = text.split_once(':').is_some_and(|(_, rest)| rest.starts_with("deploy_key:"));
    Some(if text.is_empty() {
        "There is nothing left to look at."
    } else if text.starts_with('$') || text.contains("{{") || text.contains("${") {
        "This is a variable's name, not what is in it: nothing put the value in its place."
    } else if is_masked {
        "This is a hint, as lists show it: most of the secret is missing. It was shown whole once, when it was made."
    } else if sub_key {
        "This is a sub-key for DEPLOY_SUB_KEY. It makes deploy keys, and is sent nowhere."
    } else if KeyRing::parse(text).is_ok() {
        "This is what stands in ROOT_SECRETS. It is sent nowhere; if it stood in another place, demote it: `claviger root-secrets demote`."
    } else if CredentialId::try_from(text.to_owned()).is_ok() {
        "This is a credential's id, not its secret. It opens nothing."
    } else if is_stage && !text.contains('|') {
        "This is the part of a deploy key before the `|`: a shell took the rest for a command. Put it in quotes."
    } else if Jws::parse(text).is_some() || (text.starts_with("ey") && text.split('.').count() == 3) {
        "This is a JWT. None is a credential here: a visitor's identity is one, and goes into the body of a call."
    } else {
        return None;
    })
}

fn is_of_credential(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '|' | ':')
}

/// What a text is base64 of, if a credential stands in that: of either alphabet, padded or not, and in as many lines as it has.
fn of_base64(text: &str) -> Option<Zeroizing<String>> {
    if Reading::parse(text).is_some() {
        return None;
    }
    let standard = |c: char| match c {
        '-' => '+',
        '_' => '/',
        other => other,
    };
    let digits: Zeroizing<String> =
        Zeroizing::new(text.trim_end_matches('=').chars().filter(|c| !c.is_ascii_whitespace()).map(standard).collect());
    let bytes = Zeroizing::new(Base64Unpadded::decode_vec(&digits).ok()?);
    let (inner, _) = decoded(&bytes);
    let holds_one = inner.split(|c| !is_of_credential(c)).any(|part| Reading::parse(part).is_some());
    holds_one.then_some(inner)
}

/// Bytes as text, and whether they were UTF-16: with its mark, or with a zero in every other byte.
pub fn decoded(bytes: &[u8]) -> (Zeroizing<String>, bool) {
    let zeros = |place: usize| bytes.len() > 3 && bytes.iter().skip(place).step_by(2).all(|byte| *byte == 0);
    let join: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ if zeros(1) => u16::from_le_bytes,
        _ if zeros(0) => u16::from_be_bytes,
        _ => return (Zeroizing::new(String::from_utf8_lossy(bytes).into_owned()), false),
    };
    let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok().map(join));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    (Zeroizing::new(text.trim_start_matches('\u{feff}').to_owned()), true)
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Of no width: nobody sees that it was copied.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '<' | '>' | '“' | '”' | '„' | '‘' | '’' | '«' | '»')
}
