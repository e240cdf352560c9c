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
//! a clock, rolls dice or waits; nothing acts without [`call::meter::Admitted`]; no secret prints, compares with `==`, clones or
//! serializes; nothing is stored outside the one transaction of its command.
#![forbid(unsafe_code)]

// The platform's side has a folder of its own, and is compiled into this crate: as a crate beside it, the module would be 14 % longer, since
// functions of another crate are inlined wherever they are called.
#[cfg(target_arch = "wasm32")]
#[path = "../edge/src/mod.rs"]
mod edge;

pub mod admission;
pub mod assertion;
pub mod audit;
pub mod call;
pub mod codec;
pub mod conversations;
pub mod credential;
pub mod credentials;
pub mod crypto;
pub mod deploy_keys;
pub mod error;
pub mod gateway;
pub mod identity;
pub mod introspection;
pub mod json;
pub mod leaks;
pub mod limits;
pub mod machines;
pub mod object;
pub mod policy;
pub mod principal;
pub mod protocol;
pub mod road;
pub mod upstream;
pub mod value;
pub mod workspaces;
pub mod world;
