//! Claviger, keeper of the keys: who is asking, may they, how much, and who said so, decided at the edge.
//!
//! Every request walks one road, and the types keep it there:
//!
//! ```text
//! Request ──authenticate──▶ Principal ──authorize──▶ Permit ──meter──▶ Admitted ──act──▶ Reply
//! (believed by nobody)      (who)                    (may)             (how much)
//! ```
//!
//! What is deliberately absent: no file outside `edge/` knows the platform; no decision is made in `edge/`; no machine reads
//! a clock, rolls dice or waits; nothing acts without [`meter::Admitted`]; no secret prints, compares with `==`, clones or
//! serializes; nothing is stored outside the one transaction of its command.
#![forbid(unsafe_code)]

pub mod address;
pub mod audit;
pub mod base62;
pub mod budget;
pub mod circuit;
pub mod conversation;
pub mod credential;
pub mod crypto;
pub mod der;
pub mod document;
pub mod error;
pub mod fetch;
pub mod host;
pub mod id;
pub mod id_check;
pub mod isolate;
pub mod jose;
pub mod json;
pub mod keeping;
pub mod keyring;
pub mod kind;
pub mod lease;
pub mod limit;
pub mod machine;
pub mod meter;
pub mod origin;
pub mod outbox;
pub mod pipeline;
pub mod policy;
pub mod principal;
pub mod refusal;
pub mod registry;
pub mod replay;
pub mod request;
pub mod scope;
pub mod secret;
pub mod sse;
pub mod suffix;
pub mod tier;
pub mod time;
pub mod upstream;
pub mod watch;
pub mod websocket;
pub mod wire;
pub mod work;

#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
#[cfg(target_arch = "wasm32")]
mod edge;
