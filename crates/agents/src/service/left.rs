//! What an earlier run has left, or this one: it is finished, and counts.

use soma_types::{TargetId, objects::TargetStatus};

use super::{Service, ServiceError, Told, ends::is_won, waits::PAUSE};

impl Service {
    /// Finishes what was left, and finds out what it won.
    pub(super) async fn finish_left(
        &mut self,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        for (pending, finished) in self.account().finish_submissions().await? {
            if let Ok(view) = &finished {
                self.hits.over(&pending.target, is_won(&view.submission.status));
            }
            // Where the ledger has spoken, it is over; what else failed may do better the next time.
            let told = finished.as_ref().map(|view| view.submission.status);
            tell(Told::Finished(pending.submission, told), self);
        }
        let racing = self.hits.racing.iter().copied();
        let left: Vec<_> = racing
            .filter(|target| !self.under_way.contains_key(target))
            .collect();
        for target in left {
            if let Some(is_won) = self.has_won(&target).await? {
                self.hits.over(&target, is_won);
            }
        }
        Ok(())
    }

    /// Waits for the ends of races that are left, where no other may be begun before.
    pub(super) async fn wait_for_left(
        &mut self,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        let left = match self.finish_left(tell).await {
            Err(error) if self.bears(&error) => self.wait_for_node(&error, tell).await,
            left => left,
        };
        left?;
        if !self.has_room() && !self.is_enough() {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Whether this account has won a target; none while that is open.
    async fn has_won(&self, target: &TargetId) -> Result<Option<bool>, ServiceError> {
        let node = self.account().node();
        let view = match node.target(target).await {
            Ok(view) => view,
            // The ledger forgets targets, a while after their epochs.
            Err(error) if error.is_not_found() => return Ok(Some(false)),
            Err(error) => return Err(error.into()),
        };
        Ok(match view.target.status {
            TargetStatus::Filled { submission, .. } => {
                let winner = node.submission(&submission).await?.submission;
                Some(winner.submitter == self.account().address())
            }
            TargetStatus::Open | TargetStatus::Settling { .. } => (!view.current).then_some(false),
        })
    }
}
