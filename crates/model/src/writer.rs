//! Writing on: what experts make of a text so far, mixed by Bayes, and the next byte drawn from it.
//!
//! Upon bytes of the text: every expert reads them, and how well it predicted each moves the posterior, as in
//! scoring a [`mixture`](crate::mixture). Upon being asked for the next byte: the experts' distributions over
//! the bytes and the end mark are summed by their weights, and one is drawn as a [`Choice`] says.
//!
//! A sequence that is full begins anew with the last half of what it holds: what is further back is
//! forgotten. All arithmetic is exact or binary64 `+ - * /` in a fixed order, and what is drawn follows from
//! the seed: the same weights, text and choice write the same everywhere (docs/scoring-spec.md, section 6).

use rayon::prelude::*;

use crate::{
    elementary64::{exp, ln},
    mixture::Posterior,
    model::Model,
    score::{ModelError, ScoreError, Scorer},
    sequence::Sequence,
    tokenizer::{EOS, VOCAB},
};

/// What may follow: the 256 bytes, then the end mark.
const OUTCOMES: usize = 257;
const END: usize = 256;
/// Most that probabilities are flattened by.
pub const TEMPERATURE_MAX: f64 = 100.0;

/// How the next byte is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    temperature: f64,
    top_p: f64,
    seed: u64,
}

/// Why there is no such choice.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ChoiceError {
    /// Not within its range.
    #[error("a temperature of {0} is none: give 0 (always the likeliest byte) to {TEMPERATURE_MAX}")]
    Temperature(f64),
    /// Not within its range.
    #[error("top-p {0} is no share: give a number above 0, at most 1 (all bytes)")]
    TopP(f64),
}

impl Choice {
    /// Draws by `seed` from the likeliest bytes that have `top_p` of all probability together, after raising
    /// each probability to the power of 1 / `temperature`; at 0 the likeliest byte is taken.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn new(temperature: f64, top_p: f64, seed: u64) -> Result<Self, ChoiceError> {
        if !(0.0..=TEMPERATURE_MAX).contains(&temperature) {
            return Err(ChoiceError::Temperature(temperature));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(ChoiceError::TopP(top_p));
        }
        Ok(Self {
            temperature,
            top_p,
            seed,
        })
    }

    /// One of the outcomes with these probabilities, as the `draw`th choice of a text.
    fn choose(&self, probabilities: &[f64], draw: u64) -> usize {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        // Stable: of equals the lower comes first.
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        let likeliest = probabilities[order[0]];
        if self.temperature == 0.0 {
            return order[0];
        }
        let mut shares: Vec<f64> = order
            .iter()
            .map(|outcome| probabilities[*outcome] / likeliest)
            .take_while(|ratio| *ratio >= f64::MIN_POSITIVE)
            .map(|ratio| exp(ln(ratio) / self.temperature))
            .collect();
        let total: f64 = shares.iter().sum();
        let mut kept = 0.0;
        let enough = shares.iter().position(|share| {
            kept += share;
            kept >= self.top_p * total
        });
        shares.truncate(enough.map_or(shares.len(), |last| last + 1));
        let mut left = self.uniform(draw) * shares.iter().sum::<f64>();
        for (outcome, share) in order.iter().zip(&shares) {
            if left < *share {
                return *outcome;
            }
            left -= share;
        }
        // Rounding may leave a little behind the last.
        order[shares.len() - 1]
    }

    /// A number in [0, 1) of 53 bits.
    fn uniform(&self, draw: u64) -> f64 {
        let mut hasher = blake3::Hasher::new_derive_key("soma 2026 writer");
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(&draw.to_le_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        (u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// An expert and what it has read.
struct Reader<'a> {
    sequence: Sequence<'a>,
    /// What the sequence holds.
    held: Vec<u8>,
    /// What it takes to say each outcome, in nats; none before anything is read.
    next: Option<Vec<f64>>,
}

impl Reader<'_> {
    /// Reads `bytes`: what it took to say each; none for what nothing stood before.
    fn read(&mut self, mut bytes: &[u8], position: usize) -> Result<Vec<Option<f64>>, ModelError> {
        let mut taken = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            if self.sequence.room() == 0 {
                let kept = self.held.split_off(self.held.len() - self.held.len() / 2);
                self.held.clear();
                self.sequence.clear();
                self.next = None;
                self.take(&kept, position)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.sequence.room()));
            taken.extend(self.take(now, position)?);
            bytes = later;
        }
        Ok(taken)
    }

    /// Reads what there is room for.
    fn take(&mut self, bytes: &[u8], position: usize) -> Result<Vec<Option<f64>>, ModelError> {
        let tokens: Vec<u16> = bytes.iter().map(|byte| u16::from(*byte)).collect();
        let logits = self.sequence.read(&tokens).expect("there is room for them");
        self.held.extend_from_slice(bytes);
        let mut taken = Vec::with_capacity(bytes.len());
        for (byte, logits) in bytes.iter().zip(logits.chunks_exact(VOCAB)) {
            taken.push(self.next.as_ref().map(|next| next[usize::from(*byte)]));
            self.next = Some(nats(logits, position)?);
        }
        Ok(taken)
    }
}

