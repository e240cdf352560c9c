//! Which network a client is in: it buckets limits and stands in the audit, and proves nothing.

use super::config::Config;
use crate::{object::machine::World, world::upstream::without_space};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The client's `/24`, IPv6 `/64`; none where no header is named or none can be read.
pub fn network(config: &Config, world: &impl World) -> Option<String> {
    Some(network_of(address(config, world)?))
}

/// The client's address; none where no header is named or none can be read.
pub fn address(config: &Config, world: &impl World) -> Option<IpAddr> {
    read(&world.header(config.client_address_header.as_deref()?)?)
}

/// One address, as proxies write it: `192.0.2.7`, `192.0.2.7:1234`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:443`.
fn read(text: &str) -> Option<IpAddr> {
    let text = without_space(text);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())),
    };
    address.map(|address| address.to_canonical())
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

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn f6_an_address_is_read_with_a_port_and_in_brackets_and_nothing_else_is_one() {
        let read = |text: &str| read(text).map(|address| address.to_string());
        for (text, address) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:1234", "192.0.2.7"),
            (" 192.0.2.7\t", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
        ] {
            assert_eq!(read(text).as_deref(), Some(address), "{text}");
        }
        for text in [
            "",
            "192.0.2.7:",
            "192.0.2.7:x",
            "192.0.2.7:70000",
            "192.0.2.7, 10.0.0.1",
            "[192.0.2.7]",
            "2001:db8::1]",
            "[2001:db8::1",
            "[2001:db8::1]443",
            "unknown",
            "_hidden",
            "localhost:80",
            "\"192.0.2.7\"",
            "for=192.0.2.7",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
