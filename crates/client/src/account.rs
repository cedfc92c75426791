//! One key at one node: builds, signs, sends and follows transactions.
//!
//! Upon a transaction: take the next nonce, set the fee limit to twice today's fee and the expiry
//! [`LIFETIME_EPOCHS`] ahead, sign, hand in. Several may be under way at once; nonces are given out in order
//! here, and fetched again when the node disagrees (another program with the same key, a restarted node).
//!
//! Upon waiting: ask for the receipt; if the node has forgotten the transaction, hand the same bytes in
//! again, which cannot make it happen twice. The wait ends with a receipt, with the certainty that there will
//! never be one, or at the time limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use soma_types::keys::Keypair;
use soma_types::params::{ONE_Q16, Params};
use soma_types::receipt::Outcome;
use soma_types::{
    Address, ChainId, Epoch, Receipt, Shannons, SignedTransaction, Transaction, TransactionHash,
    TransactionKind,
};
use tokio::sync::Mutex;

use crate::error::ClientError;
use crate::journal::Journal;
use crate::node::NodeClient;

/// A transaction may be included for this many epochs after the one in which it was made.
pub const LIFETIME_EPOCHS: u64 = 2;

/// The most one is willing to pay, over the fee when the transaction was made. Fees move by an eighth per
/// epoch, so this covers the transaction's whole life.
const FEE_LIMIT_FACTOR: u64 = 2;
/// For how long fees and epoch are taken as known.
const CONTEXT_AGE_MAX: Duration = Duration::from_secs(2);
/// How often a transaction is rebuilt when the node names another nonce, fee, epoch or chain.
const REBUILDS_MAX: u32 = 5;
const WAIT_DEFAULT: Duration = Duration::from_secs(120);
const POLL_DELAY_FIRST: Duration = Duration::from_millis(50);
const POLL_DELAY_MAX: Duration = Duration::from_millis(500);
/// How long the node may not know a transaction before it is handed in again.
const RESEND_DELAY: Duration = Duration::from_secs(2);

// Rejection codes that rebuilding answers: they are stable (`soma_types::rejection`).
const WRONG_CHAIN: u16 = 103;
const NONCE_USED: u16 = 104;
const NONCE_AHEAD: u16 = 105;
const EXPIRED: u16 = 106;
const FEE_ABOVE_LIMIT: u16 = 107;

/// A transaction that the node has taken up.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its name.
    pub hash: TransactionHash,
    /// Itself, to be handed in again.
    pub transaction: SignedTransaction,
}

