//! A validator's disk: what becomes of each storage operation.
//!
//! The storage below forgets on a crash whatever was not synced. A real one has written some of it back
//! already; so has this: a part of all writes is durable at once, in no order. A write that a crash falls
//! into is torn.

use std::{future::pending, io, sync::Arc, time::Duration};

use commonware_runtime::Error;
use commonware_utils::sync::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Of a hundred writes, so many are durable before they are synced.
const WRITTEN_BACK_PERCENT: u64 = 30;

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opens or makes a file.
    Open,
    /// Reads bytes.
    Read,
    /// Writes bytes.
    Write,
    /// Makes what was written durable, or changes a length.
    Sync,
    /// Removes or lists files.
    Remove,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Of a thousand operations, so many fail.
    pub failing_permille: u64,
    /// No write succeeds.
    pub full: Option<Full>,
    /// No file can be opened.
    pub out_of_descriptors: Option<OutOfDescriptors>,
    /// Every operation takes so long, in milliseconds.
    pub delay_ms: u64,
}

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The process may open no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfDescriptors;

/// What becomes of an operation.
#[derive(Debug)]
pub enum Fate {
    /// It is done.
    Done,
    /// It is done, and a write is durable at once.
    Durable,
    /// The machine stops in the middle of it; of a write, so many of a thousand bytes are on the disk.
    Torn(u64),
    /// It fails.
    Failed(Error),
}

struct Inner {
    rng: StdRng,
    condition: Condition,
    /// Operations until the machine stops in the middle of one.
    left: Option<u64>,
    operations: u64,
    failures: u64,
    halted: bool,
}

/// The disk of one validator from its start to its end. Clones share.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    /// A sound disk, whose chances come from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            rng: StdRng::seed_from_u64(seed),
            condition: Condition::default(),
            left: None,
            operations: 0,
            failures: 0,
            halted: false,
        })))
    }

    /// What is wrong with it from now on.
    pub fn set(&self, condition: Condition) {
        self.0.lock().condition = condition;
    }

    /// Its machine stops in the middle of an operation, after so many more.
    pub fn tear_after(&self, operations: u64) {
        self.0.lock().left.get_or_insert(operations);
    }

    /// Its machine does not stop any more.
    pub fn keep_whole(&self) {
        self.0.lock().left = None;
    }

    /// Whether its machine has stopped in the middle of an operation.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.0.lock().halted
    }

    /// Operations that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.0.lock().failures
    }

    /// How long an operation takes.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.0.lock().condition.delay_ms)
    }

    /// What becomes of the next operation.
    #[must_use]
    pub fn fate(&self, operation: Operation) -> Fate {
        let mut inner = self.0.lock();
        inner.operations += 1;
        if let Some(left) = &mut inner.left {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => {
                    inner.halted = true;
                    return Fate::Torn(inner.rng.random_range(0..=1_000));
                }
            }
        }
        let Condition {
            failing_permille,
            full,
            out_of_descriptors,
            ..
        } = inner.condition;
        let broken = inner.rng.random_range(0..1_000) < failing_permille;
        let reason = match operation {
            _ if broken => "input or output error",
            Operation::Write if full.is_some() => "no space left on device",
            Operation::Open if out_of_descriptors.is_some() => "too many open files",
            Operation::Write if inner.rng.random_range(0..100) < WRITTEN_BACK_PERCENT => {
                return Fate::Durable;
            }
            _ => return Fate::Done,
        };
        inner.failures += 1;
        Fate::Failed(io::Error::other(reason).into())
    }

    /// Returns while the machine runs; never after it has stopped.
    pub async fn alive(&self) {
        if self.is_halted() {
            pending::<()>().await;
        }
    }
}
