//! Why documents could not be taken home.

use std::path::PathBuf;

use soma_client::ClientError;
use soma_files::FileError;
use soma_types::Epoch;

/// Why documents could not be taken home.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The node.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// The epoch is still to come.
    #[error("epoch {since} has not begun: the network is in epoch {current}")]
    Future {
        /// Asked for.
        since: Epoch,
        /// The one in progress.
        current: Epoch,
    },
    /// Someone's own file.
    #[error("{path:?} holds something else than data that has won: name another file, or move it away")]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// Reading or writing stopped unexpectedly.
    #[error("a task stopped unexpectedly: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}
