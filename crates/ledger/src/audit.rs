//! The audit of winners (PROTOCOL.md, section 8).
//!
//! In epoch E + 1 a sample of E's winners is audited, and those that someone challenged. The sample and its
//! auditors are functions of E + 1's seed and committee, so nothing is stored until someone votes. The
//! auditors of challenged winners are drawn from a later seed: see `challenges`. In an epoch's first `audit_commit_blocks`
//! auditors *commit* to verdict and transcript, in the rest they *reveal*. When E's rewards are paid, in
//! E + 2, each audit is decided: the finding (verdict and transcript) of more than half of the
//! auditors' stake counts; without one the winner stands.
//!
//! **Failures.** Silent and dissenting auditors forfeit. A lazy one cannot guess the transcript, which
//! covers embeddings that were never published, and cannot copy it, since commitments bind the auditor.

use std::collections::BTreeMap;

use soma_types::{
    Address, Commitment, Epoch, Rejection, Salt, Seed, SubmissionId, Transcript,
    event::Event,
    hash::domain_xof,
    objects::{AuditFinding, AuditOutcome, AuditVote, Committee, EpochState, Seat, Submission},
    transaction::{BASIS_POINTS_ONE, Verdict},
};

use crate::{
    bank::Ledger,
    error::Stop,
    tables::{AUDIT_VOTES, COMMITTEES, DUTIES, SUBMISSIONS, TARGETS},
};

/// Whether the winner with this `index` is audited in the epoch `audit`.
#[must_use]
pub fn is_sampled(audit: &EpochState, index: u64) -> bool {
    let draw = audit.seed.derive("audit sample", index);
    let number = u64::from_le_bytes(draw.0[..8].try_into().expect("8 bytes of 32"));
    number % u64::from(BASIS_POINTS_ONE) < u64::from(audit.audit_rate.get())
}

/// The auditors of `winner` in the epoch `audit`, drawn by stake from its `committee`. None while it is not
/// under audit: it did not win, is neither sampled nor challenged, or its auditors are yet to be drawn.
#[must_use]
pub fn auditors_of(audit: &EpochState, committee: &Committee, winner: &Submission) -> Vec<Seat> {
    let Some(index) = winner.found.as_ref().and_then(|found| found.winner_index) else {
        return Vec::new();
    };
    if is_sampled(audit, index) {
        return draw_auditors(&audit.seed, audit.auditors, committee, index);
    }
    match (winner.challenge, &audit.challenge_seed) {
        (Some(_), Some(seed)) => draw_auditors(seed, audit.auditors, committee, index),
        _ => Vec::new(),
    }
}

/// Draws `wanted` seats by stake, all where it is 0 or there are not more.
fn draw_auditors(seed: &Seed, wanted: u32, committee: &Committee, index: u64) -> Vec<Seat> {
    let wanted = wanted as usize;
    if wanted == 0 || wanted >= committee.seats.len() {
        return committee.seats.clone();
    }
    let mut left = committee.seats.clone();
    let mut total: u128 = left.iter().map(|seat| u128::from(seat.stake.0)).sum();
    let mut stream = auditor_stream(seed, index);
    let mut bytes = [0; 16];
    let mut drawn = Vec::with_capacity(wanted);
    while drawn.len() < wanted && total > 0 {
        stream.fill(&mut bytes);
        // The total is below 2^64, so the remainder's bias is below 2^-64.
        let mut number = u128::from_le_bytes(bytes) % total;
        let mut place = 0;
        while number >= u128::from(left[place].stake.0) {
            number -= u128::from(left[place].stake.0);
            place += 1;
        }
        let seat = left.remove(place);
        total -= u128::from(seat.stake.0);
        drawn.push(seat);
    }
    drawn
}

fn auditor_stream(seed: &Seed, index: u64) -> blake3::OutputReader {
    domain_xof("soma 2026 auditors", &[&seed.0, &index.to_le_bytes()])
}

