//! What an engine is given.

use std::time::Duration;

use crate::{
    consensus::{Identity, Scheme},
    time::Time,
};

/// What makes this validator itself.
pub struct Config<M, P, O, C, B> {
    /// Its network identity.
    pub identity: Identity,
    /// Its signing scheme.
    pub scheme: Scheme,
    /// Prefix of its storage partitions.
    pub partition: String,
    /// Hash of the genesis document.
    pub chain: [u8; 32],
    /// When the genesis document was made, in milliseconds since 1970.
    pub genesis_ms: u64,
    /// The state machine.
    pub machine: M,
    /// Where proposals take their transactions from.
    pub pool: P,
    /// Who watches finalized blocks.
    pub observer: O,
    /// Knows the peers.
    pub peers: C,
    /// Disconnects misbehaving peers.
    pub blocker: B,
    /// Dates blocks.
    pub time: Time,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Finalized blocks that are kept and served, beyond those in flight. The state's log is pruned only once
    /// as many have come since the node started, so much more than is of use costs disk for ever.
    pub retained_blocks: usize,
}

/// How long the engine waits for others.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a leader's block. Must exceed the block time.
    pub leader: Duration,
    /// For a block to be certified.
    pub certification: Duration,
    /// Before a vote to skip a view is repeated.
    pub retry: Duration,
    /// A leader silent for this long is skipped at once.
    pub skip: Duration,
    /// For an answer to a request.
    pub fetch: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            leader: Duration::from_millis(1_500),
            certification: Duration::from_millis(3_000),
            retry: Duration::from_millis(1_000),
            skip: Duration::from_secs(10),
            fetch: Duration::from_millis(1_500),
        }
    }
}
