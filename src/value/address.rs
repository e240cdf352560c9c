//! Ranges of addresses (CIDR, RFC 4632 and RFC 4291 §2.3) that a credential may be used from.

use crate::{
    codec::cbor::{Malformed, Reader, Wire, Writer},
    error::Reason,
};
use ipnet::IpNet;
use std::net::IpAddr;

/// Some addresses, of either family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Reads `192.0.2.0/24`, `2001:db8::/32` or a single address. Bits behind the prefix must be zero: a range that says two
    /// things is a mistake.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        let unfit =
            || Reason::invalid("allowed_addresses", "A range like 192.0.2.0/24 or 2001:db8::/32, or one address.");
        let range = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| unfit())?,
        };
        if range.trunc() != range {
            return Err(Reason::invalid("allowed_addresses", "A range has no bits set behind its prefix."));
        }
        // `::ffff:0:0/96` and what is in it is IPv4 in another spelling, and no address is compared in that.
        match range {
            IpNet::V6(inner) if inner.addr().to_ipv4_mapped().is_some() => Err(unfit()),
            _ => Ok(Self(range)),
        }
    }

    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether all of those addresses are among these.
    pub fn holds(&self, range: &Self) -> bool {
        self.0.contains(&range.0)
    }
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Wire for AddressRange {
    fn put(&self, writer: &mut Writer) {
        self.0.to_string().put(writer);
    }

    fn take(reader: &mut Reader) -> Result<Self, Malformed> {
        Self::parse(&String::take(reader)?).map_err(|_| Malformed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::AddressRange;

    #[test]
    fn a_range_holds_its_own_family_in_any_spelling_of_the_address() {
        let within =
            |range: &str, address: &str| AddressRange::parse(range).unwrap().contains(address.parse().unwrap());
        assert!(within("192.0.2.0/24", "192.0.2.255") && !within("192.0.2.0/24", "192.0.3.0"));
        assert!(within("192.0.2.0/24", "::ffff:192.0.2.7"), "the same address, written as IPv6");
        assert!(within("192.0.2.7", "192.0.2.7") && !within("192.0.2.7", "192.0.2.8"));
        assert!(within("2001:db8::/32", "2001:db8:ffff::1") && !within("2001:db8::/32", "2001:db9::1"));
        assert!(within("0.0.0.0/0", "8.8.8.8") && !within("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "192.0.2.0/33",
            "192.0.2.1/24",
            "192.0.2/24",
            "::/129",
            "2001:db8::1/32",
            "localhost",
            "*",
            "1.2.3.4/",
            "::ffff:192.0.2.0/120",
            "::ffff:192.0.2.1",
            " 192.0.2.0/24",
            "192.0.2.0/24 ",
            "0300.0.2.0/24",
        ] {
            assert!(AddressRange::parse(text).is_err(), "{text}");
        }
    }
}
