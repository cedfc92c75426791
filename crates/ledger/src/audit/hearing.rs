//! Hearings: auditors that were drawn only accuse, the whole committee convicts.
//!
//! A cartel with a third of the stake is the majority of 17% of the draws of seven, one with a fifth of 3%.
//! If draws convicted, it would take honest winners' bonds there. A majority of the committee it is in none.
//!
//! Upon the end of `audit_reveal_blocks`: the votes of drawn auditors are frozen. A winner of whom more than
//! half of their stake found that it must not stand is *heard*: a function of their votes, so nothing is
//! stored and nothing happens at that height. In the next `hearing_commit_blocks` every seat of the
//! committee, the auditors too, commits to what it finds, and in the rest of the epoch reveals it. Upon
//! settlement: more than half of the committee's stake for one finding decides; without it the winner stands.
//! Where all of the committee are auditors there is nobody else to ask: they reveal until the epoch's end,
//! and their majority is final.
//!
//! A hearing's transcript covers what the auditors' does, under another domain: it cannot be made from
//! theirs, which are public by then.
//!
//! **Duty.** A hearing is an audit more for every seat, done if it agreed. An auditor of a heard winner has
//! done its part if it took the side that the hearing took. One whose false score the hearing overruled made
//! the whole committee work: that counts as an audit of every seat assigned, and not done. Not so where it
//! could not fetch the data, or not the right bytes: their owner can show others what it kept from the
//! auditors, so an honest auditor may be overruled, and loses one audit.
//!
//! **Bounds.** A vote in a hearing reads the votes of its auditors. An epoch has at most as many hearings as
//! winners, and each adds at most two for each seat to a count of audits, or the number of seats to an
//! accuser's: far below 64 bits.

use std::collections::BTreeMap;

use soma_types::{
    Address, Epoch, Height, Rejection, SubmissionId,
    objects::{AuditFinding, AuditOutcome, AuditStage, Committee, EpochState, Seat, Submission, VoteCount},
    transaction::Verdict,
};

use crate::{
    audit::{count::count, draw::auditors_of},
    error::Stop,
    ledger::Ledger,
    tables::{COMMITTEES, DUTIES, EPOCHS, SUBMISSIONS, TARGETS},
};

/// Whose votes on a winner are taken now.
pub(crate) struct Turn {
    /// The stage of its audit.
    pub stage: AuditStage,
    /// Who votes in it.
    pub voters: Vec<Seat>,
    /// The first height at which they reveal.
    pub reveals_from: Height,
}

/// Whether these votes of `drawn` auditors call upon the committee.
fn accuses(drawn: &VoteCount, auditors: &[Seat], committee: &Committee) -> bool {
    auditors.len() < committee.seats.len() && drawn.majority.is_some_and(|finding| finding.verdict.accuses())
}

/// What an audit adds to its voters' duty: audits assigned to them, and done. `findings` has one entry for
/// each of `auditors`.
fn duties(
    auditors: &[Seat],
    findings: &[Option<AuditFinding>],
    outcome: &AuditOutcome,
) -> BTreeMap<Address, (u64, u64)> {
    let voters = outcome.decisive().voters();
    let mut duties: BTreeMap<_, _> = voters
        .map(|(voter, agreed)| (voter, (1, u64::from(agreed))))
        .collect();
    // A hearing without a majority does not tell which auditors were right.
    let Some(heard) = outcome.hearing.as_ref().and_then(|hearing| hearing.majority) else {
        return duties;
    };
    let seats = duties.len() as u64;
    for (seat, finding) in auditors.iter().zip(findings) {
        let verdict = finding.map(|finding| finding.verdict);
        let right = verdict.is_some_and(|verdict| verdict.accuses() == heard.verdict.accuses());
        let (assigned, done) = duties.entry(seat.validator).or_default();
        match verdict {
            Some(Verdict::FalseScore) if !right => *assigned += seats,
            _ => *assigned += 1,
        }
        *done += u64::from(right);
    }
    duties
}

