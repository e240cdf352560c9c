//! The calls that every workload begins with: workspaces, widget keys and conversations.

use crate::{
    client::{Client, Moment, SITE},
    http::{Answer, Request},
};
use serde_json::{Value, json};

/// A widget key.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

/// A visitor of a conversation.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub key: String,
    pub conversation: String,
    pub secret: String,
    pub network: String,
}

impl Client<'_> {
    /// A request with the deploy key.
    pub fn as_operator(&self, request: Request) -> Request {
        request.with("Authorization", format!("Convex {}", self.world.deploy_key))
    }

    /// A workspace of this name; made before is as good.
    pub fn workspace(&mut self, id: &str) -> Option<()> {
        let request = self.as_operator(Request::post("/v1/workspaces", &json!({"id": id, "name": id})));
        let (.., answer) = self.resolve(&request)?;
        if !matches!(answer.status, 201 | 409) {
            self.surprise(&request, &answer.body);
            return None;
        }
        Some(())
    }

    /// What makes a widget key.
    pub fn creation(&self, workspace: &str, name: &str) -> Request {
        let body = json!({
            "kind": "widget_key", "workspace": workspace, "environment": "test", "name": name, "origins": [SITE],
        });
        self.as_operator(Request::post("/v1/credentials", &body))
    }

    /// A widget key, with the moment of the answer that gave its secret. One whose secret got lost on its way is left behind.
    pub fn key(&mut self, workspace: &str) -> Option<(Key, Moment)> {
        let name = self.fresh("key");
        let request = self.creation(workspace, &name);
        let (_, returned, answer) = self.resolve(&request)?;
        if answer.status != 201 {
            self.surprise(&request, &answer.body);
            return None;
        }
        Some((Key { id: answer.text("id"), secret: answer.text("secret") }, returned))
    }

    /// A new conversation, from a network of its own.
    pub fn conversation(&mut self, key: &Key) -> Option<Visitor> {
        let network = self.network();
        let request = opening(&key.secret, &network);
        let (.., answer) = self.resolve(&request)?;
        if answer.status != 201 {
            self.surprise(&request, &answer.body);
            return None;
        }
        let [conversation, secret] = ["conversation", "history_secret"].map(|member| answer.text(member));
        Some(Visitor { key: key.secret.clone(), conversation, secret, network })
    }
}

/// What opens a conversation.
pub fn opening(key: &str, network: &str) -> Request {
    from_page(Request::post(format!("/w/{key}/conversations"), &json!({})), network)
}

impl Visitor {
    /// A read of all messages.
    pub fn reading(&self) -> Request {
        self.own(Request::get(self.path("messages")))
    }

    /// A message.
    pub fn writing(&self, text: &str) -> Request {
        self.own(Request::post(self.path("messages"), &json!({"text": text})))
    }

    /// A rotation of the history secret.
    pub fn rotating(&self) -> Request {
        self.own(Request::post(self.path("secret/rotate"), &json!({})))
    }

    fn path(&self, what: &str) -> String {
        format!("/w/{}/conversations/{}/{what}", self.key, self.conversation)
    }

    fn own(&self, request: Request) -> Request {
        from_page(request, &self.network).with("Authorization", format!("Bearer {}", self.secret))
    }
}

fn from_page(request: Request, network: &str) -> Request {
    request.with("Origin", SITE).with("X-Client", network)
}

/// The texts of messages, if their ids run from the first without a gap.
pub fn texts(answer: &Answer) -> Option<Vec<String>> {
    let is_next = |(number, item): (usize, &Value)| item["id"] == format!("msg_{}", number + 1);
    let text = |item: &Value| item["text"].as_str().map(str::to_owned);
    answer.items().iter().enumerate().all(is_next).then(|| answer.items().iter().filter_map(text).collect())
}

/// Whether an answer says that a credential has ended.
pub fn is_ended(answer: &Answer) -> bool {
    answer.status == 401 && answer.body["code"] == "revoked_credential"
}
