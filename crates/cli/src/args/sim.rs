//! `soma sim`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `soma sim`.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// Run the real ledger for years with simulated agents; write checks, numbers and plots.
    Economy(EconomyArgs),
}

/// `soma sim economy`.
#[derive(Debug, Args)]
pub struct EconomyArgs {
    /// Epochs of the long run, a day each; 3652 are all of the emission.
    #[arg(long, default_value_t = 3_652, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub epochs: u64,
    /// Makes every draw repeatable.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The folder that the report is written into.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
