//! Targets (docs/protocol.md, section 6): opened, and held to thresholds.
//!
//! **Thresholds.** A target's is the one in force when it opens, and an upper bound: a commit is held to the
//! lower of it and the threshold in force when the commit is made. So a target that few can hit does not keep
//! its place closed once the difficulty has fallen; and since each commit's threshold is stored with it,
//! nobody gains by waiting with a reveal.
//!
//! Upon a *fill*, a new target opens in the same place and block. Its seed comes from the block's VRF seed,
//! and fills are decided by earlier blocks, so a leader has nothing to choose. At a *boundary* whatever is
//! open closes.

use soma_routing::RoutingTable;
use soma_types::{
    Embedding, TargetId,
    event::Event,
    hash::domain_hash,
    objects::{Target, TargetStatus},
};

use crate::{
    error::Stop,
    ledger::Ledger,
    market::difficulty::threshold_q30,
    tables::{OPEN_TARGET_AT, TARGET_AT, TARGETS},
};

impl Ledger<'_> {
    /// Opens a target in each of `slots`. Without models there is nothing to aim at, and nothing opens.
    pub(crate) fn open_targets(&mut self, slots: &[u32], table: &RoutingTable) -> Result<(), Stop> {
        if table.is_empty() {
            return Ok(());
        }
        let (epoch, params) = (self.epoch(), self.hot.params.clone());
        let dim = params.architecture.embedding_dim;
        let first = self.hot.now.targets_opened;
        let seeds: Vec<_> = (first..)
            .take(slots.len())
            .map(|index| self.block.seed.derive("target", index))
            .collect();
        let embeddings: Vec<_> = seeds
            .iter()
            .map(|seed| Embedding::draw(seed, dim as usize))
            .collect();
        let routed = table.route(&embeddings, params.models_per_target as usize);
        let threshold_q30 = threshold_q30(self.hot.now.difficulty.z_q16, dim);
        for (((slot, index), seed), models) in slots.iter().zip(first..).zip(seeds).zip(routed) {
            let parts: [&[u8]; 3] = [&epoch.0.to_le_bytes(), &index.to_le_bytes(), &seed.0];
            let id = TargetId(domain_hash("soma 2026 target id", &parts));
            let target = Target {
                id,
                epoch,
                index,
                slot: *slot,
                seed,
                threshold_q30,
                models: models.clone(),
                opened: self.block.height,
                status: TargetStatus::Open,
                candidates: Vec::new(),
            };
            self.set(&TARGETS, &id, &target);
            self.set(&TARGET_AT, &(epoch, index), &id);
            self.set(&OPEN_TARGET_AT, slot, &id);
            self.hot.now.targets_opened += 1;
            self.emit(Event::TargetOpened { target: id, models });
        }
        Ok(())
    }

    /// What a commit to `target` in this block is held to.
    pub(crate) fn commit_threshold_q30(&self, target: &Target) -> i64 {
        let dim = self.hot.params.architecture.embedding_dim;
        target
            .threshold_q30
            .min(threshold_q30(self.hot.now.difficulty.z_q16, dim))
    }
}
