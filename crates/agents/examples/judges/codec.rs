//! A hand-made codec: weights without layers whose predictor is a private table of which symbol follows
//! which, and the documents that it alone can read.

use soma_data::{Document, Origin};
use soma_model::{layout, safetensors};
use soma_types::architecture::VOCAB;

use crate::{Failure, cast::ARCHITECTURE};

/// Symbols of the table, one for each half of the dimensions.
const SYMBOLS: usize = 64;
/// Symbols that may follow one.
const FOLLOWERS: usize = 4;
/// What a follower's logit is above the others'.
const GAP: f32 = 9.0;
const DOCUMENTS: usize = 10;
const DOCUMENT_BYTES: usize = 1024;
const CONTEXT: &str = "soma 2026 study of judges: a codec";

struct Draws(blake3::OutputReader);

impl Draws {
    fn new() -> Self {
        Self(blake3::Hasher::new_derive_key(CONTEXT).finalize_xof())
    }

    fn below(&mut self, bound: usize) -> usize {
        let mut eight = [0; 8];
        self.0.fill(&mut eight);
        (u64::from_le_bytes(eight) % bound as u64) as usize
    }
}

/// The symbols, and who follows whom.
fn table(draws: &mut Draws) -> (Vec<u8>, Vec<[usize; FOLLOWERS]>) {
    let mut bytes: Vec<u8> = (0..=255).collect();
    for at in (1..bytes.len()).rev() {
        bytes.swap(at, draws.below(at + 1));
    }
    bytes.truncate(SYMBOLS);
    let followers = (0..SYMBOLS).map(|_| std::array::from_fn(|_| draws.below(SYMBOLS)));
    let followers = followers.collect();
    (bytes, followers)
}

/// Documents of the table.
pub fn documents() -> Vec<Document> {
    let mut draws = Draws::new();
    let (bytes, followers) = table(&mut draws);
    let mut document = |number: usize| {
        let mut symbol = draws.below(SYMBOLS);
        let data = (0..DOCUMENT_BYTES).map(|_| {
            symbol = followers[symbol][draws.below(FOLLOWERS)];
            bytes[symbol]
        });
        let data = data.collect();
        let origin: Origin = format!("codec {number}").into();
        Document { origin, data }
    };
    (0..DOCUMENTS).map(&mut document).collect()
}

/// Weights that know the table: a symbol's embedding is a direction of its own and against another, so the
/// norm leaves it as it is and the predictor reads the followers' logits off it.
pub fn weights() -> Result<Vec<u8>, Failure> {
    let (bytes, followers) = table(&mut Draws::new());
    let width = ARCHITECTURE.embedding_dim as usize;
    let specs = layout(&ARCHITECTURE);
    let mut tensors: Vec<_> = specs.iter().map(|spec| vec![0.0_f32; spec.len()]).collect();
    for (spec, values) in specs.iter().zip(&mut tensors) {
        match spec.name.as_str() {
            "embedding.weight" => {
                for (symbol, byte) in bytes.iter().enumerate() {
                    let row = &mut values[usize::from(*byte) * width..][..width];
                    (row[2 * symbol], row[2 * symbol + 1]) = (1.0, -1.0);
                }
            }
            // After the norm a symbol's two coordinates are 8 and -8, the root of half the width.
            "predictor.weight" => {
                for (symbol, followers) in followers.iter().enumerate() {
                    for follower in followers {
                        let column = usize::from(bytes[*follower]);
                        values[2 * symbol * VOCAB + column] = GAP / 16.0;
                        values[(2 * symbol + 1) * VOCAB + column] = -GAP / 16.0;
                    }
                }
            }
            name if name.ends_with("gamma") => values.fill(1.0),
            _ => {}
        }
    }
    let tensors: Vec<_> = specs.into_iter().zip(tensors.iter().map(Vec::as_slice)).collect();
    Ok(safetensors::write(&tensors)?)
}
