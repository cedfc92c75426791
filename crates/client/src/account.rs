//! One key at one node: builds, signs, sends and follows transactions.
//!
//! Upon a transaction: take the account's turn among this machine's processes, take the next nonce, set the
//! fee limit to twice today's fee and the expiry [`LIFETIME_EPOCHS`] ahead, sign, write to disk
//! ([`crate::outbox`]), hand in. Several may be under way at once; nonces are given out in order, and fetched
//! again when another process has sent or the node disagrees (the same key on another machine, a restarted
//! node).
//!
//! No two transactions are the same bytes, even when they ask for the same at the same time: the fee limit,
//! which is otherwise of no consequence, carries a random part. So a name that a node knows is this deed's
//! and no other's.
//!
//! Upon a deed that was left behind with its end unknown (a lost answer, a killed process) and is asked for
//! again: its bytes are handed in again and followed, so that it happens once.
//!
//! Upon a deed that rests on what became of others: those that were left behind are waited for first
//! ([`unheard`]).
//!
//! Upon waiting: see [`crate::follow`].
//!
//! Upon a node that is behind its network: nothing is signed by what it tells ([`ClientError::Behind`]).
//!
//! A node is believed about nonces: one that lies about them can have a deed signed more than once. It cannot
//! make a transaction cost more than [`MAX_FEE_DEFAULT`], or what [`Account::with_max_fee`] sets.

mod context;
mod current;
mod fee;
mod handing_in;
mod notice;
mod sent;
mod sequence;
mod unheard;

use std::{sync::Arc, time::Duration};

use soma_types::{Address, ChainId, Keypair, Receipt, Shannons, TransactionKind, receipt::Outcome};
use tokio::sync::Mutex;

use self::{
    notice::Watchers,
    sequence::{REBUILDS_MAX, Sequence},
};
use crate::{
    blocking::blocking,
    claims::Claims,
    error::ClientError,
    follow::{End, follow_from, unknown},
    journal::Journal,
    node::NodeClient,
    outbox::Outbox,
};

pub use self::{fee::MAX_FEE_DEFAULT, notice::Notice, sent::Sent};

/// A transaction may be included for this many epochs after the one in which it was made.
pub const LIFETIME_EPOCHS: u64 = 2;

const WAIT_DEFAULT: Duration = Duration::from_secs(120);

/// A key at a node. Clones share the sequence of nonces, and the submissions that they are at: use one
/// account per key in a program.
#[derive(Clone, Debug)]
pub struct Account {
    node: NodeClient,
    keys: Keypair,
    journal: Journal,
    sequence: Arc<Mutex<Sequence>>,
    claims: Claims,
    chain: Option<ChainId>,
    wait: Duration,
    max_fee: Shannons,
    rehearses: bool,
    watchers: Watchers,
}

impl Account {
    /// An account that acts at `node` with `keys` and keeps pending secrets in `journal`. Sends nothing yet.
    pub fn new(node: NodeClient, keys: Keypair, journal: Journal) -> Self {
        Self {
            node,
            keys,
            journal,
            sequence: Arc::default(),
            claims: Claims::default(),
            chain: None,
            wait: WAIT_DEFAULT,
            max_fee: MAX_FEE_DEFAULT,
            rehearses: false,
            watchers: Watchers::default(),
        }
    }

    /// The same account, which acts on this network alone: where the node is on another by now, nothing is
    /// signed.
    #[must_use]
    pub fn on_chain(self, chain: ChainId) -> Self {
        Self {
            chain: Some(chain),
            ..self
        }
    }

    /// The same account, waiting for receipts this long (120 s unless set).
    #[must_use]
    pub fn with_wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The same account, whose transactions may cost this much in fees each ([`MAX_FEE_DEFAULT`] unless set).
    #[must_use]
    pub fn with_max_fee(self, max_fee: Shannons) -> Self {
        Self { max_fee, ..self }
    }

    /// The same account, which asks the node first what a transaction would lead to, and does not send one
    /// that would fail: that costs a question, and saves the fee.
    #[must_use]
    pub fn rehearsing(self) -> Self {
        Self {
            rehearses: true,
            ..self
        }
    }

