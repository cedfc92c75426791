//! The time that blocks are dated with, and how little of it is taken on trust.
//!
//! Rules that need time count blocks: a date is information. Yet a chain whose dates only grow must neither
//! stop nor run away when clocks step, so
//!
//! * a node dates by its steady clock, corrected by what the wall clock has said for [`DOUBT_MS`]. A step
//!   that is taken back within that time changes nothing;
//! * a leader waits until [`BLOCK_TIME_MS`] after its parent's date, and no longer than that: where the
//!   chain's time is ahead of its own, it dates as low as the rules allow;
//! * a verifier delays its verdict until the block's date has come, or as much time has passed as the block
//!   claims to follow its parent by. So whatever leaders claim and clocks say, the chain's time does not run
//!   faster than time passes for an honest quorum, unless that quorum's clocks are ahead of it;
//! * both waits together make blocks come at half their pace while the chain's time is ahead, so that it is
//!   caught up with.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use commonware_runtime::Clock;
use commonware_utils::sync::Mutex;

use crate::{
    block::{BLOCK_TIME_MS, TIMESTAMP_STEP_MS_MAX},
    runtime::now_ms,
};

/// How long a step of the wall clock must last before it is believed, in milliseconds.
pub const DOUBT_MS: u64 = 30_000;
/// Corrections of the wall clock up to this are no steps, in milliseconds.
const DRIFT_MS: u64 = 1_000;

/// How far the wall clock is ahead of the steady clock, in milliseconds, when that shows the argument.
pub type Offset = Arc<dyn Fn(u64) -> i64 + Send + Sync>;

/// A node's opinion of the time. Clones share it.
#[derive(Clone)]
pub struct Time {
    offset: Offset,
    belief: Arc<Mutex<Belief>>,
}

impl Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Time")
            .field("belief", &self.belief)
            .finish_non_exhaustive()
    }
}

impl Time {
    /// Starts with what the wall clock says.
    #[must_use]
    pub fn new(offset: Offset) -> Self {
        Self {
            offset,
            belief: Arc::default(),
        }
    }

    /// Milliseconds since 1970. `steady` is a clock that does not step.
    pub fn now_ms(&self, steady: &impl Clock) -> u64 {
        let steady_ms = now_ms(steady);
        let offset_ms = self.belief.lock().weigh(steady_ms, (self.offset)(steady_ms));
        steady_ms.saturating_add_signed(offset_ms)
    }
}

/// How far the wall clock is believed to be ahead of the steady one.
#[derive(Debug, Default)]
struct Belief {
    /// Nothing before the first look.
    offset_ms: Option<i64>,
    /// What the wall clock says instead, and since when by the steady clock.
    doubted: Option<(i64, u64)>,
}

impl Belief {
    /// What is believed at `steady_ms` upon seeing `seen_ms`.
    fn weigh(&mut self, steady_ms: u64, seen_ms: i64) -> i64 {
        let near = |other: i64| seen_ms.abs_diff(other) <= DRIFT_MS;
        let believed_ms = *self.offset_ms.get_or_insert(seen_ms);
        if near(believed_ms) {
            self.doubted = None;
            self.offset_ms = Some(seen_ms);
            return seen_ms;
        }
        match self.doubted {
            Some((doubted_ms, since_ms)) if near(doubted_ms) => {
                if steady_ms.saturating_sub(since_ms) < DOUBT_MS {
                    return believed_ms;
                }
                self.doubted = None;
                self.offset_ms = Some(seen_ms);
                seen_ms
            }
            _ => {
                self.doubted = Some((seen_ms, steady_ms));
                believed_ms
            }
        }
    }
}

/// How long a leader whose parent is dated `parent_ms` waits at `now_ms` before it proposes.
#[must_use]
pub fn wait_to_propose_ms(parent_ms: u64, now_ms: u64) -> u64 {
    let earliest_ms = parent_ms.saturating_add(BLOCK_TIME_MS);
    earliest_ms.saturating_sub(now_ms).min(BLOCK_TIME_MS)
}

/// How a block that is proposed at `now_ms` is dated.
#[must_use]
pub fn date_ms(parent_ms: u64, now_ms: u64) -> u64 {
    now_ms.clamp(
        parent_ms.saturating_add(BLOCK_TIME_MS),
        parent_ms.saturating_add(TIMESTAMP_STEP_MS_MAX),
    )
}

/// How long a verifier that sees a block dated `block_ms` at `now_ms` keeps its verdict. The rules bound how
/// far a block's date is from its parent's, and so this.
#[must_use]
pub fn wait_to_accept_ms(parent_ms: u64, block_ms: u64, now_ms: u64) -> u64 {
    let step_ms = block_ms.saturating_sub(parent_ms);
    block_ms.saturating_sub(now_ms).min(step_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn a_step_is_believed_once_it_has_lasted() {
        let mut belief = Belief::default();
        assert_eq!(belief.weigh(0, 40), 40, "the first look is believed");
        assert_eq!(belief.weigh(1_000, 900), 900, "so are small corrections");
        for step in [HOUR_MS, -HOUR_MS] {
            assert_eq!(belief.weigh(2_000, step), 900);
            assert_eq!(belief.weigh(2_000 + DOUBT_MS - 1, step), 900);
            assert_eq!(belief.weigh(2_000 + DOUBT_MS, 900), 900, "taken back in time");
        }
        let start = 100_000;
        assert_eq!(belief.weigh(start, -HOUR_MS), 900);
        assert_eq!(belief.weigh(start + DOUBT_MS / 2, HOUR_MS), 900);
        assert_eq!(
            belief.weigh(start + DOUBT_MS, HOUR_MS),
            900,
            "another step, another doubt"
        );
        let end = start + DOUBT_MS / 2 + DOUBT_MS;
        assert_eq!(belief.weigh(end - 1, HOUR_MS + 10), 900);
        assert_eq!(belief.weigh(end, HOUR_MS + 10), HOUR_MS + 10);
    }

    #[test]
    fn waits_are_short_whatever_the_clock_says() {
        let parent = 10_000_000;
        for now in [0, parent - 1, parent, parent + 1, parent + 249, u64::MAX] {
            assert!(wait_to_propose_ms(parent, now) <= BLOCK_TIME_MS);
            let date = date_ms(parent, now);
            assert!((BLOCK_TIME_MS..=TIMESTAMP_STEP_MS_MAX).contains(&(date - parent)));
            // What an honest leader dates is accepted at once by who agrees, and soon by who does not.
            assert_eq!(wait_to_accept_ms(parent, date, now.max(date)), 0);
        }
        assert_eq!(wait_to_propose_ms(parent, parent + 100), 150);
        assert_eq!(
            wait_to_accept_ms(parent, parent + BLOCK_TIME_MS, 0),
            BLOCK_TIME_MS
        );
        // Who dates ahead waits for as long as they claim has passed: longer than their view lasts.
        let claim = parent + TIMESTAMP_STEP_MS_MAX;
        assert_eq!(
            wait_to_accept_ms(parent, claim, parent + 300),
            TIMESTAMP_STEP_MS_MAX - 300
        );
    }
}
