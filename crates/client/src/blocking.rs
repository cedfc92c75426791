//! Work that waits for the disk or computes for long, off the executor.

use crate::error::ClientError;

/// Runs heavy or blocking work off the executor.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ClientError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => Ok(value),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(ClientError::Argument(format!(
                "the program is shutting down: {error}"
            ))),
        },
    }
}
