//! The training loop.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use burn::tensor::Device;
use soma_data::Dataset;
use soma_files::{FileError, Lock, Output, sweep};

use crate::{
    checkpoint::{Checkpoint, CheckpointError, FILE_NAME},
    chunk::Batch,
    error::TrainError,
    model::{Context, Dropout, Transformer},
    ops,
    optimizer::{Flat, Moments, Update, accumulate},
    pass::{self, Losses, Task},
    random::Random,
    sampler::Sampler,
    settings::TrainConfig,
    teacher::{Teacher, Teaching},
    weights::Weights,
};

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
    /// Mean square of the difference between the embeddings of student and teacher, over the last update's
    /// passes; 0 without a teacher.
    pub imitation: f64,
    /// What is minimised: the sum of the first two, or with a teacher their part and that of the third.
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

/// What happens during a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// A checkpoint was found; the run goes on from its step.
    Resumed {
        /// Updates made before.
        step: u64,
    },
    /// An update was made.
    Updated(&'a Progress),
    /// A checkpoint was written.
    Saved {
        /// Updates that it holds.
        step: u64,
    },
    /// A checkpoint could not be written; the run goes on, and tries again at the next.
    Unsaved {
        /// Updates that are held by none.
        step: u64,
        /// Why not.
        error: &'a FileError,
    },
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
    /// Those of them that a checkpoint held at the start.
    pub resumed_at: u64,
    /// Why it ended.
    pub stop: Stop,
    /// The last update; none if there was nothing left to do.
    pub last: Option<Progress>,
}

