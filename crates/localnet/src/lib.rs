//! A localnet: whole networks in one process, for trying and for testing. Nothing in production imports it.
//!
//! ```text
//! localnet -> soma_node::Node, one for each validator
//!    |
//!  folder -> dealer: the committee's keys, dealt by one who is trusted
//!    |
//!  erase
//! ```
//!
//! ```
//! use soma_localnet::Blueprint;
//! use soma_types::params::Preset;
//!
//! let Blueprint { params, .. } = Blueprint::default();
//! // Epochs of seconds, and a faucet.
//! assert_eq!(params.preset, Preset::Local);
//! assert!(params.epoch_blocks * params.block_time_ms < 60_000);
//! ```
#![forbid(unsafe_code)]

pub mod dealer;
mod erase;
pub mod folder;
mod localnet;
pub mod testing;

pub use folder::{Blueprint, Existing, FolderError, blobs_of};
pub use localnet::{Config, Localnet, LocalnetError};
