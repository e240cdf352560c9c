//! Credentials in the order in which they were made: pages of them, and slices for what goes through all.

use super::store::{Room, made_at, unique};
use crate::{
    codec::cbor,
    error::Reason,
    object::machine::{Range, Turn},
    value::id::{CredentialId, Environment},
};

/// Rows that one page of a filtered list looks at, at most.
pub(crate) const LOOK: usize = 1_000;

impl Room {
    /// Ids of some environments behind this one, by when they were made, `limit` at most; and whether those of others are among them,
    /// as they are while not all are indexed.
    pub fn ids(
        &self,
        environments: &[Environment],
        after: Option<&CredentialId>,
        reverse: bool,
        limit: usize,
        turn: &Turn,
    ) -> Result<(Vec<CredentialId>, bool), Reason> {
        let made = match self.made {
            Some(made) if self.counts(turn)?.is_whole() => Some(made),
            _ => None,
        };
        let mut ids = Vec::new();
        match made {
            Some(made) => {
                for environment in environments {
                    let prefix = format!("{made}{}/", environment.as_str());
                    let after = after.map(|id| made_at(made, *environment, id));
                    let range = Range { prefix: &prefix, after: after.as_deref(), reverse, limit };
                    ids.extend(turn.list_readable::<CredentialId>(&range)?.into_iter().map(|(_, id)| id));
                }
            }
            None => {
                for kind in self.kinds {
                    let prefix = format!("{}{kind}", self.rows);
                    let after = after.map(|id| format!("{prefix}{}", unique(id)));
                    let range = Range { prefix: &prefix, after: after.as_deref(), reverse, limit };
                    let keys = turn.list_keys(&range)?.into_iter();
                    let keys =
                        keys.filter_map(|key| CredentialId::try_from(key.strip_prefix(self.rows)?.to_owned()).ok());
                    let is_beyond = |id: &CredentialId| match after.as_deref() {
                        Some(after) => (self.row(id).as_str() < after) == reverse && self.row(id) != after,
                        None => true,
                    };
                    ids.extend(keys.filter(is_beyond));
                }
            }
        }
        ids.sort_by(|a, b| unique(a).cmp(unique(b)));
        if reverse {
            ids.reverse();
        }
        ids.truncate(limit);
        Ok((ids, made.is_none() && self.made.is_some()))
    }

    /// The first `limit` rows that are wanted, newest first, and the last one that was looked at, if there may be more behind it. It is of
    /// these environments.
    pub fn page<T: cbor::Wire>(
        &self,
        environments: &[Environment],
        after: Option<CredentialId>,
        limit: usize,
        turn: &Turn,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<(Vec<T>, Option<CredentialId>), Reason> {
        let (mut items, mut last, mut looked) = (Vec::new(), after, 0);
        loop {
            // One more than is missing tells whether there are any behind.
            let missing = limit - items.len() + 1;
            let (ids, is_mixed) = self.ids(environments, last.as_ref(), true, missing, turn)?;
            let is_end = ids.len() < missing;
            for id in ids {
                if items.len() == limit {
                    return Ok((items, last));
                }
                match turn.get::<T>(&self.row(&id)) {
                    Ok(Some(record)) if wanted(&record) => items.push(record),
                    Ok(_) | Err(Reason::Unreadable(_)) => {}
                    Err(reason) => return Err(reason),
                }
                last = Some(id);
                looked += 1;
            }
            if is_end {
                return Ok((items, None));
            }
            if looked >= LOOK && !is_mixed {
                return Ok((items, last));
            }
        }
    }
}
