//! Answers of the toy world, and the people who use it: an operator with a deploy key, and visitors of pages.

use super::{Name, START, Toy};
use claviger::{
    codec::time::Timestamp,
    credential::{DeployKey, Kind as _},
    crypto::id_check,
    object::machine::World as _,
    value::id::Stage,
};
use serde_json::{Value, json};

pub const ROOT: &str = "r1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
pub const ORIGIN: &str = "https://shop.example";

/// The variables of a sound deployment.
pub const VARIABLES: [(&str, &str); 5] = [
    ("ROOT_SECRETS", ROOT),
    ("ORIGIN", "https://auth.example"),
    ("STAGE", "dev"),
    ("DEPLOYMENT", "local"),
    ("CLIENT_ADDRESS_HEADER", "X-Client"),
];

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// Headers of the upstream that came through.
    pub passed: Vec<(String, String)>,
    pub json: Value,
    pub text: String,
    pub log: Value,
    /// Objects that were asked on the request's road.
    pub hops: usize,
    /// How many times the road waited for objects.
    pub rounds: usize,
    /// Objects that were made.
    pub made: usize,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A member of the body, as text.
    pub fn text_at(&self, name: &str) -> String {
        self.json[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.text)).to_owned()
    }

    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// It is this refusal, and says all that a refusal says.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        assert_eq!(self.json["success"], false);
        assert_eq!(self.json["request_id"], "req_toy");
        assert!(!self.text_at("error").is_empty(), "{}", self.text);
        // Where the variables are not sound there is no name to link to.
        let (fix, link) = (self.text_at("fix"), format!(" See https://auth.example/docs/errors#{code}"));
        let bare = Some(fix.as_str()).filter(|_| code == "not_configured");
        let advice = fix.strip_suffix(&link).or(bare);
        assert!(advice.is_some_and(|advice| advice.ends_with(['.', '?']) && !advice.contains("/docs/errors")), "{fix}");
        assert_eq!(self.header("x-request-id"), Some("req_toy"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        if status == 401 {
            let challenge = self.header("www-authenticate").expect("every 401 has a challenge");
            let metadata = "Bearer resource_metadata=\"https://auth.example/.well-known/oauth-protected-resource\"";
            assert!(challenge.starts_with(metadata), "{challenge}");
            assert_eq!(challenge.contains("error="), code != "missing_credential", "{challenge}");
        }
        if status == 429 {
            let seconds: u64 = self.header("retry-after").expect("Retry-After").parse().unwrap();
            assert!(seconds > 0);
        }
        self
    }

    /// It is this refusal, on a route that has refusals written as OpenAI writes them.
    #[track_caller]
    pub fn refused_as_openai(&self, status: u16, code: &str) -> &Self {
        let error = &self.json["error"];
        assert_eq!((self.status, error["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(error["request_id"], "req_toy");
        assert!(
            error["fix"].as_str().is_some_and(|fix| fix.ends_with(&format!("/docs/errors#{code}"))),
            "{}",
            self.text
        );
        self
    }

    #[track_caller]
    pub fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Secrets that this answer hands out.
    pub fn secrets(&self) -> Vec<String> {
        let found = ["secret", "history_secret"].into_iter().filter_map(|name| self.json.get(name)?.as_str());
        found.map(str::to_owned).collect()
    }
}

/// A page in a browser, with the widget on it.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub key: String,
    pub conversation: String,
    pub secret: String,
}

impl Toy {
    /// A sound deployment under a built-in policy.
    pub fn new(policy: &str) -> Self {
        Self::changed(&[("POLICY", policy)])
    }

    /// A sound deployment with some variables changed, or emptied.
    pub fn changed(changes: &[(&str, &str)]) -> Self {
        let mut variables: Vec<(&str, &str)> = changes.to_vec();
        variables.extend(VARIABLES);
        Self::with(&variables)
    }

    /// A deploy key that lives for `seconds`.
    pub fn deploy_key_for(&self, stage: Stage, deployment: &str, seconds: u64) -> String {
        let issued_at = self.now();
        let ring = &self.config.as_ref().unwrap().ring;
        let id = id_check::deploy_key(Timestamp(START), self.random().unwrap(), ring).unwrap();
        let expires_at = issued_at.plus_seconds(seconds);
        self.write(&DeployKey { id, stage, deployment: deployment.to_owned(), issued_at, expires_at })
    }

    /// The text of a deploy key.
    pub fn write(&self, key: &DeployKey) -> String {
        let config = self.config.as_ref().unwrap();
        key.issue(&config.policy.brand, &config.ring).unwrap().reveal().to_owned()
    }

    /// The header of a deploy key that is good for an hour.
    pub fn deploy_key(&self) -> String {
        format!("Convex {}", self.deploy_key_for(Stage::Dev, "local", 3_600))
    }

    /// The clock, in milliseconds.
    pub fn now_millis(&self) -> u64 {
        self.now().0
    }

    /// A call of the operator's server.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let key = self.deploy_key();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &[("authorization", &key)], &body)
    }

    pub fn workspace(&self, id: &str) {
        self.admin("POST", "/v1/workspaces", &json!({"name": id, "id": id})).ok(201);
    }

    /// Makes a widget key: its id and its text.
    pub fn widget_key(&self, workspace: &str, environment: &str, origins: &[&str]) -> (String, String) {
        let body = json!({
            "kind": "widget_key", "workspace": workspace, "environment": environment, "name": "shop",
            "origins": origins,
        });
        let made = self.admin("POST", "/v1/credentials", &body).ok(201);
        (made.text_at("id"), made.text_at("secret"))
    }

    /// Makes a server key with whatever else `members` say: its id and its text.
    pub fn server_key(&self, workspace: &str, environment: &str, members: &Value) -> (String, String) {
        let mut body = json!({
            "kind": "server_key", "workspace": workspace, "environment": environment, "name": "backend",
        });
        for (name, value) in members.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let made = self.admin("POST", "/v1/credentials", &body).ok(201);
        (made.text_at("id"), made.text_at("secret"))
    }

    /// Makes a service token with whatever else `members` say: its id and its text.
    pub fn service_token(
        &self,
        workspace: &str,
        environment: &str,
        service: &str,
        members: &Value,
    ) -> (String, String) {
        let mut members = if members.is_null() { json!({}) } else { members.clone() };
        (members["kind"], members["service"]) = ("service_token".into(), service.into());
        self.server_key(workspace, environment, &members)
    }

    /// A call of a customer's server.
    pub fn server(&self, key: &str, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {key}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &[("authorization", &bearer)], &body)
    }

    /// A metered call that needs no scope.
    pub fn whoami(&self, key: &str) -> Answer {
        self.server(key, "GET", "/v1/whoami", &Value::Null)
    }

    /// Makes an identity secret: its kid and its text.
    pub fn identity_secret(&self, workspace: &str) -> (String, String) {
        let made = self.admin("POST", &format!("/v1/workspaces/{workspace}/identity-secrets"), &Value::Null).ok(201);
        (made.text_at("kid"), made.text_at("secret"))
    }

    /// A workspace with a live key: the key's id and text.
    pub fn shop(&self) -> (String, String) {
        self.workspace("acme");
        self.widget_key("acme", "live", &[ORIGIN])
    }

    /// Opens a conversation.
    pub fn open(&self, key: &str) -> Visitor {
        let opened = self.send("POST", &format!("/w/{key}/conversations"), &[("origin", ORIGIN)], "{}").ok(201);
        Visitor {
            key: key.to_owned(),
            conversation: opened.text_at("conversation"),
            secret: opened.text_at("history_secret"),
        }
    }

    /// A shop with one conversation.
    pub fn conversation(&self) -> Visitor {
        let (_, key) = self.shop();
        self.open(&key)
    }

    /// A call of a page, with headers beside the usual ones.
    pub fn visit_with(
        &self,
        visitor: &Visitor,
        method: &str,
        tail: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let path = format!("/w/{}/conversations/{}/{tail}", visitor.key, visitor.conversation);
        let bearer = format!("Bearer {}", visitor.secret);
        let mut all = vec![("origin", ORIGIN), ("authorization", bearer.as_str())];
        all.extend(headers);
        self.send(method, &path, &all, body)
    }

    /// A call of a page.
    pub fn visit(&self, visitor: &Visitor, method: &str, tail: &str, body: &str) -> Answer {
        self.visit_with(visitor, method, tail, &[], body)
    }

    /// A visitor writes.
    pub fn say(&self, visitor: &Visitor, text: &str) -> Answer {
        self.visit(visitor, "POST", "messages", &json!({"text": text}).to_string())
    }

    /// A visitor reads the texts of the first page.
    pub fn hear(&self, visitor: &Visitor) -> Vec<String> {
        let page = self.visit(visitor, "GET", "messages", "").ok(200);
        page.json["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap().to_owned()).collect()
    }

    /// The same, but for what the calls of an operator leave by themselves: that they were made, and by which key.
    pub fn kept(&self) -> std::collections::BTreeMap<Name, super::Object> {
        let mut kept = self.snapshot();
        kept.values_mut().for_each(|object| object.rows.retain(|key, _| !key.starts_with("deploy-key")));
        kept.retain(|(_, name), object| !name.starts_with("dk_") && !object.rows.is_empty());
        kept
    }

    /// Everything that is stored: to show that nothing changed.
    pub fn snapshot(&self) -> std::collections::BTreeMap<Name, super::Object> {
        self.objects.borrow().clone()
    }
}

/// The credentials in a request, wherever they stand.
pub fn presented(path: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let mut found: Vec<&str> = path.split(['/', '?', '&', '=']).collect();
    for (name, value) in headers {
        if matches!(name.to_lowercase().as_str(), "authorization" | "x-api-key" | "x-service-token") {
            found.extend(value.split([' ', '|', ',']));
        }
    }
    found.into_iter().filter(|text| text.len() >= 40).map(str::to_owned).collect()
}

/// The same text with one bit of its tag turned over.
pub fn forge(text: &str) -> String {
    let (rest, middle) = text.split_at(text.len() - 10);
    let other = if middle.starts_with('A') { 'B' } else { 'A' };
    format!("{rest}{other}{}", &middle[1..])
}

/// A refusal that cost nobody anything.
#[track_caller]
pub fn idle(answer: &Answer, status: u16, code: &str) {
    answer.refused(status, code);
    assert_eq!((answer.hops, answer.made), (0, 0), "{}", answer.text);
}

/// It is this refusal beside a genuine widget key: the key's shard was asked whether the page may read it, and nothing was made.
#[track_caller]
pub fn told_to_the_page(answer: &Answer, status: u16, code: &str) {
    answer.refused(status, code);
    assert_eq!((answer.hops, answer.made), (1, 0), "{}", answer.text);
}

/// A list of public suffixes as a deployment has it, with few that exist.
pub fn suffix_list() -> Vec<u8> {
    let many: String = (0..1_000).map(|number| format!("tld{number}\n")).collect();
    format!("// A list\n{many}com\nco.uk\nuk\n*.ck\n!www.ck\nkawasaki.jp\ngithub.io\nk12.ma.us\n// end\n").into_bytes()
}
