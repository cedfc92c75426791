//! A localnet: whole networks in one process, for trying and for testing. Nothing in production imports it.
//!
//! ```text
//! localnet -> soma_node::Node, one for each validator
//!    |
//!  folder -> dealer: the committee's keys, dealt by one who is trusted
//!    |
//!  erase
//! ```
#![forbid(unsafe_code)]

pub mod dealer;
mod erase;
pub mod folder;
mod localnet;
pub mod testing;

pub use folder::{Blueprint, Existing, FolderError};
pub use localnet::{Config, Localnet, LocalnetError};
