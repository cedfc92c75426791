//! The beginning of a block, ahead of the block.
//!
//! At a boundary all models are brought up to date and the routing table is made: with many models that
//! takes longer than a leader has. None of it depends on the block's seed, its time, or who proposes it,
//! but only on the blocks before. So it can begin as soon as the epoch's last block is known, and whatever
//! block follows goes on from there.

use soma_types::{Height, Seed};

use crate::{block::BlockInfo, error::Error, execute::Executor, market::routing::RoutingCache, state::State};

/// What is left to prepare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More, in further parts.
    More,
    /// Nothing more.
    Done,
}

/// The beginning of the block at some height, as far as the blocks before decide it.
#[derive(Clone, Debug)]
pub struct Preparation {
    executor: Executor,
    height: Height,
}

impl Preparation {
    /// Of the block at `height`.
    #[must_use]
    pub fn new(height: Height) -> Self {
        // Nothing that is prepared asks for the rest.
        let unknown = BlockInfo {
            height,
            seed: Seed::default(),
            timestamp_ms: 0,
            proposer: None,
        };
        Self {
            executor: Executor::new(unknown),
            height,
        }
    }

    /// Does the next part. Call it again after [`Error::Missing`].
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::OutOfOrder`], or [`Error::Broken`].
    pub fn advance(&mut self, state: &mut dyn State, cache: &mut RoutingCache) -> Result<Progress, Error> {
        if self.executor.needs_its_block() {
            self.executor.warm(state, cache)?;
            return Ok(Progress::Done);
        }
        self.executor.step(state, cache)?;
        Ok(Progress::More)
    }

    /// The execution of `block` that goes on from here, on the state that this was prepared in.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] when it has another height.
    pub fn executor(self, block: BlockInfo) -> Result<Executor, Error> {
        let (given, prepared) = (block.height.0, self.height.0);
        if given != prepared {
            let last = prepared.saturating_sub(1);
            return Err(Error::OutOfOrder { given, last });
        }
        let mut executor = self.executor;
        executor.settle_on(block);
        Ok(executor)
    }
}
