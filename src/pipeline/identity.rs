//! Who a visitor says to be, as the customer's server signed it: asked for once, when a conversation opens.

use super::config::Config;
use crate::{
    credential::Identity,
    error::{IdentityFault, Reason},
    id::WorkspaceId,
    machine::World,
    policy::IdentityRule,
    registry::{
        identity,
        workspace::{self, Workspace},
    },
    secret::Secret,
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
    let ask = workspace::Command::Identity(identity::Command::Live);
    let workspace::Reply::Identity(identity::Reply::Live(live)) =
        world.ask::<Workspace>(workspace.as_str(), ask).await?
    else {
        return Err(Reason::Unavailable);
    };
    Identity::verify(&token, live, workspace, world.now(), &config.policy.brand, &config.ring).map(Some)
}
