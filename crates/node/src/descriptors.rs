//! Open files: how many a localnet needs, and how many the system lets it have.
//!
//! Storage that cannot open a file stops a validator. So what storage needs is set aside first, and clients share
//! what is left; a system that gives too little is told at the start, not met in the first minute.

use crate::engine::VIEWS_KEPT;

/// Files of the process itself: its terminal, its runtimes, content under way, what its auditors ask.
const PROCESS: u64 = 96;
/// Files of a validator's storage besides its journal of votes: with those of as many blocks as are kept, and of a
/// month's records.
const STORAGE: u64 = 92;
/// Views in the journal of votes beyond those kept, while the network fails to agree.
const VIEWS_OPEN: u64 = 16;
/// Listeners, wakers and timers of a validator.
const RUNTIME: u64 = 12;
/// What one client can hold open: its connection, and content that it sends or is sent.
const PER_CONNECTION: u64 = 2;
/// Clients that a validator serves at once, at least and at most.
const CONNECTIONS: (u64, u64) = (16, 512);

/// The system allows too few open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{validators} validators need {needed} open files, and this system allows {limit}")]
pub struct TooFew {
    /// Asked for.
    pub validators: usize,
    /// What they need.
    pub needed: u64,
    /// What they may have.
    pub limit: u64,
}

/// Raises this process's limit of open files as far as it may go; the limit then.
#[must_use]
pub fn raise_limit() -> u64 {
    // What cannot be raised is what there is; what cannot even be asked for is no limit.
    rlimit::increase_nofile_limit(u64::MAX)
        .or_else(|_| rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(soft, _)| soft))
        .unwrap_or(u64::MAX)
}

/// How many clients each of `validators` may serve at once where `limit` files may be open.
///
/// # Errors
/// If that is too little for the validators alone.
pub fn connections_max(validators: usize, limit: u64) -> Result<usize, TooFew> {
    let count = validators as u64;
    // Each is connected to each other, and both ends are here.
    let each = STORAGE + VIEWS_KEPT + VIEWS_OPEN + RUNTIME + count.saturating_sub(1);
    let (least, most) = CONNECTIONS;
    let reserved = PROCESS + count * each;
    let needed = reserved + count * least * PER_CONNECTION;
    if limit < needed {
        return Err(TooFew {
            validators,
            needed,
            limit,
        });
    }
    let share = (limit - reserved) / (count.max(1) * PER_CONNECTION);
    Ok(usize::try_from(share.min(most)).unwrap_or(usize::MAX))
}

/// How many clients a server may serve at once that shares its `limit` of open files with no validator.
#[must_use]
pub fn connections_alone(limit: u64) -> usize {
    let (least, most) = CONNECTIONS;
    let share = limit.saturating_sub(PROCESS) / PER_CONNECTION;
    usize::try_from(share.clamp(least, most)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_comes_first_and_clients_share_the_rest() {
        for validators in [1, 4, 7, 100] {
            let needed = connections_max(validators, 0).unwrap_err().needed;
            assert_eq!(connections_max(validators, needed), Ok(16));
            assert!(connections_max(validators, needed - 1).is_err());
            assert_eq!(connections_max(validators, u64::MAX), Ok(512));
        }
        // What a system gives that gives little.
        assert!(connections_max(4, 1_024).is_ok());
        assert_eq!([0, 1_024, u64::MAX].map(connections_alone), [16, 464, 512]);
        let text = connections_max(100, 1_024).unwrap_err().to_string();
        assert!(text.contains("100 validators") && text.contains("1024"), "{text}");
    }
}
