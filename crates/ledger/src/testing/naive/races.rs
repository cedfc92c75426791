//! Targets and the races for them (docs/protocol.md, sections 6 and 7).

use soma_types::{
    Address, Commitment, Embedding, Epoch, Height, Rejection, Salt, Shannons, SubmissionId, TargetId,
    TransactionHash,
    hash::domain_hash,
    objects::{Candidate, Found, Submission, SubmissionStatus, Target, TargetStatus},
    transaction::SubmissionReveal,
};

use super::{Economy, money, rate_at, root_q16, shannons};
use crate::BlockInfo;

/// Choice: a race has at most this many candidates, the first by rank.
const CANDIDATES_MAX: usize = 32;

/// z / sqrt(dim), in Q30 and rounded down.
fn threshold_q30(z_q16: i64, dim: u32) -> i64 {
    (z_q16 << 30).div_euclid(root_q16(dim) as i64)
}

impl Economy {
    /// Opens the epoch's next target in a slot.
    pub(super) fn open_target(&mut self, block: &BlockInfo, slot: u32) {
        // Choice: without a model to aim at no target opens.
        if self.competing().is_empty() {
            return;
        }
        let (epoch, index) = (Epoch(self.now.epoch), self.now.targets_opened);
        let dim = self.params.architecture.embedding_dim;
        let seed = block.seed.derive("target", index);
        let id = TargetId(domain_hash(
            "soma 2026 target id",
            &[&epoch.0.to_le_bytes(), &index.to_le_bytes(), &seed.0],
        ));
        let target = Target {
            id,
            epoch,
            index,
            slot,
            seed,
            threshold_q30: threshold_q30(self.now.z_q16, dim),
            models: self.route(&Embedding::draw(&seed, dim as usize)),
            opened: block.height,
            status: TargetStatus::Open,
            candidates: Vec::new(),
        };
        self.targets.insert(id, target);
        self.now.targets_opened += 1;
    }

    pub(super) fn open_targets(&mut self, block: &BlockInfo) {
        for slot in 0..self.params.open_targets {
            self.open_target(block, slot);
        }
    }

    /// Races that end now; at a boundary all that are under way. Each filled target is replaced at once,
    /// at a boundary only once the new epoch has begun.
    pub(super) fn settle_races(&mut self, block: &BlockInfo, boundary: bool) {
        let height = self.height;
        let mut ending: Vec<(u64, TargetId)> = Vec::new();
        for id in &self.races {
            if let TargetStatus::Settling { at } = self.targets[id].status
                && (boundary || at.0 == height)
            {
                ending.push((at.0, *id));
            }
        }
        ending.sort_by_key(|(at, _)| *at);
        for (_, id) in ending {
            self.races.retain(|race| *race != id);
            if let Some(slot) = self.settle(id)
                && !boundary
            {
                self.open_target(block, slot);
            }
        }
    }

    /// The first whose data is its own wins. Returns the slot that became free.
    fn settle(&mut self, id: TargetId) -> Option<u32> {
        let mut target = self.targets[&id].clone();
        let mut winner: Option<SubmissionId> = None;
        for candidate in std::mem::take(&mut target.candidates) {
            let submission = &self.submissions[&candidate.submission];
            let hash = submission.found.as_ref().expect("revealed").data_hash;
            let first = self
                .claims
                .get(&hash)
                .copied()
                .filter(|other| self.owns_data(*other, submission.sequence));
            match (winner, first) {
                (Some(to), _) => self.lose(candidate.submission, SubmissionStatus::LostRace { to }),
                (None, Some(first)) => self.lose(candidate.submission, SubmissionStatus::NotNew { first }),
                (None, None) => {
                    winner = Some(candidate.submission);
                    self.win(candidate.submission);
                }
            }
        }
        target.status = match winner {
            Some(submission) => TargetStatus::Filled {
                submission,
                at: Height(self.height),
            },
            None => TargetStatus::Open,
        };
        let slot = target.slot;
        self.targets.insert(id, target);
        winner.map(|_| slot)
    }

    /// Whether the holder of a claim keeps it against a commit with this sequence: it has won, or
    /// it was committed earlier.
    fn owns_data(&self, holder: SubmissionId, sequence: u64) -> bool {
        let holder = &self.submissions[&holder];
        holder.status != SubmissionStatus::Revealed || holder.sequence < sequence
    }

    fn win(&mut self, id: SubmissionId) {
        let index = self.now.hits;
        self.now.hits += 1;
        self.now.window_hits += 1;
        let submission = self.submissions.get_mut(&id).expect("a candidate");
        let found = submission.found.as_mut().expect("revealed");
        found.winner_index = Some(index);
        let (model, hash) = (found.model, found.data_hash);
        let (submitter, deposit) = (submission.submitter, submission.deposit);
        submission.deposit = Shannons(0);
        submission.status = SubmissionStatus::Won;
        self.claims.insert(hash, id);
        let model = self.models.get_mut(&model).expect("routed to");
        model.hits += 1;
        model.hits_total += 1;
        self.credit(submitter, money(deposit));
    }

