//! Conversations: the calls of the chat widget, and those of the operator who answers.
//!
//! `api*.rs` asks; `store*.rs` runs in a turn of the conversation's or the workspace's object.
//!
//! Begin with `api_widget.rs` for a visitor's call, and with `store.rs` for what a conversation keeps.

pub mod api;
pub mod api_widget;
pub mod cors;
pub mod store;
pub mod store_ending;
pub mod store_record;
pub mod store_refusals;
pub mod store_retention;
pub mod view;
