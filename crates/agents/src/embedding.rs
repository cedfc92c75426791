//! Where a model registers (docs/strategies.md): by a sample of its text, or by what it has won.

use std::collections::BinaryHeap;

use soma_data::Dataset;
use soma_model::{BackendError, Model, ScoreError, Scorer};
use soma_types::Embedding;

/// Sequences of a genesis embedding.
pub const SEQUENCES: usize = 256;
/// What draws them.
const CONTEXT: &str = "soma 2026 genesis embedding";

/// Why there is no embedding.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingError {
    /// Only whole sequences are drawn.
    #[error(
        "none of the {documents} texts fills a sequence of {length} bytes, of which an embedding is made: give longer \
         ones"
    )]
    NoFullSequence {
        /// How many texts there are.
        documents: usize,
        /// The architecture's context.
        length: usize,
    },
    /// The model's representations are no numbers, or there is nothing to embed.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// This machine cannot score exactly.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// The genesis embedding: of [`SEQUENCES`] full sequences of `text`, drawn by `seed`.
///
/// # Errors
/// When no text is that long, the model has no finite representations, or this machine cannot score exactly.
pub fn genesis(model: &Model, text: &Dataset, seed: u64) -> Result<Embedding, EmbeddingError> {
    let length = model.architecture().max_seq_len as usize;
    let drawn = drawn(text, length, seed);
    if drawn.is_empty() {
        return Err(EmbeddingError::NoFullSequence {
            documents: text.documents().len(),
            length,
        });
    }
    of_data(model, &drawn)
}

/// The embedding of data, all of its sequences, each counting the same.
///
/// # Errors
/// When there is no data or more than 16 MiB, the model has no finite representations, or this machine cannot
/// score exactly.
pub fn of_data(model: &Model, data: &[&[u8]]) -> Result<Embedding, EmbeddingError> {
    Ok(Scorer::new()?.embed(model, data)?)
}

/// The full sequences of `length` bytes with the smallest draws, in the order of their numbers.
fn drawn(text: &Dataset, length: usize, seed: u64) -> Vec<&[u8]> {
    let full = text
        .documents()
        .iter()
        .flat_map(|document| document.data.chunks_exact(length));
    let mut smallest = BinaryHeap::new();
    for (number, sequence) in (0_u64..).zip(full) {
        // No two have the same number, so sequences are never compared.
        smallest.push((draw(seed, number), number, sequence));
        if smallest.len() > SEQUENCES {
            smallest.pop();
        }
    }
    let mut drawn = smallest.into_vec();
    drawn.sort_unstable_by_key(|(_, number, _)| *number);
    drawn.into_iter().map(|(_, _, sequence)| sequence).collect()
}

fn draw(seed: u64, number: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&seed.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use soma_data::Document;

    use super::*;
    use crate::test_cast::models;

    fn text(lengths: &[usize]) -> Dataset {
        let documents = lengths.iter().enumerate().map(|(index, length)| Document {
            origin: index.to_string().into(),
            data: (0..*length).map(|at| (at * 7 + index) as u8).collect(),
        });
        Dataset::new("text", documents).unwrap()
    }

    #[test]
    fn full_sequences_are_drawn_without_repetition_and_repeat_by_seed() {
        // 300 full ones, and ends that are none.
        let text = text(&[16 * 100 + 3, 5, 16 * 200 + 15]);
        let all: Vec<&[u8]> = drawn(&text, 16, 0);
        assert_eq!(all.len(), SEQUENCES);
        assert!(all.iter().all(|sequence| sequence.len() == 16));
        let places = |drawn: &[&[u8]]| -> Vec<usize> { drawn.iter().map(|s| s.as_ptr() as usize).collect() };
        let mut sorted = places(&all);
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), SEQUENCES);
        assert_eq!(places(&drawn(&text, 16, 0)), places(&all));
        assert_ne!(places(&drawn(&text, 16, 1)), places(&all));
        // Where there are fewer, all.
        assert_eq!(drawn(&text, 1600, 0).len(), 3);
        assert!(drawn(&text, 4000, 0).is_empty());
    }

    #[test]
    fn a_draw_is_what_the_document_says() {
        let mut hasher = blake3::Hasher::new_derive_key("soma 2026 genesis embedding");
        hasher.update(&[7, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
        let bytes = hasher.finalize();
        let first = u64::from_le_bytes(bytes.as_bytes()[..8].try_into().unwrap());
        assert_eq!(draw(7, 257), first);
        let mut numbers: Vec<u64> = (0..1000).collect();
        numbers.sort_by_key(|number| draw(0, *number));
        assert_eq!(numbers[..8], [84, 870, 297, 4, 68, 329, 24, 955]);
    }

    #[test]
    fn text_without_a_full_sequence_has_no_genesis_embedding() {
        let model = &models()[0];
        let length = model.architecture().max_seq_len as usize;
        let error = genesis(model, &text(&[length - 1, 3]), 0).unwrap_err();
        assert!(
            matches!(error, EmbeddingError::NoFullSequence { documents: 2, .. }),
            "{error}"
        );
        let whole = text(&[length]);
        let data = &whole.documents()[0].data[..];
        assert_eq!(
            genesis(model, &whole, 9).unwrap(),
            of_data(model, &[data]).unwrap()
        );
    }
}