    /// Bond and deposit come back, and nobody keeps a claim to data that won nothing.
    fn lose(&mut self, id: SubmissionId, status: SubmissionStatus) {
        let submission = self.submissions.get_mut(&id).expect("listed");
        let (submitter, back) = (
            submission.submitter,
            money(submission.bond) + money(submission.deposit),
        );
        (submission.bond, submission.deposit) = (Shannons(0), Shannons(0));
        submission.status = status;
        if let Some(found) = &submission.found
            && self.claims.get(&found.data_hash) == Some(&id)
        {
            self.claims.remove(&found.data_hash);
        }
        self.credit(submitter, back);
    }

    pub(super) fn commit_submission(
        &mut self,
        sender: Address,
        hash: TransactionHash,
        target: TargetId,
        commitment: Commitment,
    ) -> Result<SubmissionId, Rejection> {
        let aim = self
            .targets
            .get(&target)
            .ok_or(Rejection::NoSuchTarget { target })?;
        // While it opens, a reveal does not keep others out.
        let opens = self.height < aim.opened.0 + self.params.opening_blocks;
        let takes =
            aim.status == TargetStatus::Open || opens && matches!(aim.status, TargetStatus::Settling { .. });
        if aim.epoch.0 != self.now.epoch || !takes {
            return Err(Rejection::TargetClosed {});
        }
        // A target never gets harder than it was, and what is asked is fixed with the commit.
        let in_force = threshold_q30(self.now.z_q16, self.params.architecture.embedding_dim);
        let threshold_q30 = aim.threshold_q30.min(in_force);
        let deposit = self.params.submission_deposit;
        self.take(&sender, money(deposit))?;
        let id = SubmissionId::created_by(&hash);
        let submission = Submission {
            id,
            target,
            submitter: sender,
            commitment,
            committed: Height(self.height),
            sequence: self.next_sequence(),
            threshold_q30,
            deposit,
            bond: Shannons(0),
            status: SubmissionStatus::Committed,
            found: None,
            challenge: None,
        };
        self.deadlines.insert(id, self.height + self.params.reveal_blocks);
        self.submissions.insert(id, submission);
        self.now.committed += 1;
        Ok(id)
    }

