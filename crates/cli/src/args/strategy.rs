//! What a model's owner does to compete (docs/strategies.md).

use std::path::PathBuf;

use clap::Args;
use soma_types::Shannons;

use super::{Selection, TrainArgs, signer::amount};
use crate::reference::Reference;

/// `soma merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The weights (safetensors) that are one's own.
    pub mine: PathBuf,
    /// The competitor's.
    pub theirs: PathBuf,
    /// The competitor's part, from 0 to 1.
    #[arg(long, default_value_t = 0.3, value_name = "PART")]
    pub beta: f64,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// Where to write the average (safetensors, F32).
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `soma distill`.
#[derive(Debug, Args)]
pub struct DistillArgs {
    /// The teacher's weights (safetensors), of the student's architecture.
    #[arg(long, value_name = "FILE")]
    pub teacher: PathBuf,
    /// The student's own loss counts this much, from 0 to 1; the rest counts how far its embedding of each
    /// batch is from the teacher's.
    #[arg(long, default_value_t = 0.5, value_name = "PART")]
    pub alpha: f64,
    /// How the student is trained.
    #[command(flatten)]
    pub train: TrainArgs,
}

/// `soma gaps`.
#[derive(Debug, Args)]
pub struct GapsArgs {
    /// One's own weights (safetensors), of the network's architecture.
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// One's own model: what it has won is no gap.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<Reference>,
    /// Targets to look at, the latest first.
    #[arg(long, default_value_t = 50, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub limit: u64,
    /// Epochs to look back.
    #[arg(long, default_value_t = 7, value_name = "COUNT")]
    pub epochs: u64,
    /// Write the data on which the winner is better into this folder, to train on.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `soma sparse`.
#[derive(Debug, Args)]
pub struct SparseArgs {
    /// Weights (safetensors) to embed text with; without them the places of targets that were hit are
    /// compared.
    #[arg(long, value_name = "FILE", requires = "data")]
    pub weights: Option<PathBuf>,
    /// Text, each SRC a place to compare, read as `soma train` reads it.
    #[arg(long, num_args = 1.., value_name = "SRC", requires = "weights")]
    pub data: Vec<PathBuf>,
    /// What to read of it.
    #[command(flatten)]
    pub selection: Selection,
    /// The stake that a model there would have, in SOMA; the least allowed if left out.
    #[arg(long, value_parser = amount, allow_negative_numbers = true)]
    pub stake: Option<Shannons>,
    /// Places to show, the best first.
    #[arg(long, default_value_t = 20, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub limit: u64,
    /// Draws the sequences of each text that are embedded.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}
