//! Everything that is stored or sent between objects: what can be read is written as something that reads as the same.
//!
//! The first byte says as which type the others are read.

use claviger::{
    audit, conversation,
    error::{IdentityFault, Reason},
    id::{ConversationId, CredentialId, Environment, IdentitySecretId, WorkspaceId},
    limit::{Limit, Quota, Window},
    origin::Origin,
    registry::{credential, deployment, identity, kept, leak, once, plan, record, records, tally, witness, workspace},
    replay::RetryKey,
    time::Timestamp,
    wire::{self, Wire},
};

/// Whether bytes can be read as this type; panics where they are written as something else.
type Law = fn(&[u8]) -> bool;

const LAWS: [Law; TYPES as usize] = [
    same::<conversation::Append>,
    same::<conversation::Command>,
    same::<conversation::Message>,
    same::<conversation::Open>,
    same::<conversation::Party>,
    same::<conversation::Reply>,
    same::<credential::Command>,
    same::<credential::Errand>,
    same::<credential::Reply>,
    same::<credential::Visit>,
    same::<deployment::Command>,
    same::<deployment::WorkspaceRecord>,
    same::<record::CredentialRecord>,
    same::<record::Overlap>,
    same::<record::SecretRecord>,
    same::<record::ShardRecord>,
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
    same::<identity::Command>,
    same::<identity::IdentitySecretRecord>,
    same::<identity::Made>,
    same::<identity::Reply>,
    same::<identity::Revoked>,
    same::<tally::Place>,
    same::<witness::Use>,
    same::<(IdentitySecretId, IdentityFault)>,
    same::<leak::Found>,
    same::<leak::Leak>,
    same::<kept::Answer>,
    same::<kept::Row>,
    same::<once::Command>,
    same::<once::Reply>,
    same::<records::Command>,
    same::<records::Record>,
    same::<records::Reply>,
    same::<plan::PlanChange>,
    same::<plan::WorkspacePlan>,
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
    let Ok(value) = wire::read::<T>(bytes) else { return false };
    let written = wire::write(&value);
    let again =
        wire::read::<T>(&written).unwrap_or_else(|_| panic!("{} is not read again", std::any::type_name::<T>()));
    assert_eq!(wire::write(&again), written);
    // Cut short or with more behind it, it is nothing.
    assert!(written.is_empty() || wire::read::<T>(&written[..written.len() - 1]).is_err());
    assert!(wire::read::<T>(&[written.as_slice(), &[0]].concat()).is_err());
    true
}
