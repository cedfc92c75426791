//! Why documents could not be taken home.

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
    /// Reading or writing stopped unexpectedly.
    #[error("a task stopped unexpectedly: {0}")]
    Stopped(#[from] tokio::task::JoinError),
}
