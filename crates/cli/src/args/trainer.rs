//! `soma trainer`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use soma_types::Shannons;

use super::{
    Selection,
    signer::{Signer, amount},
};
use crate::reference::Reference;

/// `soma trainer`.
#[derive(Debug, Subcommand)]
pub enum TrainerCommand {
    /// Train, publish and update a model round after round, from wherever an earlier start was stopped.
    ///
    /// A round gathers data that won targets, trains from the newest weights, and publishes what is better.
    /// One round begins in an epoch. Settings are remembered in the folder: a later start needs none.
    Run(Box<TrainerArgs>),
}

/// `soma trainer run`.
#[derive(Debug, Args)]
pub struct TrainerArgs {
    /// The trainer's folder: of one model, one wallet, one network.
    pub folder: PathBuf,
    /// Do what is due now and end, as cron and timers want it; otherwise go on until stopped.
    #[arg(long)]
    pub once: bool,
    /// Text of one's own, read as `soma train` reads it. Needed at the first start.
    ///
    /// It is read for training, for judging and for the embedding, each time anew.
    #[arg(long, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// What to read of it.
    #[command(flatten)]
    pub selection: Selection,
    /// The model to go on with; if left out, one is created when there are weights to publish.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<Reference>,
    /// Weights (safetensors) to start from; if left out, the network's genesis weights, or fresh ones.
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// Optimizer steps of a round. [default: 1000; 10000 for v1]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// The highest learning rate. [default: as `soma train`, half of it once there are weights]
    #[arg(long, value_name = "RATE")]
    pub learning_rate: Option<f64>,
    /// Targets of others that a round looks at. [default: 50]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(0..=4_096))]
    pub targets: Option<u64>,
    /// Publish weights whose held-out loss is smaller by this share at least. [default: 0.001]
    #[arg(long, value_name = "SHARE")]
    pub gain: Option<f64>,
    /// After so many wins the embedding follows them. [default: 100]
    #[arg(long, value_name = "WINS", value_parser = clap::value_parser!(u64).range(1..))]
    pub follow_wins: Option<u64>,
    /// Or after so many epochs, if there was a win. [default: 7]
    #[arg(long, value_name = "EPOCHS", value_parser = clap::value_parser!(u64).range(1..))]
    pub follow_epochs: Option<u64>,
    /// Makes rounds repeatable. [default: 1]
    #[arg(long)]
    pub seed: Option<u64>,
    /// The owner's share of the rewards of a model that is created, in basis points. [default: 1000]
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub commission: Option<u16>,
    /// The first stake of a model that is created, in SOMA. [default: the least]
    #[arg(long, value_parser = amount, allow_negative_numbers = true)]
    pub stake: Option<Shannons>,
    /// Options of transactions.
    #[command(flatten)]
    pub signer: Signer,
}
