//! What participants run: the submitter looks for data that hits targets, the auditor checks winners
//! and revealed weights, the trainer takes weights through training, commit and reveal.
//!
//! Decisions are functions of what was read ([`matching`], [`scout`], [`audit`]); the loops around them read
//! from a node, score, and send transactions. Every loop advances one step per call and keeps what it needs
//! in itself, so a caller decides when to stop and what to report.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use soma_agents::matching;
//! use soma_types::ModelId;
//!
//! // Nothing is claimed for a target unless all of its models were scored.
//! assert!(matching::claim(&BTreeMap::new(), &[ModelId([1; 32])]).is_none());
//! ```
#![forbid(unsafe_code)]

mod attended;
pub mod audit;
pub mod auditor;
pub mod bench;
pub mod cache;
pub mod download;
pub mod embedding;
pub mod experts;
pub mod forecast;
pub mod gaps;
pub mod matching;
pub mod recheck;
pub mod scoring_desk;
pub mod scout;
pub mod service;
pub mod sparse;
pub mod submitter;
#[cfg(test)]
mod test_cast;
pub mod trainer;
pub mod why;
pub mod winners;
pub mod won_data;

pub use auditor::Auditor;
pub use cache::Cache;
pub use download::{DownloadError, Downloader};
pub use experts::{ExpertError, Experts};
pub use scoring_desk::ScoringDesk;
pub use scout::Scout;
pub use service::Service;
pub use submitter::Submitter;
pub use trainer::Trainer;
