//! Tokens by the dialects of providers: whatever a request is spelled like, it holds what it may take, and whatever an answer is spelled
//! like, it counts what it says that it used. The shapes in `tests/dialects/` are those of the providers' public documentation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod toy;

use claviger::{upstream::watch::Ending, world::upstream::Incoming};
use serde_json::json;
use toy::{Answer, Toy};

/// The limit of the tier.
const LIMIT: u64 = 1_000_000;

const POLICY: &str = r#"
brand = "gs"
[tiers.free]
requests = { limit = 100_000, window_seconds = 60 }
tokens = { limit = 1_000_000, window_seconds = 60 }
[[routes]]
match = "POST /v1/chat/completions"
accept = ["server_key"]
to = "upstream"
tokens = { dialect = "openai" }
[[routes]]
match = "POST /v1/completions"
accept = ["server_key"]
to = "upstream"
tokens = { dialect = "openai" }
[[routes]]
match = "POST /v1/responses"
accept = ["server_key"]
to = "upstream"
tokens = { dialect = "openai", default = 500 }
[[routes]]
match = "POST /v1/embeddings"
accept = ["server_key"]
to = "upstream"
tokens = { dialect = "openai" }
[[routes]]
match = "POST /v1/anything"
accept = ["server_key"]
to = "upstream"
tokens = { dialect = "openai", refused = "held" }
[[routes]]
match = "POST /v1/messages"
accept = ["server_key"]
to = "upstream"
tokens = { dialect = "anthropic" }
[[routes]]
match = "POST /v1/complete"
accept = ["server_key"]
to = "upstream"
tokens = { dialect = "anthropic" }
[[routes]]
match = "POST /v1beta/models/{call}"
accept = ["server_key"]
to = "upstream"
tokens = { dialect = "gemini" }
[[routes]]
match = "POST /api/chat"
accept = ["server_key"]
to = "upstream"
tokens = { reserve = ["options.num_predict", "max"], multiply = ["n", "best_of"], settle = ["prompt_eval_count", "eval_count"], default = 100 }
[[routes]]
match = "POST /plain"
accept = ["server_key"]
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens" }
[[routes]]
match = "POST /strict"
accept = ["server_key"]
to = "upstream"
tokens = { reserve = "max_tokens", settle = "usage.total_tokens", refused = "held" }
"#;

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const RESPONSES: &str = "/v1/responses";
const EMBEDDINGS: &str = "/v1/embeddings";
const ANYTHING: &str = "/v1/anything";
const MESSAGES: &str = "/v1/messages";
const GEMINI: &str = "/v1beta/models/gemini-2.5-flash:generateContent";
const OLLAMA: &str = "/api/chat";
const PLAIN: &str = "/plain";
const STRICT: &str = "/strict";

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";
const LINES: &str = "application/x-ndjson";

/// A world, and a key in it.
struct Scene {
    toy: Toy,
    key: String,
}

impl Scene {
    fn new() -> Self {
        let toy = Toy::changed(&[("POLICY_TOML", POLICY), ("UPSTREAM", "https://api.example")]);
        toy.workspace("acme");
        let (_, key) = toy.server_key("acme", "live", &json!({"tier": "free"}));
        Self { toy, key }
    }

    fn says(&self, status: u16, content_type: &str, parts: &[&[u8]], ending: Ending) {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        *self.toy.upstream.borrow_mut() = Ok(Incoming { status, headers });
        *self.toy.upstream_body.borrow_mut() = (parts.iter().map(|part| part.to_vec()).collect(), ending);
    }

    fn call(&self, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        self.toy.send("POST", path, &[("authorization", &bearer)], body)
    }

    fn left(&self) -> u64 {
        let answer = self.toy.whoami(&self.key).ok(200);
        answer.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap()
    }

    /// What a call with this body holds for its answer; or the status by which it is refused.
    fn bound(&self, path: &str, body: &str) -> Result<u64, u16> {
        self.toy.advance(62);
        self.says(400, JSON, &[b"{}"], Ending::Whole);
        self.toy.holds_answers.set(true);
        let answer = self.call(path, body);
        self.toy.holds_answers.set(false);
        let under_way: Vec<_> = self.toy.under_way.borrow_mut().drain(..).collect();
        under_way.into_iter().for_each(|watch| {
            self.toy.pass(watch, &[b"{\"usage\":{\"total_tokens\":0}}".to_vec()], Ending::Whole).unwrap()
        });
        if answer.status != 400 || answer.text.contains("\"code\"") {
            return Err(answer.status);
        }
        let left: u64 = answer.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
        Ok(LIMIT - left - body.len().div_ceil(4) as u64)
    }

    /// What counts of a call with this body that is answered so, in parts of this size.
    fn counted_in(&self, size: usize, call: (&str, &str), status: u16, kind: &str, text: &str, ending: Ending) -> u64 {
        let (path, body) = call;
        self.toy.advance(62);
        let parts: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        self.says(status, kind, &parts, ending);
        assert_eq!(self.call(path, body).status, status, "{path} {body}");
        LIMIT - self.left()
    }

    fn counted(&self, path: &str, body: &str, status: u16, kind: &str, text: &str, ending: Ending) -> u64 {
        self.counted_in(text.len().max(1), (path, body), status, kind, text, ending)
    }

    /// What counts of a call that is answered with 200 and all of this.
    fn used(&self, path: &str, kind: &str, text: &str) -> u64 {
        self.counted(path, "{}", 200, kind, text, Ending::Whole)
    }
}

/// What a call with the body `{}` holds where the policy says nothing.
const DEFAULT: u64 = 4_096 + 1;

