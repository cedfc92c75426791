//! Trains V1 models.
//!
//! Text comes from `soma-data`; [`split`] holds a part of it out, [`train`] fits a model, [`evaluate`]
//! measures one. The model ([`model`]) is a burn module, differentiated by burn's autodiff. Its operations
//! ([`ops`]) come in two forms: fused kernels of this crate for the CPU ([`kernels`]), and compositions of
//! burn's own operations, which run on any backend and define what the fused ones must equal.
//!
//! A step's passes run on several threads, each with its own copy of the weights, and their gradients are
//! added in a fixed order: results do not depend on the number of threads. Nor on the machine, to the last
//! bit, where it has fused multiply-add: sums have one order whatever the width of its vectors and the size
//! of its caches ([`kernels::gemm`]), and elementary functions come from `soma-model` (`clippy.toml` forbids
//! the platform's). Weights and moments stay in main memory between steps; a backend with its own memory will
//! want to keep them there.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use soma_data::{Dataset, Document};
//! use soma_train::{Stop, TrainConfig, train};
//! use soma_types::Architecture;
//!
//! let architecture = Architecture {
//!     embedding_dim: 16,
//!     heads: 2,
//!     layers: 1,
//!     ffn_dim: 32,
//!     ..Architecture::NANO
//! };
//! let data = b"who sells sea shells by the sea shore?\n".repeat(20);
//! let text = Dataset::new("text", [Document { origin: "shells".into(), data }])?;
//! let trained = train(&TrainConfig::new(architecture, 3), &text, None, |_| (), &AtomicBool::new(false))?;
//! assert_eq!((trained.steps, trained.stop), (3, Stop::Steps));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Tests compare with the platform's functions.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod checkpoint;
pub mod chunk;
mod error;
mod evaluate;
pub mod kernels;
mod memory;
pub mod model;
pub mod ops;
pub mod optimizer;
pub mod pass;
pub mod random;
pub mod sampler;
mod settings;
pub mod split;
mod teacher;
mod trainer;
#[cfg(test)]
mod vectors;
pub mod weights;

pub use error::TrainError;
pub use evaluate::{Evaluation, evaluate};
pub use ops::Operations;
pub use settings::{Schedule, TrainConfig};
pub use teacher::Teacher;
pub use trainer::{Event, Progress, Stop, Trained, distill, train};
