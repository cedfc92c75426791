//! For tests against a running network: ports for it, and asking until it has come to something.

use std::time::{Duration, Instant};

use crate::ports;

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

/// Loopback ports in a row that nobody listens on, for what binds them later.
///
/// # Panics
/// If none can be found.
pub fn free_ports(count: usize) -> Vec<u16> {
    let held = ports::bind(0, count).expect("some row of ports is free");
    held.iter().map(|one| ports::address_of(one).port()).collect()
}
