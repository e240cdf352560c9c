//! Policy files: what is refused is refused at a line of the file, on one line; what is accepted stays so.

use super::text;
use claviger::policy::{self, Implies};

pub fn check(bytes: &[u8]) {
    let text = text(bytes);
    let lower = format!("\n{text}");
    match policy::parse(&text) {
        Err(error) => {
            let lines = 1 + text.matches('\n').count();
            assert!((1..=lines).contains(&error.line), "line {} of {lines}: {}", error.line, error.reason);
            assert!(!error.reason.is_empty() && !error.reason.contains(char::is_control), "{:?}", error.reason);
            let again = policy::parse(&lower).expect_err("an empty line mends nothing");
            // What is missing altogether is missing from line 1.
            assert!(again.line == error.line + 1 || (again.line, error.line) == (1, 1), "{}", error.reason);
            assert_eq!(again.reason, error.reason);
        }
        Ok(policy) => {
            let shown = format!("{policy:?}");
            for same in [&*text, &lower, &format!("{text}\n# more\n")] {
                let again = policy::parse(same).expect("accepted before");
                assert_eq!(format!("{again:?}"), shown);
            }
            sound(&policy);
        }
    }
}

/// What the rest of the code takes for granted.
fn sound(policy: &policy::Policy) {
    assert!((2..=8).contains(&policy.brand.len()) && policy.brand.bytes().all(|b| b.is_ascii_alphanumeric()));
    assert!(!policy.deploy_schemes.is_empty());
    assert!(!policy.deploy_schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("bearer") || scheme.contains(' ')));
    let known = |scope| policy.scopes.iter().any(|(known, _)| known == scope);
    for (_, rule) in &policy.scopes {
        assert!(
            matches!(&rule.implies, Implies::All)
                || matches!(&rule.implies, Implies::Only(all) if all.iter().all(known))
        );
    }
    for route in &policy.routes {
        assert!(route.scope.as_ref().is_none_or(known));
        assert!(route.path.starts_with('/') && !route.path.starts_with("/w/"), "{}", route.path);
        assert!(!route.accept.iter().any(|kind| kind == "widget_key" || kind == "history_secret"));
    }
    let windows = policy.tiers.iter().flat_map(|(_, tier)| tier.requests.iter().chain(&tier.tokens));
    let widget = policy.widget.iter().flat_map(|widget| {
        assert!(widget.page > 0 && widget.text_bytes > 0 && widget.history_secret_seconds > 0);
        [&widget.messages, &widget.conversation_messages, &widget.conversations, &widget.shard_conversations]
    });
    for limit in windows.chain(widget) {
        assert!(limit.limit > 0 && limit.window_seconds > 0, "{limit:?}");
    }
}
