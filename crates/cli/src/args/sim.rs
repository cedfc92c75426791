//! `soma sim`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `soma sim`.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// Run the real ledger for years with simulated agents; write checks, numbers and plots.
    Economy(EconomyArgs),
    /// Run whole networks of real validators in simulated time, under faults drawn from seeds, and check what
    /// must hold: exit code 1 if something did not. A seed always comes to the same.
    Network(NetworkArgs),
}

/// `soma sim network`.
#[derive(Debug, Args)]
pub struct NetworkArgs {
    /// How many networks, with seeds one after another.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    pub from: u64,
    /// Members of each committee.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=10))]
    pub validators: u8,
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
