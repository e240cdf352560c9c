//! The policies that come with the code, as the files of `policies/` have them.

/// The policy that serves when none is named.
pub const DEFAULT: &str = include_str!("../../policies/default.toml");

/// Every built-in policy, by name.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("analytics", include_str!("../../policies/analytics.toml")),
    ("default", DEFAULT),
    ("llm", include_str!("../../policies/llm.toml")),
    ("memory", include_str!("../../policies/memory.toml")),
    ("support", include_str!("../../policies/support.toml")),
];

/// The text of a built-in policy.
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
