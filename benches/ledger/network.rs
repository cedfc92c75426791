//! A network to measure: accounts, a full committee, models that compete.

use soma_ledger::{BlockOutcome, Progress, Sandbox, view};
use soma_types::{
    Address, ContentHash, DecryptionKey, Embedding, ModelId, PublicKey, Seed, Shannons,
    TransactionKind as Kind, VerifiedTransaction,
    amount::SHANNONS_PER_SOMA,
    genesis::{Genesis, GenesisAccount, GenesisValidator},
    params::{Params, Preset},
    receipt::{Created, Outcome, Receipt},
    transaction::BasisPoints,
};

use crate::timed;

/// Transactions in one block.
pub const BLOCK_TRANSACTIONS: usize = 5_000;
/// Validators: a full committee. They are the first accounts.
pub const VALIDATORS: u64 = 100;
/// Blocks of an epoch in which auditors commit.
pub const AUDIT_COMMIT_BLOCKS: u64 = 100;
/// Blocks in which they reveal.
const AUDIT_REVEAL_BLOCKS: u64 = 90;

/// Seconds of a block's three parts.
#[derive(Clone, Copy, Default)]
pub struct Times {
    /// What is done before the block is known, and the longest part of that.
    pub prepare: f64,
    pub longest_part: f64,
    pub begin: f64,
    pub apply: f64,
    pub end: f64,
}

impl Times {
    pub fn total(&self) -> f64 {
        self.prepare + self.begin + self.apply + self.end
    }
}

pub struct Network {
    pub sandbox: Sandbox,
    pub addresses: Vec<Address>,
    pub params: Params,
    nonces: Vec<u64>,
}

/// An account's public key. Nobody holds the secret: signatures are measured by themselves.
fn key(account: u64) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&account.to_le_bytes());
    PublicKey(bytes)
}

fn params() -> Params {
    Params {
        preset: Preset::Custom,
        epoch_blocks: 2 * AUDIT_COMMIT_BLOCKS,
        audit_commit_blocks: AUDIT_COMMIT_BLOCKS,
        audit_reveal_blocks: AUDIT_REVEAL_BLOCKS,
        hearing_commit_blocks: 5,
        // A million accounts with five SOMA each leave no more than that for a stake.
        model_stake_min: Shannons(SHANNONS_PER_SOMA),
        // Every winner is audited by seven of the hundred validators.
        audit_rate: BasisPoints::new(10_000).expect("the whole"),
        ..Params::std()
    }
}

impl Network {
    /// `accounts` accounts and `models` models, all competing since the epoch that has just begun.
    /// Returns the boundary's times as well.
    pub fn new(models: u64, accounts: u64) -> (Self, Times) {
        assert!(
            models + VALIDATORS <= accounts,
            "every model has an owner of its own"
        );
        let addresses: Vec<Address> = (0..accounts).map(|account| key(account).address()).collect();
        let genesis = Genesis {
            network: "bench".to_owned(),
            timestamp_ms: 0,
            params: params(),
            accounts: addresses
                .iter()
                .map(|address| GenesisAccount {
                    address: *address,
                    balance: Shannons(5 * SHANNONS_PER_SOMA),
                })
                .collect(),
            validators: (0..VALIDATORS)
                .map(|index| GenesisValidator {
                    address: addresses[index as usize],
                    network_key: key(index),
                    commission: BasisPoints::default(),
                    stake: Shannons((1_000 + index) * SHANNONS_PER_SOMA),
                })
                .collect(),
            weights: None,
        };
        let mut network = Self {
            sandbox: Sandbox::new(&genesis, Seed([4; 32])).expect("the genesis is valid"),
            addresses,
            params: genesis.params,
            nonces: vec![0; accounts as usize],
        };
        let boundary = network.populate(models);
        (network, boundary)
    }

