//! Auditing the last epoch's winners (docs/protocol.md, section 8).

use std::collections::BTreeMap;

use soma_types::{
    Address, Commitment, Height, Rejection, Salt, Seed, SubmissionId, Transcript,
    hash::domain_xof,
    objects::{
        AuditFinding, AuditOutcome, AuditStage, Challenge, EpochState, Seat, Submission, SubmissionStatus,
        VoteCount,
    },
    transaction::Verdict,
};

use super::{Economy, money, shannons};

/// Whether a number drawn for this winner lies in the audited share.
fn is_sampled(audit: &EpochState, index: u64) -> bool {
    let Seed([a, b, c, d, e, f, g, h, ..]) = audit.seed.derive("audit sample", index);
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) % 10_000 < u64::from(audit.audit_rate.get())
}

/// Each seat has a stretch as long as its stake. A number falls into somebody's, who is taken out with it;
/// and again, until enough are drawn. All seats where there are no more, or 0 are wanted.
fn draw(mut seats: Vec<Seat>, wanted: usize, seed: &Seed, index: u64) -> Vec<Seat> {
    if wanted == 0 || wanted >= seats.len() {
        return seats;
    }
    let mut numbers = domain_xof("soma 2026 auditors", &[&seed.0, &index.to_le_bytes()]);
    let draws = (0..wanted).map_while(|_| {
        let mut number = [0; 16];
        numbers.fill(&mut number);
        let total: u128 = seats.iter().map(|seat| money(seat.stake)).sum();
        let number = u128::from_le_bytes(number).checked_rem(total)?;
        let mut end = 0;
        let hit = seats.iter().position(|seat| {
            end += money(seat.stake);
            number < end
        });
        hit.map(|place| seats.remove(place))
    });
    draws.collect()
}

/// Who votes on a winner, in which stage, and from which height on they reveal.
struct Poll {
    stage: AuditStage,
    voters: Vec<Seat>,
    reveals_from: u64,
}

impl Economy {
    /// Who audits a submission in the epoch `audit`; `None` when nobody does.
    fn auditors(&self, audit: &EpochState, id: SubmissionId) -> Option<Vec<Seat>> {
        let submission = &self.submissions[&id];
        let index = submission.found.as_ref()?.winner_index?;
        let seed = if is_sampled(audit, index) {
            audit.seed
        } else {
            submission.challenge?;
            audit.challenge_seed?
        };
        let seats = self.committees[&audit.epoch.0].clone();
        let auditors = draw(seats, audit.auditors as usize, &seed, index);
        (!auditors.is_empty()).then_some(auditors)
    }

