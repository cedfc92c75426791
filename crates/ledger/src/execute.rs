//! Executing blocks: one entry point for proposing, verifying and replaying.
//!
//! A part of a block is a sequence of *steps*. Each runs on an overlay and is kept as a whole when it
//! completes; when a read is missing it leaves nothing behind, and the next call runs it again. So a
//! call that returns [`Error::Missing`] can simply be repeated once the keys are loaded, and what was done
//! stays done.

use soma_types::{Height, Receipt, Rejection, VerifiedTransaction, event::Event};

use crate::{
    block::{BlockInfo, BlockOutcome},
    error::{Broken, Error, OrBroken, Stop},
    ledger::{Hot, Ledger},
    market::routing::RoutingCache,
    state::{Overlay, State},
    transact::apply,
};

/// Targets opened in one step: their embeddings pass over the routing table together.
const TARGETS_PER_STEP: usize = 64;

/// Models whose records are asked for together at a boundary.
const MODELS_PER_READ: u64 = 1024;

/// The next thing to do at a block's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Load,
    /// Races queued for `at`; at a boundary up to `last`, the latest that can be under way.
    Settle {
        at: Height,
        last: Height,
        index: u32,
    },
    /// Fills the vacant slots from this one on.
    Open {
        from: usize,
    },
    Expire {
        index: u32,
    },
    Window,
    Close,
    /// The records of the last of these many models are in memory from `read` on.
    Models {
        left: u64,
        read: u64,
    },
    Committee,
    Table,
    Start,
    Duties,
    Pay {
        left: u32,
    },
    Ready,
}

/// One block in the making.
#[derive(Clone, Debug)]
pub struct Executor {
    block: BlockInfo,
    step: Step,
    hot: Option<Hot>,
    boundary: bool,
    /// Slots without a target, in the order in which they are filled.
    vacant: Vec<u32>,
    events: Vec<Event>,
    receipts: Vec<Receipt>,
}

impl Executor {
    /// A block about to be executed. Use one executor for one block.
    #[must_use]
    pub const fn new(block: BlockInfo) -> Self {
        Self {
            block,
            step: Step::Load,
            hot: None,
            boundary: false,
            vacant: Vec::new(),
            events: Vec::new(),
            receipts: Vec::new(),
        }
    }

    /// Whether what comes next depends on the block itself, and not only on those before it.
    pub(crate) const fn needs_its_block(&self) -> bool {
        matches!(self.step, Step::Open { .. } | Step::Start | Step::Ready)
    }

    /// Does one step. Call it again after [`Error::Missing`].
    pub(crate) fn step(&mut self, state: &mut dyn State, cache: &mut RoutingCache) -> Result<(), Error> {
        self.step = self.advance(state, cache)?;
        Ok(())
    }

    /// Sees to it that `cache` has the table that the next targets are routed by, if any are to be opened.
    pub(crate) fn warm(&mut self, state: &mut dyn State, cache: &mut RoutingCache) -> Result<(), Error> {
        if !self.vacant.is_empty() {
            self.run(state, |ledger| ledger.table(cache).map(drop))?;
        }
        Ok(())
    }

    /// What was begun is the beginning of `block`, which has its height.
    pub(crate) const fn settle_on(&mut self, block: BlockInfo) {
        self.block = block;
    }

