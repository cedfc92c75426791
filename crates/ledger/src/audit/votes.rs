//! Votes on winners, in two steps so that nobody can copy a finding.

use soma_types::{
    Address, Commitment, Height, Rejection, Salt, SubmissionId, Transcript,
    event::Event,
    objects::{AuditFinding, AuditVote},
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
}
