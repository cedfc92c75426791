//! Auditing the last epoch's winners (PROTOCOL.md, section 8).

use std::collections::BTreeMap;

use soma_types::{
    Address, Commitment, Height, Rejection, Salt, SubmissionId, Transcript,
    objects::{
        AuditFinding, AuditOutcome, Challenge, Committee, EpochState, Seat, Submission, SubmissionStatus,
    },
    transaction::Verdict,
};

use super::{Economy, money, shannons};
use crate::{auditors_of, is_sampled};

impl Economy {
    /// Who audits a submission in the epoch `audit`; `None` when nobody does.
    fn auditors(&self, audit: &EpochState, id: SubmissionId) -> Option<Vec<Seat>> {
        let seats = self.committees[&audit.epoch.0].clone();
        let auditors = auditors_of(audit, &Committee { seats }, &self.submissions[&id]);
        (!auditors.is_empty()).then_some(auditors)
    }

    /// Anyone may force the audit of a winner of this epoch, or of the last one while there is time.
    pub(super) fn challenge(&mut self, sender: Address, id: SubmissionId) -> Result<(), Rejection> {
        let submission = self
            .submissions
            .get(&id)
            .cloned()
            .ok_or(Rejection::NoSuchSubmission { submission: id })?;
        let won_in = self.targets[&submission.target].epoch.0;
        if submission.status != SubmissionStatus::Won || won_in + 1 < self.now.epoch {
            return Err(Rejection::NotChallengeable {});
        }
        // Until half of the phase in which auditors commit is over.
        let from = self.now.first_height + self.params.audit_commit_blocks / 2;
        if won_in < self.now.epoch && self.height >= from {
            let from = Height(from);
            return Err(Rejection::ChallengeClosed { from });
        }
        let index = submission
            .found
            .as_ref()
            .and_then(|found| found.winner_index)
            .expect("it has won");
        if won_in < self.now.epoch && is_sampled(&self.epoch_state(), index) {
            return Err(Rejection::SampledAlready {});
        }
        if let Some(Challenge { challenger, .. }) = submission.challenge {
            return Err(Rejection::AlreadyChallenged { challenger });
        }
        let bond = money(submission.bond).max(money(self.params.challenge_bond_min));
        self.take(&sender, bond)?;
        let challenge = Some(Challenge {
            challenger: sender,
            bond: shannons(bond),
            end: None,
        });
        self.submissions.insert(
            id,
            Submission {
                challenge,
                ..submission
            },
        );
        Ok(())
    }

    fn check_auditor(&self, sender: &Address, id: SubmissionId) -> Result<(), Rejection> {
        let submission = self
            .submissions
            .get(&id)
            .ok_or(Rejection::NoSuchSubmission { submission: id })?;
        let epoch = self.targets[&submission.target].epoch.0;
        let auditors = Some(id)
            .filter(|_| epoch + 1 == self.now.epoch)
            .and_then(|id| self.auditors(&self.epoch_state(), id))
            .ok_or(Rejection::NotUnderAudit {})?;
        if auditors.iter().all(|seat| seat.validator != *sender) {
            return Err(Rejection::NotAuditor {});
        }
        Ok(())
    }

    /// The first height of the epoch at which audits are revealed.
    fn reveals_from(&self) -> u64 {
        self.now.first_height + self.params.audit_commit_blocks
    }

    pub(super) fn commit_audit(
        &mut self,
        sender: Address,
        id: SubmissionId,
        commitment: Commitment,
    ) -> Result<(), Rejection> {
        self.check_auditor(&sender, id)?;
        if self.height >= self.reveals_from() {
            let until = Height(self.reveals_from() - 1);
            return Err(Rejection::AuditCommitClosed { until });
        }
        if self.votes.contains_key(&(id, sender)) {
            return Err(Rejection::AuditAlreadyCommitted {});
        }
        self.votes.insert((id, sender), (commitment, None));
        Ok(())
    }

    pub(super) fn reveal_audit(
        &mut self,
        sender: Address,
        id: SubmissionId,
        salt: &Salt,
        verdict: Verdict,
        transcript: Transcript,
    ) -> Result<(), Rejection> {
        self.check_auditor(&sender, id)?;
        if self.height < self.reveals_from() {
            let from = Height(self.reveals_from());
            return Err(Rejection::AuditRevealTooEarly { from });
        }
        let (commitment, revealed) = self
            .votes
            .get_mut(&(id, sender))
            .ok_or(Rejection::AuditNotCommitted {})?;
        if revealed.is_some() {
            return Err(Rejection::AuditAlreadyRevealed {});
        }
        if verdict.commitment(&sender, &id, &transcript, salt) != *commitment {
            return Err(Rejection::AuditMismatch {});
        }
        if !verdict.has_transcript() && transcript != Transcript::default() {
            return Err(Rejection::TranscriptNotZero {});
        }
        *revealed = Some(AuditFinding { verdict, transcript });
        Ok(())
    }

    /// The verdict on a winner, entered in its auditors' duty. Choice: a majority is more than half of
    /// the stake of all auditors, silent ones included, for one verdict with one transcript; where there
    /// is none, those in the largest group (of equal ones the first in order) have done their duty.
    pub(super) fn conclude(&mut self, audit: &EpochState, id: SubmissionId) -> Option<AuditOutcome> {
        let auditors = self.auditors(audit, id)?;
        let finding = |seat: &Seat| {
            self.votes
                .get(&(id, seat.validator))
                .and_then(|(_, revealed)| *revealed)
        };
        let total: u128 = auditors.iter().map(|seat| money(seat.stake)).sum();
        let mut stakes: BTreeMap<AuditFinding, u128> = BTreeMap::new();
        for seat in &auditors {
            if let Some(finding) = finding(seat) {
                *stakes.entry(finding).or_default() += money(seat.stake);
            }
        }
        let most = stakes.values().copied().max().unwrap_or(0);
        let favoured = stakes
            .iter()
            .find(|(_, stake)| **stake == most)
            .map(|(finding, _)| *finding);
        let with = |wanted: &dyn Fn(Option<AuditFinding>) -> bool| {
            auditors
                .iter()
                .filter(|seat| wanted(finding(seat)))
                .map(|seat| seat.validator)
                .collect()
        };
        let outcome = AuditOutcome {
            majority: favoured.filter(|_| 2 * most > total),
            agreed: with(&|found| found.is_some() && found == favoured),
            dissented: with(&|found| found.is_some() && found != favoured),
            silent: with(&|found| found.is_none()),
        };
        for seat in &auditors {
            let duty = self.duties.entry((audit.epoch.0, seat.validator)).or_default();
            duty.audits += 1;
            duty.agreed += u128::from(outcome.agreed.contains(&seat.validator));
        }
        self.outcomes.insert(id, outcome.clone());
        Some(outcome)
    }
}
