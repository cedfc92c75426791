//! Whether the node keeps up with its network: what is signed rests on the state that it tells.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Account, context::CONTEXT_AGE_MAX, sequence::Sequence};
use crate::error::ClientError;

/// A node whose last block is older is behind, or its network stands still.
const BLOCK_AGE_MAX: Duration = Duration::from_secs(120);
/// For how long a deed waits for a node to catch up: one that has just started does so in seconds.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);
/// Between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Account {
    /// Waits a little until the node keeps up; asks nothing if it did a moment ago.
    ///
    /// # Errors
    /// [`ClientError::Behind`]: nothing is to be signed by what it tells.
    pub(super) async fn caught_up(&self, sequence: &mut Sequence) -> Result<(), ClientError> {
        if sequence
            .caught_up
            .is_some_and(|seen| seen.elapsed() < CONTEXT_AGE_MAX)
        {
            return Ok(());
        }
        let start = Instant::now();
        loop {
            let status = self.node.status().await?;
            let age = age(status.timestamp_ms);
            if age <= BLOCK_AGE_MAX {
                sequence.caught_up = Some(Instant::now());
                return Ok(());
            }
            if start.elapsed() >= CATCH_UP_MAX {
                return Err(ClientError::Behind {
                    node: self.node.address().to_owned(),
                    height: status.height,
                    age,
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// How long ago a block was proposed, by the clock here.
fn age(timestamp_ms: u64) -> Duration {
    let proposed = UNIX_EPOCH + Duration::from_millis(timestamp_ms);
    SystemTime::now().duration_since(proposed).unwrap_or_default()
}