fn events(documents: &[&str]) -> String {
    documents.iter().map(|document| format!("data: {document}\n\n")).collect()
}

fn total(tokens: impl std::fmt::Display) -> String {
    format!("{{\"usage\":{{\"total_tokens\":{tokens}}}}}")
}

// What is held.

#[test]
fn f1_of_twelve_at_once_no_more_is_admitted_than_the_tier_has_however_the_bound_is_spelled() {
    for body in [
        "{\"max_completion_tokens\":30000,\"stream\":true}",
        "{\"max_tokens\":30000,\"stream\":true}",
        "{\"max_tokens\":1,\"max_completion_tokens\":30000,\"stream\":true}",
        "{\"max_tokens\":100,\"n\":300}",
    ] {
        let toy = Toy::changed(&[("POLICY", "llm"), ("UPSTREAM", "https://api.example")]);
        toy.workspace("acme");
        let (_, key) = toy.server_key("acme", "live", &json!({"tier": "free", "scopes": ["completions:read"]}));
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        *toy.upstream.borrow_mut() = Ok(Incoming { status: 200, headers });
        toy.holds_answers.set(true);
        let bearer = format!("Bearer {key}");
        let mut admitted = 0;
        for number in 0..12 {
            *toy.request_id.borrow_mut() = format!("req_{number}");
            let answer = toy.exchange("POST", CHAT, &[("authorization", &bearer)], body);
            assert!(matches!(answer.status, 200 | 429), "{}", answer.text);
            admitted += u64::from(answer.status == 200);
        }
        assert_eq!(admitted, 1, "{body}: of 40,000 no second 30,000 fit");
        let watch = toy.under_way.borrow_mut().remove(0);
        toy.pass(watch, &[events(&[&total(30_000), "[DONE]"]).into_bytes()], Ending::Whole).unwrap();
        *toy.request_id.borrow_mut() = "req_toy".to_owned();
        assert_eq!(toy.whoami(&key).header("x-ratelimit-remaining-tokens"), Some("10000"));
    }
}

#[test]
fn f1_a_second_name_never_lowers_what_is_held() {
    let toy = Toy::changed(&[("POLICY", "llm"), ("UPSTREAM", "https://api.example")]);
    toy.workspace("acme");
    let scopes = json!({"tier": "free", "scopes": ["completions:read", "sessions:write"]});
    let (_, key) = toy.server_key("acme", "live", &scopes);
    for path in [CHAT, "/v1/sessions/s1/messages"] {
        for body in [
            json!({"max_tokens": 1, "max_completion_tokens": 100_000}),
            json!({"max_completion_tokens": 1, "max_tokens": 100_000}),
            json!({"max_tokens": 1, "Max_Tokens": 100_000}),
            json!({"max_tokens": 1, "max_output_tokens": 100_000}),
            json!({"max_tokens": 400, "n": 128}),
        ] {
            let answer = toy.server(&key, "POST", path, &body);
            // In the words of the dialect, or in ours.
            let code = answer.json["error"]["code"].as_str().unwrap_or(answer.code());
            assert_eq!((answer.status, code), (413, "payload_too_large"), "{}", answer.text);
        }
    }
    assert_eq!(toy.forwarded.borrow().len(), 0);
}

#[test]
fn f1_each_endpoint_holds_the_largest_bound_among_the_names_that_it_reads() {
    let scene = Scene::new();
    for (path, body, bound) in [
        (CHAT, "{\"max_tokens\":50}", 50),
        (CHAT, "{\"max_completion_tokens\":50}", 50),
        (CHAT, "{\"max_completion_tokens\":50,\"max_tokens\":null}", 50),
        (CHAT, "{\"max_completion_tokens\":50,\"max_tokens\":70}", 70),
        (CHAT, "{\"max\\u005ftokens\":50}", 50),
        (CHAT, "{\"max_tokens\":50,\"max\\u005fcompletion_tokens\":60}", 60),
        (CHAT, "{}", 4_096),
        (CHAT, "{\"max_tokens\":null}", 4_096),
        // A name that this endpoint does not read bounds nothing.
        (CHAT, "{\"max_output_tokens\":1}", 4_096),
        (CHAT, "{\"max_output_tokens\":5000}", 5_000),
        (COMPLETIONS, "{\"max_tokens\":50}", 50),
        (COMPLETIONS, "{\"max_completion_tokens\":1}", 4_096),
        (RESPONSES, "{\"max_output_tokens\":50}", 50),
        (RESPONSES, "{\"max_tokens\":1}", 500),
        (RESPONSES, "{}", 500),
        (EMBEDDINGS, "{\"input\":\"Hello there\"}", 0),
        (EMBEDDINGS, "{\"input\":[\"a\",\"b\"],\"n\":5}", 0),
        (ANYTHING, "{\"max_completion_tokens\":50}", 50),
        (ANYTHING, "{\"max_output_tokens\":1}", 4_096),
        (ANYTHING, "{\"max_output_tokens\":9000}", 9_000),
        (MESSAGES, "{\"max_tokens\":1024}", 1_024),
        (MESSAGES, "{\"max_tokens\":1024,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":9000}}", 9_000),
        (MESSAGES, "{\"thinking\":{\"budget_tokens\":10}}", 4_096),
        (MESSAGES, "{\"max_tokens_to_sample\":1}", 4_096),
        ("/v1/complete", "{\"max_tokens_to_sample\":20}", 20),
        (GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":800}}", 800),
        (GEMINI, "{\"generation_config\":{\"max_output_tokens\":800}}", 800),
        (GEMINI, "{\"generationConfig\":{\"max_output_tokens\":800}}", 800),
        (
            GEMINI,
            "{\"generation_config\":{\"max_output_tokens\":900},\"generationConfig\":{\"maxOutputTokens\":1}}",
            900,
        ),
        (GEMINI, "{\"generationConfig\":{\"thinkingConfig\":{\"maxOutputTokens\":1}}}", 4_096),
        (GEMINI, "{\"maxOutputTokens\":1}", 4_096),
        (OLLAMA, "{\"options\":{\"num_predict\":7}}", 7),
        (OLLAMA, "{\"options\":{\"num_predict\":7},\"max\":9}", 9),
        (OLLAMA, "{\"options\":null}", 100),
        (PLAIN, "{\"max_completion_tokens\":9000}", 4_096),
    ] {
        assert_eq!(scene.bound(path, body), Ok(bound), "{path} {body}");
    }
}

