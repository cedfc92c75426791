//! What engines send one another.

use commonware_consensus::{
    marshal::{self, standard::Standard},
    simplex,
};
use commonware_p2p::max_message_size;
use commonware_runtime::Quota;
use commonware_utils::NZU32;

use crate::{
    block::Block,
    consensus::{Digest, Scheme},
};

/// Messages a peer may send on one channel, per second.
const CHANNEL_MESSAGES_PER_SECOND_MAX: std::num::NonZeroU32 = NZU32!(1_024);
/// The number of channels of an engine.
pub const CHANNELS: u64 = 5;

/// A sender and receiver on one channel.
pub type Channel<S, R> = (S, R);

/// The engine's channels.
pub struct Channels<S, R> {
    /// Carries votes.
    pub votes: Channel<S, R>,
    /// Carries certificates.
    pub certificates: Channel<S, R>,
    /// Missing certificates.
    pub resolver: Channel<S, R>,
    /// Missing blocks.
    pub backfill: Channel<S, R>,
    /// Proposed blocks.
    pub blocks: Channel<S, R>,
}

impl<S, R> Channels<S, R> {
    /// Takes the channels `0..CHANNELS` from `register`, in their order.
    pub fn register(mut register: impl FnMut(u64, Quota) -> Channel<S, R>) -> Self {
        let mut next = |id| register(id, channel_quota());
        Self {
            votes: next(0),
            certificates: next(1),
            resolver: next(2),
            backfill: next(3),
            blocks: next(4),
        }
    }
}

/// The rate limit of every channel.
#[must_use]
pub fn channel_quota() -> Quota {
    Quota::per_second(CHANNEL_MESSAGES_PER_SECOND_MAX)
}

/// The longest message the engine sends in a committee of `validators`, in bytes.
#[must_use]
pub fn message_bytes_max(validators: u32) -> u32 {
    max_message_size(&[
        simplex::max_payload_size::<Scheme, Digest>(validators),
        marshal::max_payload_size::<Standard<Block>, Scheme>(validators, &()),
    ])
}