impl Ledger<'_> {
    /// Whose turn it is to vote on `winner`, one of the last epoch. Nobody's while it is not under audit.
    pub(crate) fn turn(&mut self, winner: &Submission) -> Result<Turn, Stop> {
        let target = self.expect(&TARGETS, &winner.target)?;
        if target.epoch.next() != self.epoch() {
            return Err(Rejection::NotUnderAudit {}.into());
        }
        let committee = self.expect(&COMMITTEES, &self.epoch())?;
        let auditors = auditors_of(&self.hot.now, &committee, winner);
        if auditors.is_empty() {
            return Err(Rejection::NotUnderAudit {}.into());
        }
        let at = |offset: u64| self.hot.now.first_height.plus(offset);
        let (hearing, reveals) = (
            at(self.hot.params.hearing_from()),
            at(self.hot.params.hearing_reveals_from()),
        );
        let audit = at(self.hot.params.audit_commit_blocks);
        if self.block.height < hearing || auditors.len() == committee.seats.len() {
            return Ok(Turn {
                stage: AuditStage::Drawn,
                voters: auditors,
                reveals_from: audit,
            });
        }
        let findings = self.findings(&winner.id, AuditStage::Drawn, &auditors)?;
        let drawn = count(&auditors, &findings);
        if !accuses(&drawn, &auditors, &committee) {
            return Err(Rejection::NoHearing { from: hearing }.into());
        }
        Ok(Turn {
            stage: AuditStage::Hearing,
            voters: committee.seats,
            reveals_from: reveals,
        })
    }

    /// The turn to vote on the submission `id`, which must be `sender`'s too.
    pub(crate) fn turn_of(&mut self, sender: &Address, id: &SubmissionId) -> Result<Turn, Stop> {
        let submission = self
            .get(&SUBMISSIONS, id)?
            .ok_or(Rejection::NoSuchSubmission { submission: *id })?;
        let turn = self.turn(&submission)?;
        if turn.voters.iter().all(|seat| seat.validator != *sender) {
            return Err(Rejection::NotAuditor {}.into());
        }
        Ok(turn)
    }

    /// Counts the votes on a winner that was audited in the epoch `audit`, enters them in the voters' duty,
    /// and drops them. `None` when it was not audited.
    pub(crate) fn conclude_audit(
        &mut self,
        audit: &EpochState,
        winner: &Submission,
    ) -> Result<Option<AuditOutcome>, Stop> {
        let committee = self.expect(&COMMITTEES, &audit.epoch)?;
        let auditors = auditors_of(audit, &committee, winner);
        if auditors.is_empty() {
            return Ok(None);
        }
        let seats = &committee.seats;
        self.prefetch(
            seats
                .iter()
                .map(|seat| DUTIES.key(&(audit.epoch, seat.validator))),
        )?;
        let findings = self.findings(&winner.id, AuditStage::Drawn, &auditors)?;
        let mut outcome = AuditOutcome {
            drawn: count(&auditors, &findings),
            hearing: None,
        };
        if accuses(&outcome.drawn, &auditors, &committee) {
            let heard = self.findings(&winner.id, AuditStage::Hearing, seats)?;
            outcome.hearing = Some(count(seats, &heard));
            self.drop_votes(&winner.id, AuditStage::Hearing, seats)?;
        }
        self.drop_votes(&winner.id, AuditStage::Drawn, &auditors)?;
        for (validator, (assigned, done)) in duties(&auditors, &findings, &outcome) {
            let mut duty = self.get(&DUTIES, &(audit.epoch, validator))?.unwrap_or_default();
            duty.audits_assigned += assigned;
            duty.audits_done += done;
            self.set(&DUTIES, &(audit.epoch, validator), &duty);
        }
        Ok(Some(outcome))
    }

    /// The epoch in which the winners of `epoch` are audited, once it is over.
    pub(crate) fn audit_epoch(&mut self, epoch: Epoch) -> Result<EpochState, Stop> {
        Ok(self.expect(&EPOCHS, &epoch.next())?.state)
    }
}
