//! The ledger as the machine that consensus replicates.

mod beginnings;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use commonware_codec::Encode as _;
use commonware_utils::sync::Mutex;
use soma_ledger::{
    BlockInfo, BlockOutcome, Error, MemoryState, Preparation, RoutingCache, State as _, initialize,
    transaction_keys, view,
};
use soma_light::receipts::Receipts;
use soma_types::{Address, Epoch, Height, PublicKey, Seed, VerifiedTransaction, genesis::Genesis};

use self::beginnings::{Beginning, Beginnings, Making};
use crate::{
    consensus::Digest,
    execution::{Bridge, Source, WorkingSet, retry},
    machine::{BlockContext, Executed, Inadmissible, Invalid, Machine},
    mempool::Mempool,
};

/// The SOMA ledger of one network.
#[derive(Clone)]
pub struct LedgerMachine {
    genesis: Arc<Genesis>,
    proposers: Arc<HashMap<PublicKey, Address>>,
    routing: Arc<Mutex<RoutingCache>>,
    beginnings: Beginnings,
    mempool: Mempool,
}

impl LedgerMachine {
    /// The ledger that starts from `genesis`. Transactions that wait in `mempool` are not verified again.
    #[must_use]
    pub fn new(genesis: Arc<Genesis>, mempool: Mempool) -> Self {
        let proposers = genesis
            .validators
            .iter()
            .map(|v| (v.network_key, v.address))
            .collect();
        Self {
            genesis,
            proposers: Arc::new(proposers),
            routing: Arc::default(),
            beginnings: Beginnings::default(),
            mempool,
        }
    }

    /// What all blocks at `height` on `parent` begin with, on the state behind `source`.
    async fn beginning<S: Source>(&self, height: u64, parent: Digest, source: &S) -> Beginning {
        let make = || {
            let mut known = WorkingSet::default();
            if height == 1 {
                self.install(&mut known);
            }
            Making::new(
                Preparation::new(Height(height)),
                known,
                self.routing.lock().clone(),
            )
        };
        let making = self.beginnings.of(height, parent, make);
        let mut making = making.lock().await;
        sound(making.finish(source).await)
    }

    /// The state of block 0, written by block 1.
    fn install(&self, state: &mut WorkingSet) {
        let mut first = MemoryState::new();
        initialize(&mut first, &self.genesis)
            .unwrap_or_else(|error| panic!("cannot make the first state: {error}"));
        for (key, value) in first.iter() {
            state.set(key, Some(value.to_vec()));
        }
    }
}

/// A ledger error other than a missing key or a refused transaction means that this node's state is
/// unsound. It must stop rather than vote.
fn sound<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

impl Machine for LedgerMachine {
    type Outcome = BlockOutcome;

    fn verify(&self, transactions: &[Bytes]) -> Result<Vec<VerifiedTransaction>, Invalid> {
        let decoded = self.mempool.decode_all(transactions.to_vec());
        let verified = decoded.into_iter().enumerate().map(|(index, decoded)| {
            decoded.map_err(|rejection| Invalid {
                index,
                reason: rejection.to_string(),
            })
        });
        verified.collect()
    }

    async fn execute<S: Source + Send>(
        &self,
        bridge: &mut Bridge<S>,
        block: &BlockContext,
        transactions: Vec<VerifiedTransaction>,
        inadmissible: Inadmissible,
    ) -> Result<Executed<BlockOutcome>, Invalid> {
        let Beginning {
            preparation,
            known,
            mut routing,
        } = self.beginning(block.height, block.parent, bridge.source()).await;
        bridge.stand_on(known);
        let proposer = block.proposer.encode();
        let proposer = proposer.as_ref().try_into().ok().map(PublicKey);
        let mut executor = sound(preparation.executor(BlockInfo {
            height: Height(block.height),
            seed: Seed(block.seed),
            timestamp_ms: block.timestamp_ms,
            proposer: proposer.and_then(|key| self.proposers.get(&key).copied()),
        }));

        sound(
            bridge
                .run(|state| retry(executor.begin(state, &mut routing)))
                .await,
        );
        *self.routing.lock() = routing;
        let epoch =
            sound(bridge.run(|state| retry(view::epoch(state))).await).map_or(Epoch::ZERO, |now| now.epoch);
        let keys: Vec<Vec<u8>> = transactions
            .iter()
            .flat_map(|transaction| transaction_keys(transaction, epoch))
            .collect();
        // What they read for certain comes in one read; the rest as it is found missing.
        bridge.run(|state| state.prefetch(&keys)).await;

        let mut included = Vec::with_capacity(transactions.len());
        for (index, transaction) in transactions.into_iter().enumerate() {
            let applied = bridge
                .run(|state| {
                    retry(
                        executor
                            .apply(state, &transaction)
                            .map(|result| result.map(|_| ())),
                    )
                })
                .await;
            match (sound(applied), inadmissible) {
                (Ok(()), _) => included.push(transaction),
                (Err(_), Inadmissible::Drop) => {}
                (Err(rejection), Inadmissible::Reject) => {
                    let reason = rejection.to_string();
                    return Err(Invalid { index, reason });
                }
            }
        }

        let mut executor = Some(executor);
        let outcome = bridge
            .run(|state| {
                let executor = executor
                    .take()
                    .expect("ending a block reads nothing, so it runs once");
                retry(executor.end(state))
            })
            .await;
        Ok(Executed {
            transactions: included,
            outcome: sound(outcome),
        })
    }

    fn receipts_root(&self, outcome: &BlockOutcome) -> Digest {
        Receipts::new(&outcome.receipts).root()
    }

    fn is_worth_preparing(&self, outcome: &BlockOutcome) -> bool {
        outcome.last
    }

    async fn prepare<S: Source + Send>(&self, height: u64, parent: Digest, source: S) {
        self.beginning(height, parent, &source).await;
    }
}
