//! Takes transactions up: asks the finalized state for their senders' accounts, and the mempool for room.

use std::collections::{BTreeSet, HashMap};

use soma_ledger::{Error, view};
use soma_types::{Address, VerifiedTransaction, objects::Account};

use crate::{
    execution::{Bridge, DatabaseSource, Databases, retry},
    machine::Pool as _,
    mempool::{Mempool, PoolError},
    runtime::Runtime,
};

/// Signatures that are checked, or transactions that are taken up, before others have a turn.
pub const SLICE: usize = 64;

/// Takes transactions up. Clones share.
pub struct Intake<E: Runtime> {
    databases: Databases<E>,
    mempool: Mempool,
}

impl<E: Runtime> Clone for Intake<E> {
    fn clone(&self) -> Self {
        Self {
            databases: self.databases.clone(),
            mempool: self.mempool.clone(),
        }
    }
}

impl<E: Runtime> Intake<E> {
    /// Into `mempool`, by the state in `databases`.
    pub const fn new(databases: Databases<E>, mempool: Mempool) -> Self {
        Self { databases, mempool }
    }

    /// The pool.
    pub const fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// Takes up `transactions`, or says of each why not, in their order.
    ///
    /// # Errors
    /// If the state is unsound.
    pub async fn take_up(
        &self,
        transactions: &[VerifiedTransaction],
    ) -> Result<Vec<Result<(), PoolError>>, Error> {
        let senders: BTreeSet<Address> = transactions.iter().map(VerifiedTransaction::sender).collect();
        let senders: Vec<Address> = senders.into_iter().collect();
        // Held until all are in the pool: no block is applied meanwhile.
        let database = self.databases.read().await;
        if !self.mempool.has_terms() {
            // The node has just started, or the first block is not told of yet.
            self.mempool.finalized(&[], DatabaseSource::<E>(&database)).await;
        }
        let mut bridge = Bridge::new(DatabaseSource::<E>(&database));
        let accounts = bridge.run(|state| retry(view::accounts(state, &senders))).await?;
        let accounts: HashMap<Address, Account> = senders.into_iter().zip(accounts).collect();
        let answers = transactions.iter().map(|transaction| {
            self.mempool
                .insert(transaction.clone(), accounts[&transaction.sender()])
        });
        Ok(answers.collect())
    }
}
