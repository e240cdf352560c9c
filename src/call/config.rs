//! The variables of a deployment, read once per isolate: all of them sound, or no request is served.

use crate::{
    credential::Door,
    crypto::keyring::KeyRing,
    error::Reason,
    policy::{self, Policy, WidgetPolicy},
    value::{
        id::{Stage, is_deployment_name},
        origin,
    },
    world::upstream::Mirror,
};

/// What a deployment is told from outside.
#[derive(Debug)]
pub struct Config {
    /// `ROOT_SECRETS`.
    pub ring: KeyRing,
    /// `POLICY_TOML`, or the built-in policy that `POLICY` names.
    pub policy: Policy,
    /// `ORIGIN`: in every absolute URL; never taken from `Host`.
    pub origin: String,
    /// `STAGE`.
    pub stage: Stage,
    /// `DEPLOYMENT`.
    pub deployment: String,
    /// `UPSTREAM`: the origin of the upstream.
    pub upstream: Option<String>,
    /// The same beside `ORIGIN`, which takes its place in answers.
    pub mirror: Option<Mirror>,
    /// `GITHUB_KEYS_URL`: where GitHub's keys are, if not in GitHub's own place.
    pub github_keys_url: Option<String>,
    /// `CLIENT_ADDRESS_HEADER`, in lower case.
    pub client_address_header: Option<String>,
}

impl Config {
    /// Reads the variables; an empty one counts as missing.
    pub fn parse(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Reason> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let required = |name: &str| {
            variable(name).ok_or_else(|| Reason::NotConfigured(format!("The variable {name} is not set.")))
        };
        let ring = KeyRing::parse(&zeroize::Zeroizing::new(required("ROOT_SECRETS")?))?;
        let stage = Stage::parse(&required("STAGE")?).ok_or_else(|| {
            Reason::NotConfigured("STAGE is dev, staging or prod (or development, production).".to_owned())
        })?;
        let deployment = required("DEPLOYMENT")?;
        if !is_deployment_name(&deployment) {
            return Err(Reason::NotConfigured("DEPLOYMENT is 1 to 64 of a-z, A-Z, 0-9, `_` and `-`.".to_owned()));
        }
        let origin = required("ORIGIN")?;
        let is_sound = origin::split(&origin)
            .is_some_and(|(scheme, host)| scheme == "https" || stage != Stage::Prod || origin::is_loopback(host));
        if !is_sound {
            return Err(Reason::NotConfigured(
                "ORIGIN is https://host or https://host:port, without a path; http: only outside prod.".to_owned(),
            ));
        }
        let policy = Self::policy(variable)?;
        let client_address_header = variable("CLIENT_ADDRESS_HEADER").map(|name| name.to_ascii_lowercase());
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !client_address_header.as_deref().is_none_or(is_name) {
            return Err(Reason::NotConfigured("CLIENT_ADDRESS_HEADER is the name of a header.".to_owned()));
        }
        let upstream = variable("UPSTREAM");
        if upstream.as_deref().is_some_and(|origin| origin::split(origin).is_none()) {
            return Err(Reason::NotConfigured(
                "UPSTREAM is https://host or http://host, with a port where that is not the default, without a path."
                    .to_owned(),
            ));
        }
        let github_keys_url = variable("GITHUB_KEYS_URL");
        if !github_keys_url.as_deref().is_none_or(is_document) {
            return Err(Reason::NotConfigured(
                "GITHUB_KEYS_URL is the https: URL of a document, without a fragment; http: only on loopback."
                    .to_owned(),
            ));
        }
        let mirror = upstream.as_deref().and_then(|upstream| Mirror::new(upstream, &origin));
        Ok(Self { ring, policy, origin, stage, deployment, upstream, mirror, github_keys_url, client_address_header })
    }

    /// The policy that `POLICY_TOML` holds or `POLICY` names.
    pub fn policy(variable: impl Fn(&str) -> Option<String>) -> Result<Policy, Reason> {
        let (name, text) = match variable("POLICY_TOML").filter(|text| !text.is_empty()) {
            Some(text) => ("POLICY_TOML", text),
            None => {
                let name = variable("POLICY").filter(|name| !name.is_empty());
                let text = policy::built_in(name.as_deref().unwrap_or("default"));
                let text = text.ok_or_else(|| {
                    let names = policy::BUILT_IN.map(|(name, _)| name).join(", ");
                    Reason::NotConfigured(format!("POLICY names no built-in policy: there are {names}."))
                })?;
                ("The built-in policy", text.to_owned())
            }
        };
        policy::parse(&text).map_err(|error| Reason::NotConfigured(format!("{name} is not sound: {error}.")))
    }

    /// What credentials are verified against.
    pub fn door(&self) -> Door<'_> {
        Door { ring: &self.ring, brand: &self.policy.brand, deploy_schemes: &self.policy.deploy_schemes }
    }

    /// The widget's numbers; a policy without a widget has no such paths.
    pub fn widget(&self) -> Result<&WidgetPolicy, Reason> {
        self.policy.widget.as_ref().ok_or(Reason::NotFound)
    }
}

/// Whether a document can be fetched from this URL: from a host that proves its name, or from this machine.
fn is_document(url: &str) -> bool {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(start..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| start + at);
    let (origin, path) = (url.get(..end).unwrap_or_default(), url.get(end..).unwrap_or_default());
    let is_sound = origin::split(origin).is_some_and(|(scheme, host)| scheme == "https" || origin::is_loopback(host));
    is_sound && path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\'))
}