#[test]
fn x_a_bound_of_nothing_is_no_bound_and_servers_names_of_their_own_raise_it() {
    let scene = Scene::new();
    for (path, body, bound) in [
        // Many servers take 0 for "not said"; in protocol buffers it is the same.
        (CHAT, "{\"max_tokens\":0}", 4_096),
        (CHAT, "{\"max_tokens\":-0}", 4_096),
        (CHAT, "{\"max_tokens\":0.0e9}", 4_096),
        (CHAT, "{\"max_tokens\":0,\"max_completion_tokens\":10}", 4_096),
        (CHAT, "{\"max_tokens\":0,\"max_completion_tokens\":9000}", 9_000),
        (CHAT, "{\"max_tokens\":5,\"MaxTokens\":0}", 4_096),
        (RESPONSES, "{\"max_output_tokens\":0}", 500),
        (RESPONSES, "{\"max_output_tokens\":5,\"max_tokens\":0}", 5),
        (EMBEDDINGS, "{\"max_tokens\":0}", 0),
        // There it asks for the probabilities of the question alone.
        (COMPLETIONS, "{\"max_tokens\":0,\"echo\":true}", 0),
        (COMPLETIONS, "{\"max_tokens\":0,\"max_new_tokens\":9000}", 9_000),
        (MESSAGES, "{\"max_tokens\":0}", 4_096),
        (GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":0}}", 4_096),
        // What it means to an API whose members the policy names, nobody says.
        (PLAIN, "{\"max_tokens\":0}", 0),
        // llama.cpp and TGI read these on OpenAI's paths, and the first of them before `max_tokens`.
        (CHAT, "{\"max_tokens\":1,\"n_predict\":9000}", 9_000),
        (COMPLETIONS, "{\"max_tokens\":1,\"n_predict\":9000}", 9_000),
        (CHAT, "{\"max_tokens\":1,\"max_new_tokens\":9000}", 9_000),
        (ANYTHING, "{\"max_tokens\":1,\"max_new_tokens\":9000}", 9_000),
        (CHAT, "{\"n_predict\":1}", 4_096),
    ] {
        assert_eq!(scene.bound(path, body), Ok(bound), "{path} {body}");
    }
    assert_eq!(scene.bound(CHAT, "{\"max_tokens\":1,\"n_predict\":-1}"), Err(400));
}

#[test]
fn a5_what_multiplies_the_answer_multiplies_what_is_held() {
    let scene = Scene::new();
    for (path, body, bound) in [
        (CHAT, "{\"max_tokens\":10,\"n\":128}", 1_280),
        (CHAT, "{\"n\":128}", 128 * 4_096),
        (CHAT, "{\"max_tokens\":10,\"n\":1.28e2}", 1_280),
        (CHAT, "{\"max_tokens\":10,\"N\":128}", 1_280),
        (CHAT, "{\"max_tokens\":10,\"n\":null}", 10),
        (CHAT, "{\"max_tokens\":10,\"n\":0}", 10),
        // `best_of` answers are generated, and `n` of them are sent.
        (COMPLETIONS, "{\"max_tokens\":10,\"n\":2,\"best_of\":20}", 200),
        (COMPLETIONS, "{\"max_tokens\":10,\"best_of\":20}", 200),
        // Each of several questions has its answers.
        (COMPLETIONS, "{\"max_tokens\":10,\"prompt\":\"a, b\"}", 10),
        (COMPLETIONS, "{\"max_tokens\":10,\"prompt\":[\"a\",\"b\",\"c\"]}", 30),
        (COMPLETIONS, "{\"max_tokens\":10,\"prompt\":[\"a\",\"b\",\"c\"],\"n\":4}", 120),
        (COMPLETIONS, "{\"max_tokens\":10,\"prompt\":[[1,2],[3]]}", 20),
        (COMPLETIONS, "{\"max_tokens\":10,\"prompt\":[1,2,3]}", 10),
        (COMPLETIONS, "{\"max_tokens\":10,\"prompt\":[]}", 10),
        (GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":10,\"candidateCount\":8}}", 80),
        (GEMINI, "{\"generation_config\":{\"candidate_count\":2}}", 2 * 4_096),
        (OLLAMA, "{\"max\":10,\"n\":3,\"best_of\":5}", 150),
    ] {
        assert_eq!(scene.bound(path, body), Ok(bound), "{path} {body}");
    }
    for body in
        ["{\"max_tokens\":4294967295,\"n\":4294967295}", "{\"max_tokens\":100000,\"n\":128}", "{\"n\":4294967295}"]
    {
        assert_eq!(scene.bound(CHAT, body), Err(413), "{body}");
    }
    for n in ["-1", "1.5", "\"2\"", "true", "[2]", "{}", "1e30", "4294967296", "1,\"n\":2"] {
        let body = format!("{{\"max_tokens\":10,\"n\":{n}}}");
        assert_eq!(scene.bound(CHAT, &body), Err(400), "{body}");
        assert_eq!(scene.call(CHAT, &body).refused(400, "invalid_request").text_at("error"), "`n` is not valid.");
    }
}

