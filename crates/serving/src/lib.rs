//! Models at work behind OpenAI's interface (docs/serving.md).
//!
//! ```text
//! request -> completions -> engine (one thread: a byte of every text in hand) -> soma-model
//!         -> embeddings
//! answer + receipt: all that it takes to compute the answer again
//! ```
//!
//! | file | holds |
//! |---|---|
//! | [`models`] | who answers: each model by its name, and all together |
//! | [`request`], [`answer`] | OpenAI's fields, checked; the receipt and its hash |
//! | [`engine`] | many texts written at once |
//! | [`state`] | what every request finds: the models of now |
//! | [`counts`] | what was done, for operators |
//! | [`completions`], [`embeddings`], [`server`] | the routes |
#![forbid(unsafe_code)]

pub mod answer;
pub mod completions;
pub mod counts;
pub mod embeddings;
pub mod engine;
pub mod models;
pub mod request;
pub mod server;
pub mod state;

pub use answer::Receipt;
pub use models::{Expert, Models, ModelsError};
pub use state::Serving;
