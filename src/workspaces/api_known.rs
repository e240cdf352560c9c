//! What a caller names and may have made up: looked up in the list that knows it, before its own object is named.
//!
//! To ask an object is to make it. A workspace's own credential implies a workspace that there is; a deploy key names one.

use crate::{
    crypto::id_check,
    error::Reason,
    machines::{
        deployment::{self, Deployment},
        workspace::{self, Workspace},
    },
    object::machine::World,
    principal::Principal,
    road::dispatch::Asked,
    value::id::{ConversationId, WorkspaceId},
};
use std::collections::BTreeSet;

/// Workspaces that an isolate remembers; then it begins anew.
const MAX_KNOWN: usize = 4_096;

/// Workspaces that there are. None is ever deleted, so what was found stays true; what was not found is asked about again.
#[derive(Default)]
struct Known(BTreeSet<WorkspaceId>);

/// The workspace that this caller names: there is one, or it is not found.
pub async fn workspace(
    id: WorkspaceId,
    caller: &Principal,
    deployment: &str,
    world: &impl World,
) -> Result<WorkspaceId, Reason> {
    if caller.workspace() == Some(&id) || world.isolate().with(|Known(known)| known.contains(&id)) {
        return Ok(id);
    }
    let answer = world.ask::<Deployment>(deployment, deployment::Command::Knows(id.clone())).await;
    match answer {
        Ok(deployment::Reply::Listed(true)) => {
            remember(&id, world);
            Ok(id)
        }
        Ok(deployment::Reply::Listed(false)) => Err(Reason::NotFound),
        Ok(_) => Err(Reason::Unavailable),
        Err(reason) => not_understood(reason).map(|()| id),
    }
}

/// This workspace was made, or found.
pub fn remember(id: &WorkspaceId, world: &impl World) {
    world.isolate().with(|Known(known)| {
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(id.clone());
    });
}

/// The conversation that the path names. An id that was made here says so itself; one without a check may be older, and then
/// its workspace lists it.
pub async fn conversation(asked: &Asked<'_>, world: &impl World) -> Result<ConversationId, Reason> {
    let id = ConversationId::try_from(asked.id.to_owned()).map_err(|_| Reason::NotFound)?;
    let named = asked.reaches(id.workspace())?;
    if id_check::is_our_conversation(&id, &asked.config.ring) {
        return Ok(id);
    }
    let workspace = workspace(named, asked.admitted.principal(), &asked.config.deployment, world).await?;
    match world.ask::<Workspace>(workspace.as_str(), workspace::Command::KnowsConversation(id.clone())).await {
        Ok(workspace::Reply::Listed(true)) => Ok(id),
        Ok(workspace::Reply::Listed(false)) => Err(Reason::NotFound),
        Ok(_) => Err(Reason::Unavailable),
        Err(reason) => not_understood(reason).map(|()| id),
    }
}

/// An object of the version before does not know the question. Then the call goes on as it did in that version.
fn not_understood(reason: Reason) -> Result<(), Reason> {
    match reason {
        Reason::Unreadable(what) if what == "command" => Ok(()),
        reason => Err(reason),
    }
}
