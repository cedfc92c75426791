//! What a model's owner does to compete (docs/strategies.md): each a small command.

mod gaps;
mod merge;
mod sparse;

pub use self::{gaps::gaps, merge::merge, sparse::sparse};
