//! Writing on: a text that experts [read](crate::reading), and the next byte drawn from what may follow, as a
//! [`Choice`] says.
//!
//! What is drawn follows from the seed: the same weights, text and choice write the same everywhere
//! (docs/scoring-spec.md, section 6).

use rayon::prelude::*;

use crate::{
    elementary64::{exp, ln},
    model::Model,
    reading::{Before, Reading},
    score::{ScoreError, Scorer},
};

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

/// A text that goes on.
pub struct Writer<'a> {
    reading: Reading<'a>,
    draws: u64,
}

impl<'a> Writer<'a> {
    /// Experts, each with its stake, that have read nothing yet. What begins a text no expert knows, so
    /// something is to be [read](Self::read) before they write.
    ///
    /// # Errors
    /// When there are no experts.
    pub fn unread(scorer: &Scorer, experts: &[(&'a Model, u64)]) -> Result<Self, ScoreError> {
        Ok(Self {
            reading: Reading::new(scorer, experts)?,
            draws: 0,
        })
    }

    /// The same, that have read `prompt`.
    ///
    /// # Errors
    /// When there are no experts, the prompt is empty, or a model's logits are not finite.
    pub fn new(scorer: &Scorer, experts: &[(&'a Model, u64)], prompt: &[u8]) -> Result<Self, ScoreError> {
        let mut writer = Self::unread(scorer, experts)?;
        if prompt.is_empty() {
            return Err(ScoreError::Empty);
        }
        let passed = writer.pass_over(prompt.len());
        writer.read(&prompt[passed..], |_, _| ())?;
        Ok(writer)
    }

    /// Passes over what leaves nothing behind, as [`Reading::pass_over`].
    pub fn pass_over(&mut self, length: usize) -> usize {
        self.reading.pass_over(length)
    }

    /// Takes bytes as the text's next, telling `each` what stood before every one of them.
    ///
    /// # Errors
    /// When a model's logits are not finite.
    pub fn read(&mut self, bytes: &[u8], each: impl FnMut(u8, Before<'_>)) -> Result<(), ScoreError> {
        self.reading.read(bytes, each)
    }

    /// Writes the next byte, and takes it as read; none where the text ends.
    ///
    /// # Errors
    /// When a model's logits are not finite.
    pub fn write(&mut self, choice: &Choice) -> Result<Option<u8>, ScoreError> {
        let byte = self.choose(choice)?;
        if let Some(byte) = byte {
            self.read(&[byte], |_, _| ())?;
        }
        Ok(byte)
    }

    /// Each of `writers`, all by the same experts, writes its next byte by its choice: one pass of each
    /// expert for all of them. None where a text ends; why it cannot go on, as [`Writer::write`], which the
    /// others do not notice.
    ///
    /// # Panics
    /// When experts differ, or there are more or fewer choices than writers.
    pub fn write_each(writers: &mut [&mut Self], choices: &[Choice]) -> Vec<Result<Option<u8>, ScoreError>> {
        assert_eq!(writers.len(), choices.len(), "a choice for each writer");
        let outcomes: Vec<Result<Option<u8>, ScoreError>> = writers
            .par_iter_mut()
            .zip(choices)
            .map(|(writer, choice)| writer.choose(choice))
            .collect();
        let each = writers.iter_mut().zip(&outcomes);
        let (mut readings, bytes): (Vec<&mut Reading<'a>>, Vec<u8>) = each
            .filter_map(|(writer, outcome)| Some((&mut writer.reading, (*outcome.as_ref().ok()?)?)))
            .unzip();
        let mut fared = Reading::read_each(&mut readings, &bytes).into_iter();
        let read = |outcome: Result<Option<u8>, ScoreError>| match outcome? {
            Some(byte) => fared
                .next()
                .map_or(Ok(Some(byte)), |read| read.map(|()| Some(byte))),
            None => Ok(None),
        };
        outcomes.into_iter().map(read).collect()
    }

    /// What stands before the next byte.
    #[must_use]
    pub fn before(&self) -> Before<'_> {
        self.reading.before()
    }

    fn choose(&mut self, choice: &Choice) -> Result<Option<u8>, ScoreError> {
        let probabilities = self.reading.before().probabilities();
        let probabilities = probabilities.ok_or(ScoreError::NothingPredicted)?;
        let outcome = choice.choose(&probabilities, self.draws);
        self.draws += 1;
        Ok(u8::try_from(outcome).ok())
    }

    /// What each expert counts for now; together 1.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        self.reading.weights()
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
        let next = |writer: &Writer<'_>| writer.reading.before().probabilities().unwrap();
        let whole = Writer::new(&scorer, &[(&model, 1)], &text).unwrap();
        let half = Writer::new(&scorer, &[(&model, 1)], &text[limit - limit / 2..]).unwrap();
        assert_eq!(next(&whole), next(&half));
        // Cut anywhere it is the same.
        let mut parts = Writer::new(&scorer, &[(&model, 1)], &text[..5]).unwrap();
        text[5..]
            .chunks(100)
            .for_each(|part| parts.read(part, |_, _| ()).unwrap());
        assert_eq!(next(&whole), next(&parts));
    }

    #[test]
    fn texts_written_together_are_those_written_alone() {
        let models = [1, 2].map(|seed| Model::random(&Architecture::NANO, seed));
        let experts = [(&models[0], 1), (&models[1], 3)];
        let scorer = Scorer::new().unwrap();
        let prompts = [&b"Once"[..], b"a", b"another text"];
        let choices = [choice(0.8, 0.9), choice(0.0, 1.0), choice(1.5, 1.0)];
        let begun = || prompts.map(|prompt| Writer::new(&scorer, &experts, prompt).unwrap());
        let (mut together, mut alone) = (begun(), begun());
        for _ in 0..20 {
            let mut writers: Vec<_> = together.iter_mut().collect();
            let found = Writer::write_each(&mut writers, &choices).into_iter();
            let found: Vec<_> = found.map(Result::unwrap).collect();
            let expected = alone.iter_mut().zip(&choices);
            let expected: Vec<_> = expected
                .map(|(writer, choice)| writer.write(choice).unwrap())
                .collect();
            assert_eq!(found, expected);
        }
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