/// Groups the auditors by what they found. `findings` has one entry for each of `auditors`.
fn decide(auditors: &[Seat], findings: &[Option<AuditFinding>]) -> AuditOutcome {
    let mut groups: BTreeMap<AuditFinding, u128> = BTreeMap::new();
    for (seat, finding) in auditors.iter().zip(findings) {
        if let Some(finding) = finding {
            *groups.entry(*finding).or_default() += u128::from(seat.stake.0);
        }
    }
    let total: u128 = auditors.iter().map(|seat| u128::from(seat.stake.0)).sum();
    // Of equally large groups the first in order: an arbitrary but fixed choice.
    let largest = groups
        .iter()
        .max_by_key(|(finding, stake)| (**stake, std::cmp::Reverse(**finding)));
    let favoured = largest.map(|(finding, _)| *finding);
    let majority = largest
        .filter(|(_, stake)| 2 * **stake > total)
        .map(|(finding, _)| *finding);
    let mut outcome = AuditOutcome {
        majority,
        agreed: vec![],
        dissented: vec![],
        silent: vec![],
    };
    for (seat, finding) in auditors.iter().zip(findings) {
        let list = match finding {
            None => &mut outcome.silent,
            Some(_) if *finding == favoured => &mut outcome.agreed,
            Some(_) => &mut outcome.dissented,
        };
        list.push(seat.validator);
    }
    outcome
}

