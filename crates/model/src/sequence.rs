//! Reading on: a sequence that grows by a few tokens at a time, and what follows it.
//!
//! Each layer's keys and values of what was read are kept as attention reads them, so a token costs one row
//! of the forward pass. Sequences of one model read on together ([`Sequence::read_each`]): its weights are
//! read once for all of them. The operations are those of the whole pass, and each row is a chain of its own:
//! every logit is the full forward's, bit for bit, however a sequence was cut and whichever others were read
//! beside it (docs/scoring-spec.md, section 6).

use rayon::prelude::*;
use soma_types::Architecture;

use crate::{
    forward,
    kernels::{Kernels, Seen},
    model::Model,
    score::Scorer,
    tokenizer::VOCAB,
};

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

/// Products of queries and keys worth a task of their own.
const ATTENTION_MIN: usize = 1 << 16;

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
        let architecture = model.architecture();
        let (width, heads) = (architecture.embedding_dim as usize, architecture.heads as usize);
        Sequence {
            kernels: self.kernels(),
            model,
            layers: vec![Seen::new(heads, width); model.layers.len()],
            length: 0,
        }
    }
}

impl Sequence<'_> {
    /// Bytes that one of this architecture keeps when it is full.
    #[must_use]
    pub const fn memory_bytes_max(architecture: &Architecture) -> u64 {
        let (width, heads) = (architecture.embedding_dim as usize, architecture.heads as usize);
        // Of what grows up to twice as much is allocated.
        let layer = 2 * Seen::memory_bytes(heads, width, architecture.max_seq_len as usize);
        architecture.layers as u64 * layer
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
        for seen in &mut self.layers {
            let (heads, width) = (seen.heads(), seen.width());
            seen.clear(heads, width);
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
        Self::read_each(&mut [self], &[tokens])
    }

    /// Each of `sequences`, all of one model, reads its part, which may be empty: the logits of all parts,
    /// one after the other.
    ///
    /// # Errors
    /// When a part does not fit its sequence; then nothing was read.
    ///
    /// # Panics
    /// When there are more or fewer parts than sequences, models differ, or a token is none.
    pub fn read_each(sequences: &mut [&mut Self], parts: &[&[u16]]) -> Result<Vec<f32>, SequenceFull> {
        assert_eq!(sequences.len(), parts.len(), "a part for each sequence");
        for (sequence, part) in sequences.iter().zip(parts) {
            if part.len() > sequence.room() {
                return Err(SequenceFull {
                    tokens: part.len(),
                    read: sequence.length,
                    limit: sequence.length + sequence.room(),
                });
            }
        }
        let tokens = parts.concat();
        assert!(
            tokens.iter().all(|token| usize::from(*token) < VOCAB),
            "tokens are below {VOCAB}"
        );
        let Some(Self { kernels, model, .. }) = sequences.first().map(|first| &**first) else {
            return Ok(Vec::new());
        };
        let (kernels, model) = (*kernels, *model);
        assert!(
            sequences
                .iter()
                .all(|sequence| std::ptr::eq(sequence.model, model)),
            "sequences of one model"
        );
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        let mut reading: Vec<(&mut Self, usize)> = sequences
            .iter_mut()
            .zip(parts)
            .filter(|(_, part)| !part.is_empty())
            .map(|(sequence, part)| (&mut **sequence, part.len()))
            .collect();
        // In a thread of the pool from the beginning, so that what is small need not be sent there.
        let logits = rayon::scope(|_| {
            let representations = forward::pass(kernels, model, &tokens, |layer, out, [q, k, v]| {
                attend(&mut reading, layer, out, [q, k, v]);
            });
            forward::logits(kernels, model, &representations)
        });
        for (sequence, length) in reading {
            sequence.length += length;
        }
        Ok(logits)
    }

    /// One layer's attention of the tokens that follow what was read.
    fn attend_own(&mut self, layer: usize, out: &mut [f32], [q, k, v]: [&mut [f32]; 3]) {
        let (kernels, model) = (self.kernels, self.model);
        let heads = model.architecture().heads as usize;
        let seen = &mut self.layers[layer];
        kernels.rope(q, &model.rope, heads, self.length);
        kernels.rope(k, &model.rope, heads, self.length);
        seen.extend(k, v);
        kernels.attend(out, q, seen);
    }
}

