//! Reads of finalized state and history, for the API and for whoever shares the process.

mod reader;

use std::sync::Arc;

use bytes::Bytes;
use commonware_consensus::{marshal::Identifier, types::Height as ConsensusHeight};
use commonware_cryptography::Digestible as _;
use commonware_runtime::utils::reschedule;
use soma_ledger::{Error, State, view};
use soma_types::{
    Height, Rejection, SignedTransaction, StateRoot, TransactionHash, api::TransactionView, genesis::Genesis,
    receipt::Receipt,
};

use crate::{
    block::Block,
    consensus::{Digest, Finalization, Identity},
    engine::Marshal,
    execution::Databases,
    gossip::Gossip,
    health::Health,
    index::{Index, Record, Tip},
    intake::SLICE,
    mempool::{Mempool, PoolError},
    runtime::{Runtime, now_ms},
    steady::Live,
    time::Time,
};

pub use self::reader::{LiveReader, ReadError, Reader, Since};

/// Reads of a validator on sockets.
pub type LiveQuery = Query<Live>;

/// Why a transaction was not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The mempool says no.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The node cannot answer.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<Rejection> for SubmitError {
    fn from(rejection: Rejection) -> Self {
        Self::Pool(PoolError::Rejected(rejection))
    }
}

/// What a running validator offers to readers. Clones share.
pub struct Query<E: Runtime> {
    pub(crate) databases: Databases<E>,
    pub(crate) marshal: Marshal,
    pub(crate) index: Index<E>,
    pub(crate) mempool: Mempool,
    pub(crate) gossip: Gossip<E>,
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) genesis_digest: Digest,
    pub(crate) network_key: [u8; 48],
    pub(crate) identity: Identity,
    pub(crate) metrics: Arc<dyn Fn() -> Arc<str> + Send + Sync>,
    pub(crate) time: Time,
}

impl<E: Runtime> Clone for Query<E> {
    fn clone(&self) -> Self {
        Self {
            databases: self.databases.clone(),
            marshal: self.marshal.clone(),
            index: self.index.clone(),
            mempool: self.mempool.clone(),
            gossip: self.gossip.clone(),
            genesis: self.genesis.clone(),
            genesis_digest: self.genesis_digest,
            network_key: self.network_key,
            identity: self.identity.clone(),
            metrics: self.metrics.clone(),
            time: self.time.clone(),
        }
    }
}

impl<E: Runtime> Query<E> {
    /// Runs a ledger view on the finalized state, all of it as of one block.
    ///
    /// # Errors
    /// [`ReadError`] if the state is unsound.
    pub async fn view<T>(
        &self,
        view: impl FnMut(&mut dyn State) -> Result<T, Error>,
    ) -> Result<T, ReadError> {
        self.reader().await.read(view).await
    }

    /// The height and root of the state this node holds, as its own storage computes them.
    ///
    /// # Errors
    /// If the state is unsound.
    pub async fn state_root(&self) -> Result<(Height, StateRoot), ReadError> {
        let mut reader = self.reader().await;
        let root = reader.database().root();
        let counters = reader.read(view::counters).await?;
        let root = StateRoot(root.as_ref().try_into().expect("a digest has 32 bytes"));
        Ok((counters.map_or(Height::ZERO, |counters| counters.height), root))
    }