    pub(super) fn reveal_submission(
        &mut self,
        sender: Address,
        id: SubmissionId,
        salt: &Salt,
        reveal: &SubmissionReveal,
    ) -> Result<(), Rejection> {
        let submission = self
            .submissions
            .get(&id)
            .cloned()
            .ok_or(Rejection::NoSuchSubmission { submission: id })?;
        if submission.submitter != sender {
            let submitter = submission.submitter;
            return Err(Rejection::NotSubmitter { submitter });
        }
        // Past its blocks it has expired.
        if submission.status != SubmissionStatus::Committed {
            return Err(Rejection::NotAwaitingReveal {});
        }
        if self.height == submission.committed.0 {
            let from = Height(self.height + 1);
            return Err(Rejection::RevealTooSoon { from });
        }
        let mut target = self.targets[&submission.target].clone();
        if target.epoch.0 != self.now.epoch || matches!(target.status, TargetStatus::Filled { .. }) {
            return Err(Rejection::TargetClosed {});
        }
        if reveal.commitment(&sender, salt) != submission.commitment {
            return Err(Rejection::CommitmentMismatch {});
        }
        let found = self.check_reveal(&target, submission.threshold_q30, reveal)?;
        let hash = reveal.data_hash;
        if let Some(other) = self
            .claims
            .get(&hash)
            .copied()
            .filter(|other| self.owns_data(*other, submission.sequence))
        {
            return Err(Rejection::DataNotNew {
                hash,
                submission: other,
            });
        }
        let by_size = money(self.params.bond_per_byte) * u128::from(reveal.data_size_bytes);
        let bond = by_size.max(self.now.bond_floor);
        self.take(&sender, bond)?;
        self.claims.insert(hash, id);
        self.now.revealed += 1;
        if target.status == TargetStatus::Open {
            let at = Height(self.height + self.params.settlement_blocks);
            target.status = TargetStatus::Settling { at };
            self.races.push(target.id);
        }
        let is_opening = submission.committed.0 < target.opened.0 + self.params.opening_blocks;
        target.candidates.push(Candidate {
            opening_dot_q30: is_opening.then_some(found.dot_q30),
            sequence: submission.sequence,
            submission: id,
        });
        // First those that were committed while it opened, the closest first; then the others, as they came.
        let early = |one: &Candidate| one.opening_dot_q30;
        target.candidates.sort_by(|a, b| match (early(a), early(b)) {
            (Some(a_dot), Some(b_dot)) => b_dot.cmp(&a_dot).then(a.sequence.cmp(&b.sequence)),
            (None, None) => a.sequence.cmp(&b.sequence),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        self.submissions.insert(
            id,
            Submission {
                bond: shannons(bond),
                found: Some(found),
                status: SubmissionStatus::Revealed,
                ..submission
            },
        );
        if target.candidates.len() > CANDIDATES_MAX {
            let last = target.candidates.pop().expect("more than 32");
            let to = target.candidates[0].submission;
            self.lose(last.submission, SubmissionStatus::LostRace { to });
        }
        self.targets.insert(target.id, target);
        Ok(())
    }

    fn check_reveal(
        &self,
        target: &Target,
        threshold_q30: i64,
        reveal: &SubmissionReveal,
    ) -> Result<Found, Rejection> {
        let losses = reveal.losses_nano.to_vec();
        let (given, expected) = (losses.len() as u32, target.models.len() as u32);
        if given != expected {
            return Err(Rejection::WrongLossCount { given, expected });
        }
        let size_bytes = reveal.data_size_bytes;
        let chunk_bytes = u64::from(self.params.architecture.max_seq_len);
        // Choice: nothing at all is no data, even where no full chunk is asked for.
        let minimum_bytes = 1.max(chunk_bytes * self.params.data_chunks_min);
        let limit_bytes = chunk_bytes * self.params.data_chunks_max;
        if !(minimum_bytes..=limit_bytes).contains(&size_bytes) {
            return Err(Rejection::DataSize {
                size_bytes,
                minimum_bytes,
                limit_bytes,
            });
        }
        let (given, expected) = (
            reveal.embedding.dim() as u32,
            self.params.architecture.embedding_dim,
        );
        if given != expected {
            return Err(Rejection::EmbeddingDimension { given, expected });
        }
        // The lowest loss, ties to the earlier model.
        let loss_nano = *losses.iter().min().expect("a target has models");
        let place = losses
            .iter()
            .position(|loss| *loss == loss_nano)
            .expect("it is one of them");
        let model = target.models[place];
        let cross_entropy_nano = reveal.cross_entropy_nano;
        if cross_entropy_nano > loss_nano {
            return Err(Rejection::CrossEntropyAboveLoss {
                cross_entropy_nano,
                loss_nano,
            });
        }
        let (min_nano, max_nano) = (
            self.params.cross_entropy_min_nano,
            self.params.cross_entropy_max_nano,
        );
        if !(min_nano..=max_nano).contains(&cross_entropy_nano) {
            return Err(Rejection::LossBand {
                cross_entropy_nano,
                min_nano,
                max_nano,
            });
        }
        let aim = Embedding::draw(&target.seed, expected as usize);
        let dot: i64 = aim
            .as_slice()
            .iter()
            .zip(reveal.embedding.as_slice())
            .map(|(a, b)| i64::from(*a) * i64::from(*b))
            .sum();
        if dot < threshold_q30 {
            return Err(Rejection::BelowThreshold {
                dot_q30: dot,
                threshold_q30,
            });
        }
        Ok(Found {
            revealed: Height(self.height),
            data_url: reveal.data_url.clone(),
            data_size_bytes: reveal.data_size_bytes,
            data_hash: reveal.data_hash,
            losses_nano: losses,
            cross_entropy_nano,
            model,
            commission: rate_at(&self.models[&model].commission, self.now.epoch),
            dot_q30: i32::try_from(dot).expect("unit vectors"),
            winner_index: None,
        })
    }

    /// Commits whose blocks for a reveal are over. The deposit is lost, unless the target closed in them.
    pub(super) fn expire_commits(&mut self) {
        let height = self.height;
        let mut late: Vec<(u64, SubmissionId)> = self
            .submissions
            .values()
            .filter(|one| one.status == SubmissionStatus::Committed && self.deadlines[&one.id] < height)
            .map(|one| (one.sequence, one.id))
            .collect();
        late.sort_unstable();
        for (_, id) in late {
            let submission = self.submissions[&id].clone();
            let target = &self.targets[&submission.target];
            let filled = matches!(target.status, TargetStatus::Filled { at, .. } if at.0 < height);
            if filled || target.epoch.0 < self.now.epoch {
                let forfeited = Shannons(0);
                self.lose(id, SubmissionStatus::Expired { forfeited });
            } else {
                let forfeited = submission.deposit;
                self.forfeit(money(forfeited));
                self.submissions.insert(
                    id,
                    Submission {
                        deposit: Shannons(0),
                        status: SubmissionStatus::Expired { forfeited },
                        ..submission
                    },
                );
            }
        }
    }
}
