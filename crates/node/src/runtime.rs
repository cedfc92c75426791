//! What the engine needs from a runtime. The same engine runs on tokio and in simulated time.

use std::time::SystemTime;

use commonware_runtime::{Clock, Metrics, Spawner, Storage};
use rand_core::CryptoRng;

/// Tasks, time, storage, metrics and randomness.
pub trait Runtime: Spawner + Clock + Storage + Metrics + CryptoRng {}

impl<T: Spawner + Clock + Storage + Metrics + CryptoRng> Runtime for T {}

/// Milliseconds since 1970 on `clock`.
pub fn now_ms(clock: &impl Clock) -> u64 {
    since_1970_ms(clock.current())
}

/// `time` in milliseconds since 1970, 0 before.
#[must_use]
pub fn since_1970_ms(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| {
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    })
}
