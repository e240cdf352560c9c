//! Everything that is stored or sent between objects: what can be read is written as something that reads as the same.
//!
//! The first byte says as which type the others are read.

use claviger::{
    admission::{minute_counts, visit_refusals},
    audit,
    codec::{
        cbor::{self, Wire},
        time::Timestamp,
    },
    conversations,
    error::{IdentityFault, Reason},
    gateway, identity, leaks,
    limits::window::{Limit, Quota, Window},
    machines::{credential, deployment, workspace},
    object::idempotency::RetryKey,
    protocol::credential_record,
    value::{
        id::{ConversationId, CredentialId, Environment, IdentitySecretId, WorkspaceId},
        origin::Origin,
    },
    workspaces,
};

/// Whether bytes can be read as this type; panics where they are written as something else.
type Law = fn(&[u8]) -> bool;

const LAWS: [Law; TYPES as usize] = [
    same::<conversations::store::Append>,
    same::<conversations::store::Command>,
    same::<conversations::store::Message>,
    same::<conversations::store::Open>,
    same::<conversations::store::Party>,
    same::<conversations::store::Reply>,
    same::<credential::Command>,
    same::<credential::WidgetOperation>,
    same::<credential::Reply>,
    same::<credential::Visit>,
    same::<deployment::Command>,
    same::<deployment::WorkspaceRecord>,
    same::<credential_record::CredentialRecord>,
    same::<credential_record::Overlap>,
    same::<credential_record::SecretRecord>,
    same::<credential_record::ShardRecord>,
    same::<workspace::Change>,
    same::<workspace::Command>,
    same::<workspace::ConversationNote>,
    same::<workspace::Expiry>,
    same::<workspace::ListCredentials>,
    same::<workspace::Reply>,
    same::<Reason>,
    same::<Environment>,
    same::<(ConversationId, CredentialId)>,
    same::<Option<WorkspaceId>>,
    same::<(Limit, Quota)>,
    same::<Window>,
    same::<Vec<Origin>>,
    same::<RetryKey>,
    same::<Timestamp>,
    same::<Result<Vec<(u64, u32)>, bool>>,
    same::<(u8, usize)>,
    same::<audit::Ask>,
    same::<audit::By>,
    same::<audit::Checkpoint>,
    same::<audit::Entry>,
    same::<audit::Event>,
    same::<audit::Head>,
    same::<audit::Page>,
    same::<audit::Report>,
    same::<deployment::Reply>,
    same::<identity::store::Command>,
    same::<identity::store::IdentitySecretRecord>,
    same::<identity::store::Made>,
    same::<identity::store::Reply>,
    same::<identity::store::Revoked>,
    same::<minute_counts::Place>,
    same::<visit_refusals::Use>,
    same::<(IdentitySecretId, IdentityFault)>,
    same::<leaks::store::Found>,
    same::<leaks::store::Leak>,
    same::<gateway::store_answers::Answer>,
    same::<gateway::store_answers::Row>,
    same::<gateway::store_once::Command>,
    same::<gateway::store_once::Reply>,
    same::<gateway::store_records::Command>,
    same::<gateway::store_records::Record>,
    same::<gateway::store_records::Reply>,
    same::<workspaces::store_plan::PlanChange>,
    same::<workspaces::store_plan::WorkspacePlan>,
];

/// How many types there are.
pub const TYPES: u8 = 61;

pub fn check(bytes: &[u8]) {
    if let Some((which, bytes)) = bytes.split_first() {
        reads(*which, bytes);
    }
}

/// Whether bytes can be read as this type.
pub fn reads(which: u8, bytes: &[u8]) -> bool {
    LAWS[usize::from(which % TYPES)](bytes)
}

fn same<T: Wire>(bytes: &[u8]) -> bool {
    let Ok(value) = cbor::read::<T>(bytes) else { return false };
    let written = cbor::write(&value);
    let again =
        cbor::read::<T>(&written).unwrap_or_else(|_| panic!("{} is not read again", std::any::type_name::<T>()));
    assert_eq!(cbor::write(&again), written);
    // Cut short or with more behind it, it is nothing.
    assert!(written.is_empty() || cbor::read::<T>(&written[..written.len() - 1]).is_err());
    assert!(cbor::read::<T>(&[written.as_slice(), &[0]].concat()).is_err());
    true
}
