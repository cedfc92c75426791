//! How hard targets are (docs/protocol.md, section 6).
//!
//! An epoch has `difficulty_windows` windows. When one ends, with h the exponential mean of hits per
//! window and g the goal per window, `z += clamp(ln((h + 1/2) / (g + 1/2)) / 2, -1/2, 1/2)`, within
//! [-4, 8]. A window in which no target was open changes nothing: it says nothing about difficulty.
//! All in Q16, rounded down.

use soma_routing::fixed::{LN_FRACTION_BITS, ln_q46, sqrt_q16};
use soma_types::{
    event::Event,
    objects::Difficulty,
    params::{ONE_Q16, Params},
};

use crate::{
    error::{OrBroken, Stop},
    ledger::Ledger,
};

/// The least z.
const Z_MIN_Q16: i64 = -4 * ONE_Q16;
/// The greatest z.
const Z_MAX_Q16: i64 = 8 * ONE_Q16;
/// The most that z moves at once.
const STEP_MAX_Q16: i64 = ONE_Q16 / 2;
/// A window's weight in the exponential mean is 1 / 2^this.
const MEAN_SHIFT: u32 = 2;
const HALF_Q16: u64 = 1 << 15;

/// The goal of hits per window, in Q16.
fn goal_q16(params: &Params) -> u64 {
    // At most 2^32 hits per epoch.
    (params.hits_goal << 16) / u64::from(params.difficulty_windows)
}

/// The difficulty of a new network: z as given, hits as wanted.
pub(crate) fn start(params: &Params) -> Difficulty {
    Difficulty {
        z_q16: params.difficulty_start_q16,
        mean_hits_q16: goal_q16(params),
        window: 0,
        window_hits: 0,
    }
}

/// The least dot product of a hit, in Q30: z / sqrt(dim), rounded down.
#[must_use]
pub fn threshold_q30(z_q16: i64, dim: u32) -> i64 {
    // z is at most 2^19, so the numerator stays below 2^50.
    (z_q16 << 30).div_euclid(sqrt_q16(dim) as i64)
}

/// z after a window with a mean of `mean_q16` hits.
fn adjusted(z_q16: i64, mean_q16: u64, goal_q16: u64) -> i64 {
    let ratio_q46 = ln_q46(mean_q16 + HALF_Q16) - ln_q46(goal_q16 + HALF_Q16);
    // Half of it, in Q16.
    let step = (ratio_q46 >> (LN_FRACTION_BITS - 16 + 1)).clamp(-STEP_MAX_Q16, STEP_MAX_Q16);
    (z_q16 + step).clamp(Z_MIN_Q16, Z_MAX_Q16)
}

impl Ledger<'_> {
    /// Ends the current window if this block is past it.
    pub(crate) fn roll_difficulty(&mut self) -> Result<(), Stop> {
        let windows = u128::from(self.hot.params.difficulty_windows);
        let offset = u128::from(self.hot.epoch_offset(self.block));
        let window = offset * windows / u128::from(self.hot.now.length_blocks);
        if window > u128::from(self.hot.now.difficulty.window) {
            self.end_window()?;
            self.hot.now.difficulty.window = u32::try_from(window).ok().or_broken("difficulty window")?;
        }
        Ok(())
    }

    /// Takes the window's hits into account.
    pub(crate) fn end_window(&mut self) -> Result<(), Stop> {
        let goal = goal_q16(&self.hot.params);
        let open = self.hot.now.models > 0;
        let difficulty = &mut self.hot.now.difficulty;
        if open {
            let hits_q16 = difficulty.window_hits.min(u64::from(u32::MAX)) << 16;
            let mean = difficulty.mean_hits_q16;
            difficulty.mean_hits_q16 = mean - (mean >> MEAN_SHIFT) + (hits_q16 >> MEAN_SHIFT);
            difficulty.z_q16 = adjusted(difficulty.z_q16, difficulty.mean_hits_q16, goal);
            let z_q16 = difficulty.z_q16;
            self.emit(Event::DifficultyAdjusted { z_q16 });
        }
        self.hot.now.difficulty.window_hits = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goal_changes_nothing_and_steps_are_bounded() {
        let goal = 3_600 << 16;
        assert_eq!(adjusted(5, goal, goal), 5);
        assert_eq!(adjusted(0, 0, goal), -STEP_MAX_Q16);
        assert_eq!(adjusted(0, 100 * goal, goal), STEP_MAX_Q16);
        assert_eq!(adjusted(Z_MAX_Q16, 100 * goal, goal), Z_MAX_Q16);
        assert_eq!(adjusted(Z_MIN_Q16, 0, goal), Z_MIN_Q16);
        // ln(2) / 2 = 0.3466 = 22713 / 65536 (the halves hardly matter at this goal).
        assert!((adjusted(0, 2 * goal, goal) - 22_713).abs() < 10);
    }

    #[test]
    fn thresholds_are_deviations() {
        // z = 1 at dim 64: 1/8.
        assert_eq!(threshold_q30(ONE_Q16, 64), (1 << 30) / 8);
        assert_eq!(threshold_q30(-ONE_Q16, 64), -(1 << 30) / 8);
        assert_eq!(threshold_q30(0, 2048), 0);
        assert!(threshold_q30(1, 2048) >= 0 && threshold_q30(-1, 2048) < 0);
    }
}
