//! Open files: how many clients a process may serve at once, given how many files the system lets it have.
//!
//! Whoever writes to storage cannot go on where it cannot open a file. So what is reserved for that is set
//! aside first, and clients share what is left; a system that gives too little is told at the start, not met
//! in the first minute.

/// Files of the process itself: its terminal, its runtimes, content under way, what its auditors ask.
const PROCESS: u64 = 96;
/// What one client can hold open: its connection, and content that it sends or is sent.
const PER_CONNECTION: u64 = 2;
/// Clients that a server serves at once, at least and at most.
const CONNECTIONS: (u64, u64) = (16, 512);

/// The system allows too few open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{needed} open files are needed, and this system allows {limit}")]
pub struct TooFew {
    /// What is needed.
    pub needed: u64,
    /// What is allowed.
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

/// How many clients each of `servers` in this process may serve at once where `limit` files may be open and
/// `reserved` of them are storage's.
///
/// # Errors
/// If that leaves too little.
pub fn connections_beside(reserved: u64, servers: usize, limit: u64) -> Result<usize, TooFew> {
    let servers = servers.max(1) as u64;
    let (least, most) = CONNECTIONS;
    let reserved = PROCESS + reserved;
    let needed = reserved + servers * least * PER_CONNECTION;
    if limit < needed {
        return Err(TooFew { needed, limit });
    }
    let share = (limit - reserved) / (servers * PER_CONNECTION);
    Ok(usize::try_from(share.min(most)).unwrap_or(usize::MAX))
}

/// How many clients a server may serve at once that shares its `limit` of open files with nobody.
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
        for (reserved, servers) in [(0, 1), (800, 4), (30_000, 100)] {
            let needed = connections_beside(reserved, servers, 0).unwrap_err().needed;
            assert_eq!(connections_beside(reserved, servers, needed), Ok(16));
            assert!(connections_beside(reserved, servers, needed - 1).is_err());
            assert_eq!(connections_beside(reserved, servers, u64::MAX), Ok(512));
        }
        assert_eq!([0, 1_024, u64::MAX].map(connections_alone), [16, 464, 512]);
    }
}
