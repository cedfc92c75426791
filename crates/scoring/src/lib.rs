//! Exact scoring as a service, for whoever has weights and whoever asks.
//!
//! ```text
//! POST /v1/score -> score -> service (a queue, one job at a time, models in memory) -> soma-model
//!                     |
//!                  library: where models come from; here files, at a node the chain
//! ```
//!
//! [`server`] is `soma score serve`; a node mounts [`score`] beside its own routes.
#![forbid(unsafe_code)]

pub mod files;
pub mod score;
pub mod server;
pub mod service;
mod weights_file;

pub use files::Files;
pub use score::{Library, Scoring};
pub use service::{Limits, Service};
