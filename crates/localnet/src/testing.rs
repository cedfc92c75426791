//! For tests against a running network: asking until it has come to something.

use std::time::{Duration, Instant};

/// The longest that a test waits for anything, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Between two times of asking.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks until there is an answer.
///
/// # Panics
/// If there is none after [`PATIENCE`]. `what` it waited for is in the panic.
pub async fn wait<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ask().await {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