impl Ledger<'_> {
    /// Checks that `sender` is an auditor of `id` in this epoch.
    fn check_auditor(&mut self, sender: &Address, id: &SubmissionId) -> Result<(), Stop> {
        let submission = self
            .get(&SUBMISSIONS, id)?
            .ok_or(Rejection::NoSuchSubmission { submission: *id })?;
        let target = self.expect(&TARGETS, &submission.target)?;
        if target.epoch.next() != self.epoch() {
            return Err(Rejection::NotUnderAudit {}.into());
        }
        let committee = self.expect(&COMMITTEES, &self.epoch())?;
        let auditors = auditors_of(&self.hot.now, &committee, &submission);
        if auditors.is_empty() {
            return Err(Rejection::NotUnderAudit {}.into());
        }
        if auditors.iter().any(|seat| seat.validator == *sender) {
            Ok(())
        } else {
            Err(Rejection::NotAuditor {}.into())
        }
    }

    pub(crate) fn commit_audit(
        &mut self,
        sender: &Address,
        id: &SubmissionId,
        commitment: Commitment,
    ) -> Result<(), Stop> {
        self.check_auditor(sender, id)?;
        let phase = self.hot.params.audit_commit_blocks;
        if self.hot.epoch_offset(self.block) >= phase {
            let until = self.hot.now.first_height.plus(phase - 1);
            return Err(Rejection::AuditCommitClosed { until }.into());
        }
        if self.get(&AUDIT_VOTES, &(*id, *sender))?.is_some() {
            return Err(Rejection::AuditAlreadyCommitted {}.into());
        }
        self.set(
            &AUDIT_VOTES,
            &(*id, *sender),
            &AuditVote {
                commitment,
                revealed: None,
            },
        );
        self.emit(Event::AuditCommitted {
            submission: *id,
            auditor: *sender,
        });
        Ok(())
    }

    pub(crate) fn reveal_audit(
        &mut self,
        sender: &Address,
        id: &SubmissionId,
        salt: &Salt,
        verdict: Verdict,
        transcript: Transcript,
    ) -> Result<(), Stop> {
        self.check_auditor(sender, id)?;
        let phase = self.hot.params.audit_commit_blocks;
        if self.hot.epoch_offset(self.block) < phase {
            let from = self.hot.now.first_height.plus(phase);
            return Err(Rejection::AuditRevealTooEarly { from }.into());
        }
        let Some(mut vote) = self.get(&AUDIT_VOTES, &(*id, *sender))? else {
            return Err(Rejection::AuditNotCommitted {}.into());
        };
        if vote.revealed.is_some() {
            return Err(Rejection::AuditAlreadyRevealed {}.into());
        }
        if verdict.commitment(sender, id, &transcript, salt) != vote.commitment {
            return Err(Rejection::AuditMismatch {}.into());
        }
        if !verdict.has_transcript() && transcript != Transcript::default() {
            return Err(Rejection::TranscriptNotZero {}.into());
        }
        vote.revealed = Some(AuditFinding { verdict, transcript });
        self.set(&AUDIT_VOTES, &(*id, *sender), &vote);
        self.emit(Event::AuditRevealed {
            submission: *id,
            auditor: *sender,
            verdict,
        });
        Ok(())
    }

    /// Decides the audit of a winner that took place in the epoch `audit`, and enters its auditors' duty.
    /// `None` when it was not audited.
    pub(crate) fn conclude_audit(
        &mut self,
        audit: &EpochState,
        submission: &Submission,
    ) -> Result<Option<AuditOutcome>, Stop> {
        let committee = self.expect(&COMMITTEES, &audit.epoch)?;
        let auditors = auditors_of(audit, &committee, submission);
        if auditors.is_empty() {
            return Ok(None);
        }
        let keys: Vec<Vec<u8>> = auditors
            .iter()
            .flat_map(|seat| {
                let duty = DUTIES.key(&(audit.epoch, seat.validator));
                [AUDIT_VOTES.key(&(submission.id, seat.validator)), duty]
            })
            .collect();
        self.prefetch(&keys)?;
        let mut findings = Vec::with_capacity(auditors.len());
        for seat in &auditors {
            let vote = self.get(&AUDIT_VOTES, &(submission.id, seat.validator))?;
            findings.push(vote.and_then(|vote| vote.revealed));
        }
        let outcome = decide(&auditors, &findings);
        for auditor in [&outcome.agreed, &outcome.dissented, &outcome.silent]
            .into_iter()
            .flatten()
        {
            let mut duty = self.get(&DUTIES, &(audit.epoch, *auditor))?.unwrap_or_default();
            duty.audits_assigned += 1;
            duty.audits_done += u64::from(outcome.agreed.contains(auditor));
            self.set(&DUTIES, &(audit.epoch, *auditor), &duty);
        }
        Ok(Some(outcome))
    }

    /// The epoch in which the winners of `epoch` are audited, once it is over.
    pub(crate) fn audit_epoch(&mut self, epoch: Epoch) -> Result<EpochState, Stop> {
        Ok(self.expect(&crate::tables::EPOCHS, &epoch.next())?.state)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soma_types::{PublicKey, Shannons, transaction::BasisPoints};

    use super::*;

    fn seats(stakes: &[u64]) -> Vec<Seat> {
        stakes
            .iter()
            .enumerate()
            .map(|(index, stake)| Seat {
                validator: Address([index as u8 + 1; 32]),
                network_key: PublicKey([0; 32]),
                stake: Shannons(*stake),
                commission: BasisPoints::default(),
            })
            .collect()
    }

    fn finding(verdict: Verdict, transcript: u8) -> Option<AuditFinding> {
        Some(AuditFinding {
            verdict,
            transcript: Transcript([transcript; 32]),
        })
    }

    #[test]
    fn more_than_half_of_the_stake_decides() {
        let auditors = seats(&[10, 10, 10, 10]);
        let (honest, lazy) = (finding(Verdict::FalseScore, 1), finding(Verdict::Valid, 2));
        let outcome = decide(&auditors, &[honest, honest, honest, lazy]);
        assert_eq!(outcome.majority, honest);
        assert_eq!(
            (
                outcome.agreed.len(),
                outcome.dissented.len(),
                outcome.silent.len()
            ),
            (3, 1, 0)
        );
        // Exactly half is no majority, and silence counts against one.
        assert_eq!(decide(&auditors, &[honest, honest, lazy, lazy]).majority, None);
        assert_eq!(decide(&auditors, &[honest, honest, None, None]).majority, None);
        // Stake decides, not heads.
        assert_eq!(
            decide(&seats(&[10, 1, 1, 1]), &[lazy, honest, honest, honest]).majority,
            lazy
        );
        // Two who say the same but computed different things do not agree.
        let other = finding(Verdict::FalseScore, 9);
        assert_eq!(decide(&auditors, &[honest, honest, other, other]).majority, None);
        assert_eq!(decide(&auditors, &[None; 4]).silent.len(), 4);
    }

    proptest! {
        #[test]
        fn drawn_auditors_are_distinct_and_staked(stakes in prop::collection::vec(0_u64..1 << 50, 1..30), index: u64, seed in any::<[u8; 32]>()) {
            let committee = Committee { seats: seats(&stakes) };
            let mut drawn: Vec<Address> = draw_auditors(&Seed(seed), 7, &committee, index).iter().map(|seat| seat.validator).collect();
            let count = drawn.len();
            drawn.sort_unstable();
            drawn.dedup();
            prop_assert_eq!(drawn.len(), count);
            prop_assert!(count <= stakes.len().max(7));
        }
    }
}
