//! What weights or documents would have earned in epochs that are over: on their real targets, scored
//! exactly.
//!
//! - [`model`]: weights, on the documents that won.
//! - [`documents`]: documents, on all targets.
//! - [`past`] reads what both need.
//!
//! **What is exact.** Losses, embeddings and distances: the same seed, weights and scoring as then. What a
//! hit earned.
//!
//! **What is assumed.** That the others would have done as they did: the same documents on the same targets.
//! Of stakes, that they were then as they are now, for the ledger keeps no others. Hits beyond the goal share
//! what an epoch pays; how hard targets are would have followed, and does not here.

pub mod documents;
pub mod model;
pub mod past;
