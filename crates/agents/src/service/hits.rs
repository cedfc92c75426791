//! What was won, and what is raced for: a run that was stopped and the one that goes on count together.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use soma_types::TargetId;

/// Hits of a run. A target is here before the commit to it is sent, so that a run that ends anyhow can ask
/// the ledger what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hits {
    /// Targets won.
    pub won: u64,
    /// Targets raced for, whose races were not over when this was written.
    pub racing: BTreeSet<TargetId>,
}

impl Hits {
    /// The most that they can come to.
    pub(super) fn most(&self) -> u64 {
        self.won.saturating_add(self.racing.len() as u64)
    }

    /// Takes note of a race's end, once.
    pub(super) fn over(&mut self, target: &TargetId, is_won: bool) {
        if self.racing.remove(target) && is_won {
            self.won = self.won.saturating_add(1);
        }
    }
}
