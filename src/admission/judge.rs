//! Whether a call with a server key or a service token may be made: one answer, for its own object and for whoever holds a lease.

use super::server_key::{AdmitKey, KeyRecord, KeySecret};
use crate::{codec::time::Timestamp, error::Reason};
use ctutils::CtEq as _;
use std::net::IpAddr;

impl KeyRecord {
    /// The secret of this digest. All are compared, and each in constant time.
    pub fn secret(&self, digest: &[u8; 32]) -> Option<&KeySecret> {
        self.secrets.iter().fold(
            None,
            |found, secret| {
                if secret.digest.ct_eq(digest).to_bool() { Some(secret) } else { found }
            },
        )
    }

    /// Whether the call may be made, before it is counted: by its object, or by whoever holds a lease.
    pub fn judge(&self, secret: &KeySecret, present: &AdmitKey, at: Timestamp) -> Result<(), Reason> {
        if self.revoked || secret.until.is_some_and(|until| until <= at) {
            return Err(Reason::CredentialRevoked);
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= at) {
            return Err(Reason::CredentialExpired);
        }
        if present.browser.is_some() {
            return Err(Reason::BrowserNotAllowed);
        }
        // Whoever found it may be anybody, anywhere: what is left to do is to end it.
        if present.is_for_its_end() {
            return Ok(());
        }
        if self.service.is_some() && self.service != present.service {
            return Err(Reason::ServiceMismatch);
        }
        let address = present.address.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
        let is_listed = |address| self.addresses.iter().any(|range| range.contains(address));
        if !self.addresses.is_empty() && !address.is_some_and(is_listed) {
            return Err(Reason::AddressNotAllowed);
        }
        match present.needs().find(|needs| !self.holds_one_of(&needs.enough)) {
            Some(lacking) => Err(Reason::InsufficientScope(vec![lacking.scope.clone()])),
            None => Ok(()),
        }
    }

    fn holds_one_of(&self, enough: &[String]) -> bool {
        self.scopes.iter().any(|held| enough.iter().any(|name| name == held.as_str()))
    }
}
