//! A localnet: whole networks on one machine, for trying and for testing. Nothing in production imports it.
//!
//! ```text
//! localnet -> soma_node::Node, one for each validator
//!    |     \-> processes: `soma node start`, one for each
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

mod config;
pub mod dealer;
mod erase;
pub mod folder;
mod localnet;
mod ports;
mod processes;
pub mod testing;

pub use config::{Config, Hosting, LocalnetError};
pub use folder::{Blueprint, Existing, FolderError, blobs_of};
pub use localnet::Localnet;
