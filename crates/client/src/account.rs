//! One key at one node: builds, signs, sends and follows transactions.
//!
//! Upon a transaction: take the account's turn among this machine's processes, take the next nonce, set the fee limit
//! to twice today's fee and the expiry [`LIFETIME_EPOCHS`] ahead, sign, write to disk ([`crate::outbox`]), hand in.
//! Several may be under way at once; nonces are given out in order, and fetched again when another process has sent or
//! the node disagrees (the same key on another machine, a restarted node).
//!
//! No two transactions are the same bytes, even when they ask for the same at the same time: the fee limit, which is
//! otherwise of no consequence, carries a random part. So a name that a node knows is this deed's and no other's.
//!
//! Upon a deed that was left behind with its end unknown (a lost answer, a killed process) and is asked for again: its
//! bytes are handed in again and followed, so that it happens once.
//!
//! Upon waiting: see [`crate::follow`].
//!
//! A node is believed about nonces: one that lies about them can have a deed signed more than once. It cannot make a
//! transaction cost more than [`MAX_FEE_DEFAULT`], or what [`Account::with_max_fee`] sets.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use soma_files::LockError;
use soma_types::amount::SHANNONS_PER_SOMA;
use soma_types::keys::Keypair;
use soma_types::params::{ONE_Q16, Params};
use soma_types::receipt::Outcome;
use soma_types::{
    Address, ChainId, Epoch, Receipt, Shannons, SignedTransaction, Transaction, TransactionHash,
    TransactionKind,
};
use tokio::sync::Mutex;

use crate::error::ClientError;
use crate::flows::blocking;
use crate::follow::{End, Resent, follow_from, resend};
use crate::journal::Journal;
use crate::node::NodeClient;
use crate::outbox::{Kept, Outbox, Turn};

/// A transaction may be included for this many epochs after the one in which it was made.
pub const LIFETIME_EPOCHS: u64 = 2;

/// The most one is willing to pay, over the fee when the transaction was made. Fees move by an eighth per
/// epoch, so this covers the transaction's whole life.
const FEE_LIMIT_FACTOR: u64 = 2;
/// For how long fees and epoch are taken as known.
const CONTEXT_AGE_MAX: Duration = Duration::from_secs(2);
/// How often a transaction is rebuilt when the node names another nonce, fee, epoch or chain.
const REBUILDS_MAX: u32 = 5;
/// The most a transaction may cost in fees unless told otherwise: thousands of times a quiet network's.
pub const MAX_FEE_DEFAULT: Shannons = Shannons(SHANNONS_PER_SOMA);
/// The random part of a fee limit is below this, a thousandth of a SOMA.
const SALT_BITS: u32 = 20;
const WAIT_DEFAULT: Duration = Duration::from_secs(120);
/// Between two looks whether it is this process's turn.
const TURN_DELAY: Duration = Duration::from_millis(20);
/// Before the first rebuild; doubled for each that follows.
const REBUILD_DELAY: Duration = Duration::from_millis(50);
/// Between two tries at a node whose mempool is full.
const FULL_DELAY: Duration = Duration::from_millis(500);

// Rejection codes that rebuilding answers: they are stable (`soma_types::rejection`).
const WRONG_CHAIN: u16 = 103;
const NONCE_AHEAD: u16 = 105;
const EXPIRED: u16 = 106;
const FEE_ABOVE_LIMIT: u16 = 107;

/// A transaction that was handed in. As long as it is held, it counts as waited for.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its name.
    pub hash: TransactionHash,
    /// Itself, to be handed in again.
    pub transaction: SignedTransaction,
    /// Whether it was left behind by an earlier call, and handed in again.
    pub resumed: bool,
    kept: Arc<Kept>,
}

impl Sent {
    fn new(kept: Kept, resumed: bool) -> Self {
        let transaction = kept.transaction().clone();
        Self {
            hash: transaction.hash(),
            transaction,
            resumed,
            kept: Arc::new(kept),
        }
    }

    /// The last epoch in which it can be included.
    pub fn expires(&self) -> Epoch {
        self.transaction.transaction.expires
    }
}

