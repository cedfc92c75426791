//! Reading a text with experts, mixed by Bayes: what may follow, and how much each expert counts.
//!
//! Upon bytes of the text: every expert reads them, and how well it predicted each moves the posterior, as in
//! scoring a [`mixture`](crate::mixture). What may follow is the sum of the experts' distributions over the
//! bytes and the end mark, by their weights. Texts of the same experts read on together
//! ([`Reading::read_each`]), with one pass of each expert for all of them.
//!
//! A sequence that is full begins anew with the last half of what it holds: what is further back is
//! forgotten. All arithmetic is exact or binary64 `+ - * /` in a fixed order: the same everywhere
//! (docs/scoring-spec.md, section 6).

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
pub const OUTCOMES: usize = 257;
/// The outcome that a text ends.
const END: usize = 256;
/// Bytes read at once: what experts make of each is in memory until it is mixed (2 KiB for an expert).
const PART_BYTES: usize = 256;

/// Texts whose next distributions are worth a task.
const TASK_TEXTS: usize = 8;

/// What it takes to say each outcome, in nats.
type Nats = Vec<f64>;

/// A text that experts read.
pub struct Reading<'a> {
    readers: Vec<Reader<'a>>,
    posterior: Posterior,
    length: usize,
}

/// What stood before a byte: what each expert made of it, and what each counted for.
pub struct Before<'b> {
    next: Vec<Option<&'b Nats>>,
    weights: &'b [f64],
}

impl<'a> Reading<'a> {
    /// Nothing read yet, by experts with their stakes.
    ///
    /// # Errors
    /// When there are no experts.
    pub fn new(scorer: &Scorer, experts: &[(&'a Model, u64)]) -> Result<Self, ScoreError> {
        let stakes: Vec<u64> = experts.iter().map(|(_, stake)| *stake).collect();
        let readers = experts.iter().map(|(model, _)| Reader {
            sequence: scorer.sequence(model),
            held: Vec::new(),
            next: None,
        });
        Ok(Self {
            posterior: Posterior::new(&stakes).ok_or(ScoreError::NoModels)?,
            readers: readers.collect(),
            length: 0,
        })
    }

    /// Passes over those of a text's first bytes of which nothing is left once `length` bytes of it are read:
    /// how many. What is read next are those after them, up to `length`. One expert alone has forgotten what
    /// its last sequence did not begin with, and its weight does not move; of several every byte counts, and
    /// so does all that was read before.
    pub fn pass_over(&mut self, length: usize) -> usize {
        let [reader] = &self.readers[..] else { return 0 };
        if self.length > 0 {
            return 0;
        }
        let whole = reader.sequence.room();
        // Each time that a sequence is full it begins so much later.
        let later = whole - whole / 2;
        self.length = length.saturating_sub(whole).div_ceil(later) * later;
        self.length
    }

    /// Takes bytes as the text's next, telling `each` what stood before every byte.
    ///
    /// # Errors
    /// When a model's logits are not finite.
    pub fn read(&mut self, bytes: &[u8], mut each: impl FnMut(u8, Before<'_>)) -> Result<(), ScoreError> {
        for part in bytes.chunks(PART_BYTES) {
            let position = self.length;
            let steps: Vec<Vec<Step>> = self
                .readers
                .par_iter_mut()
                .enumerate()
                .map(|(index, reader)| {
                    let steps = reader.read(part, position);
                    steps.map_err(|error| ScoreError::Model { index, error })
                })
                .collect::<Result<_, _>>()?;
            for (index, byte) in part.iter().enumerate() {
                let own = || steps.iter().map(|steps| &steps[index]);
                let before = Before {
                    next: own().map(|step| step.before.as_ref()).collect(),
                    weights: self.posterior.weights(),
                };
                each(*byte, before);
                self.observe(own().map(|step| step.taken).collect());
            }
        }
        Ok(())
    }

    /// Each of `readings`, all by the same experts, takes its byte as its text's next; why it could not,
    /// where a model's logits are not finite. The others do not notice.
    ///
    /// # Panics
    /// When experts differ, or there are more or fewer bytes than readings.
    pub fn read_each(readings: &mut [&mut Self], bytes: &[u8]) -> Vec<Result<(), ScoreError>> {
        assert_eq!(readings.len(), bytes.len(), "a byte for each reading");
        let experts = readings.first().map_or(0, |reading| reading.readers.len());
        let mut taken: Vec<Result<Vec<Option<f64>>, ScoreError>> =
            readings.iter().map(|_| Ok(Vec::with_capacity(experts))).collect();
        for index in 0..experts {
            let parts: Vec<Part> = readings
                .iter_mut()
                .zip(bytes)
                .map(|(reading, byte)| reading.readers[index].part(&[*byte]))
                .collect();
            let mut sequences: Vec<&mut Sequence<'a>> = readings
                .iter_mut()
                .map(|reading| &mut reading.readers[index].sequence)
                .collect();
            let tokens: Vec<&[u16]> = parts.iter().map(|part| &part.tokens[..]).collect();
            let logits = Sequence::read_each(&mut sequences, &tokens).expect("parts fit their sequences");
            let mut rest = &logits[..];
            let each = readings.iter_mut().zip(&parts).zip(&mut taken);
            let own: Vec<_> = each
                .map(|((reading, part), taken)| {
                    let (own, others) = rest.split_at(part.tokens.len() * VOCAB);
                    rest = others;
                    (&mut **reading, part, own, taken)
                })
                .collect();
            own.into_par_iter()
                .with_min_len(TASK_TEXTS)
                .for_each(|(reading, part, logits, taken)| {
                    let steps = reading.readers[index].take(part, logits, reading.length);
                    if let Ok(all) = taken {
                        match steps {
                            Ok(steps) => all.extend(steps.into_iter().map(|step| step.taken)),
                            Err(error) => *taken = Err(ScoreError::Model { index, error }),
                        }
                    }
                });
        }
        let each = readings.iter_mut().zip(taken);
        each.map(|(reading, taken)| taken.map(|taken| reading.observe(taken)))
            .collect()
    }

    /// What stands before the text's next byte.
    #[must_use]
    pub fn before(&self) -> Before<'_> {
        Before {
            next: self.readers.iter().map(|reader| reader.next.as_ref()).collect(),
            weights: self.posterior.weights(),
        }
    }

    /// What each expert counts for now; together 1.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        self.posterior.weights()
    }

    /// One byte was read, which took each expert so many nats.
    fn observe(&mut self, taken: Vec<Option<f64>>) {
        let losses: Option<Vec<f64>> = taken.into_iter().collect();
        if let Some(losses) = losses {
            self.posterior.observe(&losses);
        }
        self.length += 1;
    }
}

impl Before<'_> {
    /// The probability of each outcome; none where nothing stood before.
    #[must_use]
    pub fn probabilities(&self) -> Option<[f64; OUTCOMES]> {
        let mut probabilities = [0.0; OUTCOMES];
        for (next, weight) in self.next.iter().zip(self.weights) {
            for (probability, nats) in probabilities.iter_mut().zip((*next)?) {
                *probability += weight * exp(-nats);
            }
        }
        Some(probabilities)
    }
}

