//! A ledger in memory, and a mempool in front of it.

use std::collections::BTreeMap;

use futures::executor::block_on;
use soma_ledger::{Sandbox, Terms, view};
use soma_node::{
    consensus::Digest,
    execution::state_key,
    machine::{Ahead, Pool as _},
    mempool::{Limits, Mempool, PoolError},
};
use soma_types::{
    Address, Epoch, PublicKey, Rejection, Seed, Shannons, Signature, SignedTransaction, Transaction,
    TransactionKind, VerifiedTransaction,
    amount::SHANNONS_PER_SOMA,
    genesis::{Genesis, GenesisAccount, GenesisValidator},
    list::List,
    objects::Account,
    params::{Params, Preset},
    transaction::{BasisPoints, Payment},
};

/// Blocks of an epoch.
pub const EPOCH_BLOCKS: u64 = 20;
/// More than any fee.
pub const DEAR: u64 = SHANNONS_PER_SOMA;

pub struct World {
    pub ledger: Sandbox,
    pub pool: Mempool,
}

fn key(who: u16) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&who.to_le_bytes());
    PublicKey(bytes)
}

pub fn address(who: u16) -> Address {
    key(who).address()
}

impl World {
    /// Accounts 0, 1, 2 and so on with these balances, after the first block.
    pub fn new(balances: &[u64], limits: Limits) -> Self {
        let params = Params {
            preset: Preset::Custom,
            epoch_blocks: EPOCH_BLOCKS,
            settlement_blocks: 4,
            audit_commit_blocks: EPOCH_BLOCKS / 2,
            audit_reveal_blocks: 1,
            hearing_commit_blocks: 1,
            difficulty_windows: 4,
            ..Params::local()
        };
        let genesis = Genesis {
            network: "mempool".into(),
            timestamp_ms: 0,
            accounts: balances
                .iter()
                .zip(0..)
                .map(|(balance, who)| GenesisAccount {
                    address: address(who),
                    balance: Shannons(*balance),
                })
                .collect(),
            validators: vec![GenesisValidator {
                address: Address([200; 32]),
                network_key: PublicKey([3; 32]),
                commission: BasisPoints::default(),
                stake: params.validator_stake_min,
            }],
            params,
            weights: None,
        };
        let ledger = Sandbox::new(&genesis, Seed([4; 32])).unwrap();
        let pool = Mempool::new(ledger.chain(), limits);
        let mut world = Self { ledger, pool };
        world.block(&[]);
        world
    }

    pub fn account(&mut self, who: u16) -> Account {
        view::account(&mut self.ledger.state, address(who)).unwrap()
    }

    pub fn terms(&mut self) -> Terms {
        Terms::load(&mut self.ledger.state).unwrap().unwrap()
    }

    /// What a small payment costs now.
    pub fn fee(&mut self) -> u64 {
        let payment = self.payment(0, 0, 1, DEAR);
        self.terms().fee(&payment).unwrap().0
    }

    pub fn transaction(&self, who: u16, nonce: u64, body: Body) -> VerifiedTransaction {
        VerifiedTransaction::assume_verified(SignedTransaction {
            transaction: Transaction {
                chain: self.ledger.chain(),
                sender: key(who),
                nonce,
                expires: body.expires,
                max_fee: Shannons(body.max_fee),
                kind: body.kind,
            },
            signature: Signature([0; 64]),
        })
    }

    /// `who` pays `amount` to the one after them.
    pub fn payment(&self, who: u16, nonce: u64, amount: u64, max_fee: u64) -> VerifiedTransaction {
        self.transaction(who, nonce, Body::payment(who, amount, max_fee))
    }

    pub fn hand_in(&mut self, transaction: &VerifiedTransaction) -> Result<(), PoolError> {
        let account = view::account(&mut self.ledger.state, transaction.sender()).unwrap();
        self.pool.insert(transaction.clone(), account)
    }

    /// What the ledger says of each transaction of the next block, which becomes final with those that enter.
    pub fn block(&mut self, transactions: &[VerifiedTransaction]) -> Vec<Result<(), Rejection>> {
        let mut included = Vec::new();
        let next = self.ledger.next_block(None);
        let mut block = self.ledger.begin(next).unwrap();
        let answers = transactions
            .iter()
            .map(|transaction| {
                block.apply(transaction).unwrap()?;
                included.push(transaction.clone());
                Ok(())
            })
            .collect();
        block.end().unwrap();
        let state: BTreeMap<Digest, Vec<u8>> = self
            .ledger
            .state
            .iter()
            .map(|(key, value)| (state_key(key), value.to_vec()))
            .collect();
        block_on(self.pool.finalized(&included, state));
        answers
    }

    /// What the pool offers for the next block, which becomes final. How many enter.
    pub fn propose(&mut self) -> usize {
        let candidates = self.candidates();
        self.block(&candidates).into_iter().filter(Result::is_ok).count()
    }

    pub fn candidates(&self) -> Vec<VerifiedTransaction> {
        self.pool.candidates(&Ahead::default())
    }

    /// Goes on to the first block of the next epoch.
    pub fn next_epoch(&mut self) {
        let now = self.terms().epoch();
        while self.terms().epoch() == now {
            self.block(&[]);
        }
    }
}

/// What a transaction says besides whose it is.
#[derive(Clone, Debug)]
pub struct Body {
    pub expires: Epoch,
    pub max_fee: u64,
    pub kind: TransactionKind,
}

impl Body {
    pub fn payment(who: u16, amount: u64, max_fee: u64) -> Self {
        let payment = Payment {
            to: address(who + 1),
            amount: Shannons(amount),
        };
        Self {
            expires: Epoch(9),
            max_fee,
            kind: TransactionKind::Transfer {
                payments: List::new(vec![payment]).unwrap(),
            },
        }
    }
}
