//! Keyed checks of ids: whether an id was made here, before the object that it names is asked anything.
//!
//! ```text
//! conv_VbfjW77FCqEyQloydT18_acme
//!      time   random  check
//!      7      8 (47 bits)  5 (29 bits): HMAC-SHA-256 over all the rest of the id
//! ```
//!
//! Any caller can make up ids, and to ask an object is to make it. The check keeps made-up ids off storage. It proves nothing
//! about the caller, so it is good under a `check-only` root secret too. An id of an earlier version has no check: only the
//! list in which it stands knows it.

use super::keyring::{KeyRing, Purpose};
use crate::{
    codec::{base62, time::Timestamp},
    error::Reason,
    value::id::{ConversationId, CredentialId, UNIQUE_LENGTH, WorkspaceId},
};
use ctutils::CtEq as _;

/// Characters of a check: one id in 916 million that was made up has the right ones.
const CHECK: usize = 5;

/// Deploy keys are made with the sub-key of deploy keys alone, so their ids are checked under it: for another message than
/// any text of a deploy key, which begins with its stage.
const DEPLOY_KEY_ID: &[u8] = b"id ";

/// A fresh conversation's id.
pub fn conversation(
    workspace: &WorkspaceId,
    at: Timestamp,
    random: [u8; 16],
    ring: &KeyRing,
) -> Result<ConversationId, Reason> {
    seal(ConversationId::issue(workspace, at, random).as_str(), Purpose::IdCheck, b"", ring)?.try_into()
}

/// A fresh deploy key's id.
pub fn deploy_key(at: Timestamp, random: [u8; 16], ring: &KeyRing) -> Result<CredentialId, Reason> {
    seal(CredentialId::issue_deploy_key(at, random).as_str(), Purpose::DeployKey, DEPLOY_KEY_ID, ring)?.try_into()
}

/// Whether this conversation's id has the check of one that was made here. So its workspace is one of ours, too.
pub fn is_our_conversation(id: &ConversationId, ring: &KeyRing) -> bool {
    is_ours(id.as_str(), Purpose::IdCheck, b"", ring)
}

/// The same for the id of a deploy key.
pub fn is_our_deploy_key(id: &CredentialId, ring: &KeyRing) -> bool {
    is_ours(id.as_str(), Purpose::DeployKey, DEPLOY_KEY_ID, ring)
}

fn seal(id: &str, purpose: Purpose, label: &[u8], ring: &KeyRing) -> Result<String, Reason> {
    let (before, _, after) = parts(id).ok_or(Reason::NotFound)?;
    let message = [label, before.as_bytes(), after.as_bytes()];
    let mac = ring.derive(purpose, ring.signing_id()?, &message).ok_or(Reason::Unavailable)?;
    Ok(format!("{before}{}{after}", reduce(&mac)))
}

fn is_ours(id: &str, purpose: Purpose, label: &[u8], ring: &KeyRing) -> bool {
    parts(id).is_some_and(|(before, check, after)| {
        let message = [label, before.as_bytes(), after.as_bytes()];
        // In a time that does not say where they differ: callers could find the right one, character by character.
        ring.checks(purpose, &message, |mac| reduce(mac).as_bytes().ct_eq(check.as_bytes()).to_bool())
    })
}

/// What stands before the check, the check, and what stands after it.
fn parts(id: &str) -> Option<(&str, &str, &str)> {
    let unique = id.find('_')? + 1;
    let (before, rest) = id.split_at_checked(unique + UNIQUE_LENGTH - CHECK)?;
    let (check, after) = rest.split_at_checked(CHECK)?;
    Some((before, check, after))
}

/// The characters that stand for a MAC.
fn reduce(mac: &[u8; 32]) -> String {
    let [a, b, c, d, e, f, g, h, ..] = *mac;
    base62::encode(u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h])), CHECK)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{conversation, deploy_key, is_our_conversation, is_our_deploy_key};
    use crate::{
        codec::time::Timestamp,
        crypto::keyring::{KeyRing, Purpose},
        value::id::{ConversationId, CredentialId, WorkspaceId},
    };

    const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

    #[test]
    fn a8_an_id_with_a_check_sorts_by_time_and_is_known_under_any_root_that_there_is() {
        let ring = KeyRing::parse(OLD).unwrap();
        let workspace: WorkspaceId = "acme_2-x".to_owned().try_into().unwrap();
        let early = conversation(&workspace, Timestamp(1_700_000_000_000), [255; 16], &ring).unwrap();
        let late = conversation(&workspace, Timestamp(1_700_000_000_001), [0; 16], &ring).unwrap();
        assert!(early < late && early.workspace() == Some(workspace));
        let demoted = KeyRing::parse(&format!("{NEW},{OLD}:check-only")).unwrap();
        assert!(is_our_conversation(&early, &ring) && is_our_conversation(&early, &demoted));
        assert!(!is_our_conversation(&early, &KeyRing::parse(NEW).unwrap()), "its root secret is gone");
    }

    #[test]
    fn a8_no_part_of_an_id_can_be_another() {
        let ring = KeyRing::parse(OLD).unwrap();
        let workspace: WorkspaceId = "acme".to_owned().try_into().unwrap();
        let id = conversation(&workspace, Timestamp(1_700_000_000_000), [7; 16], &ring).unwrap();
        for at in 5..id.as_str().len() {
            let mut text = id.as_str().to_owned();
            let other = if text.get(at..=at) == Some("0") { "1" } else { "0" };
            text.replace_range(at..=at, other);
            // The one before the workspace is no id at all.
            let other = ConversationId::try_from(text);
            assert!(other.is_err() || !is_our_conversation(&other.unwrap(), &ring), "{at}");
        }
        let old = ConversationId::issue(&workspace, Timestamp(1_700_000_000_000), [7; 16]);
        assert!(!is_our_conversation(&old, &ring), "one of an earlier version has none");
    }

    #[test]
    fn a8_the_sub_key_of_deploy_keys_is_enough_for_their_ids() {
        let sub_key = KeyRing::derive_sub_key(OLD, Purpose::DeployKey).unwrap();
        let alone = KeyRing::parse_sub_key(&sub_key, Purpose::DeployKey).unwrap();
        let id = deploy_key(Timestamp(1_700_000_000_000), [7; 16], &alone).unwrap();
        assert!(is_our_deploy_key(&id, &KeyRing::parse(OLD).unwrap()));
        let old = CredentialId::issue_deploy_key(Timestamp(1_700_000_000_000), [7; 16]);
        assert!(!is_our_deploy_key(&old, &alone));
    }
}
