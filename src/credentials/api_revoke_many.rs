//! `/v1/workspaces/{id}/credentials/revoke`: when much has leaked, much ends with one call.

use super::store_revoke_many::Which;
use crate::{
    call::{body, log::Notes, reply::Reply},
    error::Reason,
    machines::workspace::{self, Workspace},
    object::machine::World,
    road::dispatch::{Asked, ENVIRONMENTS},
    value::id::{CredentialId, Environment, WorkspaceId},
};
use serde::Serialize;

/// What an actor that is no credential may be called at most: `cli:`, or a person's short name.
const MAX_NAME: usize = 24;

/// Whether this is `<kind>:<id>` of somebody who creates credentials.
fn is_actor(text: &str) -> bool {
    let Some((kind, id)) = text.split_once(':') else { return false };
    let is_word = kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && (3..=24).contains(&kind.len());
    is_word && (id.len() <= MAX_NAME || CredentialId::try_from(id.to_owned()).is_ok())
}

#[derive(Serialize)]
struct Progress {
    status: &'static str,
    remaining: usize,
    made_until: String,
}

/// Ends every credential that is meant: 202 with how many are left, and 200 once none is, wherever it is asked for.
pub async fn revoke(asked: &Asked<'_>, world: &impl World, notes: &mut Notes) -> Result<Reply, Reason> {
    let named = WorkspaceId::try_from(asked.id.to_owned()).map_err(|_| Reason::NotFound)?;
    let workspace = asked.workspace_of(Some(named), world).await?;
    let (_, mut fields) = asked.body()?;
    let created_by = fields.optional_text("created_by", 200)?;
    // It is kept. An id is as long as many a secret, so its form says that it is none.
    if created_by.as_deref().is_some_and(|actor| !is_actor(actor) || asked.config.door().is_like_credential(actor)) {
        let rule =
            "Who created them, as `created_by` of a credential says it: `<kind>:<id>`, never a credential itself.";
        return Err(Reason::invalid("created_by", rule));
    }
    let environment = asked.own_environment(fields.one_of("environment", ENVIRONMENTS, Environment::parse)?)?;
    let which = Which {
        environment,
        created_by,
        reason: fields.label("reason", 200, &asked.config.door())?,
        until: body::moment("made_until", fields.optional_text("made_until", 40)?)?,
    };
    fields.finish()?;
    let revoke = workspace::Command::RevokeMany(which, asked.by.clone());
    let workspace::Reply::Remaining(remaining, until) = world.ask::<Workspace>(workspace.as_str(), revoke).await?
    else {
        return Err(Reason::Unavailable);
    };
    notes.workspace = Some(workspace.into());
    let (status, word) = if remaining == 0 { (200, "revoked") } else { (202, "revoking") };
    Reply::json(status, &Progress { status: word, remaining, made_until: until.rfc3339() })
}