/// What an account does, as it does it.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// The transaction is on disk and about to be handed in.
    Sending(&'a SignedTransaction),
    /// The transaction was left behind with its end unknown, and is followed instead of a new one.
    Resumed(&'a SignedTransaction),
    /// It was included.
    Included(&'a SignedTransaction, &'a Receipt),
    /// It never happens.
    Void(&'a SignedTransaction),
}

type Watcher = Arc<dyn Fn(Notice<'_>) + Send + Sync>;

/// Whoever is told of notices.
#[derive(Clone, Default)]
struct Watchers(Vec<Watcher>);

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} watchers", self.0.len())
    }
}

/// What a transaction is built from.
#[derive(Clone, Debug)]
struct Context {
    chain: ChainId,
    params: Arc<Params>,
    epoch: Epoch,
    fee_multiplier_q16: u64,
    fetched: Instant,
}

#[derive(Debug, Default)]
struct Sequence {
    next_nonce: Option<u64>,
    /// The transaction that this nonce follows.
    last: Option<TransactionHash>,
    context: Option<Context>,
}

/// A key at a node. Clones share the sequence of nonces: use one account per key in a program.
#[derive(Clone, Debug)]
pub struct Account {
    node: NodeClient,
    keys: Keypair,
    journal: Journal,
    sequence: Arc<Mutex<Sequence>>,
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
            wait: WAIT_DEFAULT,
            max_fee: MAX_FEE_DEFAULT,
            rehearses: false,
            watchers: Watchers::default(),
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

    /// The same account, which asks the node first what a transaction would lead to, and does not send one that
    /// would fail: that costs a question, and saves the fee.
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
        self.watchers.0.push(Arc::new(watcher));
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
    pub async fn balance(&self) -> Result<Shannons, ClientError> {
        Ok(self.node.account(&self.address()).await?.balance)
    }

    /// The network's id.
    pub async fn chain(&self) -> Result<ChainId, ClientError> {
        Ok(self.context().await?.chain)
    }

    /// The protocol's parameters, as last fetched.
    pub async fn params(&self) -> Result<Arc<Params>, ClientError> {
        Ok(self.context().await?.params)
    }

    /// The epoch in progress, as of a moment ago.
    pub async fn current_epoch(&self) -> Result<Epoch, ClientError> {
        Ok(self.context().await?.epoch)
    }

    /// What `kind` would cost in fees now.
    pub async fn estimate_fee(&self, kind: &TransactionKind) -> Result<Shannons, ClientError> {
        let context = self.context().await?;
        let transaction = self.unlimited(&context, 0, kind.clone());
        Ok(fee(&context, &transaction.sign(&self.keys)))
    }

    /// Signs and hands in; does not wait.
    pub async fn submit(&self, kind: TransactionKind) -> Result<Sent, ClientError> {
        match self.hand_in(&kind).await? {
            (sent, None) => Ok(sent),
            (sent, Some(cause)) => Err(crate::follow::unknown(&sent.transaction, cause)),
        }
    }

    /// Signs, hands in and waits until it has taken effect. A transaction that failed is an error.
    pub async fn execute(&self, kind: TransactionKind) -> Result<Receipt, ClientError> {
        let mut rebuilds = 0;
        loop {
            let (sent, heard) = self.hand_in(&kind).await?;
            let end = self.end(&sent, heard).await?;
            // Where it never happens, a new one cannot make it happen twice. One that expired took its time about it;
            // whether it is still wanted is for the caller to say, unless that was an earlier caller's.
            let again = end == End::Superseded || sent.resumed;
            match end {
                End::Included(receipt) => return applied(receipt),
                _ if again && rebuilds < REBUILDS_MAX => rebuilds += 1,
                _ => return Err(expired(&sent)),
            }
        }
    }