/// An expert and what it has read.
struct Reader<'a> {
    sequence: Sequence<'a>,
    /// What the sequence holds.
    held: Vec<u8>,
    /// None before anything is read.
    next: Option<Nats>,
}

/// What goes through a model in one pass.
struct Part {
    tokens: Vec<u16>,
    /// How many of them were read before, where the sequence begins anew.
    again: Option<usize>,
}

/// A byte that was read.
struct Step {
    /// What the expert made of it, before.
    before: Option<Nats>,
    /// What it took to say it; none for the first of a sequence.
    taken: Option<f64>,
}

impl Reader<'_> {
    fn read(&mut self, mut bytes: &[u8], position: usize) -> Result<Vec<Step>, ModelError> {
        let mut steps = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            let part = self.part(bytes);
            let logits = self
                .sequence
                .read(&part.tokens)
                .expect("the part fits its sequence");
            let new = self.take(&part, &logits, position)?;
            bytes = &bytes[new.len()..];
            steps.extend(new);
        }
        Ok(steps)
    }

    /// As many of `bytes` as there is room for, which count as held from here on. Makes room where there is
    /// none.
    fn part(&mut self, bytes: &[u8]) -> Part {
        let mut again = None;
        if self.sequence.room() == 0 {
            self.held.drain(..self.held.len() - self.held.len() / 2);
            self.sequence.clear();
            again = Some(self.held.len());
        }
        let room = self.sequence.room() - again.unwrap_or(0);
        let first = self.held.len() - again.unwrap_or(0);
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Part {
            tokens: self.held[first..].iter().map(|byte| u16::from(*byte)).collect(),
            again,
        }
    }

    /// Takes in what a pass made of a part.
    fn take(&mut self, part: &Part, logits: &[f32], position: usize) -> Result<Vec<Step>, ModelError> {
        let mut rows = logits.chunks_exact(VOCAB);
        // A byte before which the sequence began anew is judged by what the new sequence made of it.
        let anew = match part.again {
            None => None,
            Some(0) => Some(None),
            Some(again) => Some(rows.nth(again - 1).map(|row| nats(row, position)).transpose()?),
        };
        let new = &part.tokens[part.again.unwrap_or(0)..];
        let mut steps = Vec::with_capacity(new.len());
        for (index, (byte, row)) in new.iter().zip(rows).enumerate() {
            let before = self.next.replace(nats(row, position)?);
            let judged = match (&anew, index) {
                (Some(anew), 0) => anew.as_ref(),
                _ => before.as_ref(),
            };
            steps.push(Step {
                taken: judged.map(|nats| nats[usize::from(*byte)]),
                before,
            });
        }
        Ok(steps)
    }
}