#[test]
fn a5_a_question_that_is_sent_as_the_numbers_of_its_tokens_holds_one_for_each() {
    let scene = Scene::new();
    for path in [EMBEDDINGS, COMPLETIONS] {
        let body = format!("{{\"max_tokens\":0,\"prompt\":[0{}]}}", ",0".repeat(9_999));
        let estimate = body.len().div_ceil(4) as u64;
        assert_eq!(scene.bound(path, &body), Ok(10_001 - estimate), "{path}: beside a token for four bytes");
    }
}

#[test]
fn a5_another_letter_case_or_spelling_only_raises_what_is_held() {
    let scene = Scene::new();
    for (path, body, bound) in [
        (CHAT, "{\"Max_Tokens\":9000}", 9_000),
        (CHAT, "{\"max_tokens\":10,\"MAX_TOKENS\":9000}", 9_000),
        (CHAT, "{\"MAX_TOKENS\":9000,\"max_tokens\":10}", 9_000),
        (CHAT, "{\"maxTokens\":9000,\"max_tokens\":10}", 9_000),
        (CHAT, "{\"max_tokens\":10,\"max_to\u{212a}ens\":9000}", 9_000),
        (CHAT, "{\"max_tokens\":10,\"max_token\\u017f\":9000}", 9_000),
        (CHAT, "{\"max_tokens\":10,\"Max_Tokens\":20,\"mAX_tOKENS\":9000,\"MAX_tokens\":30}", 9_000),
        // Where letter case is told apart, these are no bounds.
        (CHAT, "{\"Max_Tokens\":1}", 4_096),
        (CHAT, "{\"max_tokens\":100,\"Max_Tokens\":1}", 100),
        // Where it is not, this takes the bound away again.
        (CHAT, "{\"max_tokens\":100,\"Max_Tokens\":null}", 4_096),
        (MESSAGES, "{\"max_tokens\":10,\"Max_Tokens\":9000}", 9_000),
        (
            GEMINI,
            "{\"generationConfig\":{\"maxOutputTokens\":10},\"GenerationConfig\":{\"maxOutputTokens\":9000}}",
            9_000,
        ),
        (OLLAMA, "{\"options\":{\"num_predict\":10},\"Options\":{\"num_predict\":9000}}", 9_000),
        (PLAIN, "{\"max_tokens\":10,\"MaxTokens\":9000}", 9_000),
    ] {
        assert_eq!(scene.bound(path, body), Ok(bound), "{path} {body}");
    }
}

#[test]
fn a5_a_bound_that_stands_twice_is_refused() {
    let scene = Scene::new();
    for (path, body) in [
        (CHAT, "{\"max_tokens\":9000,\"max_tokens\":1}"),
        (CHAT, "{\"max_tokens\":9000,\"max\\u005ftokens\":1}"),
        (CHAT, "{\"max_tokens\":9000,\"max_tokens\":null}"),
        (GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":9000},\"generationConfig\":{}}"),
        (GEMINI, "{\"generationConfig\":{\"maxOutputTokens\":1,\"maxOutputTokens\":2}}"),
        (OLLAMA, "{\"options\":{\"num_predict\":1},\"options\":{\"num_predict\":2}}"),
        (COMPLETIONS, "{\"prompt\":\"a\",\"prompt\":[\"a\",\"b\"]}"),
    ] {
        assert_eq!(scene.bound(path, body), Err(400), "{body}");
    }
    // What stands twice elsewhere is somebody else's business.
    assert_eq!(scene.bound(CHAT, "{\"max_tokens\":5,\"user\":1,\"user\":{\"max_tokens\":1,\"max_tokens\":2}}"), Ok(5));
}

#[test]
fn f15_a_whole_number_is_taken_however_it_is_spelled() {
    let scene = Scene::new();
    for spelled in ["100", "100.0", "1e2", "1E+2", "1000e-1", "0.1e3", "100.000"] {
        assert_eq!(scene.bound(CHAT, &format!("{{\"max_tokens\":{spelled}}}")), Ok(100), "{spelled}");
        assert_eq!(scene.used(PLAIN, JSON, &total(spelled)), 100, "{spelled}");
        assert_eq!(scene.used(CHAT, EVENTS, &events(&[&total(spelled)])), 100, "{spelled}");
    }
    assert_eq!(scene.bound(COMPLETIONS, "{\"max_tokens\":-0.0}"), Ok(0));
    for spelled in ["100.5", "1e-2", "-1", "-1e2", "1e10", "\"100\"", "true", "[100]", "{}", "01", "1e400"] {
        let body = format!("{{\"max_tokens\":{spelled}}}");
        scene.call(CHAT, &body).refused(400, "invalid_request");
        assert_eq!(scene.used(PLAIN, JSON, &total(spelled)), DEFAULT, "{spelled}");
    }
}

#[test]
fn a_bound_that_means_no_limit_elsewhere_is_refused_with_what_to_do() {
    let scene = Scene::new();
    for (path, body) in [(CHAT, "{\"max_tokens\":-1}"), (OLLAMA, "{\"options\":{\"num_predict\":-2}}")] {
        let answer = scene.call(path, body);
        answer.refused(400, "invalid_request");
        assert!(answer.text_at("fix").contains("leave the member out"), "{}", answer.text);
    }
    // The fix can be followed.
    assert_eq!(scene.bound(CHAT, "{}"), Ok(4_096));
}

