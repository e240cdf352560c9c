//! A document of somebody else's: what is fetched, from which networks, and how long and how large it may be at most.

/// What is fetched: a `GET` without anything of ours in it, of which no redirect is followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted<'a> {
    /// The whole URL: visible ASCII, without spaces.
    pub url: &'a str,
    /// Where it may lie.
    pub reach: Reach,
    /// A longer answer is none.
    pub max_bytes: u32,
    /// One that takes longer, to its last byte, is none either.
    pub max_millis: u32,
}

/// From which networks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Only from public addresses: who chose the URL may be anybody.
    Public,
    /// From wherever the operator says: the URL is a variable of the deployment.
    Configured,
    /// From the deployment's own static files: the URL is a path among them.
    Asset,
}

/// What came, whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetched {
    /// The status, 200 to 599.
    pub status: u16,
    /// The body, decoded.
    pub body: Vec<u8>,
}

impl Wanted<'_> {
    /// As one line for whoever fetches it.
    pub fn to_line(&self) -> String {
        let reach = match self.reach {
            Reach::Public => "public",
            Reach::Configured => "configured",
            Reach::Asset => "asset",
        };
        format!("{reach} {} {} {}", self.max_bytes, self.max_millis, self.url)
    }
}

impl Fetched {
    /// Reads the status in two bytes, big end first, and behind it the body; `None` where nothing came.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let [high, low, body @ ..] = bytes else { return None };
        let status = u16::from_be_bytes([*high, *low]);
        (200..=599).contains(&status).then(|| Self { status, body: body.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Fetched, Reach, Wanted};

    #[test]
    fn what_is_wanted_crosses_as_a_line_and_what_came_as_bytes() {
        let url = "https://a.example/keys?b=c";
        let wanted = Wanted { url, reach: Reach::Public, max_bytes: 65_536, max_millis: 5_000 };
        assert_eq!(wanted.to_line(), "public 65536 5000 https://a.example/keys?b=c");
        let configured = Wanted { reach: Reach::Configured, ..wanted };
        assert_eq!(configured.to_line(), "configured 65536 5000 https://a.example/keys?b=c");
        let asset = Wanted { url: "/list.txt", reach: Reach::Asset, ..wanted };
        assert_eq!(asset.to_line(), "asset 65536 5000 /list.txt");
        assert_eq!(Fetched::parse(b"\x00\xc8{}"), Some(Fetched { status: 200, body: b"{}".to_vec() }));
        assert_eq!(Fetched::parse(b"\x01\x2e"), Some(Fetched { status: 302, body: Vec::new() }));
        for nothing in [&b""[..], b"\x00", b"\x00\xc7", b"\x02\x58"] {
            assert_eq!(Fetched::parse(nothing), None);
        }
    }
}