    /// A view of the finalized state as of one block, for several reads. Blocks wait to be applied while it
    /// is held: see [`Reader::let_others_go_first`].
    pub async fn reader(&self) -> Reader<'_, E> {
        Reader::new(&self.databases).await
    }

    /// The genesis.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The key that verifies every certificate.
    #[must_use]
    pub const fn network_key(&self) -> [u8; 48] {
        self.network_key
    }

    /// The newest finalized block.
    pub async fn tip(&self) -> Option<Tip> {
        if let Some(tip) = self.index.tip() {
            return Some(tip);
        }
        // Nothing was finalized since the start: what is in the archive.
        let height = self.marshal.get_processed().await?.height();
        let block = self.block(height.get()).await?;
        let header = block.header();
        Some(Tip {
            height: header.height.get(),
            digest: block.digest(),
            state_root: header.state_root,
            timestamp_ms: header.timestamp_ms,
        })
    }

    /// How this node stands, as far as blocks have become final since it started.
    #[must_use]
    pub fn health(&self) -> Health {
        let clock = self.index.clock();
        let last = self.index.tip().map(|tip| (tip.height, tip.timestamp_ms));
        let age_ms = now_ms(clock).saturating_sub(self.index.final_ms());
        Health::judge(last, age_ms, self.time.now_ms(clock))
    }

    /// The finalized block at `height`.
    pub async fn block(&self, height: u64) -> Option<Arc<Block>> {
        let block = self
            .marshal
            .get_block(Identifier::Height(ConsensusHeight::new(height)))
            .await?;
        Some(block.inner_shared())
    }

    /// The certificate of the block at `height`. A block may be final through a later one's certificate;
    /// then it has none of its own.
    pub async fn finalization(&self, height: u64) -> Option<Finalization> {
        self.marshal.get_finalization(ConsensusHeight::new(height)).await
    }

    /// A transaction, included or waiting.
    pub async fn transaction(&self, hash: &TransactionHash) -> Option<TransactionView> {
        // What leaves the mempool for a block is in the index by then.
        let waiting = self.mempool.get(hash);
        if let Some((height, index)) = self.index.transaction(hash) {
            return transaction_in(&self.index.record(height).await?, index);
        }
        let transaction = waiting?.transaction().clone();
        Some(TransactionView {
            hash: *hash,
            transaction,
            receipt: None,
            timestamp_ms: None,
        })
    }

    /// Included transactions, in the order of `hashes`, as far as `records` blocks' records go; and how many
    /// of `hashes` that are. One record after another is read, once for all that lie next to each other.
    pub async fn transactions(
        &self,
        hashes: impl Iterator<Item = TransactionHash>,
        records: usize,
    ) -> (Vec<TransactionView>, usize) {
        let (mut views, mut looked, mut read) = (Vec::new(), 0, 0);
        let mut current: Option<(u64, Option<Record>)> = None;
        for hash in hashes {
            if let Some((height, index)) = self.index.transaction(&hash) {
                if current.as_ref().is_none_or(|(at, _)| *at != height) {
                    if read == records {
                        break;
                    }
                    read += 1;
                    current = Some((height, self.index.record(height).await));
                }
                let record = current.as_ref().and_then(|(_, record)| record.as_ref());
                views.extend(record.and_then(|record| transaction_in(record, index)));
            }
            looked += 1;
        }
        (views, looked)
    }

    /// Checks encoded transactions against the finalized state and what waits, takes up those that are good,
    /// and tells the other validators. The answers are in the order of `encoded`: the name, or why it is
    /// refused. Handing in again what waits or is included succeeds: the first answer may have been lost.
    ///
    /// # Errors
    /// If the state is unsound.
    pub async fn submit_all(
        &self,
        encoded: Vec<Bytes>,
    ) -> Result<Vec<Result<TransactionHash, PoolError>>, ReadError> {
        let mut answers = Vec::with_capacity(encoded.len());
        for slice in encoded.chunks(SLICE) {
            self.submit_slice(slice, &mut answers).await?;
            reschedule().await;
        }
        Ok(answers)
    }

    async fn submit_slice(
        &self,
        encoded: &[Bytes],
        answers: &mut Vec<Result<TransactionHash, PoolError>>,
    ) -> Result<(), ReadError> {
        let (mut fresh, mut places) = (Vec::new(), Vec::new());
        for decoded in self.mempool.decode_all(encoded.to_vec()) {
            if let Ok(transaction) = &decoded
                && self.index.transaction(&transaction.hash()).is_none()
            {
                places.push(answers.len());
                fresh.push(transaction.clone());
            }
            answers.push(
                decoded
                    .map(|transaction| transaction.hash())
                    .map_err(PoolError::from),
            );
        }
        for (place, taken) in places.into_iter().zip(self.gossip.submit(&fresh).await?) {
            match taken {
                Ok(()) | Err(PoolError::Known(_)) => {}
                Err(error) => answers[place] = Err(error),
            }
        }
        Ok(())
    }

    /// [`Self::submit_all`] of one.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn submit(&self, encoded: Bytes) -> Result<TransactionHash, SubmitError> {
        let mut answers = self.submit_all(vec![encoded]).await?;
        Ok(answers.pop().expect("one answer to one transaction")?)
    }

    /// Finalized blocks and certificates.
    #[must_use]
    pub const fn marshal(&self) -> &Marshal {
        &self.marshal
    }

    /// What an encoded transaction would do if it were next.
    ///
    /// # Errors
    /// Why it would be refused.
    pub async fn simulate(&self, encoded: Bytes) -> Result<Receipt, SubmitError> {
        let transaction = self.mempool.decode(encoded)?;
        Ok(self
            .view(|state| soma_ledger::simulate(state, &transaction))
            .await??)
    }

    /// The account's next nonce in the ledger, and the one to sign with.
    ///
    /// # Errors
    /// If the state is unsound.
    pub async fn nonces(&self, address: &soma_types::Address) -> Result<(u64, u64), ReadError> {
        let account = self.view(|state| view::account(state, *address)).await?;
        Ok((account.nonce, self.mempool.next_nonce(address, account.nonce)))
    }

    /// The index of receipts and events.
    #[must_use]
    pub const fn index(&self) -> &Index<E> {
        &self.index
    }

    /// Transactions that wait.
    #[must_use]
    pub const fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// All metrics of the node as they were a moment ago, in Prometheus' text form.
    #[must_use]
    pub fn metrics(&self) -> Arc<str> {
        (self.metrics)()
    }

    /// Bytes sent to and received from other validators since the node started.
    #[must_use]
    pub fn network_bytes(&self) -> (u64, u64) {
        let metrics = self.metrics();
        (
            value(&metrics, "runtime_outbound_bandwidth_total").unwrap_or(0),
            value(&metrics, "runtime_inbound_bandwidth_total").unwrap_or(0),
        )
    }

    /// Whether consensus has opened what it remembers of its votes, and is in a view.
    pub(crate) fn is_voting(&self) -> bool {
        value(&self.metrics(), "validator_voter_state_current_view").is_some_and(|view| view > 0)
    }
}

/// The transaction at a place of a block.
fn transaction_in(record: &Record, index: u32) -> Option<TransactionView> {
    let encoded = record.transactions.get(index as usize)?;
    let signed: SignedTransaction = borsh::from_slice(encoded).ok()?;
    let receipt = record.receipts.get(index as usize)?;
    Some(TransactionView {
        hash: receipt.transaction,
        transaction: signed.transaction,
        receipt: Some(receipt.clone()),
        timestamp_ms: Some(record.timestamp_ms),
    })
}

/// The first value in `metrics` of one whose name begins so.
fn value(metrics: &str, name: &str) -> Option<u64> {
    let line = metrics.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}
