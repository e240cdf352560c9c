//! A caller of the widget whom we authenticate_call: its key's shard was asked.

use super::Principal;
use crate::{
    codec::time::Timestamp,
    credential::{CredentialKind, HistorySecret, WidgetKey},
    error::Reason,
    machines::credential::{Command, Credential, Reply, Visit, WidgetOperation, shard_for},
    object::machine::World,
    value::id::ConversationId,
};

/// A widget call as it asks to be believed.
#[derive(Clone)]
pub struct Caller {
    /// The key in the path.
    pub key: WidgetKey,
    /// The secret beside it.
    pub history: Option<HistorySecret>,
    /// The `Origin` header.
    pub origin: Option<String>,
    /// Whom per-network limits are counted for.
    pub network: String,
    /// The request, for the record.
    pub request_id: String,
}

/// What a widget key's shard says of a call.
pub struct Visited {
    /// Whether the origin is on the key's list: only then may a browser read the answer, refusals included.
    pub listed: bool,
    /// Who, or why not.
    pub outcome: Result<Principal, Reason>,
}

/// Whether the history secret fits the key and the path, before anybody is asked.
pub fn match_history(
    key: &WidgetKey,
    secret: &HistorySecret,
    conversation: &ConversationId,
    at: Timestamp,
) -> Result<(), Reason> {
    if secret.conversation.workspace() != key.id.workspace() {
        return Err(Reason::WrongWorkspace);
    }
    if secret.environment != key.environment {
        return Err(Reason::EnvironmentMismatch);
    }
    if secret.conversation != *conversation {
        return Err(Reason::WrongConversation);
    }
    if secret.expires_at <= at {
        return Err(Reason::CredentialExpired);
    }
    Ok(())
}

/// Whether a widget call would be believed and metered, asked before its body is read: nothing is counted but a refusal. And
/// whether its origin is listed.
pub async fn check_visit(
    caller: Caller,
    operation: WidgetOperation,
    world: &impl World,
) -> Result<(bool, Result<(), Reason>), Reason> {
    let (shard, visit) = asked(&caller, WidgetOperation::Manage, Some(operation));
    match world.ask::<Credential>(&shard, Command::Visit(visit)).await? {
        Reply::Visited { listed, outcome } => Ok((listed, outcome.map(drop))),
        _ => Err(Reason::Unavailable),
    }
}

/// The shard that is asked, and what.
fn asked(caller: &Caller, operation: WidgetOperation, ahead: Option<WidgetOperation>) -> (String, Visit) {
    let Caller { key, origin, network, request_id, .. } = caller;
    let visit = Visit {
        id: key.id.clone(),
        environment: key.environment,
        serial: key.serial,
        origin: origin.clone(),
        network: network.clone(),
        operation,
        request_id: Some(request_id.clone()),
        ahead,
    };
    (shard_for(&key.id, network), visit)
}

/// Believes a widget call, and meters it in the same hop.
pub async fn visit(caller: Caller, operation: WidgetOperation, world: &impl World) -> Result<Visited, Reason> {
    let (shard, visit) = asked(&caller, operation, None);
    let Caller { key, history, .. } = caller;
    let Reply::Visited { listed, outcome } = world.ask::<Credential>(&shard, Command::Visit(visit)).await? else {
        return Err(Reason::Unavailable);
    };
    let metered = match outcome {
        Ok(quotas) => Ok(quotas),
        Err(reason @ Reason::RateLimited { .. }) => Err(reason),
        Err(reason) => return Ok(Visited { listed, outcome: Err(reason) }),
    };
    let kind = match history {
        Some(_) => CredentialKind::HistorySecret,
        None => CredentialKind::WidgetKey,
    };
    let principal = Principal {
        kind,
        workspace: key.id.workspace(),
        id: key.id,
        environment: Some(key.environment),
        expires_at: history.as_ref().map(|secret| secret.expires_at),
        conversation: history,
        scopes: Vec::new(),
        tier: None,
        object: shard,
        text: None,
        metered,
        is_ahead: false,
    };
    Ok(Visited { listed, outcome: Ok(principal) })
}
