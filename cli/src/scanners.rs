//! What scanners of secrets look for: one pattern that finds every secret of a brand, for GitHub, gitleaks and their like.

/// The pattern, for engines of the RE2 family (Go, Rust, and most others): the credential is its first group.
///
/// Before it stands no letter and no digit, but for an escape of a URL or of a string that ends in one. Behind it nothing may
/// follow that could belong to it; a signed one may end in `-`, which ends no word. Widget keys are left out: they are public,
/// and stand in every page that has the widget.
pub fn pattern(brands: &[&str]) -> String {
    let brand = match brands {
        [brand] => (*brand).to_owned(),
        brands => format!("(?:{})", brands.join("|")),
    };
    let deploy = format!(r"(?:(?:dev|staging|prod):[0-9A-Za-z_-]{{1,64}}\|)?{brand}_dk_[0-9A-Za-z_-]{{102}}");
    let opaque = "(?:st_)?(?:live|test)_[0-9A-Za-z]{32}";
    let history = "hs_(?:live|test)_[0-9A-Za-z_-]{107,191}";
    let identity = "is_[0-9A-Za-z_-]{43}";
    let before = r"(?:\b|_|%[0-9A-Fa-f]{2}|\\[bfnrt]|\\u[0-9A-Fa-f]{4})";
    let after = r"(?:\b|[^0-9A-Za-z_-]|$)";
    format!("{before}({deploy}|{brand}_(?:{opaque}|{history}|{identity})){after}")
}

/// The same as a rule of gitleaks.
pub fn rule(brands: &[&str]) -> String {
    let keywords: Vec<String> = brands.iter().map(|brand| format!("\"{brand}_\"")).collect();
    [
        "[[rules]]",
        r#"id = "claviger-credential""#,
        r#"description = "A credential of Claviger: whoever has it can end it with POST /v1/self/revoke""#,
        &format!("regex = '''{}'''", pattern(brands)),
        "secretGroup = 1",
        &format!("keywords = [{}]", keywords.join(", ")),
    ]
    .join("\n")
}