#[test]
fn a_body_that_is_no_object_is_refused_and_says_where_it_is_no_json() {
    let scene = Scene::new();
    for body in ["[]", "5", "\"a\"", "[{\"max_tokens\":5}]", "true"] {
        let answer = scene.call(PLAIN, body);
        assert_eq!(answer.refused(400, "invalid_request").text_at("error"), "`max_tokens` is not valid.", "{body}");
    }
    for body in ["{\"options\":5}", "{\"options\":[{\"num_predict\":5}]}", "{\"options\":\"x\"}"] {
        let answer = scene.call(OLLAMA, body);
        assert_eq!(answer.refused(400, "invalid_request").text_at("error"), "`options.num_predict` is not valid.");
    }
    for (body, place) in [
        ("[1", "line 1, column 2"),
        ("{}{}", "line 1, column 3"),
        ("{\"a\":1,\n \"é\":x}", "line 2, column 7"),
        (" ", "line 1, column 1"),
        ("max_tokens=5", "line 1, column 1"),
        ("{\"max_tokens\":5", "line 1, column 15"),
    ] {
        let answer = scene.call(PLAIN, body);
        assert!(answer.refused(400, "invalid_request").text_at("fix").contains(place), "{}", answer.text);
    }
    assert_eq!(scene.bound(PLAIN, "null"), Ok(4_096));
    assert_eq!(scene.bound(PLAIN, ""), Ok(4_096));
    assert_eq!(scene.bound(PLAIN, " \r\n\t{ \"max_tokens\" : 7 } "), Ok(7));
}

// What is counted.

const CHAT_JSON: &str = include_str!("dialects/openai_chat.json");
const CHAT_EVENTS: &str = include_str!("dialects/openai_chat_stream.txt");
const RESPONSE_JSON: &str = include_str!("dialects/openai_response.json");
const RESPONSE_EVENTS: &str = include_str!("dialects/openai_responses_stream.txt");
const EMBEDDING: &str = include_str!("dialects/openai_embedding.json");
const MESSAGE_JSON: &str = include_str!("dialects/anthropic_message.json");
const MESSAGE_EVENTS: &str = include_str!("dialects/anthropic_stream.txt");
const GEMINI_JSON: &str = include_str!("dialects/gemini.json");
const GEMINI_LIST: &str = include_str!("dialects/gemini_list.json");
const GEMINI_EVENTS: &str = include_str!("dialects/gemini_stream.txt");
const OLLAMA_LINES: &str = include_str!("dialects/ollama.ndjson");

const RECORDED: [(&str, &str, &str, u64); 11] = [
    (CHAT, JSON, CHAT_JSON, 29),
    (CHAT, EVENTS, CHAT_EVENTS, 915),
    (RESPONSES, JSON, RESPONSE_JSON, 123),
    (RESPONSES, EVENTS, RESPONSE_EVENTS, 48),
    (EMBEDDINGS, JSON, EMBEDDING, 5),
    (MESSAGES, JSON, MESSAGE_JSON, 95 + 200 + 1_500 + 503),
    (MESSAGES, EVENTS, MESSAGE_EVENTS, 915),
    (GEMINI, JSON, GEMINI_JSON, 718),
    (GEMINI, JSON, GEMINI_LIST, 58),
    (GEMINI, EVENTS, GEMINI_EVENTS, 158),
    (OLLAMA, LINES, OLLAMA_LINES, 26 + 282),
];

#[test]
fn f5_what_providers_answer_counts_as_they_say_wherever_it_is_cut_into_parts() {
    let scene = Scene::new();
    for (path, kind, text, used) in RECORDED {
        for size in [1, 2, 7, 100, text.len()] {
            let counted = scene.counted_in(size, (path, "{}"), 200, kind, text, Ending::Whole);
            assert_eq!(counted, used, "{path} {kind} in parts of {size}");
        }
        // Line ends as others write them.
        let other = text.replace('\n', "\r\n");
        assert_eq!(scene.used(path, kind, &other), used, "{path} {kind}");
        if kind == EVENTS {
            assert_eq!(scene.used(path, kind, &format!("\u{feff}{}", text.replace('\n', "\r"))), used, "{path}");
            assert_eq!(scene.used(path, kind, &text.replace("data: ", "data:")), used, "{path}");
        }
    }
}

