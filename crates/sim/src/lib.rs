//! The economy over years: the real ledger, and populations who live by it (docs/economy.md).
//!
//! [`economy`] runs a number of *studies*, each a question put to the ledger. A study builds a
//! [`world::World`]: a [`chain::Chain`] (the ledger itself, with nothing simplified), a
//! [`space::Space`] in which documents and models have positions, and those who live by it. A strategy
//! is a function from what everyone can see ([`board::Board`]) to transactions.
//!
//! What is *not* real: losses and embeddings (drawn from a simple model instead of scored), signatures, the
//! network, and the volume ([`scale`]). Everything is drawn from one seed.
#![forbid(unsafe_code)]

pub mod agents;
pub mod board;
pub mod chain;
pub mod chart;
pub mod desk;
pub mod facts;
pub mod report;
pub mod scale;
pub mod space;
pub mod stats;
pub mod studies;
pub mod world;

pub use report::{Check, Output, Report};
pub use studies::Tick;
use studies::{decade, difficulty};

/// Why a simulation stopped.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The ledger is broken, or the genesis is not valid.
    #[error("the ledger stopped the simulation: {0}")]
    Ledger(soma_ledger::Error),
    /// The ledger lacks something that must be there.
    #[error("the ledger has no {0} where there must be one")]
    Absent(&'static str),
    /// A file of the report cannot be written.
    #[error("cannot write {path}: {error}")]
    Write {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Epochs of the long run.
    pub epochs: u64,
    /// What every draw comes from.
    pub seed: u64,
}

/// Epochs that [`economy`] runs in all.
#[must_use]
pub const fn epochs_in_all(config: Config) -> u64 {
    config.epochs + difficulty::EPOCHS
}

/// Runs every study. `tick` is called once an epoch, with what is being studied.
///
/// # Errors
/// When the ledger is broken.
pub fn economy(config: Config, tick: Tick<'_>) -> Result<Output, SimError> {
    let Config { epochs, seed } = config;
    let studies = vec![decade::run(epochs, seed, tick)?, difficulty::run(seed, tick)?];
    Ok(Output::new(epochs, seed, studies))
}
