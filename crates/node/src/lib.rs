//! A SOMA node: consensus and storage on commonware, mempool, execution, and the HTTP API.
//!
//! ```text
//! API -> intake -> mempool -> application -> execution bridge -> ledger
//!          |                      |                 |
//!        gossip            simplex, marshal   QMDB (state root)
//! ```
//!
//! [`engine`] wires one validator. It is generic over the runtime and the network, so the same code runs
//! on sockets and in simulation. [`Node`] is one on sockets, with all that a node offers.
//!
//! ```
//! let document = serde_json::to_value(soma_node::api::document())?;
//! assert!(document["paths"]["/v1/status"]["get"].is_object());
//! # Ok::<(), serde_json::Error>(())
//! ```
#![forbid(unsafe_code)]

pub mod api;
pub mod application;
pub mod block;
pub mod consensus;
pub mod descriptors;
pub mod engine;
pub mod execution;
pub mod gossip;
pub mod health;
pub mod index;
pub mod intake;
pub mod keeper;
pub mod ledger;
pub mod machine;
pub mod mempool;
pub mod network;
pub mod node;
pub mod prove;
pub mod query;
pub mod retention;
pub mod runtime;
pub mod seeds;
pub mod state_sync;
pub mod steady;
pub mod time;
pub mod validator;

pub use node::Node;
