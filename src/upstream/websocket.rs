//! WebSockets that pass: when a call is to become one, and which headers go from one connection to the other.

use crate::{codec::work, world::upstream::without_space};

/// The status of an answer that is a WebSocket from then on.
pub const SWITCHING_PROTOCOLS: u16 = 101;

/// Whether a request wants to become a WebSocket (RFC 6455 §4.1). No other upgrade passes.
pub fn is_wanted(method: &str, headers: &[(String, String)]) -> bool {
    let lists = |wanted: &str, token: &str| {
        work::charge(headers.len());
        let values = headers.iter().filter(|(name, _)| name == wanted).flat_map(|(_, value)| value.split(','));
        values.map(without_space).any(|value| {
            work::charge(value.len());
            value.eq_ignore_ascii_case(token)
        })
    };
    method == "GET" && lists("connection", "upgrade") && lists("upgrade", "websocket")
}

/// Whether key and version are those of RFC 6455 §4.2.1, as far as they came: over HTTP/2 there is no key.
pub fn is_sound(headers: &[(String, String)]) -> bool {
    let sound = |wanted: &str, is_sound: fn(&str) -> bool| {
        headers.iter().filter(|(name, _)| name == wanted).all(|(_, value)| is_sound(without_space(value)))
    };
    sound("sec-websocket-key", is_key) && sound("sec-websocket-version", |version| version == "13")
}

/// 16 bytes in base64: 22 characters, the last of which stands for two bits, and their padding.
fn is_key(text: &str) -> bool {
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let characters = text.strip_suffix("==").filter(|text| text.len() == 22 && text.bytes().all(is_base64));
    characters.is_some_and(|text| text.ends_with(['A', 'Q', 'g', 'w']))
}

/// What passes between two WebSockets: key, version and compression belong to each of the connections; the subprotocols are
/// for the API to choose from.
pub fn passing(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers.retain(|(name, _)| !name.starts_with("sec-websocket-") || name == "sec-websocket-protocol");
    headers
}

#[cfg(test)]
mod tests {
    use super::{is_sound, is_wanted, passing};

    #[test]
    fn f25_a_key_is_16_bytes_in_base64_and_the_version_13() {
        let with = |name: &str, value: &str| is_sound(&[(name.to_owned(), value.to_owned())]);
        for key in [
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "dGhlIHNhbXBsZSBub25jZQ==",
            "+sZO9dL+vk1upio9m8/F2w==",
            " AAAAAAAAAAAAAAAAAAAAAA==\t",
        ] {
            assert!(with("sec-websocket-key", key), "{key}");
        }
        let twice = "AAAAAAAAAAAAAAAAAAAAAA==, AAAAAAAAAAAAAAAAAAAAAA==";
        for key in [
            "",
            "none",
            "AAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAB==",
            "AAAAAAAAAAAAAAAAAAAAA-A=",
            "AAAAAAAAAAAAAAAAAAAAAAAAAA==",
            twice,
        ] {
            assert!(!with("sec-websocket-key", key), "{key}");
        }
        assert!(with("sec-websocket-version", "13") && is_sound(&[]));
        for version in ["", "8", "12", "13, 8", "013"] {
            assert!(!with("sec-websocket-version", version), "{version}");
        }
    }

    #[test]
    fn a_websocket_is_asked_for_with_both_headers_and_in_a_get() {
        let asks = |method: &str, upgrade: &str, connection: &str| {
            let headers = [("upgrade", upgrade), ("connection", connection)];
            is_wanted(method, &headers.map(|(n, v)| (n.to_owned(), v.to_owned())))
        };
        assert!(asks("GET", "websocket", "Upgrade") && asks("GET", "WebSocket, x", "keep-alive, upgrade"));
        assert!(!asks("POST", "websocket", "upgrade") && !asks("HEAD", "websocket", "upgrade"));
        assert!(!asks("GET", "h2c", "upgrade") && !asks("GET", "websocket", "close") && !asks("GET", "", ""));
        let pairs = |names: &[&str]| -> Vec<(String, String)> {
            names.iter().map(|name| ((*name).to_owned(), "v".to_owned())).collect()
        };
        let names = ["sec-websocket-key", "sec-websocket-protocol", "sec-websocket-extensions", "x-a"];
        assert_eq!(passing(pairs(&names)), pairs(&["sec-websocket-protocol", "x-a"]));
    }
}
