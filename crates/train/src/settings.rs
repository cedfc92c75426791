//! Settings of a run: their defaults, their ranges, and what makes two runs the same.

use std::{fmt, num::NonZeroUsize, path::PathBuf, time::Duration};

use soma_data::Dataset;
use soma_model::elementary64::sin_cos;
use soma_types::Architecture;

use crate::{error::TrainError, ops::Operations};

/// The learning rate's share that is left at the end of a falling schedule.
const FINAL_SHARE: f64 = 0.05;
/// Weights from which a model trains with the documents' settings of V1 instead of those that suit small
/// models.
const LARGE: u64 = 100_000_000;

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Along a cosine, to a twentieth.
    Cosine,
    /// Along a line, to a twentieth.
    Linear,
    /// It stays.
    Constant,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::Linear => "linear",
            Self::Constant => "constant",
        })
    }
}

/// Settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// The model's dimensions.
    pub architecture: Architecture,
    /// Updates to make.
    pub steps: u64,
    /// Chunks of max_seq_len tokens in one pass (the micro batch): the samples of SIGReg, and what one thread
    /// works on.
    pub batch_size: usize,
    /// Passes whose gradients make one update; they run on several threads. Results do not depend on how
    /// many.
    pub grad_accum: usize,
    /// Decides fresh weights, the order of data, SIGReg's directions and what is dropped.
    pub seed: u64,
    /// The highest learning rate; it rises to it over `warmup_steps`.
    pub learning_rate: f64,
    /// How it goes on from there.
    pub schedule: Schedule,
    /// Updates until the learning rate is reached.
    pub warmup_steps: u64,
    /// The share of each layer's two results that is left out of a pass, at random, while the rest is scaled
    /// up.
    pub dropout: f64,
    /// Decoupled weight decay, of matrices.
    pub weight_decay: f64,
    /// Longer gradients are scaled down to this norm.
    pub gradient_norm_max: f64,
    /// Random directions of SIGReg, new ones each pass; 0 trains without SIGReg. Scoring uses 256: fewer,
    /// renewed each pass, have the same mean.
    pub sigreg_directions: usize,
    /// Threads; none: as many as the machine runs at once.
    pub threads: Option<NonZeroUsize>,
    /// Stop after this time, if the steps are not done by then. The learning rate then falls with the larger
    /// of the shares of steps and time, so results depend on the machine's speed.
    pub time_budget: Option<Duration>,
    /// Where checkpoints are written, and a run that was stopped is taken up again.
    pub checkpoint_dir: Option<PathBuf>,
    /// Updates between checkpoints; one is written at the end too.
    pub checkpoint_every: u64,
    /// The form of the operations.
    pub ops: Operations,
}

impl TrainConfig {
    /// The settings that suit an architecture.
    ///
    /// Small models: what fits one fast on two cores. Small steps pay at that size: after 400 000 tokens,
    /// held-out bits per byte were 3.16 with 4 x 2 chunks a step, 3.04 with 2 x 2 and 2.89 with 1 x 2. Models
    /// of V1's size: what the documents train V1 with, which is Adam at one rate, without decay.
    #[must_use]
    pub const fn new(architecture: Architecture, steps: u64) -> Self {
        let small = Self {
            architecture,
            steps,
            batch_size: 1,
            grad_accum: 2,
            seed: 0,
            learning_rate: 3e-3,
            schedule: Schedule::Cosine,
            warmup_steps: 20,
            dropout: 0.0,
            weight_decay: 0.01,
            gradient_norm_max: 1.0,
            sigreg_directions: 64,
            threads: None,
            time_budget: None,
            checkpoint_dir: None,
            checkpoint_every: 200,
            ops: Operations::Fused,
        };
        if architecture.parameters() < LARGE {
            return small;
        }
        Self {
            batch_size: 2,
            grad_accum: 8,
            learning_rate: 1e-4,
            schedule: Schedule::Constant,
            warmup_steps: 0,
            dropout: 0.1,
            weight_decay: 0.0,
            checkpoint_every: 500,
            ..small
        }
    }

