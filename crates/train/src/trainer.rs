//! The training loop.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use soma_data::Dataset;
use soma_model::{WeightsError, elementary64::sin_cos};
use soma_types::Architecture;
use soma_types::architecture::ArchitectureError;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::chunk::Batch;
use crate::engine::{self, Losses, Task};
use crate::model::Context;
use crate::ops::Engine;
use crate::optimizer::{Flat, Moments, Update, accumulate};
use crate::random::Random;
use crate::sampler::Sampler;
use crate::weights::Weights;

/// The learning rate's share that is left at the end.
const FINAL_SHARE: f64 = 0.05;

/// Settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// The model's dimensions.
    pub architecture: Architecture,
    /// Updates to make.
    pub steps: u64,
    /// Chunks of max_seq_len tokens in one pass: the samples of SIGReg, and what one thread works on.
    pub batch: usize,
    /// Passes whose gradients make one update; they run on several threads. Results do not depend on how many.
    pub grad_accum: usize,
    /// Decides fresh weights, the order of data and SIGReg's directions.
    pub seed: u64,
    /// The highest learning rate; it rises to it over `warmup_steps` and falls along a cosine to a twentieth.
    pub learning_rate: f64,
    /// Updates until the learning rate is reached.
    pub warmup_steps: u64,
    /// Decoupled weight decay, of matrices.
    pub weight_decay: f64,
    /// Longer gradients are scaled down to this norm.
    pub gradient_norm_max: f64,
    /// Random directions of SIGReg, new ones each pass; 0 trains without SIGReg. Scoring uses 256: fewer, renewed each
    /// pass, have the same mean.
    pub sigreg_directions: usize,
    /// Threads; none: as many as the machine runs at once.
    pub threads: Option<NonZeroUsize>,
    /// Stop after this time, if the steps are not done by then. The learning rate then falls with the larger of the shares
    /// of steps and time, so results depend on the machine's speed.
    pub time_budget: Option<Duration>,
    /// Where checkpoints are written, and a run that was stopped is taken up again.
    pub checkpoint_dir: Option<PathBuf>,
    /// Updates between checkpoints; one is written at the end too.
    pub checkpoint_every: u64,
    /// The form of the operations.
    pub engine: Engine,
}

impl TrainConfig {
    /// Settings that fit a small model fast on two cores. Small steps pay at that size: after 400 000 tokens, held-out bits
    /// per byte were 3.16 with 4 x 2 chunks a step, 3.04 with 2 x 2 and 2.89 with 1 x 2.
    #[must_use]
    pub const fn new(architecture: Architecture, steps: u64) -> Self {
        Self {
            architecture,
            steps,
            batch: 1,
            grad_accum: 2,
            seed: 0,
            learning_rate: 3e-3,
            warmup_steps: 20,
            weight_decay: 0.01,
            gradient_norm_max: 1.0,
            sigreg_directions: 64,
            threads: None,
            time_budget: None,
            checkpoint_dir: None,
            checkpoint_every: 200,
            engine: Engine::Fused,
        }
    }
}

/// The state of a run after an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Updates made.
    pub step: u64,
    /// Updates planned.
    pub steps: u64,
    /// Share of the run that is done, 0 to 1: of the steps, or of the time if that is nearer its end.
    pub done: f64,
    /// Mean cross entropy of the last update's chunks, in nats.
    pub cross_entropy: f64,
    /// SIGReg of the last update's passes, their mean.
    pub sigreg: f64,
    /// Their sum: what is minimised.
    pub loss: f64,
    /// Cross entropy in bits per predicted token; all tokens but the rare EOS are bytes.
    pub bits_per_byte: f64,
    /// The gradient's norm before clipping.
    pub gradient_norm: f64,
    /// The last update's learning rate.
    pub learning_rate: f64,
    /// Tokens trained on so far, with padding.
    pub tokens: u64,
    /// Tokens per second since this process took up the run.
    pub tokens_per_second: f64,
    /// Time trained, over all processes of the run.
    pub elapsed: Duration,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All steps were made.
    Steps,
    /// The time was up.
    Time,
    /// The cancel flag was set.
    Cancelled,
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Canonical safetensors, F32.
    pub weights: Vec<u8>,
    /// Updates made, over all processes of the run.
    pub steps: u64,
    /// Why it ended.
    pub stop: Stop,
    /// The last update; none if there was nothing left to do.
    pub last: Option<Progress>,
}

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Bad dimensions.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// A setting outside its range.
    #[error("training: {setting} is {value}, must be {range}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// The initial weights are unusable.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A checkpoint could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The loss left the numbers.
    #[error(
        "training diverged at step {step} (the gradient is not finite); lower the learning rate of {learning_rate}"
    )]
    Diverged {
        /// The update that failed.
        step: u64,
        /// The setting.
        learning_rate: f64,
    },
}

