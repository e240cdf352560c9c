//! What a page is answered about its conversation.

use serde::Serialize;

/// A conversation was opened.
#[derive(Serialize)]
pub struct Opened<'a> {
    /// Which one.
    pub conversation: &'a str,
    /// What opens it from now on.
    pub history_secret: &'a str,
    /// When that ends.
    pub expires_at: String,
    /// Whether the visitor is known.
    pub verified: bool,
}

/// Its secret was turned over.
#[derive(Serialize)]
pub struct Rotated<'a> {
    /// What opens it from now on.
    pub history_secret: &'a str,
    /// When that ends.
    pub expires_at: String,
}

/// It has ended.
#[derive(Serialize)]
pub struct Closed {
    /// `closed`.
    pub status: &'static str,
    /// When.
    pub closed_at: String,
}
