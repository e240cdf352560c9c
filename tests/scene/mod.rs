//! A shop with a conversation, and everything that can stand in a header: what tables of who-may-do-what are made from.
#![allow(dead_code, reason = "no test needs all of it")]

use crate::toy::{Answer, ORIGIN, Toy, Visitor, forge};
use serde_json::{Value, json};

/// Every scope of the policy `default`.
pub const SCOPES: [&str; 6] =
    ["conversations:read", "messages:read", "messages:write", "credentials:read", "verify", "admin"];

/// The name of the scene's service.
pub const SERVICE: &str = "capture-spine";

pub struct Scene {
    pub toy: Toy,
    pub visitor: Visitor,
    pub deploy_key: String,
    /// Of the widget key.
    pub id: String,
    /// Of the server key.
    pub key_id: String,
    /// With every scope.
    pub server_key: String,
    pub service_token: String,
    kid: String,
}

impl Scene {
    pub fn new() -> Self {
        let toy = Toy::new("default");
        let (id, key) = toy.shop();
        let visitor = toy.open(&key);
        let deploy_key = toy.deploy_key();
        let (kid, _) = toy.identity_secret("acme");
        let (key_id, server_key) = toy.server_key("acme", "live", &json!({"scopes": SCOPES}));
        let (_, service_token) = toy.service_token("acme", "live", SERVICE, &json!({"scopes": SCOPES}));
        Self { toy, visitor, deploy_key, id, key_id, server_key, service_token, kid }
    }

    /// Another server key, of whatever kind the column of a table needs.
    pub fn another(&self, workspace: &str, environment: &str, members: &Value) -> String {
        if workspace != "acme" {
            self.toy.workspace(workspace);
        }
        self.toy.server_key(workspace, environment, members).1
    }

    /// The headers that present what the column says.
    pub fn headers(&self, column: &str) -> Vec<(&'static str, String)> {
        let all = json!({"scopes": SCOPES});
        let server = |key: &str| bearer(key);
        match column {
            "nothing" => Vec::new(),
            "deploy key" => vec![("authorization", self.deploy_key.clone())],
            "widget key" => bearer(&self.visitor.key),
            "history secret" => bearer(&self.visitor.secret),
            "forged" => vec![("authorization", forge(&self.deploy_key))],
            "two at once" => {
                vec![("authorization", self.deploy_key.clone()), ("x-api-key", self.visitor.key.clone())]
            }
            "all scopes" => server(&self.server_key),
            "x-api-key" => vec![("x-api-key", self.server_key.clone())],
            "no scopes" => server(&self.another("acme", "live", &Value::Null)),
            "of another's" => server(&self.another("other", "live", &all)),
            "of test" => server(&self.another("acme", "test", &all)),
            "forged key" => server(&forge(&self.server_key)),
            "service token" => token(&self.service_token, SERVICE),
            "expired" => {
                let key = self.another("acme", "live", &json!({"scopes": SCOPES, "expires_in": 60}));
                self.toy.advance(61);
                server(&key)
            }
            "revoked" => {
                let key = self.another("acme", "live", &all);
                self.toy.server(&key, "POST", "/v1/self/revoke", &Value::Null).ok(200);
                server(&key)
            }
            column => panic!("what is `{column}`?"),
        }
    }

    /// Makes the call, as a good one in all that is not the credential. `key` is what stands in the path of the widget's.
    pub fn call(&self, call: &str, key: &str, mut headers: Vec<(&'static str, String)>) -> Answer {
        let (method, pattern) = call.split_once(' ').unwrap();
        let id = if pattern.ends_with("/usage") {
            &self.key_id
        } else if pattern.starts_with("/v1/credentials") {
            &self.id
        } else if pattern.starts_with("/v1/workspaces") {
            "acme"
        } else {
            &self.visitor.conversation
        };
        let mut path = pattern.replace("{widget_key}", key).replace("{id}", id).replace("{kid}", &self.kid);
        let is_list = matches!(pattern, "/v1/credentials" | "/v1/conversations") || pattern.starts_with("/v1/audit");
        if is_list && method == "GET" {
            path.push_str("?workspace=acme");
        }
        if path.starts_with("/w/") && headers.iter().all(|(name, _)| *name != "origin") {
            headers.push(("origin", ORIGIN.to_owned()));
        }
        let body = match (method, pattern) {
            ("POST", "/v1/workspaces") => json!({"name": "new"}).to_string(),
            ("POST", "/v1/credentials") => json!({
                "kind": "widget_key", "workspace": "acme", "environment": "live", "name": "n", "origins": [ORIGIN],
            })
            .to_string(),
            ("POST", "/v1/verify") => json!({"credential": self.server_key}).to_string(),
            ("POST", _) if pattern.ends_with("/messages") => "{\"text\":\"hello\"}".to_owned(),
            ("POST" | "PATCH", _) => "{}".to_owned(),
            _ => String::new(),
        };
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.toy.send(method, &path, &headers, &body)
    }
}

pub fn bearer(text: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {text}"))]
}

pub fn token(text: &str, service: &str) -> Vec<(&'static str, String)> {
    vec![("x-service-token", text.to_owned()), ("x-service-name", service.to_owned())]
}