/// Each sequence, with as many tokens as it reads, takes its rows.
fn attend(reading: &mut [(&mut Sequence<'_>, usize)], layer: usize, out: &mut [f32], qkv: [&mut [f32]; 3]) {
    if let [(sequence, _)] = reading {
        return sequence.attend_own(layer, out, qkv);
    }
    let [mut q, mut k, mut v] = qkv;
    let mut out = out;
    let mut own = Vec::with_capacity(reading.len());
    for (sequence, tokens) in reading {
        let values = *tokens * sequence.model.architecture().embedding_dim as usize;
        let rows = [&mut out, &mut q, &mut k, &mut v]
            .map(|rows| rows.split_off_mut(..values).expect("rows of every token"));
        own.push((sequence, rows));
    }
    let each = own
        .iter()
        .map(|(sequence, [_, q, ..])| (sequence.length + 1) * q.len());
    let enough = ATTENTION_MIN.div_ceil(each.max().unwrap_or(0).max(1));
    own.into_par_iter()
        .with_min_len(enough)
        .for_each(|(sequence, [out, q, k, v])| sequence.attend_own(layer, out, [q, k, v]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernels::Simd, matrix::Matrix, tensor::Tensor};

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
    fn sequences_read_together_as_each_alone() {
        let models = [7, 8].map(|seed| Model::random(&Architecture::NANO, seed));
        for simd in Simd::supported() {
            let scorer = Scorer::with(simd).unwrap();
            let text = tokens();
            let mut together = [0, 1, 2].map(|_| scorer.sequence(&models[0]));
            let mut alone = together.clone();
            // Sequences of different lengths, some of which read nothing now and then.
            for parts in [
                [&text[..5], &text[..1], &[]],
                [&text[5..6], &text[1..2], &[]],
                [&[], &text[2..40], &text[..20]],
                [&text[6..7], &[], &text[20..]],
            ] {
                let [a, b, c] = &mut together;
                let found = Sequence::read_each(&mut [a, b, c], &parts).unwrap();
                let each = alone.iter_mut().zip(parts);
                let expected = each.flat_map(|(sequence, part)| sequence.read(part).unwrap());
                assert!(bits(&found) == bits(&expected.collect::<Vec<_>>()), "{simd}");
            }
            assert_eq!(together.each_ref().map(Sequence::len), [7, 40, text.len()]);
            // One that does not fit keeps all from reading.
            let [a, b, _] = &mut together;
            assert!(Sequence::read_each(&mut [a, b], &[&text[..1], &[0; 250]]).is_err());
            assert_eq!(together.each_ref().map(Sequence::len), [7, 40, text.len()]);
            assert!(Sequence::read_each(&mut [], &[]).unwrap().is_empty());
            let mut other = scorer.sequence(&models[1]);
            let mixed = std::panic::AssertUnwindSafe(|| {
                Sequence::read_each(&mut [&mut together[0], &mut other], &[&[0], &[0]])
            });
            assert!(std::panic::catch_unwind(mixed).is_err(), "of two models");
        }
    }

    /// Parts of several panels of keys, models in every type, one thread and two.
    #[test]
    fn a_token_is_that_of_the_whole_pass_in_every_type() {
        let architecture = Architecture {
            layers: 2,
            embedding_dim: 160,
            heads: 2,
            ffn_dim: 600,
            max_seq_len: 96,
            ..Architecture::NANO
        };
        let wide = Model::random(&architecture, 9);
        let text: Vec<u8> = (0..96).map(|at| (at * at % 251) as u8).collect();
        let types: [fn(Vec<u16>) -> Tensor; 2] = [Tensor::Bf16, Tensor::F16];
        let narrow = types.map(|of| {
            let mut model = wide.clone();
            for layer in &mut model.layers {
                for linear in [
                    &mut layer.query,
                    &mut layer.output,
                    &mut layer.linear_inner,
                    &mut layer.linear_outer,
                ] {
                    let (weight, upper) = (&linear.weight, |x: f32| (x.to_bits() >> 16) as u16);
                    let halves = weight.to_row_major().into_iter().map(upper).collect();
                    linear.weight = Matrix::from_tensor(weight.inputs(), weight.outputs(), &of(halves));
                }
            }
            model
        });
        for model in narrow.iter().chain([&wide]) {
            let chunks: Vec<_> = crate::tokenizer::chunks(&text, 96).collect();
            let kernels = Simd::Scalar.kernels().unwrap();
            let expected =
                forward::logits(kernels, model, &forward::representations(kernels, model, &chunks));
            for (simd, threads) in Simd::supported().flat_map(|simd| [(simd, 1), (simd, 3)]) {
                let scorer = Scorer::with(simd).unwrap();
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let found: Vec<f32> = pool.install(|| {
                    let mut sequence = scorer.sequence(model);
                    let read = |byte: &u8| sequence.read(&[u16::from(*byte)]).unwrap();
                    text.iter().flat_map(read).collect()
                });
                assert!(bits(&found) == bits(&expected), "{simd} on {threads} threads");
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
