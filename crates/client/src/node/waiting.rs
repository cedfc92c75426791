//! Waiting for epochs.

use std::time::{Duration, Instant};

use soma_types::Epoch;

use super::NodeClient;
use crate::error::ClientError;

impl NodeClient {
    /// Waits until `epoch` is in progress (or over), at most `timeout`; the epoch then in progress.
    ///
    /// # Errors
    /// When the node fails, or the time is over ([`ClientError::GaveUp`]).
    pub async fn wait_for_epoch(&self, epoch: Epoch, timeout: Duration) -> Result<Epoch, ClientError> {
        let start = Instant::now();
        loop {
            let status = self.status().await?;
            if status.epoch >= epoch {
                return Ok(status.epoch);
            }
            let waited = start.elapsed();
            if waited >= timeout {
                return Err(ClientError::GaveUp {
                    what: format!("epoch {epoch}"),
                    waited,
                });
            }
            let next_height = status.epoch_first_height.plus(status.epoch_length_blocks);
            let blocks = next_height.0.saturating_sub(status.height.0);
            let expected = Duration::from_millis(blocks.saturating_mul(status.block_ms.p50) / 2);
            let delay = expected.clamp(Duration::from_millis(100), Duration::from_secs(5));
            tokio::time::sleep(delay.min(timeout - waited)).await;
        }
    }

    /// Waits for the next boundary; the epoch that then begins.
    ///
    /// # Errors
    /// When the node fails, or the time is over ([`ClientError::GaveUp`]).
    pub async fn wait_for_next_epoch(&self, timeout: Duration) -> Result<Epoch, ClientError> {
        let epoch = self.status().await?.epoch;
        self.wait_for_epoch(epoch.next(), timeout).await
    }
}
