//! What a route of a policy file says of answers: which of the upstream's prove that nothing was done, and how ours are written.

use super::{
    Destination, ErrorDialect, Idempotency, Route,
    table::{Fault, Table, Text},
};

/// Statuses of a refusal (RFC 9110 §15.5 and §15.6).
const REFUSALS: std::ops::RangeInclusive<u32> = 400..=599;

impl Route {
    /// Whether an answer of this status says only that somebody in between gave up waiting for the upstream (RFC 9110 §15.6.5, and
    /// those of a well-known edge): nobody knows whether it has done what was asked.
    pub fn is_unknown(status: u16) -> bool {
        matches!(status, 504 | 520..=527)
    }
}

/// The statuses that free a key. What nobody knows anything of cannot be among them.
pub(crate) fn frees(table: &Table, idempotency: Idempotency, to: Destination) -> Result<Vec<u16>, Fault> {
    let Some((numbers, span)) = table.numbers("idempotency_frees", REFUSALS)? else { return Ok(Vec::new()) };
    if idempotency == Idempotency::Ignored || to == Destination::Records {
        let why = "idempotency_frees: only where `idempotency` honours keys, and `to` is \"upstream\"";
        return Err((span, why.to_owned()));
    }
    let mut statuses = Vec::new();
    for (number, span) in numbers {
        let status = u16::try_from(number).unwrap_or_default();
        if Route::is_unknown(status) {
            let why = format!("idempotency_frees: {status} says that nobody knows what was done, so it frees no key");
            return Err((span, why));
        }
        statuses.push(status);
    }
    Ok(statuses)
}

/// How refusals on the route are written.
pub(crate) fn errors(dialect: Option<Text>) -> Result<ErrorDialect, Fault> {
    let Some(dialect) = dialect else { return Ok(ErrorDialect::default()) };
    match dialect.text.as_str() {
        "claviger" => Ok(ErrorDialect::Claviger),
        "openai" => Ok(ErrorDialect::OpenAi),
        "anthropic" => Ok(ErrorDialect::Anthropic),
        "gemini" => Ok(ErrorDialect::Gemini),
        _ => Err((dialect.span, "`errors` is \"claviger\", \"openai\", \"anthropic\" or \"gemini\"".to_owned())),
    }
}
