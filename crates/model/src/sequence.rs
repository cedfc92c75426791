//! Reading on: a sequence that grows by a few tokens at a time, and what follows it.
//!
//! Each layer's keys and values of what was read are kept, so a token costs one row of the forward pass. The
//! operations are those of the whole pass, and each row is a chain of its own: every logit is the full
//! forward's, bit for bit, however the sequence was cut (docs/scoring-spec.md, section 6).

use soma_types::Architecture;

use crate::{forward, kernels::Kernels, model::Model, score::Scorer, tokenizer::VOCAB};

/// There is no room for so many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{tokens} more tokens do not fit: the model reads {limit} at once, and {read} are read")]
pub struct SequenceFull {
    /// Tokens to read.
    pub tokens: usize,
    /// Tokens that were read.
    pub read: usize,
    /// The architecture's `max_seq_len`.
    pub limit: usize,
}

/// Keys, rotated, and values of what a layer has seen, `[T, C]` each.
#[derive(Clone, Default)]
struct Seen {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// What a model has read, from position 0 on: at most its architecture's `max_seq_len` tokens.
#[derive(Clone)]
pub struct Sequence<'a> {
    kernels: &'static dyn Kernels,
    model: &'a Model,
    layers: Vec<Seen>,
    length: usize,
}

impl Scorer {
    /// An empty sequence for `model` to read.
    #[must_use]
    pub fn sequence<'a>(&self, model: &'a Model) -> Sequence<'a> {
        Sequence {
            kernels: self.kernels(),
            model,
            layers: vec![Seen::default(); model.layers.len()],
            length: 0,
        }
    }
}

impl Sequence<'_> {
    /// Bytes that one of this architecture keeps when it is full.
    #[must_use]
    pub const fn memory_bytes_max(architecture: &Architecture) -> u64 {
        let row = 2 * architecture.layers as u64 * architecture.embedding_dim as u64;
        row * architecture.max_seq_len as u64 * size_of::<f32>() as u64
    }

    /// Tokens that were read.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether none was.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Tokens that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.model.architecture().max_seq_len as usize - self.length
    }

    /// Forgets all that was read.
    pub fn clear(&mut self) {
        self.length = 0;
        for Seen { keys, values } in &mut self.layers {
            keys.clear();
            values.clear();
        }
    }

    /// Reads `tokens`, all below [`VOCAB`]: the logits `[T, 264]` of what follows each.
    ///
    /// # Errors
    /// When they do not fit; then nothing was read.
    ///
    /// # Panics
    /// When a token is none.
    pub fn read(&mut self, tokens: &[u16]) -> Result<Vec<f32>, SequenceFull> {
        if tokens.len() > self.room() {
            return Err(SequenceFull {
                tokens: tokens.len(),
                read: self.length,
                limit: self.length + self.room(),
            });
        }
        assert!(
            tokens.iter().all(|token| usize::from(*token) < VOCAB),
            "tokens are below {VOCAB}"
        );
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let Self {
            kernels,
            model,
            layers,
            length,
        } = self;
        let architecture = model.architecture();
        let (width, heads) = (architecture.embedding_dim as usize, architecture.heads as usize);
        let representations = forward::pass(*kernels, model, tokens, |layer, out, [q, k, v]| {
            let Seen { keys, values } = &mut layers[layer];
            kernels.rope(q, &model.rope, heads, *length);
            kernels.rope(k, &model.rope, heads, *length);
            keys.extend_from_slice(k);
            values.extend_from_slice(v);
            kernels.attention(out, q, keys, values, heads, width);
        });
        self.length += tokens.len();
        Ok(forward::logits(self.kernels, self.model, &representations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Simd;

    const TEXT: &[u8] = b"A sequence is read in parts, and each part is what it would be in the whole of it.";

    fn tokens() -> Vec<u16> {
        TEXT.iter().map(|byte| u16::from(*byte)).collect()
    }

    fn bits(logits: &[f32]) -> Vec<u32> {
        logits.iter().map(|logit| logit.to_bits()).collect()
    }

    #[test]
    fn every_logit_is_that_of_the_whole_pass() {
        let odd = Architecture {
            layers: 2,
            embedding_dim: 36,
            heads: 3,
            ffn_dim: 50,
            max_seq_len: TEXT.len() as u32,
            ..Architecture::NANO
        };
        for architecture in [Architecture::NANO, odd] {
            let model = Model::random(&architecture, 7);
            let length = architecture.max_seq_len as usize;
            let whole: Vec<_> = crate::tokenizer::chunks(TEXT, length).collect();
            let expected = {
                let kernels = Simd::Scalar.kernels().unwrap();
                let representations = forward::representations(kernels, &model, &whole);
                // The end mark is no part of what is read.
                bits(&forward::logits(kernels, &model, &representations)[..TEXT.len() * VOCAB])
            };
            for simd in Simd::supported() {
                let scorer = Scorer::with(simd).unwrap();
                for step in [1, 2, 13, 48, TEXT.len()] {
                    let mut sequence = scorer.sequence(&model);
                    let mut found = Vec::new();
                    for part in tokens().chunks(step) {
                        found.extend(sequence.read(part).unwrap());
                    }
                    assert!(bits(&found) == expected, "{simd} differs in steps of {step}");
                }
            }
        }
    }

    #[test]
    fn a_sequence_ends_where_the_model_does() {
        let model = Model::random(&Architecture::NANO, 7);
        let limit = model.architecture().max_seq_len as usize;
        let mut sequence = Scorer::new().unwrap().sequence(&model);
        let first = sequence.read(&tokens()).unwrap();
        let error = sequence.read(&vec![0; limit]).unwrap_err();
        assert_eq!((error.read, error.limit), (TEXT.len(), limit));
        sequence.read(&vec![0; limit - TEXT.len()]).unwrap();
        assert_eq!(sequence.room(), 0);
        assert!(sequence.read(&[]).unwrap().is_empty());
        assert!(sequence.read(&[0]).is_err());
        sequence.clear();
        assert_eq!(bits(&sequence.read(&tokens()).unwrap()), bits(&first));
    }
}
