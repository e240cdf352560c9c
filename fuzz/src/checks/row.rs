//! A row that is not what was written: its record is closed, and nothing that is asked of it fails in any other way.
//!
//! The input is which object, which of its rows, where in it, and the bytes that stand there instead.

use super::{Dice, scene};
use claviger::error::refusal::Code;

/// Calls that between them read every row.
const CALLS: [(&str, &str, &str, &str); 20] = [
    ("GET", "/v1/whoami", "server", ""),
    ("GET", "/v1/credentials/{server_id}/usage", "operator", ""),
    ("POST", "/v1/credentials/{server_id}/rotate", "operator", "{}"),
    ("GET", "/w/{key}/conversations/{conversation}/messages", "visitor", ""),
    ("POST", "/w/{key}/conversations/{conversation}/messages", "visitor", "{\"text\":\"a\"}"),
    ("POST", "/w/{key}/conversations/{conversation}/secret/rotate", "visitor", ""),
    ("POST", "/w/{key}/conversations", "page", "{}"),
    ("GET", "/v1/workspaces", "operator", ""),
    ("GET", "/v1/workspaces/acme", "operator", ""),
    ("GET", "/v1/credentials?workspace=acme", "operator", ""),
    ("GET", "/v1/conversations?workspace=acme", "operator", ""),
    ("GET", "/v1/conversations/{conversation}/messages", "operator", ""),
    ("PATCH", "/v1/credentials/{id}", "operator", "{\"name\":\"other\"}"),
    ("POST", "/v1/credentials/{id}/rotate", "operator", "{}"),
    ("GET", "/v1/workspaces/acme/identity-secrets", "operator", ""),
    ("GET", "/v1/audit?workspace=acme&order=asc", "operator", ""),
    ("GET", "/v1/audit/export?workspace=acme", "operator", ""),
    ("GET", "/v1/audit/verify", "operator", ""),
    ("POST", "/w/{key}/conversations/{conversation}/close", "visitor", ""),
    ("POST", "/v1/credentials/{id}/revoke", "operator", "{}"),
];

pub fn check(bytes: &[u8]) {
    scene::with(|scene| {
        let mut dice = Dice(bytes);
        {
            let mut objects = scene.toy.objects.borrow_mut();
            let which = usize::from(dice.byte()) % objects.len();
            let rows = &mut objects.values_mut().nth(which).expect("an object").rows;
            if rows.is_empty() {
                return;
            }
            let which = usize::from(dice.byte()) % rows.len();
            let row = rows.values_mut().nth(which).expect("a row");
            let start = usize::from(dice.byte()) % (row.len() + 1);
            let end = (start + usize::from(dice.byte())).min(row.len());
            row.splice(start..end, dice.0.iter().copied());
        }
        let key = format!("Convex {}", scene.deploy_key);
        let secret = format!("Bearer {}", scene.visitor.secret);
        let server = format!("Bearer {}", scene.server_key);
        let page = [("origin", crate::toy::ORIGIN), ("x-client", "192.0.2.1")];
        for (method, path, who, body) in CALLS {
            let headers = match who {
                "operator" => vec![("authorization", key.as_str())],
                "server" => vec![("authorization", server.as_str())],
                "page" => page.to_vec(),
                _ => [&page[..], &[("authorization", secret.as_str())]].concat(),
            };
            let answer = scene.toy.exchange(method, &scene.fill(path), &headers, body);
            let is_known =
                Code::ALL.iter().any(|code| code.as_str() == answer.code() && code.status() == answer.status);
            assert!(answer.status < 300 || (is_known && answer.status != 500), "{method} {path}: {}", answer.text);
            scene.toy.advance(61);
        }
    });
}