    /// Does what earlier blocks decided. Call it again after [`Error::Missing`].
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::OutOfOrder`], or [`Error::Broken`].
    pub fn begin(&mut self, state: &mut dyn State, cache: &mut RoutingCache) -> Result<(), Error> {
        while self.step != Step::Ready {
            self.step(state, cache)?;
        }
        Ok(())
    }

    /// Executes a transaction. `Ok(Err(..))`: it must not be in the block, and nothing changed.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Broken`]; nothing changed.
    pub fn apply(
        &mut self,
        state: &mut dyn State,
        transaction: &VerifiedTransaction,
    ) -> Result<Result<&Receipt, Rejection>, Error> {
        if self.step != Step::Ready {
            return Err(Broken("a transaction before the block's beginning was done").into());
        }
        let hot = self.hot.clone().ok_or(Broken("a block that was not begun"))?;
        let index = u32::try_from(self.receipts.len())
            .ok()
            .or_broken("too many transactions")?;
        match apply(state, &self.block, hot, transaction, index) {
            Ok((hot, receipt)) => {
                self.hot = Some(hot);
                self.receipts.push(receipt);
                Ok(Ok(&self.receipts[index as usize]))
            }
            Err(Stop::Rejected(rejection)) => Ok(Err(*rejection)),
            Err(stop) => Err(stop.expect_no_rejection()),
        }
    }

    /// Checks the supply, writes what is left to write, and returns what became of the block.
    ///
    /// # Errors
    /// [`Error::Broken`] when the block was not begun or the supply identity does not hold.
    pub fn end(self, state: &mut dyn State) -> Result<BlockOutcome, Error> {
        let mut hot = self
            .hot
            .filter(|_| self.step == Step::Ready)
            .ok_or(Broken("a block that was not begun"))?;
        hot.counters.height = self.block.height;
        hot.counters.timestamp_ms = self.block.timestamp_ms;
        hot.check_supply()?;
        hot.store(state);
        let past = hot.epoch_offset(&self.block) + 1;
        Ok(BlockOutcome {
            epoch: hot.now.epoch,
            boundary: self.boundary,
            last: past >= hot.now.length_blocks,
            receipts: self.receipts,
            events: self.events,
        })
    }

    /// Runs the current step and returns the next.
    // A method's path names one lifetime of `Ledger`, a step must work for any.
    #[allow(clippy::redundant_closure_for_method_calls)]
    fn advance(&mut self, state: &mut dyn State, cache: &mut RoutingCache) -> Result<Step, Error> {
        let height = self.block.height;
        Ok(match self.step {
            Step::Load => self.load(state)?,
            Step::Settle { at, last, index } => match self.run(state, |ledger| ledger.settle(at, index))? {
                Some(freed) => {
                    // Whatever is freed at a boundary is filled with the new epoch's targets.
                    self.vacant.extend(freed.filter(|_| !self.boundary));
                    Step::Settle {
                        at,
                        last,
                        index: index + 1,
                    }
                }
                None if at < last => Step::Settle {
                    at: at.next(),
                    last,
                    index: 0,
                },
                None if self.boundary => Step::Expire { index: 0 },
                None => Step::Open { from: 0 },
            },
            Step::Open { from } => {
                let slots: Vec<u32> = self
                    .vacant
                    .iter()
                    .skip(from)
                    .take(TARGETS_PER_STEP)
                    .copied()
                    .collect();
                if !slots.is_empty() {
                    self.run(state, |ledger| {
                        let table = ledger.table(cache)?;
                        ledger.open_targets(&slots, &table)
                    })?;
                    Step::Open {
                        from: from + slots.len(),
                    }
                } else if self.boundary {
                    Step::Duties
                } else {
                    Step::Expire { index: 0 }
                }
            }
            Step::Expire { index } => match self.run(state, |ledger| ledger.expire(index))? {
                true => Step::Expire { index: index + 1 },
                false if self.boundary => Step::Close,
                false => Step::Window,
            },
            Step::Window => {
                self.run(state, |ledger| {
                    if height == Height(1) {
                        ledger.start_epoch();
                    }
                    ledger.roll_difficulty()
                })?;
                Step::Duties
            }
            Step::Close => {
                self.run(state, |ledger| ledger.close_epoch())?;
                let left = self.hot.as_ref().map_or(0, |hot| hot.counters.live_models);
                Step::Models { left, read: left }
            }
            Step::Models { left: 0, .. } => Step::Committee,
            Step::Models { left, read } if left == read => {
                let read = left.saturating_sub(MODELS_PER_READ);
                self.run(state, |ledger| ledger.read_models(read..left))?;
                Step::Models { left, read }
            }
            Step::Models { left, read } => {
                self.run(state, |ledger| ledger.roll_model(left - 1))?;
                Step::Models { left: left - 1, read }
            }
            Step::Committee => {
                self.run(state, |ledger| ledger.seat_committee())?;
                Step::Table
            }
            Step::Table => {
                self.run(state, |ledger| ledger.renew_table(cache))?;
                Step::Start
            }
            Step::Start => {
                self.run(state, |ledger| {
                    ledger.start_epoch();
                    Ok(())
                })?;
                self.vacant = (0..self.hot.as_ref().map_or(0, |hot| hot.params.open_targets)).collect();
                Step::Open { from: 0 }
            }
            Step::Duties => {
                self.run(state, |ledger| {
                    ledger.draw_challenge_seed();
                    ledger.credit_proposer()?;
                    ledger.release_unbonded()
                })?;
                Step::Pay {
                    left: self.hot.as_ref().map_or(0, |hot| hot.params.payouts_per_block),
                }
            }
            Step::Pay { left: 0 } => Step::Ready,
            Step::Pay { left } => match self.run(state, |ledger| ledger.pay_next())? {
                true => Step::Pay { left: left - 1 },
                false => Step::Ready,
            },
            Step::Ready => Step::Ready,
        })
    }

    fn load(&mut self, state: &mut dyn State) -> Result<Step, Error> {
        let hot = Hot::load(state).map_err(Stop::expect_no_rejection)?;
        let (given, last) = (self.block.height.0, hot.counters.height.0);
        if Some(given) != last.checked_add(1) {
            return Err(Error::OutOfOrder { given, last });
        }
        let height = self.block.height;
        self.boundary = hot.epoch_offset(&self.block) >= hot.now.length_blocks;
        // A race begun in the last block settles this much later, had the epoch gone on.
        let ahead = if self.boundary {
            hot.params.settlement_blocks - 1
        } else {
            0
        };
        self.hot = Some(hot);
        Ok(Step::Settle {
            at: height,
            last: height.plus(ahead),
            index: 0,
        })
    }

    /// Runs one step; keeps it if it completes.
    fn run<T>(
        &mut self,
        state: &mut dyn State,
        step: impl FnOnce(&mut Ledger<'_>) -> Result<T, Stop>,
    ) -> Result<T, Error> {
        let hot = self.hot.clone().ok_or(Broken("a block that was not begun"))?;
        let mut overlay = Overlay::new(state);
        let mut ledger = Ledger {
            state: &mut overlay,
            block: &self.block,
            hot,
            events: Vec::new(),
        };
        let value = step(&mut ledger).map_err(Stop::expect_no_rejection)?;
        let Ledger { hot, events, .. } = ledger;
        debug_assert_eq!(hot.check_supply(), Ok(()), "{:?}", self.step);
        overlay.commit();
        self.hot = Some(hot);
        self.events.extend(events);
        Ok(value)
    }
}

/// Executes a whole block on a state in which nothing is missing. On an error the state may hold a part
/// of the block.
///
/// # Errors
/// [`Error::Refused`] when a transaction must not be in the block, and those of [`Executor`]'s parts.
pub fn execute_block(
    state: &mut dyn State,
    cache: &mut RoutingCache,
    block: BlockInfo,
    transactions: &[VerifiedTransaction],
) -> Result<BlockOutcome, Error> {
    let mut executor = Executor::new(block);
    executor.begin(state, cache)?;
    for (index, transaction) in transactions.iter().enumerate() {
        if let Err(rejection) = executor.apply(state, transaction)? {
            return Err(Error::Refused {
                index: index as u32,
                rejection,
            });
        }
    }
    executor.end(state)
}
