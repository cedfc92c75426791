//! When to try again: soon at first, then less often, until a window closes.

use std::time::{Duration, Instant};

const DELAY_FIRST: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(2);

/// The pauses between tries of one request.
pub(crate) struct Backoff {
    start: Instant,
    window: Duration,
    delay: Duration,
}

impl Backoff {
    /// Tries for as long as `window`, from now on.
    pub fn new(window: Duration) -> Self {
        Self {
            start: Instant::now(),
            window,
            delay: DELAY_FIRST,
        }
    }

    /// Whether the next pause ends within the window.
    pub fn is_open(&self) -> bool {
        self.start.elapsed() + self.delay <= self.window
    }

    /// Pauses, for twice as long as before.
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.delay).await;
        self.delay = (self.delay * 2).min(DELAY_MAX);
    }
}
