//! Wildcard origins: `https://*.shop.example` is fine, `https://*.github.io` would let strangers in. The list that tells them apart
//! is read when a wildcard is listed that was not listed before, and never on a call.

use crate::{
    error::Reason,
    object::machine::World,
    value::{
        origin::{self, Origin},
        public_suffix::{DATE, MAX_BYTES, PATH, PublicSuffixes},
    },
    world::fetch::{Reach, Wanted},
};

/// The file is on the same machine, or close to it.
const MAX_MILLIS: u32 = 5_000;

/// Refuses wildcards under a public suffix; those in `known` were listed before, and stay.
pub async fn check(listed: &[Origin], known: &[Origin], world: &impl World) -> Result<(), Reason> {
    let fresh = listed.iter().filter(|origin| !known.contains(origin));
    let hosts: Vec<&str> = fresh.filter_map(Origin::wildcard).collect();
    if hosts.is_empty() {
        return Ok(());
    }
    let wanted = Wanted { url: PATH, reach: Reach::Asset, max_bytes: MAX_BYTES, max_millis: MAX_MILLIS };
    let file = world.fetch(wanted).await.ok().filter(|file| file.status == 200);
    let Some(suffixes) = file.as_ref().and_then(|file| PublicSuffixes::parse(&file.body)) else {
        return Err(Reason::invalid(
            "origins",
            "This deployment cannot read its Public Suffix List, so no wildcard can be added: list the exact origins, \
             or deploy again with the file that `make build` makes.",
        ));
    };
    match suffixes.find(&hosts) {
        None => Ok(()),
        Some(host) => {
            Err(Reason::invalid("origins", &origin::shared(host, &format!("the Public Suffix List of {DATE}"))))
        }
    }
}
