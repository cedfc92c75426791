//! What participants run: the submitter looks for data that hits targets, the auditor checks winners
//! and revealed weights, the trainer takes weights through training, commit and reveal.
//!
//! Decisions are functions of what was read ([`matching`], [`audit`]); the loops around them read from a
//! node, score, and send transactions. Every loop advances one step per call and keeps what it needs in
//! itself, so a caller decides when to stop and what to report.
#![forbid(unsafe_code)]

pub mod audit;
pub mod auditor;
pub mod download;
pub mod experts;
pub mod matching;
pub mod scoring_desk;
pub mod submitter;
#[cfg(test)]
mod test_cast;
pub mod trainer;

pub use auditor::Auditor;
pub use download::{DownloadError, Downloader};
pub use experts::{ExpertError, Experts};
pub use scoring_desk::ScoringDesk;
pub use submitter::Submitter;
pub use trainer::Trainer;
