//! What a run came to.

use serde::Serialize;
use soma_types::{Epoch, TargetId};

/// A document that has won and could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its target.
    pub target: TargetId,
    /// The epoch.
    pub epoch: Epoch,
    /// Why it could not.
    pub reason: String,
    /// Whether the node gave other bytes than the ledger names.
    pub wrong: bool,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Synced {
    /// Documents that were there, and are as they should be.
    pub kept: u64,
    /// Documents that came.
    pub fetched: u64,
    /// Their length in bytes.
    pub fetched_bytes: u64,
    /// Records that were there and were none, or not what they said: replaced.
    pub damaged: u64,
    /// Documents that could not be had.
    pub missing: Vec<Missing>,
    /// Whether it was stopped before it was through.
    pub stopped: bool,
}
