//! Pages for people, out of one list of blocks: as Markdown for the repository, as HTML for a deployment.
//!
//! Texts may say `code` and [name](address), in Markdown's own spelling, and nothing else.

mod html;
mod markdown;

pub use html::{html, style};
pub use markdown::markdown;

/// A part of a page.
pub enum Block {
    /// What the page is called.
    Title(String),
    /// What the parts below are about.
    Heading(String),
    /// A code that callers can look up; its name is its anchor.
    Entry(String),
    Text(String),
    List(Vec<String>),
    /// What is to be read as it is.
    Example(String),
    /// The codes, by what they have in common.
    Index(Vec<(String, Vec<String>)>),
    /// Named facts about an entry; each may be more than one.
    Facts(Vec<(&'static str, Vec<String>)>),
}

/// A piece of a text.
pub enum Piece<'a> {
    Plain(&'a str),
    Code(&'a str),
    Link { name: &'a str, address: &'a str },
}

/// Takes a text apart.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find(['`', '[']) {
        pieces.push(Piece::Plain(&rest[..start]));
        let is_code = rest[start..].starts_with('`');
        let inside = &rest[start + 1..];
        let close = if is_code { "`" } else { "](" };
        let (name, after) = inside.split_once(close).unwrap_or_else(|| panic!("`{close}` is missing: {text}"));
        rest = if is_code {
            pieces.push(Piece::Code(name));
            after
        } else {
            let (address, after) = after.split_once(')').unwrap_or_else(|| panic!("`)` is missing: {text}"));
            pieces.push(Piece::Link { name, address });
            after
        };
    }
    pieces.push(Piece::Plain(rest));
    pieces
}

/// What HTTP calls a status (RFC 9110 §15, RFC 6585).
pub fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => panic!("tests/pages/mod.rs: what does HTTP call {status}?"),
    }
}
