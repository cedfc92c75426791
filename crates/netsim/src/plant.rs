//! Faults that are planted in a ledger, to see that they are found.

use bytes::Bytes;
use soma_ledger::{BlockOutcome, State as _, keys, view};
use soma_node::{
    consensus::Digest,
    execution::{Bridge, Source, retry},
    ledger::LedgerMachine,
    machine::{BlockContext, Executed, Inadmissible, Invalid, Machine},
};
use soma_types::VerifiedTransaction;

use crate::load;

/// What is wrong with a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// It pays its first account one shannon too much, in block 10.
    Generous,
}

/// In which block.
const PLANTED_HEIGHT: u64 = 10;

/// The ledger, or a broken one.
#[derive(Clone)]
pub struct Planted {
    /// The ledger.
    pub ledger: LedgerMachine,
    /// What is wrong with it.
    pub plant: Option<Plant>,
}

impl Machine for Planted {
    type Outcome = BlockOutcome;

    fn verify(&self, transactions: &[Bytes]) -> Result<Vec<VerifiedTransaction>, Invalid> {
        self.ledger.verify(transactions)
    }

    async fn execute<S: Source + Send>(
        &self,
        bridge: &mut Bridge<S>,
        block: &BlockContext,
        transactions: Vec<VerifiedTransaction>,
        inadmissible: Inadmissible,
    ) -> Result<Executed<BlockOutcome>, Invalid> {
        let executed = self
            .ledger
            .execute(bridge, block, transactions, inadmissible)
            .await?;
        match self.plant {
            Some(Plant::Generous) if block.height == PLANTED_HEIGHT => {
                let address = load::sender(0).address();
                let read = bridge.run(|state| retry(view::account(state, address))).await;
                let mut account = read.expect("the first account can be read");
                account.balance.0 += 1;
                let bytes = borsh::to_vec(&account).expect("an account can be encoded");
                bridge
                    .run(|state| {
                        state.set(&keys::account(&address), Some(bytes.clone()));
                        Ok(())
                    })
                    .await;
            }
            _ => {}
        }
        Ok(executed)
    }

    fn receipts_root(&self, outcome: &BlockOutcome) -> Digest {
        self.ledger.receipts_root(outcome)
    }

    fn is_worth_preparing(&self, outcome: &BlockOutcome) -> bool {
        self.ledger.is_worth_preparing(outcome)
    }

    async fn prepare<S: Source + Send>(&self, height: u64, parent: Digest, source: S) {
        self.ledger.prepare(height, parent, source).await;
    }
}