    /// Follows a deed that was left behind with its end unknown; `None` if there is none, or it never happens. One that
    /// failed is an error.
    pub async fn resume(&self, kind: &TransactionKind) -> Result<Option<Receipt>, ClientError> {
        let taken_up = {
            let mut sequence = self.sequence.lock().await;
            let context = self.refresh(&mut sequence).await?;
            let turn = self.turn(&context.chain).await?;
            self.take_up(&turn, kind, context.epoch).await?
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
    pub async fn receipt(&self, sent: &Sent) -> Result<Receipt, ClientError> {
        match self.end(sent, None).await? {
            End::Included(receipt) => Ok(receipt),
            End::Superseded | End::Expired => Err(expired(sent)),
        }
    }

    /// Waits for the end of a transaction, and forgets it then.
    async fn end(&self, sent: &Sent, heard: Option<ClientError>) -> Result<End, ClientError> {
        let end = follow_from(&self.node, &sent.transaction, self.wait, heard).await?;
        match &end {
            End::Included(receipt) => self.tell(Notice::Included(&sent.transaction, receipt)),
            End::Superseded | End::Expired => {
                self.sequence.lock().await.next_nonce = None;
                self.tell(Notice::Void(&sent.transaction));
            }
        }
        // What ended has ended, also where the disk refuses: it is looked up once more, at worst.
        let kept = Arc::clone(&sent.kept);
        let _ = blocking(move || kept.forget()).await?;
        Ok(end)
    }

    /// Signs and hands in, or takes up what was left behind. The second is what was heard instead of a good answer,
    /// where it may happen nevertheless.
    async fn hand_in(&self, kind: &TransactionKind) -> Result<(Sent, Option<ClientError>), ClientError> {
        // Held until the node has it, so that nonces arrive in order.
        let mut sequence = self.sequence.lock().await;
        let mut context = self.refresh(&mut sequence).await?;
        let mut turn = self.turn(&context.chain).await?;
        if let Some(taken_up) = self.take_up(&turn, kind, context.epoch).await? {
            return Ok(taken_up);
        }
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
            self.tell(Notice::Sending(&sent.transaction));
            let error = match self.node.submit(&sent.transaction).await {
                Ok(_) => {
                    on_disk(&turn, move |turn| turn.set_last(&hash)).await?;
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
            self.tell(Notice::Void(&sent.transaction));
            blocking(move || sent.kept.forget()).await??;
            sequence.next_nonce = None;
            match error.rejection_code() {
                None if is_full(&error) && start.elapsed() < self.wait => {
                    tokio::time::sleep(FULL_DELAY).await;
                    continue;
                }
                _ if error.is_conflict() && rebuilds < REBUILDS_MAX => {}
                Some(NONCE_AHEAD) if rebuilds < REBUILDS_MAX => {}
                Some(WRONG_CHAIN | EXPIRED | FEE_ABOVE_LIMIT) if rebuilds < REBUILDS_MAX => {
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
    async fn take_up(
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
        let Some(kept) = left.await? else {
            return Ok(None);
        };
        let sent = Sent::new(kept, true);
        let heard = match resend(&self.node, &sent.transaction).await {
            Resent::Waits | Resent::Ended(End::Included(_)) => None,
            Resent::Heard(error) => Some(error),
            Resent::Ended(End::Superseded | End::Expired) => {
                self.tell(Notice::Void(&sent.transaction));
                blocking(move || sent.kept.forget()).await??;
                return Ok(None);
            }
        };
        self.tell(Notice::Resumed(&sent.transaction));
        Ok(Some((sent, heard)))
    }

    /// Waits until no other process of this machine hands in for this account.
    async fn turn(&self, chain: &ChainId) -> Result<Arc<Turn>, ClientError> {
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

    /// Its transactions whose end is not known yet, as this machine has them.
    pub fn outbox(&self, chain: &ChainId) -> Outbox {
        self.journal.outbox(chain, &self.address())
    }

    /// Refuses what the node says would fail. Where it cannot say, or says that others come first, handing in tells.
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

    fn tell(&self, notice: Notice<'_>) {
        for watcher in &self.watchers.0 {
            watcher(notice);
        }
    }

    async fn context(&self) -> Result<Context, ClientError> {
        self.refresh(&mut *self.sequence.lock().await).await
    }

    async fn refresh(&self, sequence: &mut Sequence) -> Result<Context, ClientError> {
        if let Some(context) = &sequence.context
            && context.fetched.elapsed() < CONTEXT_AGE_MAX
        {
            return Ok(context.clone());
        }
        let epoch = self.node.epoch(None).await?;
        let known = sequence.context.take();
        let (chain, params) = match known {
            // Chain and parameters can only have changed at a boundary.
            Some(known) if known.epoch == epoch.epoch => (known.chain, known.params),
            _ => (
                self.node.status().await?.chain,
                Arc::new(self.node.params().await?),
            ),
        };
        let context = Context {
            chain,
            params,
            epoch: epoch.epoch,
            fee_multiplier_q16: epoch.state.fee_multiplier_q16,
            fetched: Instant::now(),
        };
        sequence.context = Some(context.clone());
        Ok(context)
    }

    fn unlimited(&self, context: &Context, nonce: u64, kind: TransactionKind) -> Transaction {
        Transaction {
            chain: context.chain,
            sender: self.keys.public_key(),
            nonce,
            expires: context.epoch.plus(LIFETIME_EPOCHS),
            max_fee: Shannons::ZERO,
            kind,
        }
    }

    fn build(
        &self,
        context: &Context,
        nonce: u64,
        kind: TransactionKind,
    ) -> Result<SignedTransaction, ClientError> {
        let transaction = self.unlimited(context, nonce, kind);
        // The limit has a fixed width, so the length, and with it the fee, does not depend on it.
        let fee = fee(context, &transaction.clone().sign(&self.keys));
        let max_fee = limit(fee, self.max_fee)?;
        Ok(Transaction {
            max_fee,
            ..transaction
        }
        .sign(&self.keys))
    }
}

/// A step on disk under the account's turn, off the executor.
async fn on_disk<T: Send + 'static>(
    turn: &Arc<Turn>,
    step: impl FnOnce(&Turn) -> Result<T, soma_files::FileError> + Send + 'static,
) -> Result<T, ClientError> {
    let turn = Arc::clone(turn);
    Ok(blocking(move || step(&turn)).await??)
}

/// A fee limit from `fee` to `limit`: room for fees that rise, less a random part that makes the transaction unique.
fn limit(fee: Shannons, limit: Shannons) -> Result<Shannons, ClientError> {
    if fee > limit {
        return Err(ClientError::FeeTooHigh { fee, limit });
    }
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(ClientError::Randomness)?;
    let salt = u64::from(u32::from_le_bytes(random) >> (u32::BITS - SALT_BITS));
    let room = fee
        .0
        .saturating_mul(FEE_LIMIT_FACTOR)
        .saturating_add(1 << SALT_BITS);
    let most = room.min(limit.0);
    Ok(Shannons(most.saturating_sub(salt).max(fee.0)))
}

/// Whether the node has no room for it now.
fn is_full(error: &ClientError) -> bool {
    matches!(error, ClientError::Problem(problem) if matches!(problem.status, 429 | 503))
}

fn expired(sent: &Sent) -> ClientError {
    ClientError::Expired {
        hash: sent.hash,
        expires: sent.expires(),
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

/// The fee of a transaction (docs/protocol.md, section 3), rounded up.
fn fee(context: &Context, transaction: &SignedTransaction) -> Shannons {
    let length_bytes = transaction.encode().len() as u128;
    let (base, per_byte) = (
        u128::from(context.params.fee_base.0),
        u128::from(context.params.fee_per_byte.0),
    );
    let unit = base.saturating_add(per_byte.saturating_mul(length_bytes));
    let fee = unit
        .saturating_mul(u128::from(context.fee_multiplier_q16))
        .div_ceil(ONE_Q16 as u128);
    Shannons(u64::try_from(fee).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fee_limits_leave_room_and_differ() {
        let (fee, most) = (Shannons(12_000), MAX_FEE_DEFAULT);
        let limits: std::collections::BTreeSet<_> = (0..64).map(|_| limit(fee, most).unwrap()).collect();
        assert!(limits.len() > 60, "{limits:?}");
        let (low, high) = (limits.first().unwrap(), limits.last().unwrap());
        assert!(low.0 >= 2 * fee.0 && high.0 <= 2 * fee.0 + (1 << SALT_BITS));
        // What the user sets is never exceeded, and always enough for the fee.
        for most in [fee, Shannons(fee.0 + 1), Shannons(20_000)] {
            let limit = limit(fee, most).unwrap();
            assert!(fee <= limit && limit <= most, "{limit}");
        }
        let error = limit(fee, Shannons(fee.0 - 1)).unwrap_err();
        assert!(matches!(error, ClientError::FeeTooHigh { .. }));
        assert!(limit(Shannons(u64::MAX), Shannons(u64::MAX)).is_ok());
    }
}