    /// The same account, which tells `watcher` what it does.
    #[must_use]
    pub fn watched(mut self, watcher: impl Fn(Notice<'_>) + Send + Sync + 'static) -> Self {
        self.watchers.add(Arc::new(watcher));
        self
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.keys.address()
    }

    /// The node.
    pub fn node(&self) -> &NodeClient {
        &self.node
    }

    /// The keys.
    pub fn keys(&self) -> &Keypair {
        &self.keys
    }

    /// Where it keeps secrets between commit and reveal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What it can spend.
    ///
    /// # Errors
    /// When the node does not answer, or not as its interface promises.
    pub async fn balance(&self) -> Result<Shannons, ClientError> {
        Ok(self.node.account(&self.address()).await?.balance)
    }
    /// Signs and hands in; does not wait.
    ///
    /// # Errors
    /// When the node refuses it, or may have taken it up without a good answer
    /// ([`ClientError::OutcomeUnknown`]); when another process has the account's turn for too long, or the
    /// disk fails.
    pub async fn submit(&self, kind: TransactionKind) -> Result<Sent, ClientError> {
        match self.hand_in(&kind).await? {
            (sent, None) => Ok(sent),
            (sent, Some(cause)) => Err(unknown(&sent.transaction, cause)),
        }
    }

    /// Signs, hands in and waits until it has taken effect. A transaction that failed is an error.
    ///
    /// # Errors
    /// When the ledger says no ([`ClientError::Failed`], [`ClientError::Problem`]), when it was not included
    /// in time ([`ClientError::Expired`]), or may still happen ([`ClientError::is_unknown`]).
    pub async fn execute(&self, kind: TransactionKind) -> Result<Receipt, ClientError> {
        let mut rebuilds = 0;
        loop {
            let (sent, heard) = self.hand_in(&kind).await?;
            let end = self.end(&sent, heard).await?;
            // Where it never happens, a new one cannot make it happen twice. One that expired took its time
            // about it; whether it is still wanted is for the caller to say, unless that was an earlier
            // caller's.
            let again = end == End::Superseded || sent.resumed;
            match end {
                End::Included(receipt) => return applied(receipt),
                _ if again && rebuilds < REBUILDS_MAX => rebuilds += 1,
                _ => return Err(sent.expired()),
            }
        }
    }

    /// Follows a deed that was left behind with its end unknown; `None` if there is none, or it never
    /// happens. One that failed is an error.
    ///
    /// # Errors
    /// When it failed, or may still happen ([`ClientError::is_unknown`]).
    pub async fn resume(&self, kind: &TransactionKind) -> Result<Option<Receipt>, ClientError> {
        let taken_up = {
            let mut sequence = self.sequence.lock().await;
            let context = self.refresh(&mut sequence).await?;
            let turn = self.turn(&context.chain).await?;
            self.take_up(&turn, kind, context.now.epoch).await?
        };
        let Some((sent, heard)) = taken_up else {
            return Ok(None);
        };
        match self.end(&sent, heard).await? {
            End::Included(receipt) => applied(receipt).map(Some),
            End::Superseded | End::Expired => Ok(None),
        }
    }

    /// The receipt of a transaction handed in before, whether it took effect or failed.
    ///
    /// # Errors
    /// When it can no longer be included ([`ClientError::Expired`]), or may still happen
    /// ([`ClientError::is_unknown`]).
    pub async fn receipt(&self, sent: &Sent) -> Result<Receipt, ClientError> {
        match self.end(sent, None).await? {
            End::Included(receipt) => Ok(receipt),
            End::Superseded | End::Expired => Err(sent.expired()),
        }
    }

    /// Its transactions whose end is not known yet, as this machine has them.
    pub fn outbox(&self, chain: &ChainId) -> Outbox {
        self.journal.outbox(chain, &self.address())
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Runs a step of the journal off the executor, since it waits for the disk.
    pub(crate) async fn journaled<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Journal) -> Result<T, soma_files::FileError> + Send + 'static,
    ) -> Result<T, ClientError> {
        let journal = self.journal().clone();
        Ok(blocking(move || step(&journal)).await??)
    }

    /// Waits for the end of a transaction, and forgets it then.
    async fn end(&self, sent: &Sent, heard: Option<ClientError>) -> Result<End, ClientError> {
        let end = self.followed(sent, heard).await?;
        sent.forget().await?;
        Ok(end)
    }

    /// Waits for the end of a transaction.
    async fn followed(&self, sent: &Sent, heard: Option<ClientError>) -> Result<End, ClientError> {
        let end = follow_from(&self.node, &sent.transaction, self.wait, heard, |error| {
            self.watchers.tell(Notice::Unanswered(&sent.transaction, error));
        })
        .await?;
        match &end {
            End::Included(receipt) => self.watchers.tell(Notice::Included(&sent.transaction, receipt)),
            End::Superseded | End::Expired => {
                self.sequence.lock().await.next_nonce = None;
                self.watchers.tell(Notice::Void(&sent.transaction));
            }
        }
        Ok(end)
    }
}

/// A receipt that shows success, or the reason why not as an error.
fn applied(receipt: Receipt) -> Result<Receipt, ClientError> {
    match &receipt.outcome {
        Outcome::Applied { .. } => Ok(receipt),
        Outcome::Failed { rejection } => Err(ClientError::Failed {
            rejection: rejection.clone(),
            receipt: Box::new(receipt),
        }),
    }
}
