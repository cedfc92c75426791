//! `soma forecast` and `soma why`.

use std::{num::NonZeroU64, path::PathBuf};

use clap::{Args, Subcommand};
use soma_types::Shannons;

use super::{Selection, positive::positive, signer::amount};
use crate::reference::Reference;

/// `soma forecast`.
#[derive(Debug, Subcommand)]
pub enum ForecastCommand {
    /// Say what weights would have earned in the last epochs: where they would have been routed, on the
    /// documents that won there.
    Model(ForecastModelArgs),
    /// Say what documents would have won in each of the last epochs, on that epoch's real targets.
    Submit(ForecastSubmitArgs),
}

/// `soma forecast model`.
#[derive(Debug, Args)]
pub struct ForecastModelArgs {
    /// The weights (safetensors).
    pub weights: PathBuf,
    /// Text that the weights are for, from which their embedding is computed, as at a reveal.
    #[arg(long, required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// What to read of it.
    #[command(flatten)]
    pub selection: Selection,
    /// How many epochs that are over.
    #[arg(long, default_value = "3", value_name = "EPOCHS", value_parser = positive::<NonZeroU64>)]
    pub epochs: NonZeroU64,
    /// The stake behind them, in SOMA. If left out: that of the model which they would update, or the least.
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub stake: Option<Shannons>,
    /// The model that they would update; a new one if left out.
    #[arg(long, value_name = "ID")]
    pub model: Option<Reference>,
}

/// `soma forecast submit`.
#[derive(Debug, Args)]
pub struct ForecastSubmitArgs {
    /// Text, read as `soma train` reads it, and cut into pieces as `soma submit` does.
    #[arg(required = true, num_args = 1.., value_name = "SRC")]
    pub data: Vec<PathBuf>,
    /// What to read of it.
    #[command(flatten)]
    pub selection: Selection,
    /// How many epochs that are over.
    #[arg(long, default_value = "1", value_name = "EPOCHS", value_parser = positive::<NonZeroU64>)]
    pub epochs: NonZeroU64,
}