/// What it takes to say each outcome.
fn nats(logits: &[f32], position: usize) -> Result<Nats, ModelError> {
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

#[cfg(test)]
mod tests {
    use soma_types::Architecture;

    use super::*;

    fn experts(models: &[Model; 2]) -> [(&Model, u64); 2] {
        [(&models[0], 1), (&models[1], 3)]
    }

    /// Everything that may follow each byte of a text, to the bit; nothing for its first.
    fn all_before(reading: &mut Reading<'_>, text: &[u8]) -> Vec<Option<Vec<u64>>> {
        let mut all = Vec::new();
        let bits = |before: Before<'_>| Some(before.probabilities()?.map(f64::to_bits).to_vec());
        reading.read(text, |_, before| all.push(bits(before))).unwrap();
        all.push(bits(reading.before()));
        all
    }

    #[test]
    fn texts_read_together_as_each_alone() {
        let models = [1, 2].map(|seed| Model::random(&Architecture::NANO, seed));
        let scorer = Scorer::new().unwrap();
        // Two and a half sequences: each begins anew several times, not all at once.
        let text: Vec<u8> = (0..640).map(|i| (i * 31 % 251) as u8).collect();
        let texts = [&text[..], &text[100..], &text[..300]];
        let starts = [0, 7, 200];
        let mut together = texts.map(|_| Reading::new(&scorer, &experts(&models)).unwrap());
        for ((reading, text), start) in together.iter_mut().zip(texts).zip(starts) {
            reading.read(&text[..start], |_, _| ()).unwrap();
        }
        for step in 0..440 {
            let mut readings = Vec::new();
            let mut bytes = Vec::new();
            for ((reading, text), start) in together.iter_mut().zip(texts).zip(starts) {
                if let Some(byte) = text.get(start + step) {
                    readings.push(reading);
                    bytes.push(*byte);
                }
            }
            let fared = Reading::read_each(&mut readings, &bytes);
            assert!(fared.iter().all(Result::is_ok));
        }
        for ((reading, text), start) in together.iter().zip(texts).zip(starts) {
            let mut alone = Reading::new(&scorer, &experts(&models)).unwrap();
            let expected = all_before(&mut alone, &text[..text.len().min(start + 440)]);
            let found = reading
                .before()
                .probabilities()
                .unwrap()
                .map(f64::to_bits)
                .to_vec();
            assert!(Some(found) == *expected.last().unwrap());
            assert_eq!(reading.weights(), alone.weights());
        }
    }

    /// Nothing is left of what is passed over: what may follow is the same to the bit, here and from here on.
    #[test]
    fn what_is_passed_over_does_not_show() {
        let model = Model::random(&Architecture::NANO, 5);
        let scorer = Scorer::new().unwrap();
        let text: Vec<u8> = (0..1400).map(|i| (i * 29 % 241) as u8).collect();
        let length_max = Architecture::NANO.max_seq_len as usize;
        let half = length_max / 2;
        for length in [
            1,
            length_max - 1,
            length_max,
            length_max + 1,
            length_max + half,
            length_max + half + 1,
            4 * length_max + 5,
        ] {
            let mut whole = Reading::new(&scorer, &[(&model, 7)]).unwrap();
            whole.read(&text[..length], |_, _| ()).unwrap();
            let mut part = Reading::new(&scorer, &[(&model, 7)]).unwrap();
            let passed = part.pass_over(length);
            assert!(length - passed <= length_max && (length <= length_max) == (passed == 0));
            part.read(&text[passed..length], |_, _| ()).unwrap();
            let more = &text[length..length + 270];
            assert!(
                all_before(&mut part, more) == all_before(&mut whole, more),
                "{length}"
            );
            assert_eq!((part.weights(), part.length), (whole.weights(), whole.length));
            assert_eq!(part.pass_over(5000), 0, "it has begun");
        }
        let models = [1, 2].map(|seed| Model::random(&Architecture::NANO, seed));
        let mut several = Reading::new(&scorer, &experts(&models)).unwrap();
        assert_eq!(several.pass_over(5000), 0);
    }

    /// What each byte was drawn from is told the same, however the text is cut.
    #[test]
    fn parts_do_not_show() {
        let models = [3, 4].map(|seed| Model::random(&Architecture::NANO, seed));
        let scorer = Scorer::new().unwrap();
        let text: Vec<u8> = (0..300).map(|i| (i * 17 % 253) as u8).collect();
        let mut whole = Reading::new(&scorer, &experts(&models)).unwrap();
        let expected = all_before(&mut whole, &text);
        assert!(expected[0].is_none() && expected[1..].iter().all(Option::is_some));
        let mut parts = Reading::new(&scorer, &experts(&models)).unwrap();
        let mut found = vec![None];
        for part in text.chunks(77) {
            found.pop();
            found.extend(all_before(&mut parts, part));
        }
        assert!(found == expected);
        assert_eq!(parts.weights(), whole.weights());
    }
}
