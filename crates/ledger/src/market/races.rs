//! How races end (docs/protocol.md, sections 6 and 7): the first by rank wins, the others get bond and
//! deposit back. The earlier commit ranks first; of those made while the target was opening, the closer.
//!
//! **Why the closer.** Whoever makes the block in which a target opens sees it before anyone else, and puts a
//! commit into that very block, from a library scored beforehand. While it opens, being first is worth
//! nothing.
//!
//! A race begins with its target's first valid reveal (see `submissions`) and settles `settlement_blocks`
//! later; at a boundary, whatever is under way settles at once.

use soma_types::{
    Height, Shannons, SubmissionId,
    event::Event,
    objects::{DataClaim, SubmissionStatus, Target, TargetStatus},
};

use crate::{
    error::{OrBroken, Stop},
    ledger::Ledger,
    money::bank::Bucket,
    tables::{CLAIMS, MODELS, SETTLEMENTS, SUBMISSIONS, TARGETS, WINNER_AT},
};

impl Ledger<'_> {
    /// Settles the race that is `index`th in the queue of height `at`. Returns `None` past the queue's
    /// end, else the slot that became free, if the target was filled.
    pub(crate) fn settle(&mut self, at: Height, index: u32) -> Result<Option<Option<u32>>, Stop> {
        let Some(id) = SETTLEMENTS.take(self.state, &at, index)? else {
            return Ok(None);
        };
        let mut target = self.expect(&TARGETS, &id)?;
        self.prefetch(
            target
                .candidates
                .iter()
                .map(|one| SUBMISSIONS.key(&one.submission)),
        )?;

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
