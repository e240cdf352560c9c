//! A new secret of a credential, and what is kept of it: a digest or a serial, and a hint for people.

use crate::{
    admission::{deploy_key::DeployText, server_key::object_name},
    call::config::Config,
    codec::{kind::CredentialKind, secret::Secret, time::Timestamp},
    credential::{DeployKey, Kind as _, Opaque, ServerKey, ServiceToken, WidgetKey, digest, ending},
    error::Reason,
    machines::credential::{Command, Credential},
    object::machine::World,
    protocol::credential_record::{CredentialRecord, SecretRecord},
    value::id::{CredentialId, Environment, Locator},
};

/// A place that is taken is as good as never drawn: more of them in a row are no chance.
const DRAWS: usize = 3;

/// Another secret of a credential that there is.
pub fn another(
    record: &CredentialRecord,
    config: &Config,
    world: &impl World,
) -> Result<(Secret, SecretRecord), Reason> {
    match &record.key {
        Some(key) => opaque(key.kind, record.environment, key.locator.clone(), config, world),
        None => signed(&record.id, record.environment, config, world),
    }
}

/// A secret of a widget key.
pub fn signed(
    id: &CredentialId,
    environment: Environment,
    config: &Config,
    world: &impl World,
) -> Result<(Secret, SecretRecord), Reason> {
    let serial = u128::from_le_bytes(world.random()?) & u128::from(u64::MAX);
    let serial = u64::try_from(serial).unwrap_or_default();
    let key = WidgetKey { id: id.clone(), environment, serial };
    let secret = key.issue(&config.policy.brand, &config.ring)?;
    let hint = hint(&secret, &format!("{}_wk_{}_", config.policy.brand, environment.as_str()));
    Ok((secret, SecretRecord { serial, hint, digest: None, until: None }))
}

/// A secret of a server key or service token.
pub fn opaque(
    kind: CredentialKind,
    environment: Environment,
    locator: Locator,
    config: &Config,
    world: &impl World,
) -> Result<(Secret, SecretRecord), Reason> {
    let opaque = Opaque::draw(locator, world.random()?);
    let brand = &config.policy.brand;
    let (secret, tag) = match kind {
        CredentialKind::ServiceToken => (ServiceToken { environment, opaque }.issue(brand, &config.ring)?, "_st"),
        _ => (ServerKey { environment, opaque }.issue(brand, &config.ring)?, ""),
    };
    let hint = hint(&secret, &format!("{brand}{tag}_{}_", environment.as_str()));
    // What is kept of it: nobody can make the text of that.
    let digest = Some(digest(secret.reveal()));
    Ok((secret, SecretRecord { serial: 0, hint, digest, until: None }))
}

/// A place for a new server key or service token, taken for `id`.
pub async fn place(
    id: &CredentialId,
    kind: CredentialKind,
    environment: Environment,
    world: &impl World,
) -> Result<Locator, Reason> {
    for _ in 0..DRAWS {
        let locator = Locator::draw(world.random()?);
        let name = object_name(kind, environment, &locator);
        match world.ask::<Credential>(&name, Command::Reserve(id.clone())).await {
            Ok(_) => return Ok(locator),
            Err(Reason::Conflict(_)) => {}
            Err(reason) => return Err(reason),
        }
    }
    Err(Reason::Unavailable)
}

/// The prefix, which says what it is, and four characters by which people tell two apart.
fn hint(secret: &Secret, prefix: &str) -> String {
    // Four characters of it are shown to people, and open nothing.
    format!("{prefix}…{}", ending(secret.reveal()))
}

/// A text of the deploy key `id`, issued at this moment; its end stands in it.
pub fn deploy_key(
    id: &CredentialId,
    issued_at: Timestamp,
    expires_at: Timestamp,
    config: &Config,
) -> Result<(Secret, DeployText), Reason> {
    let (stage, deployment) = (config.stage, config.deployment.clone());
    let key = DeployKey { id: id.clone(), stage, deployment, issued_at, expires_at };
    let secret = key.issue(&config.policy.brand, &config.ring)?;
    let text = deploy_text(&key, ending(secret.reveal()), config);
    Ok((secret, text))
}

/// What is kept of the text of a deploy key that ends like this.
pub fn deploy_text(key: &DeployKey, ending: &str, config: &Config) -> DeployText {
    let hint = format!("{}{ending}", deploy_hint(config));
    DeployText { serial: key.issued_at.0, expires_at: key.expires_at, hint }
}

/// What all deploy keys of this deployment begin with.
pub fn deploy_hint(config: &Config) -> String {
    format!("{}:{}|{}_dk_…", config.stage.as_str(), config.deployment, config.policy.brand)
}