    /// Updates that suit an architecture: the documents' 10 000 for V1, a thousand for small models.
    #[must_use]
    pub const fn steps_for(architecture: Architecture) -> u64 {
        if architecture.parameters() < LARGE {
            1_000
        } else {
            10_000
        }
    }

    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// Names the first that is not, with its value and its range.
    pub fn check(&self) -> Result<(), TrainError> {
        self.architecture.validate()?;
        if self.architecture.max_seq_len < 2 {
            return Err(TrainError::Setting {
                setting: "max_seq_len",
                value: self.architecture.max_seq_len.to_string(),
                range: "2 or more: in chunks of one byte nothing is predicted",
            });
        }
        let check = |setting, value: String, fits: bool, range| {
            if fits {
                Ok(())
            } else {
                Err(TrainError::Setting {
                    setting,
                    value,
                    range,
                })
            }
        };
        let whole = |setting, value: usize, least, most, range| {
            check(setting, value.to_string(), (least..=most).contains(&value), range)
        };
        let number = |setting, value: f64, fits, range| check(setting, value.to_string(), fits, range);
        let (rate, decay, norm) = (self.learning_rate, self.weight_decay, self.gradient_norm_max);
        whole("batch_size", self.batch_size, 1, 4096, "1 to 4096 chunks")?;
        whole("grad_accum", self.grad_accum, 1, 4096, "1 to 4096 passes")?;
        whole("sigreg_directions", self.sigreg_directions, 0, 4096, "0 to 4096")?;
        number(
            "learning_rate",
            rate,
            rate > 0.0 && rate <= 1.0,
            "above 0, and 1 at most",
        )?;
        number(
            "dropout",
            self.dropout,
            (0.0..=0.9).contains(&self.dropout),
            "0 to 0.9",
        )?;
        number("weight_decay", decay, (0.0..=1.0).contains(&decay), "0 to 1")?;
        number(
            "gradient_norm_max",
            norm,
            norm > 0.0 && norm <= 1e6,
            "above 0, and a million at most",
        )?;
        if self.checkpoint_every == 0 {
            return Err(TrainError::Setting {
                setting: "checkpoint_every",
                value: "0".into(),
                range: "1 or more steps",
            });
        }
        Ok(())
    }

    /// Threads of this run: more than passes are of no use.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.threads
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get)
            .min(self.grad_accum)
            .max(1)
    }

    /// What must be equal for a checkpoint to fit, by name: everything that shapes the sequence of updates.
    pub(crate) fn facts(&self, dataset: &Dataset, init: Option<&[u8]>) -> Vec<(String, String)> {
        let mut hash = blake3::Hasher::new();
        for document in dataset.documents() {
            hash.update(&(document.data.len() as u64).to_le_bytes());
            hash.update(&document.data);
        }
        let short = |hash: blake3::Hash| hash.to_hex()[..16].to_owned();
        let data = format!(
            "{} bytes in {} documents (BLAKE3 {})",
            dataset.size_bytes(),
            dataset.documents().len(),
            short(hash.finalize())
        );
        let start = init.map_or_else(
            || "random weights".to_owned(),
            |file| format!("weights with BLAKE3 {}", short(blake3::hash(file))),
        );
        let a = &self.architecture;
        [
            ("embedding_dim", a.embedding_dim.to_string()),
            ("heads", a.heads.to_string()),
            ("layers", a.layers.to_string()),
            ("ffn_dim", a.ffn_dim.to_string()),
            ("max_seq_len", a.max_seq_len.to_string()),
            ("rope_wavelength", a.rope_wavelength.to_string()),
            ("the data", data),
            ("the start", start),
            ("seed", self.seed.to_string()),
            ("batch_size", self.batch_size.to_string()),
            ("grad_accum", self.grad_accum.to_string()),
            ("learning_rate", self.learning_rate.to_string()),
            ("schedule", self.schedule.to_string()),
            ("warmup_steps", self.warmup_steps.to_string()),
            ("dropout", self.dropout.to_string()),
            ("weight_decay", self.weight_decay.to_string()),
            ("gradient_norm_max", self.gradient_norm_max.to_string()),
            ("sigreg_directions", self.sigreg_directions.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The share of the run that is done.
    pub(crate) fn done(&self, step: u64, elapsed: Duration) -> f64 {
        let by_steps = if step >= self.steps {
            1.0
        } else {
            step as f64 / self.steps as f64
        };
        let by_time = self.time_budget.map_or(0.0, |budget| {
            elapsed.as_secs_f64() / budget.as_secs_f64().max(1e-9)
        });
        by_steps.max(by_time)
    }

    /// Linear warm-up, then the schedule, falling to [`FINAL_SHARE`] if it falls.
    pub(crate) fn rate(&self, step: u64, done: f64) -> f64 {
        let warmup = ((step + 1) as f64 / (self.warmup_steps as f64 + 1.0)).min(1.0);
        let left = match self.schedule {
            Schedule::Cosine => 0.5 + 0.5 * sin_cos(std::f64::consts::PI * done).1,
            Schedule::Linear => 1.0 - done,
            Schedule::Constant => return self.learning_rate * warmup,
        };
        self.learning_rate * warmup * (FINAL_SHARE + (1.0 - FINAL_SHARE) * left)
    }
}

#[cfg(test)]
mod tests;
