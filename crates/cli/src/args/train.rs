//! `soma train`, its settings by the names that trainers give them.

use std::{num::NonZeroUsize, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use soma_train::{Schedule, TrainConfig};

use super::{Selection, positive::positive};
use crate::reference::Reference;

/// `soma train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Text to train on: files, folders, globs, addresses (https, s3, gs, hf), or data sets by name, such as
    /// `fineweb`; `-` for standard input.
    ///
    /// `.gz` and `.zst` are unpacked, and each line of `.jsonl` and row of `.parquet` is a text of its own.
    /// In folders, what is hidden, binary or a link is left out, and so are the checkpoints of this run. A
    /// text that came before, byte for byte, is left out. docs/data.md has all of it.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// What to read of it.
    #[command(flatten)]
    pub selection: Selection,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// Optimizer steps. [default: 1000; 10000 for v1]
    #[arg(long)]
    pub steps: Option<u64>,
    /// Where to write the weights (safetensors).
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Start from these weights instead of random ones.
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// Start from the network's genesis weights, or from those of a model there: what descends from one
    /// ancestor shares its space.
    #[arg(long, value_name = "genesis|MODEL", conflicts_with = "init")]
    pub from: Option<Origin>,
    /// Save progress here, and resume from it when it exists.
    #[arg(long, value_name = "DIR")]
    pub checkpoints: Option<PathBuf>,
    /// What to train on.
    #[arg(long, default_value = "cpu")]
    pub device: Device,
    /// Makes the run repeatable.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How to train.
    #[command(flatten)]
    pub settings: TrainSettings,
}

/// Weights that the network has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Those that it began with.
    Genesis,
    /// A model's.
    Model(Reference),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "genesis" => Ok(Self::Genesis),
            model => model
                .parse()
                .map(Self::Model)
                .map_err(|error| format!("give genesis, or a model: {error}")),
        }
    }
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// This machine's processor.
    Cpu,
}

/// What is left out stays as it suits the architecture.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainSettings {
    /// The highest learning rate, up to 1. [default: 0.003; 0.0001 for v1]
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// How the learning rate goes on after the warm-up. [default: cosine; constant for v1]
    #[arg(long)]
    pub schedule: Option<ScheduleName>,
    /// Steps over which the learning rate rises. [default: 20; 0 for v1]
    #[arg(long, value_name = "STEPS")]
    pub warmup_steps: Option<u64>,
    /// Chunks in one pass, the micro batch: 1 to 4096. [default: 1; 2 for v1]
    #[arg(long, value_name = "CHUNKS")]
    pub batch_size: Option<usize>,
    /// Passes whose gradients make one step: 1 to 4096. [default: 2; 8 for v1]
    #[arg(long, value_name = "PASSES")]
    pub grad_accum: Option<usize>,
    /// Share of each layer's results that a pass leaves out: 0 to 0.9. [default: 0; 0.1 for v1]
    #[arg(long, value_name = "SHARE")]
    pub dropout: Option<f64>,
    /// Decoupled weight decay of matrices: 0 to 1. [default: 0.01; 0 for v1]
    #[arg(long, value_name = "DECAY")]
    pub weight_decay: Option<f64>,
    /// Gradients that are longer are scaled down to this. [default: 1]
    #[arg(long, value_name = "NORM")]
    pub gradient_norm_max: Option<f64>,
    /// Random directions of SIGReg: 0 (none of it) to 4096. [default: 64]
    #[arg(long, value_name = "COUNT")]
    pub sigreg_directions: Option<usize>,
    /// Steps between checkpoints. [default: 200; 500 for v1]
    #[arg(long, value_name = "STEPS", requires = "checkpoints")]
    pub checkpoint_every: Option<u64>,
    /// Threads; the weights are the same with any number. [default: as many as the machine runs at once]
    #[arg(long, value_name = "COUNT", value_parser = positive::<NonZeroUsize>)]
    pub threads: Option<NonZeroUsize>,
}

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScheduleName {
    /// Along a cosine, to a twentieth.
    Cosine,
    /// Along a line, to a twentieth.
    Linear,
    /// It stays.
    Constant,
}

impl From<ScheduleName> for Schedule {
    fn from(name: ScheduleName) -> Self {
        match name {
            ScheduleName::Cosine => Self::Cosine,
            ScheduleName::Linear => Self::Linear,
            ScheduleName::Constant => Self::Constant,
        }
    }
}

impl TrainSettings {
    /// `config` with what was given.
    pub fn apply(&self, config: TrainConfig) -> TrainConfig {
        TrainConfig {
            learning_rate: self.learning_rate.unwrap_or(config.learning_rate),
            schedule: self.schedule.map_or(config.schedule, Schedule::from),
            warmup_steps: self.warmup_steps.unwrap_or(config.warmup_steps),
            batch_size: self.batch_size.unwrap_or(config.batch_size),
            grad_accum: self.grad_accum.unwrap_or(config.grad_accum),
            dropout: self.dropout.unwrap_or(config.dropout),
            weight_decay: self.weight_decay.unwrap_or(config.weight_decay),
            gradient_norm_max: self.gradient_norm_max.unwrap_or(config.gradient_norm_max),
            sigreg_directions: self.sigreg_directions.unwrap_or(config.sigreg_directions),
            checkpoint_every: self.checkpoint_every.unwrap_or(config.checkpoint_every),
            threads: self.threads.or(config.threads),
            ..config
        }
    }
}
