//! Targets (docs/protocol.md, section 6): opened, raced for, filled.
//!
//! **Thresholds.** A target's is the one in force when it opens, and an upper bound: a commit is held to the
//! lower of it and the threshold in force when the commit is made. So a target that few can hit does not keep
//! its place closed once the difficulty has fallen; and since each commit's threshold is stored with it,
//! nobody gains by waiting with a reveal.
//!
//! Upon a *fill*, a new target opens in the same place and block. Its seed comes from the block's VRF
//! seed, and fills are decided by earlier blocks, so a leader has nothing to choose. At a *boundary*
//! races under way settle at once, and whatever is open closes.

use soma_routing::RoutingTable;
use soma_types::{
    Embedding, Height, Shannons, SubmissionId, TargetId,
    event::Event,
    hash::domain_hash,
    objects::{DataClaim, SubmissionStatus, Target, TargetStatus},
};

use crate::{
    error::{OrBroken, Stop},
    ledger::Ledger,
    market::difficulty::threshold_q30,
    money::bank::Bucket,
    tables::{CLAIMS, MODELS, OPEN_TARGET_AT, SETTLEMENTS, SUBMISSIONS, TARGET_AT, TARGETS, WINNER_AT},
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

    /// Starts the race for a target that has its first valid reveal; returns when it settles.
    pub(crate) fn start_race(&mut self, target: &mut Target) -> Result<Height, Stop> {
        if let TargetStatus::Settling { at } = target.status {
            return Ok(at);
        }
        let at = self.block.height.plus(self.hot.params.settlement_blocks);
        SETTLEMENTS.push(self.state, &at, &target.id)?;
        target.status = TargetStatus::Settling { at };
        Ok(at)
    }

    /// Settles the race that is `index`th in the queue of height `at`. Returns `None` past the queue's
    /// end, else the slot that became free, if the target was filled.
    pub(crate) fn settle(&mut self, at: Height, index: u32) -> Result<Option<Option<u32>>, Stop> {
        let Some(id) = SETTLEMENTS.take(self.state, &at, index)? else {
            return Ok(None);
        };
        let mut target = self.expect(&TARGETS, &id)?;
        let keys: Vec<Vec<u8>> = target
            .candidates
            .iter()
            .map(|one| SUBMISSIONS.key(&one.submission))
            .collect();
        self.prefetch(&keys)?;

        let mut winner = None;
        for candidate in std::mem::take(&mut target.candidates) {
            let status = match winner {
                Some(to) => SubmissionStatus::LostRace { to },
                None => self.win_or_copy(&target, &candidate.submission)?,
            };
            match status {
                SubmissionStatus::Won => winner = Some(candidate.submission),
                _ => self.end_submission(&candidate.submission, status)?,
            }
        }
        let freed = winner.map(|submission| {
            target.status = TargetStatus::Filled {
                submission,
                at: self.block.height,
            };
            target.slot
        });
        if freed.is_none() {
            target.status = TargetStatus::Open;
        }
        self.set(&TARGETS, &id, &target);
        Ok(Some(freed))
    }

    /// Makes the submission the winner, unless its data belongs to one with an earlier commit.
    fn win_or_copy(&mut self, target: &Target, id: &SubmissionId) -> Result<SubmissionStatus, Stop> {
        let mut submission = self.expect(&SUBMISSIONS, id)?;
        let found = submission
            .found
            .as_mut()
            .or_broken("a candidate that was not revealed")?;
        // The claim of one that lost its own race is gone, and a later commit may hold it by now.
        if let Some(claim) = self.get(&CLAIMS, &found.data_hash)?
            && claim.submission != *id
            && (claim.won || claim.sequence < submission.sequence)
        {
            return Ok(SubmissionStatus::NotNew {
                first: claim.submission,
            });
        }
        let model_id = found.model;
        let mut model = self.expect(&MODELS, &model_id)?;

        // After this point it must succeed.
        let claim = DataClaim {
            submission: *id,
            sequence: submission.sequence,
            won: true,
        };
        self.set(&CLAIMS, &found.data_hash, &claim);
        let index = self.hot.now.hits;
        found.winner_index = Some(index);
        self.hot.now.hits += 1;
        self.hot.now.difficulty.window_hits += 1;
        self.set(&WINNER_AT, &(target.epoch, index), id);
        model.hits += 1;
        model.hits_total += 1;
        self.set(&MODELS, &model_id, &model);
        self.credit(&submission.submitter, submission.deposit, Bucket::Deposits)?;
        submission.deposit = Shannons::ZERO;
        submission.status = SubmissionStatus::Won;
        self.set(&SUBMISSIONS, id, &submission);
        self.emit(Event::TargetFilled {
            target: target.id,
            submission: *id,
            model: model_id,
        });
        self.emit(Event::SubmissionEnded {
            submission: *id,
            status: SubmissionStatus::Won,
        });
        Ok(SubmissionStatus::Won)
    }
}
