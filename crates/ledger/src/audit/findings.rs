//! What voters have found, as far as the state holds it.

use soma_types::{
    SubmissionId,
    objects::{AuditFinding, AuditStage, Seat},
};

use crate::{error::Stop, ledger::Ledger, tables::AUDIT_VOTES};

impl Ledger<'_> {
    /// What each of `voters` has revealed of `winner` in a `stage` of its audit.
    pub(crate) fn findings(
        &mut self,
        winner: &SubmissionId,
        stage: AuditStage,
        voters: &[Seat],
    ) -> Result<Vec<Option<AuditFinding>>, Stop> {
        let keys = voters.iter().map(|seat| (*winner, stage, seat.validator));
        let votes = self.get_all(&AUDIT_VOTES, keys)?.into_iter();
        Ok(votes.map(|vote| vote.and_then(|vote| vote.revealed)).collect())
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
