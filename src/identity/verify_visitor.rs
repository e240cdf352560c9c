//! Who a visitor says to be, as the customer's server signed it: asked for once, when a conversation opens.

use super::store::{Command, Reply};
use crate::{
    call::config::Config,
    codec::secret::Secret,
    credential::Identity,
    error::{IdentityFault, Reason},
    machines::workspace::{self, Workspace},
    object::machine::World,
    policy::IdentityRule,
    value::id::{IdentitySecretId, WorkspaceId},
};

/// Believes what was presented, or says why not; nobody, where nothing was presented and nothing had to be. One hop, and
/// none for what no secret could have signed.
pub async fn verify(
    presented: Option<Secret>,
    workspace: &WorkspaceId,
    config: &Config,
    world: &impl World,
) -> Result<Option<Identity>, Reason> {
    let Some(text) = presented else {
        return match config.widget()?.identity {
            IdentityRule::Optional => Ok(None),
            IdentityRule::Required => Err(Reason::Identity(IdentityFault::Missing)),
        };
    };
    // Shown to its parser.
    let token = Identity::parse(text.reveal())?;
    let live = live(workspace, world).await?;
    Identity::verify(&token, live, workspace, world.now(), &config.policy.brand, &config.ring).map(Some)
}

/// Which of a workspace's secrets live, as its object has it now.
pub async fn live(workspace: &WorkspaceId, world: &impl World) -> Result<Vec<IdentitySecretId>, Reason> {
    match ask(workspace, Command::Live, world).await? {
        Reply::Live(live) => Ok(live),
        _ => Err(Reason::Unavailable),
    }
}

/// Asks the workspace's object about its identity secrets.
pub async fn ask(workspace: &WorkspaceId, command: Command, world: &impl World) -> Result<Reply, Reason> {
    match world.ask::<Workspace>(workspace.as_str(), workspace::Command::Identity(command)).await? {
        workspace::Reply::Identity(reply) => Ok(reply),
        _ => Err(Reason::Unavailable),
    }
}
