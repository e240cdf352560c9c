//! Tokens of a call to the API behind: what is held for it before it goes out, and that it is settled whatever becomes of it.

use super::reply::{Body, Passing, Reply};
use crate::{
    error::Reason,
    json::{Found, find},
    machine::World,
    meter::Admitted,
    policy::TokenRule,
    request::Request,
    watch::{Held, Spent},
};

/// Bytes of a body for which one token is held: what models split text into is rarely shorter.
const BYTES_PER_TOKEN: usize = 4;

/// The most that a call with this body may take: what it says itself, and an estimate of what it sends.
pub fn reserve(rule: &TokenRule, body: &[u8]) -> Result<u32, Reason> {
    let unfit = |why: &str| Reason::invalid(&rule.reserve, why);
    let found = match body {
        [] => Found::Missing,
        body => {
            let text =
                std::str::from_utf8(body).map_err(|_| Reason::invalid("", "The body is not well-formed UTF-8."))?;
            find(text, &rule.reserve).map_err(|error| {
                let place = format!("line {}, column {}", error.line(), error.column());
                Reason::invalid("", &format!("The body is not well-formed JSON ({place})."))
            })?
        }
    };
    let said = match found {
        Found::Missing => rule.default,
        Found::Number(number) => u32::try_from(number).map_err(|_| unfit(SOUND))?,
        Found::Unfit => return Err(unfit(SOUND)),
    };
    let sent = u32::try_from(body.len().div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX);
    Ok(said.saturating_add(sent).max(1))
}

const SOUND: &str =
    "In a JSON object and once, a whole number from 0 to 4294967295: the most tokens that the answer may take.";

/// What is held for a call that was admitted; nothing where its credential's tokens are not limited.
pub fn held(rule: Option<&TokenRule>, admitted: &Admitted, request: &Request) -> Option<Held> {
    let is_counted = admitted.quotas().iter().any(|quota| quota.limit.counts_tokens());
    let rule = rule.filter(|_| is_counted)?;
    Some(Held { object: admitted.principal().object().to_owned(), id: request.id.clone(), path: rule.settle.clone() })
}

/// Sees to it that what is held is settled: once the answer has passed, or at once where there is none.
pub async fn settle(held: Held, answered: Result<Reply, Reason>, world: &impl World) -> Result<Reply, Reason> {
    let used = match answered {
        Ok(Reply { status, body: Body::Upstream(Passing { ref headers, kept: None, .. }), .. }) => {
            let content_type = headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
            let spent = Spent::new(held, status, content_type);
            return answered.map(|reply| reply.watched(|watch| watch.settles(spent)));
        }
        // It went out, and nobody knows what it did there.
        Err(Reason::UpstreamFailed | Reason::UpstreamTimedOut) => None,
        // It did not go out, or not again.
        _ => Some(0),
    };
    // One that does not come is given up after a while.
    drop(held.settle(used, world).await);
    answered
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::reserve;
    use crate::{error::Reason, policy::TokenRule};

    fn rule() -> TokenRule {
        TokenRule { reserve: "options.max".to_owned(), settle: String::new(), default: 1_000 }
    }

    #[test]
    fn what_is_held_is_what_the_call_says_and_a_token_for_four_bytes() {
        for (body, held) in [
            ("{\"options\":{\"max\":50}}", 50 + 6),
            ("{\"options\":{\"max\":0}} ", 6),
            ("{\"options\":{\"max\":50}}   ", 50 + 7),
            ("{}", 1_001),
            ("{\"options\":null}", 1_004),
            ("{\"options\":{\"max\":null}}", 1_006),
            ("", 1_000),
            ("{\"options\":{\"max\":4294967295}}", u32::MAX),
        ] {
            assert_eq!(reserve(&rule(), body.as_bytes()).unwrap(), held, "{body}");
        }
        assert_eq!(reserve(&TokenRule { default: 0, ..rule() }, b"").unwrap(), 1, "nothing is free");
    }

    #[test]
    fn a_bound_that_is_none_is_refused_by_its_name() {
        for value in ["-1", "1.5", "1e3", "\"50\"", "true", "[50]", "{}", "4294967296", "1,\"max\":2"] {
            let body = format!("{{\"options\":{{\"max\":{value}}}}}");
            let refused = reserve(&rule(), body.as_bytes());
            assert!(matches!(refused, Err(Reason::InvalidRequest(field, _)) if field == "options.max"), "{value}");
        }
        for body in ["[]", "5", "{\"options\":5}", "{\"options\":[{\"max\":5}]}"] {
            assert!(
                matches!(reserve(&rule(), body.as_bytes()), Err(Reason::InvalidRequest(field, _)) if field == "options.max")
            );
        }
        for body in [&b"[1"[..], b"\xff", b"{}{}", b"{\"a\":\"\xff\"}", b"max=5"] {
            assert!(matches!(reserve(&rule(), body), Err(Reason::InvalidRequest(field, _)) if field.is_empty()));
        }
    }
}
