//! How much waits at most, and how long.

/// One sender has so much of the room that the others leave: a 64th. Alone it has a 64th of the whole, and
/// with 64 as busy as itself about half of that; some room is left however many come.
pub const SHARE: usize = 64;
/// Most epochs ahead in which a transaction that is taken up may expire.
pub const EXPIRY_EPOCHS_MAX: u64 = 64;

/// How much a pool holds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most transactions.
    pub transactions_max: usize,
    /// Most bytes.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions_max: 16_384,
            bytes_max: 32 << 20,
        }
    }
}

/// What somebody has waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub transactions: usize,
    pub bytes: usize,
}

impl Limits {
    /// Whether the pool holds `all`.
    pub(super) const fn hold(&self, all: Load) -> bool {
        all.transactions <= self.transactions_max && all.bytes <= self.bytes_max
    }

    /// Whether a sender may have `own` waiting while others have `others`: one transaction always, more up to
    /// its share.
    pub(super) const fn share(&self, own: Load, others: Load) -> bool {
        own.transactions <= 1
            || (own.transactions <= self.transactions_max.saturating_sub(others.transactions) / SHARE
                && own.bytes <= self.bytes_max.saturating_sub(others.bytes) / SHARE)
    }
}
