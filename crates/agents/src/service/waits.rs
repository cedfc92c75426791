//! What the service waits for: targets, money, the node.

use std::time::{Duration, Instant};

use soma_client::ModelFilter;
use soma_types::objects::ModelStatus;

use super::{Service, ServiceError, Told};

/// Between two looks for what is waited for.
pub(super) const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two looks for a node that does not answer.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Epochs to wait for an open target: models that were revealed compete from the next on.
const PATIENCE_EPOCHS: u32 = 3;

impl Service {
    /// Whether it is the node or the way to it that failed, and the service is one that waits for it.
    pub(super) fn bears(&self, error: &ServiceError) -> bool {
        self.limits.waits && error.is_outside()
    }

    /// Waits until the node answers again.
    pub(super) async fn wait_for_node(
        &mut self,
        error: &ServiceError,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        tell(
            Told::Waits(format!("{error}: waiting until the node answers")),
            self,
        );
        let mut pause = PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            match self.account().node().status().await.map_err(ServiceError::from) {
                Ok(_) => break,
                Err(error) if error.is_outside() => pause = (2 * pause).min(PAUSE_MAX),
                Err(error) => return Err(error),
            }
        }
        self.budget.forget_listed();
        Ok(())
    }

    /// Waits until a target is open.
    pub(super) async fn wait_for_targets(
        &mut self,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        let params = self.submitter.params();
        let epoch = Duration::from_millis(params.epoch_blocks.saturating_mul(params.block_time_ms));
        let (start, patience) = (Instant::now(), epoch * PATIENCE_EPOCHS);
        while self.submitter.open_targets().await?.is_empty() {
            let waited = start.elapsed();
            if waited > patience && !self.limits.waits {
                return Err(ServiceError::NoTarget { waited });
            }
            if waited < PAUSE {
                let competing = ModelFilter {
                    status: Some(ModelStatus::Active),
                    owner: None,
                };
                let none = self.account().node().models(&competing).await?.is_empty();
                let why = match none {
                    true => "No model competes, so no target is open: waiting for one",
                    false => "All targets are filled: waiting for one to open",
                };
                tell(Told::Waits(why.to_owned()), self);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Waits for the end of a race or of the epoch, by which bonds come back.
    pub(super) async fn wait_for_money(
        &mut self,
        why: String,
        tell: &mut impl FnMut(Told<'_>, &Self),
    ) -> Result<(), ServiceError> {
        tell(Told::Waits(why), self);
        let node = self.account().node().clone();
        let now = node.status().await?.epoch;
        loop {
            tokio::select! {
                Some(raced) = self.races.join_next() => return self.over(raced, tell),
                () = tokio::time::sleep(PAUSE) => {}
            }
            if node.status().await?.epoch != now {
                self.budget.forget_listed();
                return Ok(());
            }
        }
    }
}