/// Trains a model on a data set, from `init` (a safetensors file) or from fresh weights.
///
/// `progress` is called after every update. Setting `cancel` ends the run after the update in progress, with the weights so
/// far and a last checkpoint. Equal settings, data and initial weights give equal weights to the last bit, on any number of
/// threads of any processor with fused multiply-add (64-bit ARM, and x86-64 since AVX2), and across interruptions; but for
/// runs with a time budget.
///
/// # Errors
/// Bad settings or initial weights, an unusable checkpoint, a disk that refuses, or a run that diverges.
pub fn train(
    config: &TrainConfig,
    dataset: &Dataset,
    init: Option<&[u8]>,
    mut progress: impl FnMut(&Progress),
    cancel: &AtomicBool,
) -> Result<Trained, TrainError> {
    config.check()?;
    let architecture = config.architecture;
    let context = Context::new(config.engine, architecture);
    let device = Engine::cpu();
    let length = architecture.max_seq_len as usize;
    let sampler = Sampler::new(dataset, length, config.seed);
    let run = config.run(dataset, init);

    let resumed = match &config.checkpoint_dir {
        Some(folder) => Checkpoint::load(folder, &architecture, &run)?,
        None => None,
    };
    let mut state = match (resumed, init) {
        (Some(checkpoint), _) => checkpoint,
        (None, init) => {
            let weights = match init {
                Some(file) => Weights::from_safetensors(&architecture, file)?,
                None => Weights::fresh(&architecture, config.seed),
            };
            let moments = Moments::new(&weights);
            Checkpoint {
                run,
                elapsed: Duration::ZERO,
                weights,
                moments,
            }
        }
    };

    let (begun, before, first_step) = (Instant::now(), state.elapsed, state.moments.step);
    let tokens_per_step = (config.batch * config.grad_accum * length) as u64;
    let (mut last, mut saved_at) = (None, state.moments.step);
    let stop = loop {
        let step = state.moments.step;
        let done = config.done(step, state.elapsed);
        if done >= 1.0 {
            break if step >= config.steps {
                Stop::Steps
            } else {
                Stop::Time
            };
        }
        if cancel.load(Ordering::Relaxed) {
            break Stop::Cancelled;
        }
        let tasks = config.tasks(step, &sampler);
        let results = engine::run(
            &state.weights,
            &context,
            &device,
            &tasks,
            config.thread_count(),
            true,
            engine::gradients,
        );
        let (losses, grads) = combine(results);
        let learning_rate = config.rate(step, done);
        let update = Update {
            rate: learning_rate,
            decay: config.weight_decay,
            norm_max: config.gradient_norm_max,
        };
        let gradient_norm = state.moments.update(&mut state.weights, &grads, update);
        if !gradient_norm.is_finite() {
            return Err(TrainError::Diverged {
                step,
                learning_rate: config.learning_rate,
            });
        }
        let spent = begun.elapsed();
        state.elapsed = before + spent;
        let step = state.moments.step;
        let cross_entropy = losses.cross_entropy_sum / losses.predicted_tokens.max(1) as f64;
        let now = Progress {
            step,
            steps: config.steps,
            done: config.done(step, state.elapsed).min(1.0),
            cross_entropy,
            sigreg: losses.sigreg / config.grad_accum as f64,
            loss: cross_entropy + losses.sigreg / config.grad_accum as f64,
            bits_per_byte: cross_entropy / std::f64::consts::LN_2,
            gradient_norm,
            learning_rate,
            tokens: step * tokens_per_step,
            tokens_per_second: ((step - first_step) * tokens_per_step) as f64 / spent.as_secs_f64().max(1e-9),
            elapsed: state.elapsed,
        };
        last = Some(now);
        if let Some(folder) = &config.checkpoint_dir
            && step.is_multiple_of(config.checkpoint_every)
        {
            state.save(folder)?;
            saved_at = step;
        }
        progress(&now);
    };
    if let Some(folder) = &config.checkpoint_dir
        && saved_at != state.moments.step
    {
        state.save(folder)?;
    }
    let weights = state.weights.to_safetensors(&architecture)?;
    Ok(Trained {
        weights,
        steps: state.moments.step,
        stop,
        last,
    })
}