    fn populate(&mut self, models: u64) -> Times {
        let architecture = self.params.architecture;
        let receipts = self.all((0..models).map(|index| {
            let kind = Kind::CreateModel {
                commission: BasisPoints::default(),
                stake: Shannons(2 * SHANNONS_PER_SOMA - 7 * index),
                architecture,
            };
            (VALIDATORS + index, kind)
        }));
        let ids: Vec<ModelId> = receipts
            .iter()
            .map(|receipt| match receipt.outcome {
                Outcome::Applied {
                    created: Some(Created::Model(model)),
                } => model,
                ref outcome => panic!("{outcome:?}"),
            })
            .collect();
        let numbered = || ids.iter().zip(0..);
        self.all(numbered().map(|(model, index)| {
            let kind = Kind::CommitModel {
                model: *model,
                url: "https://storage.example.org/models/weights.safetensors"
                    .parse()
                    .expect("a URL"),
                size_bytes: 1 << 20,
                hash: ContentHash(Seed([1; 32]).derive("weights", index).0),
                embedding: None,
            };
            (VALIDATORS + index, kind)
        }));
        self.until_epoch(1);
        self.all(numbered().map(|(model, index)| {
            let kind = Kind::RevealModel {
                model: *model,
                key: DecryptionKey([2; 32]),
                embedding: Embedding::draw(
                    &Seed([3; 32]).derive("model", index),
                    architecture.embedding_dim as usize,
                ),
            };
            (VALIDATORS + index, kind)
        }));
        self.until_epoch(2)
    }

    /// Executes everything in as many blocks as it takes; all must take effect.
    fn all(&mut self, kinds: impl Iterator<Item = (u64, Kind)>) -> Vec<Receipt> {
        let mut kinds = kinds.peekable();
        let mut receipts = Vec::new();
        while kinds.peek().is_some() {
            let transactions: Vec<_> = kinds
                .by_ref()
                .take(BLOCK_TRANSACTIONS)
                .map(|(account, kind)| self.transaction(account, kind))
                .collect();
            receipts.extend(self.block(&transactions).1.receipts);
        }
        receipts
    }

    /// The next transaction of `account`.
    pub fn transaction(&mut self, account: u64, kind: Kind) -> VerifiedTransaction {
        let nonce = &mut self.nonces[account as usize];
        *nonce += 1;
        self.sandbox.transaction(key(account), *nonce - 1, kind)
    }

    /// Executes the next block; all transactions must take effect.
    pub fn block(&mut self, transactions: &[VerifiedTransaction]) -> (Times, BlockOutcome) {
        let proposer = self.addresses[(self.sandbox.height().next().0 % VALIDATORS) as usize];
        let next = self.sandbox.next_block(Some(proposer));
        let (mut prepare, mut longest_part, mut progress) = (0.0, 0.0_f64, Progress::More);
        while progress == Progress::More {
            let (part, done) = timed(|| self.sandbox.prepare());
            (prepare, longest_part) = (prepare + part, longest_part.max(part));
            progress = done.expect("a block begins");
        }
        let (begin, block) = timed(|| self.sandbox.begin(next));
        let mut block = block.expect("a block begins");
        let (apply, ()) = timed(|| {
            for transaction in transactions {
                block
                    .apply(transaction)
                    .expect("the state is sound")
                    .expect("the transaction is admitted");
            }
        });
        let (end, outcome) = timed(|| block.end());
        let outcome = outcome.expect("a block ends");
        let failed = outcome.receipts.iter().find(|receipt| !receipt.applied());
        assert!(failed.is_none(), "{failed:?}");
        let times = Times {
            prepare,
            longest_part,
            begin,
            apply,
            end,
        };
        (times, outcome)
    }

    /// Empty blocks up to and including the first of `epoch`; returns that one's times.
    pub fn until_epoch(&mut self, epoch: u64) -> Times {
        loop {
            let times = self.block(&[]).0;
            if self.epoch_offset() == (epoch, 0) {
                return times;
            }
        }
    }

    /// The epoch, and how many of its blocks came before the last one.
    pub fn epoch_offset(&mut self) -> (u64, u64) {
        let now = view::epoch(&mut self.sandbox.state);
        let now = now.expect("loaded").expect("begun");
        (now.epoch.0, self.sandbox.height().0 - now.first_height.0)
    }
}
