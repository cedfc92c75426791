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
//! | [`refusal`] | errors, in the fields of RFC 9457 and in OpenAI's |
//! | [`completions`], [`embeddings`], [`server`] | the routes |
//!
//! What is drawn is checked alike where it is asked for and where it is computed again:
//!
//! ```
//! use soma_serving::request::Drawn;
//!
//! let drawn = Drawn {
//!     max_tokens: 16,
//!     temperature: 0.7,
//!     top_p: 1.0,
//!     seed: 7,
//!     n: 2,
//!     stop: Vec::new(),
//! };
//! assert!(drawn.check(&["Once upon".to_owned()]).is_ok());
//! assert!(drawn.check(&[String::new()]).is_err(), "no model knows how a text begins");
//! ```
#![forbid(unsafe_code)]

pub mod answer;
pub mod completions;
pub mod counts;
pub mod embeddings;
pub mod engine;
pub mod models;
pub mod refusal;
pub mod request;
pub mod server;
pub mod state;

pub use answer::Receipt;
pub use models::{Expert, Models, ModelsError};
pub use state::Serving;
