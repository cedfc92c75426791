//! Which models stand for the whole: files, the global model that was taken home, or the network's of now.

use std::path::PathBuf;

use clap::Args;

/// The models of `soma generate`, `eval`, `compress`, `decompress`, `serve` and `recompute`. Where nothing is
/// said, those that compete in the network's epoch.
#[derive(Clone, Debug, Args)]
pub struct WholeArgs {
    /// Weights (safetensors), one or several that count the same. Without them and --global it is the
    /// network's model, kept in the folder of wallets.
    #[arg(long, value_name = "FILE[,FILE..]", conflicts_with = "folder")]
    pub weights: Vec<PathBuf>,
    /// The global model in a folder of `soma global fetch`: its models count by their stakes.
    #[arg(long = "global", id = "folder", value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// `nano`, `v1`, or a JSON file with the dimensions of a model.
    #[arg(
        long,
        default_value = "nano",
        value_name = "nano|v1|FILE",
        requires = "weights"
    )]
    pub arch: String,
}