/// What it takes to say each outcome, in nats.
fn nats(logits: &[f32], position: usize) -> Result<Vec<f64>, ModelError> {
    if !logits.iter().all(|logit| logit.is_finite()) {
        let what = "logit";
        return Err(ModelError::NotFinite { what, position });
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let below = |logit: f32| f64::from(largest) - f64::from(logit);
    let total: f64 = logits.iter().map(|logit| exp(-below(*logit))).sum();
    let log_total = ln(total);
    let outcomes = logits[..END].iter().chain([&logits[usize::from(EOS)]]);
    Ok(outcomes.map(|logit| log_total + below(*logit)).collect())
}

/// A text that goes on.
pub struct Writer<'a> {
    readers: Vec<Reader<'a>>,
    posterior: Posterior,
    length: usize,
    draws: u64,
}

impl<'a> Writer<'a> {
    /// Experts, each with its stake, that have read `prompt`.
    ///
    /// # Errors
    /// When there are no experts, the prompt is empty (what begins a text no expert knows), or a model's
    /// logits are not finite.
    pub fn new(scorer: &Scorer, experts: &[(&'a Model, u64)], prompt: &[u8]) -> Result<Self, ScoreError> {
        let stakes: Vec<u64> = experts.iter().map(|(_, stake)| *stake).collect();
        let posterior = Posterior::new(&stakes).ok_or(ScoreError::NoModels)?;
        if prompt.is_empty() {
            return Err(ScoreError::Empty);
        }
        let readers = experts.iter().map(|(model, _)| Reader {
            sequence: scorer.sequence(model),
            held: Vec::new(),
            next: None,
        });
        let mut writer = Self {
            readers: readers.collect(),
            posterior,
            length: 0,
            draws: 0,
        };
        writer.read(prompt)?;
        Ok(writer)
    }

    /// Takes bytes as the text's next.
    ///
    /// # Errors
    /// When a model's logits are not finite.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), ScoreError> {
        let position = self.length;
        let taken: Vec<Vec<Option<f64>>> = self
            .readers
            .par_iter_mut()
            .enumerate()
            .map(|(index, reader)| {
                let taken = reader.read(bytes, position);
                taken.map_err(|error| ScoreError::Model { index, error })
            })
            .collect::<Result<_, _>>()?;
        for byte in 0..bytes.len() {
            let losses: Option<Vec<f64>> = taken.iter().map(|taken| taken[byte]).collect();
            if let Some(losses) = losses {
                self.posterior.observe(&losses);
            }
        }
        self.length += bytes.len();
        Ok(())
    }

    /// Writes the next byte, and takes it as read; none where the text ends.
    ///
    /// # Errors
    /// When a model's logits are not finite, or predicts nothing since it reads one byte at a time.
    pub fn write(&mut self, choice: &Choice) -> Result<Option<u8>, ScoreError> {
        let mut probabilities = vec![0.0; OUTCOMES];
        for (reader, weight) in self.readers.iter().zip(self.posterior.weights()) {
            let next = reader.next.as_ref().ok_or(ScoreError::NothingPredicted)?;
            for (probability, nats) in probabilities.iter_mut().zip(next) {
                *probability += weight * exp(-nats);
            }
        }
        let outcome = choice.choose(&probabilities, self.draws);
        self.draws += 1;
        let Ok(byte) = u8::try_from(outcome) else {
            return Ok(None);
        };
        self.read(&[byte])?;
        Ok(Some(byte))
    }

    /// What each expert counts for now; together 1.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        self.posterior.weights()
    }
}

#[cfg(test)]
mod tests {
    use soma_types::Architecture;

