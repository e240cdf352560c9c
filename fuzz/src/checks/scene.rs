//! The place where whole requests are tried: a shop with a widget and one conversation, as it was before each of them.

use crate::toy::{Answer, Name, Object, START, Toy, Visitor};
use claviger::{error::refusal::Code, object::machine::World as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A toy world, with everything that a request may want to name.
pub struct Scene {
    pub toy: Toy,
    pub visitor: Visitor,
    pub deploy_key: String,
    pub key_id: String,
    pub server_key_id: String,
    pub server_key: String,
    pub service_token: String,
    stored: BTreeMap<Name, Object>,
}

thread_local! {
    static SCENE: Scene = Scene::new();
}

/// The scene, fresh.
pub fn with(play: impl FnOnce(&Scene)) {
    SCENE.with(|scene| {
        let toy = &scene.toy;
        scene.stored.clone_into(&mut toy.objects.borrow_mut());
        toy.issued.borrow_mut().clear();
        // What memory counts, too: else what was used up by the inputs before is missing now.
        toy.forget();
        toy.step_back((toy.now().0 - START) / 1_000);
        play(scene);
    });
}

impl Scene {
    fn new() -> Self {
        let toy = Toy::new("default");
        let (key_id, key) = toy.shop();
        let visitor = toy.open(&key);
        toy.say(&visitor, "hello").ok(201);
        let deploy_key = toy.deploy_key().split_once(' ').expect("a scheme and a key").1.to_owned();
        let scopes = json!({"scopes": ["admin", "messages:read", "messages:write"], "tier": "standard"});
        let (server_key_id, server_key) = toy.server_key("acme", "live", &scopes);
        let (_, service_token) = toy.service_token("acme", "live", "a", &scopes);
        let stored = toy.snapshot();
        Self { toy, visitor, deploy_key, key_id, server_key_id, server_key, service_token, stored }
    }

    /// The text with its `{placeholders}` filled in.
    pub fn fill(&self, text: &str) -> String {
        let text = text.replace("{deploy}", &self.deploy_key).replace("{id}", &self.key_id);
        let text = text.replace("{key}", &self.visitor.key).replace("{secret}", &self.visitor.secret);
        let text = text.replace("{server}", &self.server_key).replace("{service}", &self.service_token);
        text.replace("{conversation}", &self.visitor.conversation).replace("{server_id}", &self.server_key_id)
    }

    /// What every answer promises, whatever was asked.
    pub fn keeps_its_promises(&self, answer: &Answer, headers: &[(&str, &str)]) {
        let code = Code::ALL.iter().find(|code| code.as_str() == answer.code());
        match answer.status {
            // Whoever asks about a credential is told no, and that is an answer.
            200 if answer.json["allowed"] == false => assert!(code.is_some()),
            200 | 201 | 204 => assert!(code.is_none()),
            status => {
                // The answer to HEAD has no body.
                assert!(code.is_none_or(|code| code.status() == status), "{}", answer.text);
                assert!(Code::ALL.iter().any(|code| code.status() == status) && status != 500, "{}", answer.text);
                assert!(code.is_some() != answer.text.is_empty(), "{}", answer.text);
            }
        }
        assert_eq!(answer.header("x-request-id"), Some("req_toy"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let origins = headers.iter().filter(|(name, value)| *name == "origin" && !value.is_empty());
        let origin = origins.map(|(_, value)| *value).collect::<Vec<_>>().join(", ");
        for (name, value) in &answer.headers {
            // A preflight tells the page that sent it its own origin, which the platform has seen to be a header's value.
            if *name != "access-control-allow-origin" || value == "*" {
                assert!(value.bytes().all(|b| (0x20..0x7F).contains(&b)), "{name}: {value}");
                self.hides_secrets(value);
            } else {
                assert_eq!(*value, origin);
            }
        }
        assert_eq!(answer.log["status"], answer.status);
        self.hides_secrets(&answer.log.to_string());
        let mut body = answer.json.clone();
        told_on_purpose(&mut body);
        self.hides_secrets(&body.to_string());
        if body.is_null() {
            self.hides_secrets(&answer.text);
        }
    }

    fn hides_secrets(&self, text: &str) {
        let token = self.deploy_key.split_once('|').expect("a place and a token").1;
        let own = [token, &self.visitor.key, &self.visitor.secret, &self.server_key, &self.service_token];
        let issued = self.toy.issued.borrow();
        for secret in own.into_iter().chain(issued.iter().map(String::as_str)) {
            assert!(!text.contains(secret), "a secret: {text}");
        }
    }
}

/// Takes out what an answer is there to tell: a secret that it hands out, and what people wrote to each other.
fn told_on_purpose(body: &mut Value) {
    match body {
        Value::Object(members) => {
            members.retain(|name, _| !matches!(name.as_str(), "secret" | "history_secret" | "text"));
            members.values_mut().for_each(told_on_purpose);
        }
        Value::Array(items) => items.iter_mut().for_each(told_on_purpose),
        _ => {}
    }
}
