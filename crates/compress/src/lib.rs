//! Files compressed by models (docs/compression.md).
//!
//! | file | holds |
//! |---|---|
//! | `shares` | from probabilities to whole numbers, which the coder takes |
//! | `block` | a block of text to words and back, many side by side |
//! | `format` | the container's header and frames, every refusal by name |
//! | `stream` | from a reader to a writer, some blocks at a time |
//! | `error` | why not |
//!
//! Both directions read the text with the same experts ([`Reading`](soma_model::Reading)), whose
//! probabilities are the same bits on every machine. So what one machine wrote, every other opens.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use soma_compress::{Expert, Header, compress};
//! use soma_model::{Model, Scorer};
//! use soma_types::{Architecture, ContentHash};
//!
//! let model = Model::random(&Architecture::NANO, 1);
//! let weights = ContentHash::of(&model.to_bytes());
//! let (scorer, mut packed, mut opened) = (Scorer::new()?, Vec::new(), Vec::new());
//! // Set by another thread, it ends the work between two bytes.
//! let stopped = AtomicBool::new(false);
//! let experts = [Expert { weights, stake: 1, model: &model }];
//! compress(&scorer, &experts, &mut &b"a text"[..], &mut packed, &stopped)?;
//!
//! let mut packed = &packed[..];
//! let header = Header::read(&mut packed)?;
//! assert_eq!(header.experts()[0].weights, weights);
//! header.decompress(&scorer, &[&model], &mut packed, &mut opened, &stopped)?;
//! assert_eq!(opened, b"a text");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod block;
mod error;
mod format;
mod shares;
mod stream;

pub use error::{CompressError, DecompressError};
pub use format::{EXPERTS_MAX, Header, Named};
pub use stream::{Expert, Sizes, blocks_at_once, compress};
