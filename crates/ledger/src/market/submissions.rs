//! Submissions (docs/protocol.md, section 7), in two steps so that nobody can copy what they see.
//!
//! Upon *commit*: a deposit is locked, and the commit takes its place in the order of all commits.
//! Upon *reveal*, 1 to `reveal_blocks` later: everything is checked, a bond is locked, and the target's
//! race starts or goes on: see `races`.
//! Upon *expiry* without a reveal: the deposit is lost, unless the target closed in the meantime.
//!
//! **Data that is not new.** The first reveal of a data hash claims it; a reveal with an earlier commit
//! takes the claim over, also across targets. Whoever does not hold the claim when its target settles
//! has copied, and does not win. A claim that has won stands for ever.
//!
//! **Bounds.** A race has at most [`CANDIDATES_MAX`] candidates, the first by rank. The queues of a
//! height hold what one block put there.

use soma_types::{
    Address, Commitment, Embedding, Height, Rejection, Salt, Shannons, SubmissionId, TargetId,
    TransactionHash,
    event::Event,
    objects::{Candidate, DataClaim, Found, Submission, SubmissionStatus, Target, TargetStatus},
    transaction::SubmissionReveal,
};

use crate::{
    error::{OrBroken, Stop},
    ledger::Ledger,
    money::bank::Bucket,
    tables::{
        CLAIMS, EXPIRIES, MODELS, SETTLEMENTS, SUBMISSION_AT, SUBMISSION_EMBEDDINGS, SUBMISSIONS, TARGETS,
    },
};

/// Most candidates in one race.
const CANDIDATES_MAX: usize = 32;

