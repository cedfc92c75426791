//! Proofs for light clients, of finalized state and of blocks that are kept.

use commonware_storage::{mmr, qmdb::Error as StorageError};
use soma_ledger::view;
use soma_light::{
    claim::Claim,
    proof::{Finality, HEADERS_MAX, Link, Proof},
    receipts::Receipts,
    state::state_key,
    subject::Held,
};
use soma_types::TransactionHash;

use crate::{
    query::{Query, ReadError},
    runtime::Runtime,
};

/// Why there is no proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// The node cannot read its state.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its database fails.
    #[error("this node cannot prove what its state holds: {0}; ask another node")]
    Storage(String),
    /// The network has just begun, or the node is far behind.
    #[error("this node has no certificate yet by which block {0} is final: try again in a second")]
    NotFinal(u64),
    /// The block asked for is yet to come.
    #[error("there is no block {height} yet: the last one is {last}")]
    NotYet {
        /// What was asked for.
        height: u64,
        /// The last.
        last: u64,
    },
    /// It is no longer there.
    #[error("block {0} is not kept here: ask a node that keeps more blocks")]
    NotKept(u64),
    /// The transaction is in no block that this node knows.
    #[error(
        "transaction {0} is in no block that this node knows; that it is not in one of them, ?height= proves, and \
         that it is in none at all, its sender's nonce"
    )]
    NotIncluded(TransactionHash),
}

impl<E: Runtime> Query<E> {
    /// Proves the current value of something in the state, or that there is none.
    ///
    /// # Errors
    /// Why that cannot be proved here and now.
    pub async fn prove(&self, held: Held) -> Result<Proof, ProveError> {
        let (height, claim) = {
            let mut reader = self.reader().await;
            let counters = reader.read(view::counters).await?;
            let height = counters.map_or(0, |counters| counters.height.0);
            let (database, key) = (reader.database(), state_key(&held.key()));
            let failed = |error: StorageError<mmr::Family>| ProveError::Storage(error.to_string());
            let claim = match database.get(&key).await.map_err(failed)? {
                Some(value) => Claim::Value {
                    held,
                    value,
                    proof: Box::new(database.key_value_proof(key).await.map_err(failed)?),
                },
                None => Claim::NoValue {
                    held,
                    proof: Box::new(database.exclusion_proof(&key).await.map_err(failed)?),
                },
            };
            (height, claim)
        };
        if height == 0 {
            // Nobody votes on genesis: the first block's state is the first that is proved.
            return Err(ProveError::NotFinal(height));
        }
        Ok(self.proof(self.finality(height).await?, claim))
    }

    /// Proves the receipt of a transaction, or that the block at `height` has none of it. Where no height is
    /// given: of the block that it is in.
    ///
    /// # Errors
    /// Why that cannot be proved here and now.
    pub async fn prove_receipt(
        &self,
        transaction: TransactionHash,
        height: Option<u64>,
    ) -> Result<Proof, ProveError> {
        let last = self.index().tip().map_or(0, |tip| tip.height);
        if let Some(height) = height.filter(|height| *height > last) {
            return Err(ProveError::NotYet { height, last });
        }
        let included = self.index().transaction(&transaction).map(|(height, _)| height);
        let height = height.or(included).ok_or(ProveError::NotIncluded(transaction))?;
        let finality = self.finality(height).await?;
        // A block that held nothing has no record, and neither has one that is no longer kept.
        let record = self.index().record(height).await;
        let receipts = record.map_or_else(Vec::new, |record| record.receipts);
        let tree = Receipts::new(&receipts);
        let named = finality.links.first().map(|link| link.header.receipts_root);
        if named != Some(tree.root()) {
            return Err(ProveError::NotKept(height));
        }
        let path = tree.prove(&transaction);
        let receipt = receipts
            .into_iter()
            .find(|receipt| receipt.transaction == transaction);
        let claim = match receipt {
            Some(receipt) => Claim::Receipt {
                receipt: Box::new(receipt),
                path,
            },
            None => Claim::NoReceipt { transaction, path },
        };
        Ok(self.proof(finality, claim))
    }

    fn proof(&self, finality: Finality, claim: Claim) -> Proof {
        Proof {
            chain: self.genesis().chain_id(),
            finality,
            claim,
        }
    }

    /// What makes the block at `height` final: its own certificate, or the next that there is.
    async fn finality(&self, height: u64) -> Result<Finality, ProveError> {
        let mut links = Vec::new();
        for at in height..height.saturating_add(HEADERS_MAX as u64) {
            let Some(block) = self.block(at).await else {
                return Err(match self.index().tip() {
                    Some(tip) if at <= tip.height => ProveError::NotKept(height),
                    _ => ProveError::NotFinal(height),
                });
            };
            links.push(Link {
                header: block.header().clone(),
                transactions: block.transactions_hash(),
            });
            if let Some(certificate) = self.finalization(at).await {
                return Ok(Finality { links, certificate });
            }
        }
        Err(ProveError::NotFinal(height))
    }
}
