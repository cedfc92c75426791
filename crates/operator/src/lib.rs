//! What the operator of a validator has: the founding of a network, a home with the node's keys, what is
//! checked before it starts, and the node as it runs.
//!
//! ```text
//! founding: plan, entries, dealings -> network: genesis, committee, addresses
//!                                        |
//! home: config, secrets, network  ->  check, start -> running: soma_node::Node
//! ```
//!
//! ```
//! use soma_operator::Config;
//!
//! let config: Config = "[p2p]\nlisten = '0.0.0.0:26600'".parse()?;
//! // Nobody else's interface unless that is said.
//! assert!(config.api.listen.ip().is_loopback());
//! # Ok::<(), soma_operator::ConfigError>(())
//! ```
#![forbid(unsafe_code)]

pub mod check;
pub mod committee;
mod config;
mod disk;
pub mod founding;
mod home;
mod network;
mod running;
mod secrets;
mod start;
pub mod storage;
mod text;

pub use self::{
    config::{Config, ConfigError, LogFormat},
    disk::probe,
    home::{Home, HomeError},
    network::{Network, NetworkError},
    running::Running,
    secrets::{Secrets, SecretsError},
    start::{StartError, Started},
};
