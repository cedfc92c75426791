//! Stake: pools and who owns them, validators and their seats, and what equivocation costs (docs/protocol.md,
//! section 4).

pub(crate) mod equivocation;
pub(crate) mod pool;
mod slash;
pub(crate) mod staking;
pub(crate) mod validators;