#[test]
fn f5_usage_is_read_nested_or_not_and_in_several_events() {
    let scene = Scene::new();
    let parts = "{\"usage\":{\"prompt_tokens\":900,\"completion_tokens\":15}}";
    for (path, kind, text, used) in [
        (CHAT, JSON, parts.to_owned(), 915),
        // Reasoning that is counted in the total alone.
        (
            CHAT,
            JSON,
            "{\"usage\":{\"prompt_tokens\":900,\"completion_tokens\":15,\"total_tokens\":1400}}".to_owned(),
            1_400,
        ),
        (CHAT, JSON, "{\"usage\":{\"prompt_tokens\":900,\"completion_tokens\":15,\"total_tokens\":0}}".to_owned(), 915),
        // What it leaves out is what was sent: one token for `{}`.
        (CHAT, JSON, "{\"usage\":{\"completion_tokens\":15}}".to_owned(), 16),
        (CHAT, EVENTS, events(&["{\"x_groq\":{\"usage\":{\"total_tokens\":77}}}", "[DONE]"]), 77),
        (RESPONSES, EVENTS, events(&["{\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}"]), 7),
        (ANYTHING, JSON, "{\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}".to_owned(), 7),
        (
            MESSAGES,
            EVENTS,
            events(&[
                "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":900,\"output_tokens\":1}}}",
                "{\"type\":\"message_delta\",\"usage\":{\"input_tokens\":900,\"cache_read_input_tokens\":50,\"output_tokens\":7}}",
                "{\"type\":\"message_delta\",\"usage\":{\"input_tokens\":0,\"output_tokens\":15}}",
                "{\"type\":\"message_stop\"}",
            ]),
            965,
        ),
        (GEMINI, JSON, "{\"usage_metadata\":{\"prompt_token_count\":5,\"candidates_token_count\":6}}".to_owned(), 11),
        (
            GEMINI,
            EVENTS,
            events(&[
                "{\"usageMetadata\":{\"promptTokenCount\":8,\"candidatesTokenCount\":40,\"totalTokenCount\":48}}",
                "{\"usageMetadata\":{\"promptTokenCount\":8,\"totalTokenCount\":8}}",
            ]),
            48,
        ),
        // An event that is split into lines of data.
        (CHAT, EVENTS, "data: {\"usage\":\ndata: {\"total_tokens\":\r\ndata: 9}}\n\n".to_owned(), 9),
        // Nothing follows the last event.
        (CHAT, EVENTS, format!("data: {}", total(9)), 9),
        (CHAT, "Text/Event-Stream;charset=UTF-8", events(&[&total(9)]), 9),
        (CHAT, "application/problem+json ; charset=\"utf-8\"", total(9), 9),
        (CHAT, "APPLICATION/JSON", total(9), 9),
    ] {
        assert_eq!(scene.used(path, kind, &text), used, "{path} {text}");
    }
}

