//! The V1 model: what scoring is, exactly (docs/scoring-spec.md).
//!
//! | file | holds |
//! |---|---|
//! | [`tokenizer`] | bytes to chunks of tokens and targets |
//! | [`layout`](mod@layout), [`safetensors`], [`tensor`], [`model`] | the weights file, every refusal by name, and the model in memory |
//! | [`elementary`], [`elementary64`] | exp, log, erf, sin, cos of our own |
//! | [`kernels`] | the operations: the scalar definition and backends that equal it bit for bit |
//! | `forward` | the transformer, written once over the operations |
//! | [`sigreg`] | directions, and distance from a Gaussian |
//! | [`merge`] | averages of two files, a tensor at a time |
//! | [`score`] | loss and embedding as integers; contests of several models |
//! | [`batch`] | many documents against many models, one model in memory at a time |
//! | [`residency`] | models kept in memory under a budget |
//! | [`memory`] | what memory there is |
//! | [`fast`] | estimates, for choosing what is worth scoring |
//! | [`device`] | machines beside the processor that score |
//! | [`conformance`] | inputs and the bits that every backend must make of them |
//! | [`mixture`] | experts mixed by Bayes |
//! | [`sequence`], [`reading`], [`writer`], [`spoken`] | one model that reads on, experts that read a text together, a text that goes on, and what may be told of it |
//!
//! Start at [`Scorer`].
//!
//! ```
//! use soma_model::{Directions, Model, ScoreError, Scorer};
//! use soma_types::{Architecture, Seed};
//!
//! let architecture = Architecture::NANO;
//! let model = Model::random(&architecture, 1);
//! let directions = Directions::draw(&Seed([7; 32]), &architecture);
//! let score = Scorer::new()?.score(&model, b"a text", &directions)?;
//! // Weights that know nothing take more than the eight bits that a byte has.
//! assert!(score.bits_per_token() > 8.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Tests compare with the platform's functions; scoring itself may not call them (clippy.toml).
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod batch;
pub mod conformance;
pub mod device;
pub mod elementary;
pub mod elementary64;
pub mod fast;
mod forward;
pub mod kernels;
pub mod layout;
pub mod matrix;
pub mod memory;
pub mod merge;
pub mod mixture;
pub mod model;
pub mod reading;
mod report;
pub mod residency;
pub mod safetensors;
pub mod score;
pub mod sequence;
pub mod sigreg;
pub mod spoken;
pub mod tensor;
pub mod tokenizer;
pub mod writer;

pub use batch::Batch;
pub use fast::{Fast, FastScore, Sample};
pub use kernels::{BackendError, Simd};
pub use layout::{TensorSpec, layout};
pub use mixture::{MixtureScore, Posterior};
pub use model::Model;
pub use reading::Reading;
pub use residency::{Loan, Shelf, ShelfError};
pub use safetensors::WeightsError;
pub use score::{Contest, LOSS_NONE, ModelError, Score, ScoreError, Scorer, Watch};
pub use sequence::{Sequence, SequenceFull};
pub use sigreg::Directions;
pub use spoken::Spoken;
pub use writer::{Choice, ChoiceError, Writer};