impl Sent {
    /// The last epoch in which it can be included.
    pub fn expires(&self) -> Epoch {
        self.transaction.transaction.expires
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
        }
    }

    /// The same account, waiting for receipts this long (120 s unless set).
    #[must_use]
    pub fn with_wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
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
        Ok(fee(&context, &self.build(&context, 0, kind.clone())))
    }

    /// Signs and hands in; does not wait.
    pub async fn submit(&self, kind: TransactionKind) -> Result<Sent, ClientError> {
        // Held until the node has it, so that nonces arrive in order.
        let mut sequence = self.sequence.lock().await;
        let mut rebuilds = 0;
        loop {
            let context = self.refresh(&mut sequence).await?;
            let nonce = match sequence.next_nonce {
                Some(nonce) => nonce,
                None => self.node.account(&self.address()).await?.nonce_pending,
            };
            let transaction = self.build(&context, nonce, kind.clone());
            let hash = transaction.hash();
            let error = match self.node.submit(&transaction).await {
                Ok(_) => {
                    sequence.next_nonce = Some(nonce.saturating_add(1));
                    return Ok(Sent { hash, transaction });
                }
                Err(error) => error,
            };
            sequence.next_nonce = None;
            match error.rejection_code() {
                _ if error.is_conflict() && rebuilds < REBUILDS_MAX => {}
                Some(NONCE_AHEAD) if rebuilds < REBUILDS_MAX => {}
                Some(WRONG_CHAIN | EXPIRED | FEE_ABOVE_LIMIT) if rebuilds < REBUILDS_MAX => {
                    sequence.context = None;
                }
                _ => return Err(error),
            }
            rebuilds += 1;
        }
    }

    /// Signs, hands in and waits until it has taken effect. A transaction that failed is an error.
    pub async fn execute(&self, kind: TransactionKind) -> Result<Receipt, ClientError> {
        let mut rebuilds = 0;
        loop {
            let sent = self.submit(kind.clone()).await?;
            match self.wait(&sent).await? {
                Waited::Included(receipt) => return applied(receipt),
                // Another took its nonce, so it will never happen: a new one cannot make it happen twice.
                Waited::Superseded if rebuilds < REBUILDS_MAX => rebuilds += 1,
                Waited::Superseded => {
                    return Err(ClientError::Expired {
                        hash: sent.hash,
                        expires: sent.expires(),
                    });
                }
            }
        }
    }

    /// The receipt of a transaction handed in before, whether it took effect or failed.
    pub async fn receipt(&self, sent: &Sent) -> Result<Receipt, ClientError> {
        match self.wait(sent).await? {
            Waited::Included(receipt) => Ok(receipt),
            Waited::Superseded => Err(ClientError::Expired {
                hash: sent.hash,
                expires: sent.expires(),
            }),
        }
    }

    async fn wait(&self, sent: &Sent) -> Result<Waited, ClientError> {
        let start = Instant::now();
        let mut delay = POLL_DELAY_FIRST;
        let mut unknown_since: Option<Instant> = None;
        loop {
            match self.node.transaction(&sent.hash).await {
                Ok(Some(view)) => {
                    if let Some(receipt) = view.receipt {
                        return Ok(Waited::Included(receipt));
                    }
                    unknown_since = None;
                }
                Ok(None) if unknown_since.get_or_insert_with(Instant::now).elapsed() > RESEND_DELAY => {
                    unknown_since = None;
                    if let Some(end) = self.resend(sent).await? {
                        return Ok(end);
                    }
                }
                Ok(None) => {}
                // The node may be restarting; the time limit decides.
                Err(ClientError::Unreachable { .. } | ClientError::TimedOut { .. })
                    if start.elapsed() < self.wait => {}
                Err(error) => return Err(error),
            }
            if start.elapsed() > self.wait {
                return Err(ClientError::StillWaiting {
                    hash: sent.hash,
                    waited: start.elapsed(),
                });
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(POLL_DELAY_MAX);
        }
    }

    /// Hands the same bytes in again; how it ended, if the answer shows that.
    async fn resend(&self, sent: &Sent) -> Result<Option<Waited>, ClientError> {
        let error = match self.node.submit(&sent.transaction).await {
            Ok(_) | Err(ClientError::Unreachable { .. } | ClientError::TimedOut { .. }) => return Ok(None),
            Err(error) => error,
        };
        let code = error.rejection_code();
        // A transaction before it got lost too, and whoever waits for that one hands it in again; or one
        // with its nonce waits, and inclusion decides between the two.
        if code == Some(NONCE_AHEAD) || (error.is_conflict() && code != Some(NONCE_USED)) {
            return Ok(None);
        }
        // It may have been included between the two questions.
        if let Some(receipt) = self
            .node
            .transaction(&sent.hash)
            .await?
            .and_then(|view| view.receipt)
        {
            return Ok(Some(Waited::Included(receipt)));
        }
        match code {
            Some(NONCE_USED) => Ok(Some(Waited::Superseded)),
            Some(EXPIRED) => {
                self.sequence.lock().await.next_nonce = None;
                Err(ClientError::Expired {
                    hash: sent.hash,
                    expires: sent.expires(),
                })
            }
            _ => Err(error),
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

    fn build(&self, context: &Context, nonce: u64, kind: TransactionKind) -> SignedTransaction {
        let transaction = Transaction {
            chain: context.chain,
            sender: self.keys.public_key(),
            nonce,
            expires: context.epoch.plus(LIFETIME_EPOCHS),
            max_fee: Shannons::ZERO,
            kind,
        };
        // The limit has a fixed width, so the length, and with it the fee, does not depend on it.
        let unlimited = transaction.sign(&self.keys);
        let max_fee = Shannons(fee(context, &unlimited).0.saturating_mul(FEE_LIMIT_FACTOR));
        Transaction {
            max_fee,
            ..unlimited.transaction
        }
        .sign(&self.keys)
    }
}

/// How a wait ended.
enum Waited {
    Included(Receipt),
    /// Its nonce went to another transaction.
    Superseded,
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
