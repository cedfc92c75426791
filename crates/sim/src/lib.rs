//! The economy over years: the real ledger, and populations who live by it (docs/economy.md).
//!
//! [`economy`] runs a number of *studies*, each a question put to the ledger. A study builds a
//! [`world::World`]: a [`chain::Chain`] (the ledger itself, with nothing simplified), a
//! [`space::Space`] in which documents and models have positions, and those who live by it. A strategy
//! is a function from what everyone can see ([`board::Board`]) to transactions.
//!
//! What is *not* real: losses and embeddings (drawn from a simple model instead of scored), signatures, the
//! network, and the volume ([`scale`]). Everything is drawn from one seed.
//!
//! ```
//! use soma_sim::{cast::Cast, studies, world::World};
//! use soma_types::amount::MAX_SUPPLY;
//!
//! let few = Cast { trainers: 3, submitters: 4, households: 2, ..studies::cast(7) };
//! let facts = World::new(&few)?.epoch()?;
//! assert_eq!(facts.supply.total(), Some(MAX_SUPPLY));
//! # Ok::<(), soma_sim::SimError>(())
//! ```
#![forbid(unsafe_code)]

pub mod board;
pub mod cast;
pub mod chain;
pub mod chart;
pub mod cheats;
pub mod desk;
mod error;
pub mod facts;
pub mod participants;
pub mod report;
pub mod scale;
pub mod space;
pub mod stats;
pub mod studies;
pub mod world;

pub use error::SimError;
pub use report::{Check, Output, Report};
pub use studies::Tick;
use studies::{capital, cheating, decade, difficulty, dodging, newcomer, whale};

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Epochs of the long run.
    pub epochs: u64,
    /// What every draw comes from.
    pub seed: u64,
    /// Which studies besides the long run.
    pub scope: Scope,
}

/// Which studies to run besides the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Whole,
    /// None: seconds instead of minutes, for tests.
    LongRunOnly,
}

/// Worlds in which newcomers try.
const NEWCOMER_WORLDS: u64 = 6;

/// Epochs that [`economy`] runs in all.
#[must_use]
pub const fn epochs_in_all(config: Config) -> u64 {
    config.epochs
        + match config.scope {
            Scope::LongRunOnly => 0,
            Scope::Whole => {
                difficulty::EPOCHS
                    + cheating::EPOCHS
                    + newcomer::epochs(NEWCOMER_WORLDS)
                    + whale::EPOCHS
                    + capital::EPOCHS
                    + dodging::EPOCHS
            }
        }
}

/// Runs the studies. `tick` is called once an epoch, with what is being studied.
///
/// # Errors
/// When the ledger is broken.
pub fn economy(config: Config, tick: Tick<'_>) -> Result<Output, SimError> {
    let Config { epochs, seed, scope } = config;
    let mut studies = vec![decade::run(epochs, seed, tick)?];
    if scope == Scope::Whole {
        studies.push(difficulty::run(seed, tick)?);
        studies.push(cheating::run(seed, tick)?);
        studies.push(newcomer::run(NEWCOMER_WORLDS, seed, tick)?);
        studies.push(whale::run(seed, tick)?);
        studies.push(capital::run(seed, tick)?);
        studies.push(dodging::run(seed, tick)?);
    }
    Ok(Output::new(epochs, seed, studies))
}
