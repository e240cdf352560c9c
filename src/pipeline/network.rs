//! Which network a client is in: it buckets limits and stands in the audit, and proves nothing.

use super::config::Config;
use crate::machine::World;
use std::net::IpAddr;

/// The client's `/24`, IPv6 `/64`; none where no header is named or none can be read.
pub fn network(config: &Config, world: &impl World) -> Option<String> {
    Some(network_of(address(config, world)?))
}

/// The client's address; none where no header is named or none can be read.
pub fn address(config: &Config, world: &impl World) -> Option<IpAddr> {
    let header = world.header(config.client_address_header.as_deref()?)?;
    header.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The network of an address.
pub fn network_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}
