//! Which models stand for the whole: files, the global model that was taken home, or the network's of now.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;

use super::positive::positive;

/// The models of `soma generate`, `eval`, `compress`, `decompress`, `serve` and `verify`. Where nothing is
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

/// Those of them that a text is routed to: `soma generate` and `eval`.
#[derive(Clone, Copy, Debug, Args)]
pub struct RoutedArgs {
    /// Of the global model, use only the N models to which the network's routing would send the text: those
    /// nearest to it, weighed by stake. The network's genesis weights embed it, or the model with most stake.
    #[arg(long, value_name = "N", conflicts_with = "weights", value_parser = positive::<NonZeroUsize>)]
    pub nearest: Option<NonZeroUsize>,
}
