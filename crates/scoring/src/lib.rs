//! Exact scoring as a service, for whoever has weights and whoever asks.
//!
//! ```text
//! POST /v1/score -> score -> service (a queue, one job at a time, models in memory) -> soma-model
//!                     |
//!                  library: where models come from; here files, at a node the chain
//! ```
//!
//! [`server`] is `soma score serve`; a node mounts [`score`] beside its own routes.
//!
//! ```
//! use soma_scoring::{Limits, Service};
//!
//! let service = Service::new(Limits::dedicated(1 << 30))?;
//! // Nothing is loaded before it is asked for.
//! assert_eq!((service.requests(), service.resident_bytes()), (0, 0));
//! service.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod files;
pub mod score;
pub mod server;
pub mod service;
pub mod weights_file;

pub use files::Files;
pub use score::{Library, Scoring};
pub use service::{Limits, Service};
