//! Handing in: whose turn it is, the next nonce, the bytes on disk, the node's answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use soma_files::LockError;
use soma_types::{
    ChainId, Epoch, RejectionCode as Code, SignedTransaction, TransactionKind, receipt::Outcome,
};

use super::{Account, Notice, Sent, sequence::REBUILDS_MAX};
use crate::{
    blocking::blocking,
    error::ClientError,
    follow::{End, Resent, resend},
    outbox::{Kept, Turn},
};
/// Between two looks whether it is this process's turn.
const TURN_DELAY: Duration = Duration::from_millis(20);
/// Before the first rebuild; doubled for each that follows.
const REBUILD_DELAY: Duration = Duration::from_millis(50);
/// Between two tries at a node whose mempool is full.
const FULL_DELAY: Duration = Duration::from_millis(500);

impl Account {
    /// Signs and hands in, or takes up what was left behind. The second is what was heard instead of a good
    /// answer, where it may happen nevertheless.
    pub(super) async fn hand_in(
        &self,
        kind: &TransactionKind,
    ) -> Result<(Sent, Option<ClientError>), ClientError> {
        // Held until the node has it, so that nonces arrive in order.
        let mut sequence = self.sequence.lock().await;
        let mut context = self.refresh(&mut sequence).await?;
        let mut turn = self.turn(&context.chain).await?;
        // What was signed before is handed in again whatever the node lacks.
        if let Some(taken_up) = self.take_up(&turn, kind, context.now.epoch).await? {
            return Ok(taken_up);
        }
        self.caught_up(&mut sequence).await?;
        let last = on_disk(&turn, Turn::last).await?;
        if last.is_none() || last != sequence.last {
            sequence.next_nonce = None;
        }
        let (start, mut delay, mut rebuilds) = (Instant::now(), REBUILD_DELAY, 0);
        loop {
            let nonce = match sequence.next_nonce {
                Some(nonce) => nonce,
                None => self.node.account(&self.address()).await?.nonce_pending,
            };
            let transaction = self.build(&context, nonce, kind.clone())?;
            self.rehearse(&transaction).await?;
            let hash = transaction.hash();
            let sent = Sent::new(on_disk(&turn, |turn| turn.keep(transaction)).await?, false);
            self.watchers.tell(Notice::Sending(&sent.transaction));
            let error = match self.node.submit(&sent.transaction).await {
                Ok(_) => {
                    // The node has it, whatever the disk says: who is not told asks for the nonce.
                    let _ = on_disk(&turn, move |turn| turn.set_last(&hash)).await;
                    sequence.next_nonce = Some(nonce.saturating_add(1));
                    sequence.last = Some(hash);
                    return Ok((sent, None));
                }
                Err(ClientError::OutcomeUnknown { cause, .. }) => {
                    sequence.next_nonce = None;
                    return Ok((sent, Some(*cause)));
                }
                Err(error) => error,
            };
            // It was refused, so another in its place cannot make it happen twice.
            self.watchers.tell(Notice::Void(&sent.transaction));
            blocking(move || sent.kept.forget()).await??;
            sequence.next_nonce = None;
            match error.rejection_code() {
                None if is_full(&error) && start.elapsed() < self.wait => {
                    tokio::time::sleep(FULL_DELAY).await;
                    continue;
                }
                _ if error.is_conflict() && rebuilds < REBUILDS_MAX => {}
                Some(Code::NonceAhead) if rebuilds < REBUILDS_MAX => {}
                Some(Code::WrongChain | Code::Expired | Code::FeeAboveLimit) if rebuilds < REBUILDS_MAX => {
                    sequence.context = None;
                }
                _ => return Err(error),
            }
            rebuilds += 1;
            tokio::time::sleep(delay).await;
            delay *= 2;
            let chain = context.chain;
            context = self.refresh(&mut sequence).await?;
            if context.chain != chain {
                turn = self.turn(&context.chain).await?;
            }
        }
    }

    /// A deed of this kind that was left behind, unless it is certain that it never happens.
    pub(super) async fn take_up(
        &self,
        turn: &Arc<Turn>,
        kind: &TransactionKind,
        now: Epoch,
    ) -> Result<Option<(Sent, Option<ClientError>)>, ClientError> {
        let wanted = kind.clone();
        let left = on_disk(turn, move |turn| {
            // First what may be the same deed: it is looked up before it is forgotten, however old it is.
            let left = turn.left(&wanted)?;
            turn.sweep(now)?;
            Ok(left)
        });
        match left.await? {
            Some(kept) => self.hand_in_again(kept).await,
            None => Ok(None),
        }
    }

    /// Hands in again what was left behind; forgets it where it is certain that it never happens.
    pub(super) async fn hand_in_again(
        &self,
        kept: Kept,
    ) -> Result<Option<(Sent, Option<ClientError>)>, ClientError> {
        let sent = Sent::new(kept, true);
        let heard = match resend(&self.node, &sent.transaction).await {
            Resent::Waits | Resent::Ended(End::Included(_)) => None,
            Resent::Heard(error) => Some(error),
            Resent::Ended(End::Superseded | End::Expired) => {
                self.watchers.tell(Notice::Void(&sent.transaction));
                blocking(move || sent.kept.forget()).await??;
                return Ok(None);
            }
        };
        self.watchers.tell(Notice::Resumed(&sent.transaction));
        Ok(Some((sent, heard)))
    }

    /// Waits until no other process of this machine hands in for this account.
    pub(crate) async fn turn(&self, chain: &ChainId) -> Result<Arc<Turn>, ClientError> {
        let (outbox, start) = (self.outbox(chain), Instant::now());
        loop {
            let outbox = outbox.clone();
            match blocking(move || outbox.turn()).await? {
                Ok(turn) => return Ok(Arc::new(turn)),
                Err(LockError::Held(_)) if start.elapsed() < self.wait => {
                    tokio::time::sleep(TURN_DELAY).await;
                }
                Err(LockError::Held(_)) => {
                    return Err(ClientError::Busy {
                        address: self.address(),
                        waited: start.elapsed(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Refuses what the node says would fail. Where it cannot say, or says that others come first, handing in
    /// tells.
    async fn rehearse(&self, transaction: &SignedTransaction) -> Result<(), ClientError> {
        if !self.rehearses {
            return Ok(());
        }
        match self
            .node
            .simulate(transaction)
            .await
            .map(|simulated| simulated.receipt.outcome)
        {
            Ok(Outcome::Failed { rejection }) => Err(ClientError::WouldFail { rejection }),
            Ok(Outcome::Applied { .. }) | Err(_) => Ok(()),
        }
    }
}

/// A step on disk under the account's turn, off the executor.
pub(super) async fn on_disk<T: Send + 'static>(
    turn: &Arc<Turn>,
    step: impl FnOnce(&Turn) -> Result<T, soma_files::FileError> + Send + 'static,
) -> Result<T, ClientError> {
    let turn = Arc::clone(turn);
    Ok(blocking(move || step(&turn)).await??)
}

/// Whether the node has no room for it now.
fn is_full(error: &ClientError) -> bool {
    matches!(error, ClientError::Problem(problem) if matches!(problem.status, 429 | 503))
}
