//! How races and documents end: what is counted, told, and tried again.

use soma_client::ClientError;
use soma_types::{RejectionCode, objects::SubmissionStatus};
use tokio::task::JoinError;

use super::{Document, End, Raced, Service, ServiceError, Told, error::is_money};
use crate::submitter::ATTEMPTS_MAX;

impl Service {
    /// Takes all that is under way to its end. What was not even sent for want of a node is tried again by a
    /// service that waits.
    pub(super) async fn clear_races(
        &mut self,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        let mut ended = Ok(());
        while let Some(raced) = self.races.join_next().await {
            match self.over(raced, tell) {
                Err(error) if self.bears(&error) => {}
                over => ended = ended.and(over),
            }
        }
        ended
    }

    /// Takes note of a race's end.
    pub(super) fn over(
        &mut self,
        raced: Result<Raced, JoinError>,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        let Raced {
            document,
            attempts,
            target,
            fees,
            end,
        } = raced?;
        self.under_way.remove(&target);
        self.budget.release(&target, fees, end.as_ref().ok());
        let end = match end {
            Ok(end) => end,
            Err(error) => {
                self.hits.over(&target, false);
                let name = document.name.clone();
                self.again.push_back((document, attempts));
                return Err(ServiceError::Document {
                    document: name,
                    error: Box::new((*error).into()),
                });
            }
        };
        // How one goes on that is left is found out later.
        if !matches!(end, End::Left(_)) {
            self.hits
                .over(&target, matches!(&end, End::Over(_, status) if is_won(status)));
        }
        let is_closed = |error: &ClientError| error.rejection_code() == Some(RejectionCode::TargetClosed);
        match end {
            End::Rejected(error) if is_closed(&error) && attempts < ATTEMPTS_MAX => {
                self.again.push_back((document, attempts + 1));
            }
            // The next waits for it to come back, or finds that none will.
            End::Rejected(error) if is_money(&error) => {
                self.budget.note_shortage(error);
                self.again.push_back((document, attempts));
            }
            end => {
                self.end(&document, &end, tell);
                if let End::Rejected(error) = end {
                    self.refused = Some(error);
                }
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, document: &Document, end: &End, tell: &mut impl FnMut(Told<'_>, &Self)) {
        let tally = &mut self.tally;
        match end {
            End::Missed(_) => tally.missed += 1,
            End::Known(_) => tally.known += 1,
            End::Rejected(_) => tally.rejected += 1,
            End::Left(_) => tally.submitted += 1,
            End::Over(_, status) => {
                tally.submitted += 1;
                tally.won += u64::from(is_won(status));
            }
        }
        self.unfinished.remove(&document.number);
        self.note_position();
        tell(Told::Ended(document, end), self);
    }

    /// All before the first that is unfinished are done.
    pub(super) fn note_position(&mut self) {
        self.tally.position = self.unfinished.first().copied().unwrap_or(self.next);
    }
}

/// Whether a submission has won its target.
pub(super) const fn is_won(status: &SubmissionStatus) -> bool {
    matches!(status, SubmissionStatus::Won | SubmissionStatus::Paid { .. })
}
