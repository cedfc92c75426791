//! Open files of a validator. Storage that cannot open one stops it, so they are set aside before clients get
//! any.

use crate::engine::VIEWS_KEPT;

/// Files of a validator's storage besides its journal of votes: with those of as many blocks as are kept, and
/// of a month's records.
const STORAGE: u64 = 92;
/// Views in the journal of votes beyond those kept, while the network fails to agree.
const VIEWS_OPEN: u64 = 16;
/// Listeners, wakers and timers of a validator.
const RUNTIME: u64 = 12;

/// The most files that a validator holds open in a committee of `validators`, besides those of its clients.
#[must_use]
pub const fn of_validator(validators: usize) -> u64 {
    STORAGE + VIEWS_KEPT + VIEWS_OPEN + RUNTIME + (validators as u64).saturating_sub(1)
}