    use super::*;
    use crate::kernels::Simd;

    fn choice(temperature: f64, top_p: f64) -> Choice {
        Choice::new(temperature, top_p, 7).unwrap()
    }

    fn written(simd: Simd, choice: &Choice, count: usize) -> Vec<u8> {
        let models = [1, 2].map(|seed| Model::random(&Architecture::NANO, seed));
        let experts = [(&models[0], 1), (&models[1], 3)];
        let mut writer = Writer::new(&Scorer::with(simd).unwrap(), &experts, b"Once").unwrap();
        let mut text = Vec::new();
        while text.len() < count {
            // Random weights may end a text anywhere; one goes on as if they had not.
            text.extend(writer.write(choice).unwrap());
        }
        text
    }

    #[test]
    fn every_backend_and_number_of_threads_writes_the_same() {
        let choice = choice(0.8, 0.9);
        let expected = written(Simd::Scalar, &choice, 24);
        for simd in Simd::supported() {
            assert_eq!(written(simd, &choice, 24), expected, "{simd}");
        }
        let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let fastest = Simd::supported().last().unwrap();
        assert_eq!(single.install(|| written(fastest, &choice, 24)), expected);
        assert_ne!(
            written(fastest, &Choice::new(0.8, 0.9, 8).unwrap(), 24),
            expected,
            "another seed"
        );
    }

    /// The text is pinned: what was written with a seed is written again by every later version.
    #[test]
    fn golden_text() {
        let fastest = Simd::supported().last().unwrap();
        let hex: String = written(fastest, &choice(1.0, 1.0), 16)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "2f81d8bfa770947b2bcca98503aad78a");
    }

    #[test]
    fn a_long_text_is_the_last_half_read_anew() {
        let model = Model::random(&Architecture::NANO, 3);
        let limit = model.architecture().max_seq_len as usize;
        let text: Vec<u8> = (0..=limit).map(|i| (i * 31 % 251) as u8).collect();
        let scorer = Scorer::new().unwrap();
        let whole = Writer::new(&scorer, &[(&model, 1)], &text).unwrap();
        let half = Writer::new(&scorer, &[(&model, 1)], &text[limit - limit / 2..]).unwrap();
        assert_eq!(whole.readers[0].next, half.readers[0].next);
        // Cut anywhere it is the same.
        let mut parts = Writer::new(&scorer, &[(&model, 1)], &text[..5]).unwrap();
        text[5..].chunks(100).for_each(|part| parts.read(part).unwrap());
        assert_eq!(whole.readers[0].next, parts.readers[0].next);
    }

    #[test]
    fn choices_follow_probabilities() {
        let probabilities = [0.1, 0.6, 0.3];
        let counts = |choice: Choice| {
            let mut counts = [0; 3];
            (0..2_000).for_each(|draw| counts[choice.choose(&probabilities, draw)] += 1);
            counts
        };
        assert_eq!(counts(choice(0.0, 1.0)), [0, 2_000, 0]);
        let [a, b, c] = counts(choice(1.0, 1.0));
        assert!((150..250).contains(&a) && (1_130..1_270).contains(&b) && (530..670).contains(&c));
        // The two likeliest have 0.9 of all.
        let [a, b, c] = counts(choice(1.0, 0.85));
        assert!(a == 0 && (1_260..1_400).contains(&b) && b + c == 2_000);
        let [flat, ..] = counts(choice(100.0, 1.0));
        assert!((560..770).contains(&flat), "{flat}");
        // Of equals the lower.
        assert_eq!(choice(0.0, 1.0).choose(&[0.2, 0.4, 0.4], 0), 1);
        for (temperature, top_p) in [
            (-1.0, 1.0),
            (f64::NAN, 1.0),
            (101.0, 1.0),
            (1.0, 0.0),
            (1.0, 1.1),
            (1.0, f64::NAN),
        ] {
            assert!(
                Choice::new(temperature, top_p, 0).is_err(),
                "{temperature} {top_p}"
            );
        }
    }

    #[test]
    fn what_cannot_be_written_on_says_why() {
        let scorer = Scorer::new().unwrap();
        let model = Model::random(&Architecture::NANO, 3);
        assert_eq!(Writer::new(&scorer, &[], b"a").err(), Some(ScoreError::NoModels));
        assert_eq!(
            Writer::new(&scorer, &[(&model, 1)], b"").err(),
            Some(ScoreError::Empty)
        );
    }
}