impl Ledger<'_> {
    pub(crate) fn commit_submission(
        &mut self,
        sender: &Address,
        transaction: &TransactionHash,
        target_id: &TargetId,
        commitment: Commitment,
    ) -> Result<SubmissionId, Stop> {
        let target = self
            .get(&TARGETS, target_id)?
            .ok_or(Rejection::NoSuchTarget { target: *target_id })?;
        let (height, opening_blocks) = (self.block.height, self.hot.params.opening_blocks);
        if target.epoch != self.epoch() || !target.takes_commits(height, opening_blocks) {
            return Err(Rejection::TargetClosed {}.into());
        }
        let deposit = self.hot.params.submission_deposit;
        self.debit(sender, deposit, Bucket::Deposits)?;

        // From here on nothing is rejected.
        let id = SubmissionId::created_by(transaction);
        let submission = Submission {
            id,
            target: *target_id,
            submitter: *sender,
            commitment,
            committed: self.block.height,
            sequence: self.next_sequence()?,
            threshold_q30: self.commit_threshold_q30(&target),
            deposit,
            bond: Shannons::ZERO,
            status: SubmissionStatus::Committed,
            found: None,
            challenge: None,
        };
        self.set(&SUBMISSIONS, &id, &submission);
        let index = self.hot.counters.submissions;
        self.set(&SUBMISSION_AT, &index, &id);
        self.hot.counters.submissions += 1;
        self.hot.now.submissions_committed += 1;
        let expires = self.block.height.plus(self.hot.params.reveal_blocks).next();
        EXPIRIES.push(self.state, &expires, &id)?;
        self.emit(Event::SubmissionCommitted {
            submission: id,
            target: *target_id,
        });
        Ok(id)
    }

    pub(crate) fn reveal_submission(
        &mut self,
        sender: &Address,
        id: &SubmissionId,
        salt: &Salt,
        reveal: &SubmissionReveal,
    ) -> Result<(), Stop> {
        let mut submission = self
            .get(&SUBMISSIONS, id)?
            .ok_or(Rejection::NoSuchSubmission { submission: *id })?;
        if submission.submitter != *sender {
            return Err(Rejection::NotSubmitter {
                submitter: submission.submitter,
            }
            .into());
        }
        if submission.status != SubmissionStatus::Committed {
            return Err(Rejection::NotAwaitingReveal {}.into());
        }
        let from = submission.committed.next();
        if self.block.height < from {
            return Err(Rejection::RevealTooSoon { from }.into());
        }
        let mut target = self.expect(&TARGETS, &submission.target)?;
        if target.epoch != self.epoch() || matches!(target.status, TargetStatus::Filled { .. }) {
            return Err(Rejection::TargetClosed {}.into());
        }
        if reveal.commitment(sender, salt) != submission.commitment {
            return Err(Rejection::CommitmentMismatch {}.into());
        }
        let mut found = self.check_reveal(&submission, &target, reveal)?;
        let claim = DataClaim {
            submission: *id,
            sequence: submission.sequence,
            won: false,
        };
        if let Some(other) = self.get(&CLAIMS, &reveal.data_hash)?
            && (other.won || other.sequence < claim.sequence)
        {
            let hash = reveal.data_hash;
            return Err(Rejection::DataNotNew {
                hash,
                submission: other.submission,
            }
            .into());
        }
        let model = self.expect(&MODELS, &found.model)?;
        found.commission = model.commission.at(self.epoch());
        let bond = self.hot.now.bond_of(&self.hot.params, reveal.data_size_bytes);
        self.debit(sender, bond, Bucket::Bonds)?;

        // From here on nothing is rejected.
        self.set(&CLAIMS, &reveal.data_hash, &claim);
        self.set(&SUBMISSION_EMBEDDINGS, id, &reveal.embedding);
        self.hot.now.submissions_revealed += 1;
        let settles_at = self.start_race(&mut target)?;
        let is_opening = target.is_opening(submission.committed, self.hot.params.opening_blocks);
        let candidate = Candidate {
            opening_dot_q30: is_opening.then_some(found.dot_q30),
            sequence: submission.sequence,
            submission: *id,
        };
        let place = target
            .candidates
            .partition_point(|other| other.rank() < candidate.rank());
        target.candidates.insert(place, candidate);
        submission.bond = bond;
        submission.found = Some(found);
        submission.status = SubmissionStatus::Revealed;
        self.set(&SUBMISSIONS, id, &submission);
        self.emit(Event::SubmissionRevealed {
            submission: *id,
            target: target.id,
            settles_at,
        });
        if target.candidates.len() > CANDIDATES_MAX {
            let last = target.candidates.pop().or_broken("a race without candidates")?;
            let to = target
                .candidates
                .first()
                .or_broken("a race without candidates")?
                .submission;
            self.end_submission(&last.submission, SubmissionStatus::LostRace { to })?;
        }
        self.set(&TARGETS, &target.id.clone(), &target);
        Ok(())
    }

    /// Starts the race for a target that has its first valid reveal; returns when it settles.
    fn start_race(&mut self, target: &mut Target) -> Result<Height, Stop> {
        if let TargetStatus::Settling { at } = target.status {
            return Ok(at);
        }
        let at = self.block.height.plus(self.hot.params.settlement_blocks);
        SETTLEMENTS.push(self.state, &at, &target.id)?;
        target.status = TargetStatus::Settling { at };
        Ok(at)
    }

    /// Checks what was found against the target and the rules.
    fn check_reveal(
        &self,
        submission: &Submission,
        target: &Target,
        reveal: &SubmissionReveal,
    ) -> Result<Found, Stop> {
        let params = self.hot.params.clone();
        let (given, expected) = (reveal.losses_nano.len() as u32, target.models.len() as u32);
        if given != expected {
            return Err(Rejection::WrongLossCount { given, expected }.into());
        }
        let size_bytes = reveal.data_size_bytes;
        let (minimum_bytes, limit_bytes) = (params.data_size_min_bytes(), params.data_size_max_bytes());
        if size_bytes < minimum_bytes || size_bytes > limit_bytes {
            return Err(Rejection::DataSize {
                size_bytes,
                minimum_bytes,
                limit_bytes,
            }
            .into());
        }
        let (given, expected) = (reveal.embedding.dim() as u32, params.architecture.embedding_dim);
        if given != expected {
            return Err(Rejection::EmbeddingDimension { given, expected }.into());
        }
        let winner = reveal.winner().or_broken("a target without models")?;
        let (loss_nano, cross_entropy_nano) = (reveal.losses_nano[winner], reveal.cross_entropy_nano);
        if cross_entropy_nano > loss_nano {
            return Err(Rejection::CrossEntropyAboveLoss {
                cross_entropy_nano,
                loss_nano,
            }
            .into());
        }
        let (min_nano, max_nano) = (params.cross_entropy_min_nano, params.cross_entropy_max_nano);
        if cross_entropy_nano < min_nano || cross_entropy_nano > max_nano {
            return Err(Rejection::LossBand {
                cross_entropy_nano,
                min_nano,
                max_nano,
            }
            .into());
        }
        let dot_q30 = Embedding::draw(&target.seed, reveal.embedding.dim()).dot(&reveal.embedding);
        if i64::from(dot_q30) < submission.threshold_q30 {
            let (dot_q30, threshold_q30) = (i64::from(dot_q30), submission.threshold_q30);
            return Err(Rejection::BelowThreshold {
                dot_q30,
                threshold_q30,
            }
            .into());
        }
        Ok(Found {
            revealed: self.block.height,
            data_url: reveal.data_url.clone(),
            data_size_bytes: reveal.data_size_bytes,
            data_hash: reveal.data_hash,
            losses_nano: reveal.losses_nano.to_vec(),
            cross_entropy_nano,
            model: target.models[winner],
            commission: soma_types::transaction::BasisPoints::default(),
            dot_q30,
            winner_index: None,
        })
    }

    /// Ends a submission that did not win: bond and deposit go back, its claim to the data with them, and
    /// nobody will ask for its embedding.
    pub(crate) fn end_submission(&mut self, id: &SubmissionId, status: SubmissionStatus) -> Result<(), Stop> {
        let mut submission = self.expect(&SUBMISSIONS, id)?;
        self.credit(&submission.submitter, submission.bond, Bucket::Bonds)?;
        self.credit(&submission.submitter, submission.deposit, Bucket::Deposits)?;
        (submission.bond, submission.deposit) = (Shannons::ZERO, Shannons::ZERO);
        submission.status = status;
        if let Some(found) = &submission.found {
            self.remove(&SUBMISSION_EMBEDDINGS, id);
            let claim = self.get(&CLAIMS, &found.data_hash)?;
            if claim.is_some_and(|claim| claim.submission == *id && !claim.won) {
                self.remove(&CLAIMS, &found.data_hash);
            }
        }
        self.set(&SUBMISSIONS, id, &submission);
        self.emit(Event::SubmissionEnded {
            submission: *id,
            status,
        });
        Ok(())
    }

    /// Handles the `index`th commit whose time for a reveal ended before this block; false past the
    /// last.
    pub(crate) fn expire(&mut self, index: u32) -> Result<bool, Stop> {
        let height = self.block.height;
        let Some(id) = EXPIRIES.take(self.state, &height, index)? else {
            return Ok(false);
        };
        let mut submission = self.expect(&SUBMISSIONS, &id)?;
        if submission.status != SubmissionStatus::Committed {
            return Ok(true);
        }
        let target = self.expect(&TARGETS, &submission.target)?;
        let filled = matches!(target.status, TargetStatus::Filled { at, .. } if at < height);
        if filled || target.epoch < self.epoch() {
            self.end_submission(
                &id,
                SubmissionStatus::Expired {
                    forfeited: Shannons::ZERO,
                },
            )?;
            return Ok(true);
        }
        let forfeited = submission.deposit;
        self.forfeit(forfeited, Bucket::Deposits)?;
        submission.deposit = Shannons::ZERO;
        submission.status = SubmissionStatus::Expired { forfeited };
        self.set(&SUBMISSIONS, &id, &submission);
        self.emit(Event::SubmissionEnded {
            submission: id,
            status: submission.status,
        });
        Ok(true)
    }
}
