//! Names and ids: what is accepted is kept as it was sent, and can stand in a path, a row's key and a log line.

use super::text;
use claviger::value::{
    id::{ConversationId, CredentialId, Environment, Stage, WorkspaceId, is_deployment_name},
    scope::Scope,
};

pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let is_plain = || text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let end = |workspace: WorkspaceId| text.ends_with(&format!("_{workspace}"));
    if let Ok(id) = WorkspaceId::try_from(text.to_string()) {
        assert!(id.as_str() == text && is_plain() && (1..=64).contains(&text.len()));
        assert!(!text.starts_with(['-', '_']) && is_deployment_name(&text));
    }
    if let Ok(id) = CredentialId::try_from(text.to_string()) {
        assert!(id.as_str() == text && is_plain() && text.len() <= 88);
        assert_eq!(id.workspace().is_some(), text.starts_with("wk_"));
        assert!(id.workspace().is_none_or(end) && ConversationId::try_from(text.to_string()).is_err());
    }
    if let Ok(id) = ConversationId::try_from(text.to_string()) {
        assert!(id.as_str() == text && is_plain() && text.len() <= 90);
        assert!(id.workspace().is_some_and(end), "{text}");
    }
    if is_deployment_name(&text) {
        assert!(is_plain() && (1..=64).contains(&text.len()));
    }
    if let Ok(scope) = Scope::try_from(text.to_string()) {
        assert!(scope.as_str() == text && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\'));
    }
    assert!(Environment::parse(&text).is_none_or(|environment| environment.as_str() == text));
    assert!(Stage::parse(&text).is_none_or(|stage| stage.as_str() == text));
}
