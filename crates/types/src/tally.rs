//! How often this process has encoded, decoded and checked transactions: for tests that hold the numbers
//! down.

use std::{
    io::{Read, Result, Write},
    sync::atomic::{AtomicU64, Ordering},
};

use borsh::{BorshDeserialize, BorshSerialize};

/// Counts up from zero.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Nothing is counted yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts one more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The count now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Transactions encoded, signed or to be signed.
pub static ENCODED: Counter = Counter::new();
/// Transactions decoded.
pub static DECODED: Counter = Counter::new();
/// Senders' signatures checked.
pub static CHECKED: Counter = Counter::new();

/// Encodes the part of a transaction that every encoding of it has.
pub(crate) fn encode<T: BorshSerialize>(part: &T, writer: &mut impl Write) -> Result<()> {
    ENCODED.count();
    part.serialize(writer)
}

/// Decodes it.
pub(crate) fn decode<T: BorshDeserialize>(reader: &mut impl Read) -> Result<T> {
    DECODED.count();
    T::deserialize_reader(reader)
}