/// Sums losses and gradients in the order of the passes.
fn combine(results: Vec<(Losses, Flat)>) -> (Losses, Flat) {
    let (mut losses, mut grads) = (Losses::default(), Flat::new());
    for (more, flat) in results {
        losses.cross_entropy_sum += more.cross_entropy_sum;
        losses.predicted_tokens += more.predicted_tokens;
        losses.sigreg += more.sigreg;
        if grads.is_empty() {
            grads = flat;
        } else {
            accumulate(&mut grads, &flat);
        }
    }
    (losses, grads)
}

impl TrainConfig {
    fn check(&self) -> Result<(), TrainError> {
        self.architecture.validate()?;
        let fail = |setting, value: String, range| {
            Err(TrainError::Setting {
                setting,
                value,
                range,
            })
        };
        if self.architecture.max_seq_len < 2 {
            return fail(
                "max_seq_len",
                self.architecture.max_seq_len.to_string(),
                "2 or more: in chunks of one byte nothing is predicted",
            );
        }
        let positive = |x: f64| x > 0.0 && x.is_finite();
        if !(1..=4096).contains(&self.batch) {
            return fail("batch", self.batch.to_string(), "1 to 4096 chunks");
        }
        if !(1..=4096).contains(&self.grad_accum) {
            return fail("grad_accum", self.grad_accum.to_string(), "1 to 4096 passes");
        }
        if !positive(self.learning_rate) {
            return fail(
                "learning_rate",
                self.learning_rate.to_string(),
                "a positive number",
            );
        }
        if !positive(self.gradient_norm_max) {
            return fail(
                "gradient_norm_max",
                self.gradient_norm_max.to_string(),
                "a positive number",
            );
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return fail(
                "weight_decay",
                self.weight_decay.to_string(),
                "0 or a positive number",
            );
        }
        if self.sigreg_directions > 4096 {
            return fail(
                "sigreg_directions",
                self.sigreg_directions.to_string(),
                "0 to 4096",
            );
        }
        if self.checkpoint_every == 0 {
            return fail("checkpoint_every", "0".into(), "1 or more steps");
        }
        Ok(())
    }

    fn thread_count(&self) -> usize {
        self.threads
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get)
    }

    /// What must be equal for a checkpoint to fit: everything that shapes the sequence of updates.
    fn run(&self, dataset: &Dataset, init: Option<&[u8]>) -> String {
        let mut hash = blake3::Hasher::new();
        for document in dataset.documents() {
            hash.update(&(document.data.len() as u64).to_le_bytes());
            hash.update(&document.data);
        }
        let data = hash.finalize().to_hex();
        let start = init.map_or_else(
            || "fresh".to_owned(),
            |file| blake3::hash(file).to_hex().to_string(),
        );
        let a = serde_json::to_string(&self.architecture).expect("six integers serialise");
        format!(
            "{a} batch {} x {} seed {} rate {} warmup {} decay {} norm {} directions {} data {data} from {start}",
            self.batch,
            self.grad_accum,
            self.seed,
            self.learning_rate,
            self.warmup_steps,
            self.weight_decay,
            self.gradient_norm_max,
            self.sigreg_directions,
        )
    }

    /// The share of the run that is done.
    fn done(&self, step: u64, elapsed: Duration) -> f64 {
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

    /// Linear warmup, then a cosine down to [`FINAL_SHARE`].
    fn rate(&self, step: u64, done: f64) -> f64 {
        let warmup = ((step + 1) as f64 / (self.warmup_steps + 1) as f64).min(1.0);
        let cosine = 0.5 + 0.5 * sin_cos(std::f64::consts::PI * done).1;
        self.learning_rate * warmup * (FINAL_SHARE + (1.0 - FINAL_SHARE) * cosine)
    }

    /// The passes of one update.
    fn tasks(&self, step: u64, sampler: &Sampler<'_>) -> Vec<Task> {
        let length = self.architecture.max_seq_len as usize;
        let mut tasks: Vec<Task> = (0..self.grad_accum)
            .map(|pass| {
                let index = step * self.grad_accum as u64 + pass as u64;
                let mut batch = Batch::new(length);
                for chunk in 0..self.batch as u64 {
                    sampler.push(index * self.batch as u64 + chunk, &mut batch);
                }
                let directions = Random::new(self.seed ^ u64::from_le_bytes(*b"sigreg\0\0"), index)
                    .directions(self.architecture.embedding_dim as usize, self.sigreg_directions);
                Task {
                    batch,
                    directions,
                    cross_entropy_weight: 0.0,
                    sigreg_weight: 1.0 / self.grad_accum as f64,
                }
            })
            .collect();
        let predicted: usize = tasks
            .iter()
            .map(|t| t.batch.targets().iter().flatten().count())
            .sum();
        for task in &mut tasks {
            task.cross_entropy_weight = 1.0 / predicted.max(1) as f64;
        }
        tasks
    }
}
