//! WebSockets that pass: when a call is to become one, and which headers go from one connection to the other.

use crate::work;

/// The status of an answer that is a WebSocket from then on.
pub const SWITCHING_PROTOCOLS: u16 = 101;

/// Whether a request wants to become a WebSocket (RFC 6455 §4.1). No other upgrade passes.
pub fn is_wanted(method: &str, headers: &[(String, String)]) -> bool {
    let lists = |wanted: &str, token: &str| {
        work::charge(headers.len());
        let values = headers.iter().filter(|(name, _)| name == wanted).flat_map(|(_, value)| value.split(','));
        values.map(str::trim).any(|value| {
            work::charge(value.len());
            value.eq_ignore_ascii_case(token)
        })
    };
    method == "GET" && lists("connection", "upgrade") && lists("upgrade", "websocket")
}

/// What passes between two WebSockets: key, version and compression belong to each of the connections; the subprotocols are
/// for the API to choose from.
pub fn passing(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers.retain(|(name, _)| !name.starts_with("sec-websocket-") || name == "sec-websocket-protocol");
    headers
}

#[cfg(test)]
mod tests {
    use super::{is_wanted, passing};

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
