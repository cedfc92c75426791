//! Which models stand for the whole: files, or the global model that was taken home.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// The models of `soma generate`, `eval`, `compress` and `decompress`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("models").required(true).args(["weights", "folder"]))]
pub struct WholeArgs {
    /// Weights (safetensors), one or several that count the same.
    #[arg(long, value_name = "FILE[,FILE..]")]
    pub weights: Vec<PathBuf>,
    /// The global model in a folder of `soma global fetch`: its models count by their stakes.
    #[arg(long = "global", id = "folder", value_name = "DIR", conflicts_with = "arch")]
    pub folder: Option<PathBuf>,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(long, default_value = "nano", value_name = "nano|v1|FILE")]
    pub arch: String,
}