/// Trains a model on a data set, from `init` (a safetensors file) or from fresh weights.
///
/// `watch` is told of every update and every checkpoint. Setting `cancel` ends the run after the pass in
/// progress, with the weights so far and a last checkpoint. Equal settings, data and initial weights give
/// equal weights to the last bit, on any number of threads of any processor with fused multiply-add (64-bit
/// ARM, and x86-64 since AVX2), and across interruptions; but for runs with a time budget.
///
/// A checkpoint folder belongs to one run at a time. A disk that refuses a checkpoint ends no run: `watch` is
/// told.
///
/// # Errors
/// Bad settings or initial weights, a checkpoint folder that is in use or takes no file, an unusable
/// checkpoint, or a run that diverges.
pub fn train(
    config: &TrainConfig,
    dataset: &Dataset,
    init: Option<&[u8]>,
    watch: impl FnMut(Event<'_>),
    cancel: &AtomicBool,
) -> Result<Trained, TrainError> {
    run(config, dataset, init, None, watch, cancel)
}

/// The same of a student who learns from a teacher as well (docs/strategies.md).
///
/// # Errors
/// As [`train`], and if the teacher's weights are no such or `alpha` is not 0 to 1.
pub fn distill(
    config: &TrainConfig,
    dataset: &Dataset,
    init: Option<&[u8]>,
    teacher: Teacher<'_>,
    watch: impl FnMut(Event<'_>),
    cancel: &AtomicBool,
) -> Result<Trained, TrainError> {
    run(config, dataset, init, Some(teacher), watch, cancel)
}

fn run(
    config: &TrainConfig,
    dataset: &Dataset,
    init: Option<&[u8]>,
    teacher: Option<Teacher<'_>>,
    mut watch: impl FnMut(Event<'_>),
    cancel: &AtomicBool,
) -> Result<Trained, TrainError> {
    config.check()?;
    let architecture = config.architecture;
    let context = Context::new(config.ops, architecture);
    let device = ops::cpu();
    let length = architecture.max_seq_len as usize;
    let sampler = Sampler::new(dataset, length, config.seed);
    let mut run = config.facts(dataset, init);
    run.extend(teacher.iter().flat_map(Teacher::facts));
    let teaching = teacher
        .map(|teacher| Teaching::new(teacher, &architecture))
        .transpose()?;

    // Held until the end.
    let _lock = match &config.checkpoint_dir {
        Some(folder) => Some(claim(folder)?),
        None => None,
    };
    let resumed = match &config.checkpoint_dir {
        Some(folder) => Checkpoint::load(folder, &architecture, &run)?,
        None => None,
    };
    let mut state = match (resumed, init) {
        (Some(checkpoint), _) => {
            let done = checkpoint.moments.step;
            if done > config.steps {
                return Err(TrainError::Beyond {
                    done,
                    steps: config.steps,
                });
            }
            watch(Event::Resumed { step: done });
            checkpoint
        }
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
    let tokens_per_step = (config.batch_size * config.grad_accum * length) as u64;
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
        let mut tasks = config.tasks(step, &sampler);
        if let Some(teaching) = &teaching {
            teaching.teach(config, &context, &device, &mut tasks);
        }
        let Some((losses, grads)) = gradient(config, &state.weights, &context, &device, &tasks, cancel)
        else {
            break Stop::Cancelled;
        };
        let learning_rate = config.rate(step, done);
        let update = Update {
            rate: learning_rate,
            decay: config.weight_decay,
            norm_max: config.gradient_norm_max,
        };
        let gradient_norm = state.moments.update(&mut state.weights, &grads, update);
        if !gradient_norm.is_finite() {
            return Err(diverged(config, &state, init));
        }
        let spent = begun.elapsed();
        state.elapsed = before + spent;
        let step = state.moments.step;
        let cross_entropy = losses.cross_entropy_sum / losses.predicted_tokens.max(1) as f64;
        let [sigreg, imitation] = [losses.sigreg, losses.imitation].map(|sum| sum / config.grad_accum as f64);
        let alpha = teacher.map_or(1.0, |teacher| teacher.alpha);
        let now = Progress {
            step,
            steps: config.steps,
            done: config.done(step, state.elapsed).min(1.0),
            cross_entropy,
            sigreg,
            imitation,
            loss: alpha * (cross_entropy + sigreg) + (1.0 - alpha) * imitation,
            bits_per_byte: cross_entropy / std::f64::consts::LN_2,
            gradient_norm,
            learning_rate,
            tokens: step * tokens_per_step,
            tokens_per_second: ((step - first_step) * tokens_per_step) as f64 / spent.as_secs_f64().max(1e-9),
            elapsed: state.elapsed,
        };
        last = Some(now);
        if step.is_multiple_of(config.checkpoint_every) && save(config, &state, &mut watch) {
            saved_at = step;
        }
        watch(Event::Updated(&now));
    };
    if saved_at != state.moments.step {
        save(config, &state, &mut watch);
    }
    let Checkpoint { weights, moments, .. } = state;
    let steps = moments.step;
    // The weights' file takes the moments' place in memory.
    drop(moments);
    Ok(Trained {
        weights: weights.to_safetensors(&architecture)?,
        steps,
        resumed_at: first_step,
        stop,
        last,
    })
}

/// Takes a checkpoint folder, and finds now what would refuse a checkpoint later.
fn claim(folder: &Path) -> Result<Lock, CheckpointError> {
    let lock = Lock::acquire(folder)?;
    sweep(folder);
    let file = folder.join(FILE_NAME);
    // Whatever else is there, loading it says so.
    if !file.is_dir() {
        Output::check(&file)?;
    }
    Ok(lock)
}

/// Writes a checkpoint, if the run keeps any; whether it stands.
fn save(config: &TrainConfig, state: &Checkpoint, watch: &mut impl FnMut(Event<'_>)) -> bool {
    let Some(folder) = &config.checkpoint_dir else {
        return false;
    };
    let step = state.moments.step;
    match state.save(&config.architecture, folder) {
        Ok(()) => {
            watch(Event::Saved { step });
            true
        }
        Err(error) => {
            watch(Event::Unsaved { step, error: &error });
            false
        }
    }
}

/// Losses and gradients of an update's passes, summed in their order; none if `cancel` came between. No more
/// passes are under way or wait to be summed than there are threads: each gradient is as large as the
/// weights.
fn gradient(
    config: &TrainConfig,
    weights: &Weights,
    context: &Context,
    device: &Device,
    tasks: &[Task],
    cancel: &AtomicBool,
) -> Option<(Losses, Flat)> {
    let threads = config.thread_count();
    let (mut losses, mut grads) = (Losses::default(), Flat::new());
    for wave in tasks.chunks(threads) {
        let pass = |model: &Transformer, context: &Context, task: &Task| {
            (!cancel.load(Ordering::Relaxed)).then(|| pass::gradients(model, context, task))
        };
        for result in pass::run(weights, context, device, wave, threads, true, pass) {
            let (more, flat) = result?;
            losses.cross_entropy_sum += more.cross_entropy_sum;
            losses.predicted_tokens += more.predicted_tokens;
            losses.sigreg += more.sigreg;
            losses.imitation += more.imitation;
            if grads.is_empty() {
                grads = flat;
            } else {
                accumulate(&mut grads, &flat);
            }
        }
    }
    Some((losses, grads))
}

/// Whether it was the training or what it began with.
fn diverged(config: &TrainConfig, state: &Checkpoint, init: Option<&[u8]>) -> TrainError {
    let step = state.moments.step;
    let largest = state
        .weights
        .tensors()
        .iter()
        .flat_map(|(name, tensor)| tensor.data.iter().map(move |value| (name, *value)))
        .max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()));
    match largest {
        Some((tensor, value)) if step == 0 && init.is_some() => TrainError::Overflow {
            tensor: tensor.clone(),
            value,
        },
        _ => TrainError::Diverged {
            step,
            learning_rate: config.learning_rate,
        },
    }
}

impl TrainConfig {
    /// The passes of one update.
    fn tasks(&self, step: u64, sampler: &Sampler<'_>) -> Vec<Task> {
        let length = self.architecture.max_seq_len as usize;
        let mut tasks: Vec<Task> = (0..self.grad_accum)
            .map(|pass| {
                let index = step * self.grad_accum as u64 + pass as u64;
                let mut batch = Batch::new(length);
                for chunk in 0..self.batch_size as u64 {
                    sampler.push(index * self.batch_size as u64 + chunk, &mut batch);
                }
                let directions = Random::new(self.seed ^ u64::from_le_bytes(*b"sigreg\0\0"), index)
                    .directions(self.architecture.embedding_dim as usize, self.sigreg_directions);
                Task {
                    batch,
                    directions,
                    cross_entropy_weight: 0.0,
                    sigreg_weight: 1.0 / self.grad_accum as f64,
                    dropout: (self.dropout > 0.0).then_some(Dropout {
                        rate: self.dropout,
                        seed: self.seed,
                        pass: index,
                    }),
                    lesson: None,
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
