//! A refusal as the official clients of a provider read it: that provider's error object, with our code, fix and request id in it.

use super::reply::ErrorBody;
use crate::{
    error::refusal::{Code, Refusal},
    policy::ErrorDialect,
};
use serde::Serialize;

/// What every dialect has beside its own members.
#[derive(Serialize)]
struct Told<'a> {
    code: &'a str,
    fix: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    required: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
}

#[derive(Serialize)]
struct OpenAi<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    #[serde(flatten)]
    told: Told<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Anthropic<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(flatten)]
    told: Told<'a>,
}

#[derive(Serialize)]
struct Gemini<'a> {
    error: GeminiError<'a>,
}

#[derive(Serialize)]
struct GeminiError<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    details: [ErrorInfo<'a>; 1],
}

/// `google.rpc.ErrorInfo`.
#[derive(Serialize)]
struct ErrorInfo<'a> {
    #[serde(rename = "@type")]
    form: &'static str,
    reason: String,
    domain: &'static str,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    code: &'a str,
    fix: &'a str,
    request_id: &'a str,
}

/// The body of a refusal in a provider's dialect; none where ours is meant.
pub fn body(dialect: ErrorDialect, refusal: &Refusal, ours: &ErrorBody) -> Option<String> {
    let message = format!("{} {}", ours.error, ours.fix);
    let (code, request_id) = (refusal.code, ours.request_id);
    let told = Told { code: ours.code, fix: ours.fix, required: ours.required, pending: ours.pending };
    match dialect {
        ErrorDialect::Claviger => None,
        ErrorDialect::OpenAi => {
            let param = refusal.field.as_deref();
            let error = OpenAiError { message: &message, r#type: openai_type(code), param, told, request_id };
            serde_json::to_string(&OpenAi { error }).ok()
        }
        ErrorDialect::Anthropic => {
            let error = AnthropicError { r#type: anthropic_type(code.status()), message: &message, told };
            serde_json::to_string(&Anthropic { r#type: "error", error, request_id }).ok()
        }
        ErrorDialect::Gemini => {
            let metadata = Metadata { code: ours.code, fix: ours.fix, request_id };
            let details = [ErrorInfo {
                form: "type.googleapis.com/google.rpc.ErrorInfo",
                reason: ours.code.to_ascii_uppercase(),
                domain: "claviger",
                metadata,
            }];
            let status = code.status();
            let error = GeminiError { code: status, message: &message, status: canonical(status), details };
            serde_json::to_string(&Gemini { error }).ok()
        }
    }
}

/// OpenAI tells by the type which limit is reached.
fn openai_type(code: Code) -> &'static str {
    match (code, code.status()) {
        (Code::RateLimited, _) => "requests",
        (Code::TokenRateLimited, _) => "tokens",
        (_, 401) => "authentication_error",
        (_, 403) => "permission_error",
        (_, 500..) => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 | 410 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// The name of `google.rpc.Code`.
fn canonical(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 | 410 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        504 => "DEADLINE_EXCEEDED",
        501.. => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    }
}
