//! `soma demo`.

use std::path::PathBuf;

use clap::Args;

/// `soma demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// A folder with one sub-folder of text per domain; the bundled corpora if left out.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Epochs of competition.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub epochs: u64,
    /// Makes keys, training and the choice of documents repeatable.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Seconds of training in all: half for the generalist, the rest shared by the specialists.
    #[arg(long, default_value_t = 130, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub train_seconds: u64,
    /// `nano`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
    /// Keep the network's folder and the weights here.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