#[test]
fn a5_usage_that_falls_within_a_stream_is_no_running_total() {
    let scene = Scene::new();
    for (path, numbers, used) in [
        // Steps of an agent, each with its own usage.
        (CHAT, &[500, 400, 1][..], 901),
        (PLAIN, &[500, 400, 1], 901),
        (PLAIN, &[900, 0], 900),
        // A total in each event.
        (CHAT, &[1, 9, 9, 30], 30),
        (PLAIN, &[12, 345], 345),
        // Steps with a total in each event.
        (PLAIN, &[5, 10, 3, 8], 18),
    ] {
        let documents: Vec<String> = numbers.iter().map(total).collect();
        let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
        assert_eq!(scene.used(path, EVENTS, &events(&documents)), used, "{numbers:?}");
        assert_eq!(scene.used(path, LINES, &documents.join("\n")), used, "{numbers:?}");
    }
    // Two dialects say that each of their numbers is a total: a smaller one lowers nothing.
    let step = |tokens: u32| format!("{{\"type\":\"message_delta\",\"usage\":{{\"output_tokens\":{tokens}}}}}");
    let steps = [step(500), step(400), step(1)];
    let text = events(&steps.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(scene.used(MESSAGES, EVENTS, &text), 501, "with the token that was sent");
}

#[test]
fn a5_a_call_that_is_cut_short_counts_what_was_seen_or_what_was_held_whichever_is_more() {
    let scene = Scene::new();
    let cut = |path: &str, body: &str, kind: &str, text: &str| scene.counted(path, body, 200, kind, text, Ending::Cut);
    let body = "{\"max_tokens\":900}";
    let held = 900 + body.len().div_ceil(4) as u64;
    for path in [CHAT, PLAIN] {
        for (text, counted) in [
            ("data: {}\n\n".to_owned(), held),
            (format!("data: {}\n\n", total(1)), held),
            (format!("data: {}\n\n", total(5_000)), 5_000),
            // Also of an event that has not ended.
            (format!("data: {}", total(5_000)), 5_000),
            (format!("data: {}\n\ndata: [DONE]\n\n", total(1)), 1),
        ] {
            assert_eq!(cut(path, body, EVENTS, &text), counted, "{path} {text}");
        }
        assert_eq!(cut(path, body, LINES, &format!("{}\n", total(1))), held);
        assert_eq!(cut(path, body, JSON, &total(1)[..20]), held);
        assert_eq!(cut(path, body, JSON, "{\"usage\":{\"total_tokens\":5000},"), 5_000);
    }
    let held = 900 + body.len().div_ceil(4) as u64;
    let end = MESSAGE_EVENTS.find("event: message_delta").unwrap();
    assert_eq!(cut(MESSAGES, "{\"max_tokens\":10}", EVENTS, &MESSAGE_EVENTS[..end]), 901, "the question alone is more");
    assert_eq!(cut(MESSAGES, body, EVENTS, &MESSAGE_EVENTS[..end]), held);
    assert_eq!(cut(MESSAGES, body, EVENTS, MESSAGE_EVENTS), 915, "nothing was missing");
    assert_eq!(cut(RESPONSES, "{\"max_output_tokens\":900}", EVENTS, RESPONSE_EVENTS), 48, "nothing was missing");
    // A stream that ends without having said what it generated.
    assert_eq!(scene.counted(MESSAGES, body, 200, EVENTS, &MESSAGE_EVENTS[..end], Ending::Whole), held);
    let end = CHAT_EVENTS.find("data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1694268190,\"model\":\"gpt-4o-mini\",\"choices\":[]");
    assert_eq!(scene.counted(CHAT, body, 200, EVENTS, &CHAT_EVENTS[..end.unwrap()], Ending::Whole), held);
}

#[test]
fn f5_what_is_not_usage_is_not_taken_for_it() {
    let scene = Scene::new();
    let usage =
        "{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2,\"input_tokens\":1,\"output_tokens\":1}";
    let gemini = "{\"promptTokenCount\":1,\"candidatesTokenCount\":1,\"totalTokenCount\":2}";
    for (path, shapes) in [
        (
            CHAT,
            vec![
                format!("{{\"choices\":[{{\"delta\":{{\"usage\":{usage}}}}}]}}"),
                format!("{{\"choices\":[{{\"usage\":{usage}}}]}}"),
                format!("{{\"choices\":{{\"usage\":{usage}}}}}"),
                format!("{{\"metadata\":{{\"usage\":{usage}}}}}"),
                format!("{{\"message\":{{\"usage\":{usage}}}}}"),
                format!("{{\"usage\":[{usage}]}}"),
                format!("{{\"usage\":{{\"details\":{usage}}}}}"),
                format!("{{\"Usage\":{usage}}}"),
                format!("{{\"usage \":{usage}}}"),
                format!("[{{\"usage\":{usage}}}]"),
                format!("{{\"usage\":{:?}}}", usage),
                "{\"usage\":null}".to_owned(),
                "{\"usage\":7}".to_owned(),
                "{\"usage\":{}}".to_owned(),
                "{\"total_tokens\":7}".to_owned(),
                "{\"usage\":{\"total_tokens\":null}}".to_owned(),
                "{\"usage\":{\"total_tokens\":-7}}".to_owned(),
                "{\"usage\":{\"total_tokens\":\"7\"}}".to_owned(),
                "{\"usage\":{\"total_tokens\":7.5}}".to_owned(),
                "{\"usage\":{\"total_tokens\":[7]}}".to_owned(),
                "{\"usage\":{\"total_tokens\":4294967296}}".to_owned(),
                "{\"usage\":{\"total_tokens\":7,\"total_tokens\":8}}".to_owned(),
                "{\"usage\":{\"total_tokens\":7},\"usage\":{}}".to_owned(),
                // Only what the question cost.
                "{\"usage\":{\"prompt_tokens\":7}}".to_owned(),
            ],
        ),
        (
            MESSAGES,
            vec![
                format!("{{\"delta\":{{\"usage\":{usage}}}}}"),
                format!("{{\"content_block\":{{\"usage\":{usage}}}}}"),
                format!("{{\"content\":[{{\"input\":{{\"usage\":{usage}}}}}]}}"),
                format!("{{\"response\":{{\"usage\":{usage}}}}}"),
                "{\"usage\":{\"total_tokens\":7}}".to_owned(),
                "{\"usage\":{\"cache_creation\":{\"output_tokens\":7}}}".to_owned(),
                "{\"usage\":{\"output_tokens\":-1}}".to_owned(),
                "{\"usage\":{\"input_tokens\":7}}".to_owned(),
            ],
        ),
        (
            GEMINI,
            vec![
                format!("{{\"candidates\":[{{\"usageMetadata\":{gemini}}}]}}"),
                format!("{{\"usage\":{usage}}}"),
                format!("{{\"usageMetadata\":[{gemini}]}}"),
                format!("[[{{\"usageMetadata\":{gemini}}}]]"),
                "{\"usageMetadata\":{\"totalTokenCount\":\"7\"}}".to_owned(),
                "{\"usageMetadata\":{\"promptTokenCount\":7}}".to_owned(),
            ],
        ),
    ] {
        for shape in shapes {
            assert_eq!(scene.used(path, JSON, &shape), DEFAULT, "{path} {shape}");
            assert_eq!(scene.used(path, EVENTS, &events(&[&shape, "[DONE]"])), DEFAULT, "{path} {shape}");
            assert_eq!(scene.used(path, LINES, &format!("{shape}\n{{}}\n")), DEFAULT, "{path} {shape}");
        }
    }
    let usage = total(5);
    for (kind, text) in [
        ("text/plain", usage.clone()),
        ("text/html", usage.clone()),
        ("", usage.clone()),
        (
            EVENTS,
            format!(
                "event: {usage}\n\nid: {usage}\n\n: {usage}\n\ndatax: {usage}\n\n data: {usage}\n\nData: {usage}\n\n"
            ),
        ),
        // No JSON, so nobody knows what it is.
        (JSON, format!("{usage}x")),
        (JSON, format!("{{\"choices\":\"\n{usage}\n\"}}")),
        (JSON, usage[..usage.len() - 1].to_owned()),
        (LINES, format!("{{\"text\":\"\n{usage}\n\"}}\n")),
        (LINES, format!("{usage}\n{{")),
        (EVENTS, events(&[&format!("{usage}x"), &usage[..usage.len() - 1], &format!("x{usage}"), "[DONE]"])),
    ] {
        assert_eq!(scene.used(CHAT, kind, &text), DEFAULT, "{kind} {text}");
    }
    // One event that is no JSON takes no other with it.
    assert_eq!(scene.used(CHAT, EVENTS, &events(&["{", &usage, "ping", "{\"usage\":null}"])), 5);
}

#[test]
fn an_answer_of_any_length_is_read_and_not_kept() {
    let scene = Scene::new();
    let long = "x".repeat((1 << 20) + 1);
    for text in [
        format!("{{\"choices\":[\"{long}\"],\"usage\":{{\"total_tokens\":5}}}}"),
        format!("{{\"usage\":{{\"total_tokens\":5}},\"choices\":[\"{long}\"]}}"),
        format!("{{\"{long}\":1,\"usage\":{{\"total_tokens\":5}}{}}}", " ".repeat(1 << 20)),
    ] {
        assert_eq!(scene.used(PLAIN, JSON, &text), 5);
        assert_eq!(scene.used(CHAT, EVENTS, &events(&[&text])), 5);
        assert_eq!(scene.counted_in(1 << 14, (CHAT, "{}"), 200, LINES, &format!("{{}}\n{text}\n"), Ending::Whole), 5);
    }
}

#[test]
fn an_answer_that_is_packed_cannot_be_read_whatever_it_looks_like() {
    let scene = Scene::new();
    for (coding, counted) in [("gzip", DEFAULT), ("br", DEFAULT), ("identity", 5), ("Identity", 5)] {
        scene.toy.advance(62);
        scene.says(200, EVENTS, &[events(&[&total(5)]).as_bytes()], Ending::Whole);
        if let Ok(answer) = &mut *scene.toy.upstream.borrow_mut() {
            answer.headers.push(("content-encoding".to_owned(), coding.to_owned()));
        }
        scene.call(CHAT, "{}").ok(200);
        assert_eq!(LIMIT - scene.left(), counted, "{coding}");
    }
}

// What is refused.

#[test]
fn a5_a_refusal_without_usage_counts_nothing_or_all_that_was_held_by_the_route() {
    let scene = Scene::new();
    let error = "{\"error\":{\"message\":\"no\"}}";
    for status in [400, 401, 404, 409, 413, 422, 429] {
        for path in [PLAIN, CHAT, MESSAGES, GEMINI] {
            assert_eq!(scene.counted(path, "{}", status, JSON, error, Ending::Whole), 0, "{path} {status}");
        }
        for path in [STRICT, ANYTHING] {
            assert_eq!(scene.counted(path, "{}", status, JSON, error, Ending::Whole), DEFAULT, "{path} {status}");
            assert_eq!(scene.counted(path, "{}", status, JSON, &total(7), Ending::Whole), 7, "{path} {status}");
        }
        assert_eq!(scene.counted(CHAT, "{}", status, JSON, &total(7), Ending::Whole), 7, "{status}");
        // A stream that has begun has generated something, whatever its status says.
        let text = events(&["{\"choices\":[]}"]);
        assert_eq!(scene.counted(CHAT, "{}", status, EVENTS, &text, Ending::Whole), DEFAULT, "{status}");
    }
    for status in [408, 499] {
        assert_eq!(scene.counted(CHAT, "{}", status, JSON, error, Ending::Whole), DEFAULT, "{status}");
    }
}

#[test]
fn an_upstream_that_is_overloaded_or_fails_and_says_so_in_its_dialect_locks_nobody_out() {
    let scene = Scene::new();
    let error = "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}";
    let body = "{\"max_tokens\":900,\"messages\":[]}";
    let (sent, held) = (body.len().div_ceil(4) as u64, 900 + body.len().div_ceil(4) as u64);
    for path in [CHAT, MESSAGES] {
        for (status, counted) in
            [(503, 0), (529, 0), (500, sent), (502, sent), (504, held), (501, held), (520, held), (524, held)]
        {
            assert_eq!(scene.counted(path, body, status, JSON, error, Ending::Whole), counted, "{path} {status}");
            assert_eq!(scene.counted(path, body, status, JSON, &error[..40], Ending::Cut), counted, "{path} {status}");
        }
        for status in [500, 502, 503, 529] {
            for (kind, text, ending) in [
                ("text/html", "<h1>Bad gateway</h1>", Ending::Whole),
                (JSON, "", Ending::Whole),
                (JSON, "{}", Ending::Whole),
                (JSON, "{\"error\":null}", Ending::Whole),
                (JSON, "{\"choices\":[{\"error\":1}]}", Ending::Whole),
                (JSON, &error[..14], Ending::Cut),
                (JSON, &error[..14], Ending::Whole),
                (EVENTS, &events(&[error]), Ending::Whole),
            ] {
                assert_eq!(scene.counted(path, body, status, kind, text, ending), held, "{path} {status} {text}");
            }
            let text = "{\"error\":{},\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}";
            assert_eq!(scene.counted(path, body, status, JSON, text, Ending::Whole), 7, "it says what it used");
        }
        // An answer that tells of an error in the middle has generated something.
        assert_eq!(scene.counted(path, body, 200, EVENTS, &events(&[error]), Ending::Whole), held);
        assert_eq!(scene.counted(path, body, 200, JSON, error, Ending::Whole), held);
    }
    let list = "[{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}]";
    assert_eq!(scene.counted(GEMINI, "{}", 503, JSON, list, Ending::Whole), 0);
    // Where the policy names paths, nobody knows what an error means; nor where the route says that refusals count.
    for path in [PLAIN, STRICT, ANYTHING] {
        assert_eq!(scene.counted(path, body, 503, JSON, error, Ending::Whole), held, "{path}");
    }
}

#[test]
fn an_error_is_read_to_its_end_though_its_caller_has_gone() {
    let scene = Scene::new();
    let part = vec![b' '; 1 << 15];
    for (status, kind, expected) in [
        (529, JSON, [true, true, false]),
        (400, JSON, [true, true, false]),
        (529, EVENTS, [false; 3]),
        (529, "text/html", [false; 3]),
        (200, JSON, [false; 3]),
        (200, EVENTS, [false; 3]),
    ] {
        scene.says(status, kind, &[], Ending::Whole);
        scene.toy.holds_answers.set(true);
        scene.call(CHAT, "{}");
        let mut watch = scene.toy.under_way.borrow_mut().remove(0);
        for expected in expected {
            assert_eq!(watch.goes_on(), expected, "{status} {kind}");
            watch.feed(&part);
        }
        scene.toy.pass(watch, &[], Ending::Cut).unwrap();
    }
}
