//! What the engine needs from a runtime. The same engine runs on tokio and in simulated time.

use commonware_runtime::{Clock, Metrics, Spawner, Storage};
use rand_core::CryptoRng;

/// Tasks, time, storage, metrics and randomness.
pub trait Runtime: Spawner + Clock + Storage + Metrics + CryptoRng {}

impl<T: Spawner + Clock + Storage + Metrics + CryptoRng> Runtime for T {}

/// Milliseconds since 1970 on `clock`.
pub fn now_ms(clock: &impl Clock) -> u64 {
    clock
        .current()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| {
            u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
        })
}
