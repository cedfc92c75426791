//! The audit of winners (docs/protocol.md, section 8): who votes on them, and what the votes come to.
//!
//! In epoch E + 1 a sample of E's winners is audited, and those that someone challenged. The sample and its
//! auditors are functions of E + 1's seed and committee, so nothing is stored until someone votes. The
//! auditors of challenged winners are drawn from a later seed: see `challenges`. In an epoch's first `audit_commit_blocks`
//! auditors *commit* to verdict and transcript, in the next `audit_reveal_blocks` they *reveal*. Where they are
//! mostly of the opinion that the winner must not stand, the whole committee decides: see `hearing`.
//! When E's rewards are paid, in E + 2, the votes are counted: the finding (verdict and transcript) of more than
//! half of the voters' stake counts; without one the winner stands.
//!
//! **Failures.** Silent and dissenting auditors forfeit. A lazy one cannot guess the transcript, which
//! covers embeddings that were never published, and cannot copy it, since commitments bind the auditor.

use std::collections::BTreeMap;

use soma_types::{
    Address, Commitment, Height, Rejection, Salt, Seed, SubmissionId, Transcript,
    event::Event,
    hash::domain_xof,
    objects::{AuditFinding, AuditStage, AuditVote, Committee, EpochState, Seat, Submission, VoteCount},
    transaction::{BASIS_POINTS_ONE, Verdict},
};

use crate::{bank::Ledger, error::Stop, hearing::Turn, tables::AUDIT_VOTES};

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
    let mut total = stake(&left);
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

/// The sum of these seats' stakes.
fn stake(seats: &[Seat]) -> u128 {
    seats.iter().map(|seat| u128::from(seat.stake.0)).sum()
}

/// Groups the voters by what they found. `findings` has one entry for each of `voters`.
pub(crate) fn count(voters: &[Seat], findings: &[Option<AuditFinding>]) -> VoteCount {
    let mut groups: BTreeMap<AuditFinding, u128> = BTreeMap::new();
    for (seat, finding) in voters.iter().zip(findings) {
        if let Some(finding) = finding {
            *groups.entry(*finding).or_default() += u128::from(seat.stake.0);
        }
    }
    let total = stake(voters);
    // Of equally large groups the first in order: an arbitrary but fixed choice.
    let largest = groups
        .iter()
        .max_by_key(|(finding, stake)| (**stake, std::cmp::Reverse(**finding)));
    let favoured = largest.map(|(finding, _)| *finding);
    let majority = largest
        .filter(|(_, stake)| 2 * **stake > total)
        .map(|(finding, _)| *finding);
    let mut counted = VoteCount {
        majority,
        agreed: vec![],
        dissented: vec![],
        silent: vec![],
    };
    for (seat, finding) in voters.iter().zip(findings) {
        let list = match finding {
            None => &mut counted.silent,
            Some(_) if *finding == favoured => &mut counted.agreed,
            Some(_) => &mut counted.dissented,
        };
        list.push(seat.validator);
    }
    counted
}

impl Ledger<'_> {
    pub(crate) fn commit_audit(
        &mut self,
        sender: &Address,
        id: &SubmissionId,
        commitment: Commitment,
    ) -> Result<(), Stop> {
        let Turn {
            stage, reveals_from, ..
        } = self.turn_of(sender, id)?;
        if self.block.height >= reveals_from {
            let until = Height(reveals_from.0 - 1);
            return Err(Rejection::AuditCommitClosed { until }.into());
        }
        if self.get(&AUDIT_VOTES, &(*id, stage, *sender))?.is_some() {
            return Err(Rejection::AuditAlreadyCommitted {}.into());
        }
        self.set(
            &AUDIT_VOTES,
            &(*id, stage, *sender),
            &AuditVote {
                commitment,
                revealed: None,
            },
        );
        self.emit(Event::AuditCommitted {
            submission: *id,
            stage,
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
        let Turn {
            stage, reveals_from, ..
        } = self.turn_of(sender, id)?;
        if self.block.height < reveals_from {
            return Err(Rejection::AuditRevealTooEarly { from: reveals_from }.into());
        }
        let Some(mut vote) = self.get(&AUDIT_VOTES, &(*id, stage, *sender))? else {
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
        self.set(&AUDIT_VOTES, &(*id, stage, *sender), &vote);
        self.emit(Event::AuditRevealed {
            submission: *id,
            stage,
            auditor: *sender,
            verdict,
        });
        Ok(())
    }

    /// What each of `voters` has revealed of `winner` in a `stage` of its audit.
    pub(crate) fn findings(
        &mut self,
        winner: &SubmissionId,
        stage: AuditStage,
        voters: &[Seat],
    ) -> Result<Vec<Option<AuditFinding>>, Stop> {
        let key = |seat: &Seat| (*winner, stage, seat.validator);
        let keys: Vec<_> = voters.iter().map(|seat| AUDIT_VOTES.key(&key(seat))).collect();
        self.prefetch(&keys)?;
        let votes = voters.iter().map(|seat| self.get(&AUDIT_VOTES, &key(seat)));
        votes
            .map(|vote| Ok(vote?.and_then(|vote| vote.revealed)))
            .collect()
    }

    /// Drops what `voters` did in a `stage` of the audit of `winner`: its outcome says what that came to.
    pub(crate) fn drop_votes(
        &mut self,
        winner: &SubmissionId,
        stage: AuditStage,
        voters: &[Seat],
    ) -> Result<(), Stop> {
        for seat in voters {
            let key = (*winner, stage, seat.validator);
            if self.get(&AUDIT_VOTES, &key)?.is_some() {
                self.remove(&AUDIT_VOTES, &key);
            }
        }
        Ok(())
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
        let outcome = count(&auditors, &[honest, honest, honest, lazy]);
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
        assert_eq!(count(&auditors, &[honest, honest, lazy, lazy]).majority, None);
        assert_eq!(count(&auditors, &[honest, honest, None, None]).majority, None);
        // Stake decides, not heads.
        assert_eq!(
            count(&seats(&[10, 1, 1, 1]), &[lazy, honest, honest, honest]).majority,
            lazy
        );
        // Two who say the same but computed different things do not agree.
        let other = finding(Verdict::FalseScore, 9);
        assert_eq!(count(&auditors, &[honest, honest, other, other]).majority, None);
        assert_eq!(count(&auditors, &[None; 4]).silent.len(), 4);
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
