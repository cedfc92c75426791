//! Votes on winners, in two steps so that nobody can copy a finding.

use soma_types::{
    Address, Commitment, Height, Rejection, Salt, SubmissionId, Transcript,
    event::Event,
    objects::{AuditFinding, AuditStage, AuditVote, Seat},
    transaction::Verdict,
};

use super::hearing::Turn;
use crate::{error::Stop, ledger::Ledger, tables::AUDIT_VOTES};

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