    /// Whether `auditors`, who are not all of the committee, mostly say that the winner must not stand.
    fn is_accused(&self, audit: &EpochState, id: SubmissionId, auditors: &[Seat]) -> bool {
        let all = self.committees[&audit.epoch.0].len();
        let found = self.counted(id, AuditStage::Drawn, auditors).majority;
        auditors.len() < all && found.is_some_and(|finding| finding.verdict != Verdict::Valid)
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

    /// How a winner of the last epoch is voted on now, by `sender` among others.
    fn poll(&self, sender: &Address, id: SubmissionId) -> Result<Poll, Rejection> {
        let submission = self
            .submissions
            .get(&id)
            .ok_or(Rejection::NoSuchSubmission { submission: id })?;
        let won_in = self.targets[&submission.target].epoch.0;
        let audit = self.epoch_state();
        let auditors = Some(id)
            .filter(|_| won_in + 1 == self.now.epoch)
            .and_then(|id| self.auditors(&audit, id))
            .ok_or(Rejection::NotUnderAudit {})?;
        // Three stretches of blocks one after another, and what is left of the epoch.
        let audit_reveals = self.now.first_height + self.params.audit_commit_blocks;
        let hearing = audit_reveals + self.params.audit_reveal_blocks;
        let hearing_reveals = hearing + self.params.hearing_commit_blocks;
        let seats = self.seats().to_vec();
        let poll = if self.height < hearing || auditors.len() == seats.len() {
            Poll {
                stage: AuditStage::Drawn,
                voters: auditors,
                reveals_from: audit_reveals,
            }
        } else if self.is_accused(&audit, id, &auditors) {
            Poll {
                stage: AuditStage::Hearing,
                voters: seats,
                reveals_from: hearing_reveals,
            }
        } else {
            let from = Height(hearing);
            return Err(Rejection::NoHearing { from });
        };
        if poll.voters.iter().all(|seat| seat.validator != *sender) {
            return Err(Rejection::NotAuditor {});
        }
        Ok(poll)
    }

    pub(super) fn commit_audit(
        &mut self,
        sender: Address,
        id: SubmissionId,
        commitment: Commitment,
    ) -> Result<(), Rejection> {
        let Poll {
            stage, reveals_from, ..
        } = self.poll(&sender, id)?;
        if self.height >= reveals_from {
            let until = Height(reveals_from - 1);
            return Err(Rejection::AuditCommitClosed { until });
        }
        if self.votes.contains_key(&(id, stage, sender)) {
            return Err(Rejection::AuditAlreadyCommitted {});
        }
        self.votes.insert((id, stage, sender), (commitment, None));
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
        let Poll {
            stage, reveals_from, ..
        } = self.poll(&sender, id)?;
        if self.height < reveals_from {
            let from = Height(reveals_from);
            return Err(Rejection::AuditRevealTooEarly { from });
        }
        let (commitment, revealed) = self
            .votes
            .get_mut(&(id, stage, sender))
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

    fn revealed(&self, id: SubmissionId, stage: AuditStage, seat: &Seat) -> Option<AuditFinding> {
        self.votes.get(&(id, stage, seat.validator))?.1
    }

    /// Counts the votes of a stage. Choice: a majority is more than half of the stake of all voters, silent
    /// ones included, for one verdict with one transcript; where there is none, those in the largest group
    /// (of equal ones the first in order) have agreed.
    fn counted(&self, id: SubmissionId, stage: AuditStage, voters: &[Seat]) -> VoteCount {
        let finding = |seat: &Seat| self.revealed(id, stage, seat);
        let total: u128 = voters.iter().map(|seat| money(seat.stake)).sum();
        let mut stakes: BTreeMap<AuditFinding, u128> = BTreeMap::new();
        for seat in voters {
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
            voters
                .iter()
                .filter(|seat| wanted(finding(seat)))
                .map(|seat| seat.validator)
                .collect()
        };
        VoteCount {
            majority: favoured.filter(|_| 2 * most > total),
            agreed: with(&|found| found.is_some() && found == favoured),
            dissented: with(&|found| found.is_some() && found != favoured),
            silent: with(&|found| found.is_none()),
        }
    }

    /// The verdict on a winner, entered in its voters' duty.
    pub(super) fn conclude(&mut self, audit: &EpochState, id: SubmissionId) -> Option<AuditOutcome> {
        let auditors = self.auditors(audit, id)?;
        let seats = self.committees[&audit.epoch.0].clone();
        let outcome = AuditOutcome {
            drawn: self.counted(id, AuditStage::Drawn, &auditors),
            hearing: self
                .is_accused(audit, id, &auditors)
                .then(|| self.counted(id, AuditStage::Hearing, &seats)),
        };
        // Whose duty grows by how many audits, and whether one of them is done.
        let mut duties: Vec<(Address, u128, bool)> = Vec::new();
        let (voters, count) = match &outcome.hearing {
            None => (&auditors, &outcome.drawn),
            Some(hearing) => (&seats, hearing),
        };
        for seat in voters {
            duties.push((seat.validator, 1, count.agreed.contains(&seat.validator)));
        }
        // The hearing says who of the auditors was right, if it says anything.
        if let Some(judged) = outcome.hearing.as_ref().and_then(|hearing| hearing.majority) {
            let stands = judged.verdict == Verdict::Valid;
            for seat in &auditors {
                let finding = self.revealed(id, AuditStage::Drawn, seat);
                let (audits, agreed) = match finding.map(|finding| finding.verdict) {
                    None => (1, false),
                    Some(Verdict::Valid) => (1, stands),
                    // A false accusation that nothing but scoring wrongly explains made all of them work.
                    Some(Verdict::FalseScore) if stands => (seats.len() as u128, false),
                    Some(_) => (1, !stands),
                };
                duties.push((seat.validator, audits, agreed));
            }
        }
        for (validator, audits, agreed) in duties {
            let duty = self.duties.entry((audit.epoch.0, validator)).or_default();
            duty.audits += audits;
            duty.agreed += u128::from(agreed);
        }
        self.outcomes.insert(id, outcome.clone());
        Some(outcome)
    }
}
