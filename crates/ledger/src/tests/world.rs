//! A small network under test: tiny epochs, four validators, a few rich accounts, and after every
//! block a count of all money that is independent of the ledger's running totals.

use std::collections::BTreeMap;

use soma_types::{
    Address, Architecture, Commitment, ContentHash, DecryptionKey, Embedding, Epoch, Height, Keypair,
    ModelId, PublicKey, Receipt, Rejection, Salt, Seed, Shannons, Signature, SignedTransaction, SubmissionId,
    TargetId, Transaction, TransactionKind, Transcript, VerifiedTransaction,
    amount::{MAX_SUPPLY, SHANNONS_PER_SOMA},
    genesis::{Genesis, GenesisAccount, GenesisValidator},
    list::List,
    objects::{Account, Pool, Submission, SubmissionStatus, SupplyBreakdown, Target, Unbonding},
    params::{Params, Preset},
    receipt::{Created, Outcome},
    transaction::{BasisPoints, SubmissionReveal, Verdict},
};

use super::{missing::execute_lazily, naive::Economy};
use crate::{
    Block, BlockOutcome, Executor, MemoryState, RoutingCache, execute_block, initialize,
    tables::{ACCOUNTS, POOLS, RELEASES, SUBMISSIONS},
    view,
};

/// One SOMA.
pub const SOMA: u64 = SHANNONS_PER_SOMA;
/// Dimension of the tiny architecture.
pub const DIM: u32 = 8;

/// Localnet rules with epochs of 16 blocks.
pub fn tiny() -> Params {
    Params {
        preset: Preset::Custom,
        architecture: Architecture {
            embedding_dim: DIM,
            heads: 2,
            layers: 1,
            ffn_dim: 8,
            ..Architecture::NANO
        },
        epoch_blocks: 16,
        audit_commit_blocks: 8,
        audit_reveal_blocks: 3,
        hearing_commit_blocks: 2,
        open_targets: 4,
        hits_goal: 8,
        difficulty_windows: 4,
        reveal_blocks: 5,
        settlement_blocks: 2,
        refresh_epochs: 6,
        payouts_per_block: 5,
        committee_size: 10,
        burn_per_year: Params::std().burn_per_year,
        ..Params::local()
    }
}

/// The network.
#[derive(Clone)]
pub struct World {
    pub state: MemoryState,
    pub cache: RoutingCache,
    pub genesis: Genesis,
    pub height: Height,
    nonces: BTreeMap<u8, u64>,
    pub history: Vec<BlockOutcome>,
    /// Whether to execute each block a second time on a state that loads piece by piece.
    pub lazily: bool,
    /// The economy a second time, compared after each block.
    pub naive: Option<Economy>,
}

/// The keys of account `who`. 0 to 3 are the validators.
pub fn keys(who: u8) -> Keypair {
    Keypair::from_secret_bytes([who + 1; 32])
}

pub fn address(who: u8) -> Address {
    keys(who).address()
}

pub fn basis(points: u16) -> BasisPoints {
    BasisPoints::new(points).unwrap()
}

/// A submission in the making.
#[derive(Clone, Debug)]
pub struct Find {
    pub who: u8,
    pub target: TargetId,
    pub salt: Salt,
    pub reveal: SubmissionReveal,
}

impl Find {
    pub fn commit(&self) -> TransactionKind {
        TransactionKind::CommitSubmission {
            target: self.target,
            commitment: self.commitment(),
        }
    }

    pub fn commitment(&self) -> Commitment {
        self.reveal.commitment(&address(self.who), &self.salt)
    }

    pub fn reveal(&self, submission: SubmissionId) -> TransactionKind {
        TransactionKind::RevealSubmission {
            submission,
            salt: self.salt,
            reveal: self.reveal.clone(),
        }
    }
}

impl World {
    /// Validators 0 to 3 with 1000 SOMA staked each; accounts 0 to 9 with 10 000 SOMA each.
    pub fn new(params: Params) -> Self {
        let stake = params.validator_stake_min;
        let genesis = Genesis {
            network: "test".to_owned(),
            timestamp_ms: 1_000,
            params,
            accounts: (0..10)
                .map(|who| GenesisAccount {
                    address: address(who),
                    balance: Shannons(10_000 * SOMA),
                })
                .collect(),
            validators: (0..4)
                .map(|who| GenesisValidator {
                    address: address(who),
                    network_key: PublicKey([who + 100; 32]),
                    commission: basis(1_000),
                    stake,
                })
                .collect(),
            weights: None,
        };
        let mut state = MemoryState::new();
        initialize(&mut state, &genesis).unwrap();
        let mut world = Self {
            state,
            cache: RoutingCache::new(),
            genesis,
            height: Height::ZERO,
            nonces: BTreeMap::new(),
            history: Vec::new(),
            lazily: false,
            naive: None,
        };
        world.check_money();
        world
    }

    /// A network beside which the naive economy runs in lockstep.
    pub fn in_lockstep(params: Params) -> Self {
        let world = Self::new(params);
        Self {
            naive: Some(Economy::new(&world.genesis)),
            ..world
        }
    }

    /// Signs nothing: the ledger takes signatures as checked.
    pub fn transaction(&self, who: u8, nonce: u64, kind: TransactionKind) -> VerifiedTransaction {
        let transaction = Transaction {
            chain: self.genesis.chain_id(),
            sender: keys(who).public_key(),
            nonce,
            expires: Epoch(u64::MAX),
            max_fee: Shannons(u64::MAX),
            kind,
        };
        VerifiedTransaction::assume_verified(SignedTransaction {
            transaction,
            signature: Signature([0; 64]),
        })
    }

    /// The next transaction of `who`, not counted.
    pub fn numbered(&self, who: u8, kind: TransactionKind) -> VerifiedTransaction {
        self.transaction(who, self.nonces.get(&who).copied().unwrap_or(0), kind)
    }

    pub fn next_block(&self) -> Block {
        let height = self.height.next();
        Block {
            height,
            seed: Seed([7; 32]).derive("block", height.0),
            timestamp_ms: 1_000 + height.0 * 250,
            proposer: Some(address((height.0 % 4) as u8)),
        }
    }

    /// Numbers and executes the next block's transactions.
    pub fn block(&mut self, kinds: Vec<(u8, TransactionKind)>) -> Vec<Receipt> {
        let transactions: Vec<VerifiedTransaction> = kinds
            .into_iter()
            .map(|(who, kind)| {
                let nonce = self.nonces.entry(who).or_default();
                *nonce += 1;
                let nonce = *nonce - 1;
                self.transaction(who, nonce, kind)
            })
            .collect();
        let block = self.next_block();
        let before = self.lazily.then(|| self.state.clone());
        let outcome = execute_block(&mut self.state, &mut self.cache, block, &transactions).unwrap();
        if let Some(before) = before {
            assert_eq!(
                execute_lazily(before, block, &transactions),
                (outcome.clone(), self.state.clone())
            );
        }
        self.height = block.height;
        self.check_money();
        if let Some(naive) = &mut self.naive {
            naive.begin(&block);
            for (transaction, receipt) in transactions.iter().zip(&outcome.receipts) {
                naive.includes(transaction, receipt);
            }
            naive.agrees(&mut self.state);
        }
        let receipts = outcome.receipts.clone();
        self.history.push(outcome);
        receipts
    }

    /// Offers transactions as they are to the next block, which takes those that are not refused.
    pub fn offer(&mut self, transactions: &[VerifiedTransaction]) -> Vec<Result<Receipt, Rejection>> {
        let block = self.next_block();
        let mut executor = Executor::new(block);
        executor.begin(&mut self.state, &mut self.cache).unwrap();
        if let Some(naive) = &mut self.naive {
            naive.begin(&block);
        }
        let mut results = Vec::new();
        for transaction in transactions {
            let result = executor.apply(&mut self.state, transaction).unwrap().cloned();
            if let Some(naive) = &mut self.naive {
                match &result {
                    Ok(receipt) => naive.includes(transaction, receipt),
                    Err(rejection) => assert_eq!(naive.admit(transaction).as_ref(), Err(rejection)),
                }
            }
            results.push(result);
        }
        let outcome = executor.end(&mut self.state).unwrap();
        self.height = block.height;
        self.check_money();
        if let Some(naive) = &self.naive {
            naive.agrees(&mut self.state);
        }
        self.history.push(outcome);
        results
    }

    /// One transaction in a block of its own.
    pub fn one(&mut self, who: u8, kind: TransactionKind) -> Receipt {
        self.block(vec![(who, kind)]).remove(0)
    }

    /// One that must take effect.
    pub fn apply(&mut self, who: u8, kind: TransactionKind) -> Receipt {
        let receipt = self.one(who, kind);
        assert!(receipt.applied(), "{:?}", receipt.outcome);
        receipt
    }

    /// One that must fail; returns why.
    pub fn fail(&mut self, who: u8, kind: TransactionKind) -> Rejection {
        match self.one(who, kind).outcome {
            Outcome::Failed { rejection } => rejection,
            outcome => panic!("expected a failure, got {outcome:?}"),
        }
    }

    pub fn skip(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.block(vec![]);
        }
    }

    pub fn epoch(&mut self) -> Epoch {
        view::epoch(&mut self.state).unwrap().unwrap().epoch
    }

    /// The least bond of a reveal.
    pub fn bond_floor(&mut self) -> Shannons {
        view::epoch(&mut self.state).unwrap().unwrap().bond_floor
    }

    /// Empty blocks up to and including the first of `epoch`.
    pub fn until_epoch(&mut self, epoch: u64) {
        while self.epoch() < Epoch(epoch) {
            self.block(vec![]);
        }
    }

    /// The next block's place in its epoch.
    fn offset(&mut self) -> u64 {
        let now = view::epoch(&mut self.state).unwrap().unwrap();
        self.next_block().height.0 - now.first_height.0
    }

    /// Empty blocks until the next one is this far into its epoch.
    pub fn until_offset(&mut self, offset: u64) {
        while self.offset() < offset {
            self.block(vec![]);
        }
    }

    pub fn balance(&mut self, who: u8) -> u64 {
        view::account(&mut self.state, address(who)).unwrap().balance.0
    }

    /// All that an account has, wherever it is: spendable, staked, unbonding, and locked in submissions
    /// and challenges.
    pub fn wealth(&mut self, who: u8) -> u64 {
        let owner = address(who);
        let (stakes, _) = view::stakes(&mut self.state, owner, 0, u64::MAX).unwrap();
        let staked = stakes.iter().map(|stake| stake.counting.0 + stake.pending.0);
        let mut wealth = self.balance(who) + staked.sum::<u64>();
        for (key, value) in self.state.iter() {
            if key[0] == RELEASES.entries_prefix() {
                let unbonding: Unbonding = borsh::from_slice(value).unwrap();
                if unbonding.owner == owner {
                    wealth += unbonding.amount.0;
                }
            } else if key[0] == SUBMISSIONS.prefix() {
                let submission: Submission = borsh::from_slice(value).unwrap();
                if submission.submitter == owner {
                    wealth += submission.bond.0 + submission.deposit.0;
                }
                if let Some(challenge) = submission.challenge.filter(|one| one.challenger == owner) {
                    wealth += challenge.bond.0;
                }
            }
        }
        wealth
    }

    pub fn supply(&mut self) -> SupplyBreakdown {
        view::supply(&mut self.state).unwrap().unwrap()
    }

    pub fn submission(&mut self, id: SubmissionId) -> Submission {
        view::submission(&mut self.state, id).unwrap().unwrap()
    }

    /// A winner of the last epoch that is under audit or challenged, if there is one.
    pub fn audited(&mut self, pick: u8) -> Option<SubmissionId> {
        let mut tasks = view::audit_tasks(&mut self.state, 0, 50).unwrap();
        tasks.extend(view::challenge_tasks(&mut self.state, 0, 50).unwrap());
        (!tasks.is_empty()).then(|| tasks[pick as usize % tasks.len()].submission.id)
    }

    pub fn status(&mut self, id: SubmissionId) -> SubmissionStatus {
        self.submission(id).status
    }

    pub fn open_targets(&mut self) -> Vec<Target> {
        view::open_targets(&mut self.state).unwrap()
    }

    /// Creates a model with 20 SOMA of its owner's.
    pub fn create_model(&mut self, who: u8) -> ModelId {
        let kind = TransactionKind::CreateModel {
            commission: basis(1_000),
            stake: Shannons(20 * SOMA),
            architecture: self.genesis.params.architecture,
        };
        match self.apply(who, kind).outcome {
            Outcome::Applied {
                created: Some(Created::Model(model)),
            } => model,
            outcome => panic!("{outcome:?}"),
        }
    }

    pub fn commit_model_kind(model: ModelId, content: u8) -> TransactionKind {
        TransactionKind::CommitModel {
            model,
            url: "soma:weights".parse().unwrap(),
            size_bytes: 1 << 20,
            hash: ContentHash([content; 32]),
        }
    }

    pub fn reveal_model_kind(model: ModelId, direction: u8) -> TransactionKind {
        TransactionKind::RevealModel {
            model,
            key: DecryptionKey([direction; 32]),
            embedding: Embedding::draw(&Seed([direction; 32]), DIM as usize),
        }
    }

    /// Models owned by accounts 4, 5, .. competing from epoch 2, where the world then stands.
    pub fn with_models(params: Params, count: u8) -> (Self, Vec<ModelId>) {
        Self::new(params).populated(count)
    }

    /// The same for a world at its beginning.
    pub fn populated(mut self, count: u8) -> (Self, Vec<ModelId>) {
        let world = &mut self;
        let models: Vec<ModelId> = (0..count).map(|index| world.create_model(4 + index)).collect();
        let commits = models
            .iter()
            .zip(0..)
            .map(|(id, index)| (4 + index, Self::commit_model_kind(*id, index)));
        let receipts = world.block(commits.collect());
        assert!(receipts.iter().all(Receipt::applied), "{receipts:?}");
        world.until_epoch(1);
        let reveals = models
            .iter()
            .zip(0..)
            .map(|(id, index)| (4 + index, Self::reveal_model_kind(*id, index)));
        let receipts = world.block(reveals.collect());
        assert!(receipts.iter().all(Receipt::applied), "{receipts:?}");
        world.until_epoch(2);
        (self, models)
    }

    /// Data of `who` that hits `target` in its middle; the model at `winner` has the lowest loss.
    pub fn find(&self, who: u8, target: &Target, data: u8, winner: usize) -> Find {
        let losses = (0..target.models.len())
            .map(|place| 1_000_000_000 + u64::from(place != winner))
            .collect();
        Find {
            who,
            target: target.id,
            salt: Salt([who; 32]),
            reveal: SubmissionReveal {
                data_url: "soma:data".parse().unwrap(),
                data_size_bytes: 1_000,
                data_hash: ContentHash([data; 32]),
                losses_nano: List::new(losses).unwrap(),
                cross_entropy_nano: 900_000_000,
                embedding: Embedding::draw(&target.seed, DIM as usize),
            },
        }
    }

    pub fn commit(&mut self, find: &Find) -> SubmissionId {
        let receipt = self.apply(find.who, find.commit());
        created_submission(&receipt)
    }

    /// Commits, reveals, and settles; the submission has won.
    pub fn win(&mut self, who: u8, target: &Target, data: u8, winner: usize) -> SubmissionId {
        let find = self.find(who, target, data, winner);
        let id = self.commit(&find);
        self.apply(who, find.reveal(id));
        self.skip(self.genesis.params.settlement_blocks);
        assert_eq!(self.status(id), SubmissionStatus::Won);
        id
    }

    /// Votes on a winner, each by someone with a verdict and a transcript told by a number: committed in the
    /// next block, revealed in the first one in which they can be.
    pub fn audit(&mut self, id: SubmissionId, votes: impl IntoIterator<Item = (u8, Verdict, u8)>) {
        let kinds = votes.into_iter().map(|(who, verdict, transcript)| {
            let (commit, reveal) = audit_kinds(who, id, verdict, transcript);
            ((who, commit), (who, reveal))
        });
        let (commits, reveals) = kinds.unzip();
        let params = self.genesis.params.clone();
        let reveals_from = if self.offset() < params.hearing_from() {
            params.audit_commit_blocks
        } else {
            params.hearing_reveals_from()
        };
        self.apply_all(commits);
        self.until_offset(reveals_from);
        self.apply_all(reveals);
    }

    /// The accounts whose votes on a winner are taken now.
    pub fn polled(&mut self, id: SubmissionId) -> Vec<u8> {
        let winner = self.submission(id);
        let polled = view::polled(&mut self.state, &winner).unwrap();
        let voters = polled.map_or_else(Vec::new, |polled| polled.voters);
        (0..10).filter(|who| voters.contains(&address(*who))).collect()
    }

    /// One block of transactions that must all take effect.
    fn apply_all(&mut self, kinds: Vec<(u8, TransactionKind)>) {
        let receipts = self.block(kinds);
        assert!(receipts.iter().all(Receipt::applied), "{receipts:?}");
    }

    /// Counts all money from the stored objects, and compares with the running totals.
    pub fn check_money(&mut self) {
        let mut counted = SupplyBreakdown::default();
        let add = |sum: &mut Shannons, amount: Shannons| sum.0 += amount.0;
        for (key, value) in self.state.iter() {
            if key[0] == ACCOUNTS.prefix() {
                add(
                    &mut counted.balances,
                    borsh::from_slice::<Account>(value).unwrap().balance,
                );
            } else if key[0] == POOLS.prefix() {
                let pool: Pool = borsh::from_slice(value).unwrap();
                for amount in [pool.stake, pool.young, pool.maturing] {
                    add(&mut counted.pools, amount);
                }
                add(&mut counted.pending, pool.pending);
            } else if key[0] == RELEASES.entries_prefix() {
                add(
                    &mut counted.unbonding,
                    borsh::from_slice::<Unbonding>(value).unwrap().amount,
                );
            } else if key[0] == SUBMISSIONS.prefix() {
                let submission: Submission = borsh::from_slice(value).unwrap();
                add(&mut counted.bonds, submission.bond);
                if let Some(challenge) = submission.challenge {
                    add(&mut counted.bonds, challenge.bond);
                }
                add(&mut counted.deposits, submission.deposit);
            }
        }
        let supply = self.supply();
        let now = view::epoch(&mut self.state).unwrap().unwrap();
        assert_eq!(
            (now.fees, now.rent),
            (supply.fees, supply.rent),
            "this epoch's fees and rent"
        );
        let held = SupplyBreakdown {
            reward_pool: supply.reward_pool,
            reserved: supply.reserved,
            fees: supply.fees,
            rent: supply.rent,
            emission: supply.emission,
            burned: supply.burned,
            ..counted
        };
        assert_eq!(held, supply);
        assert_eq!(supply.total(), Some(MAX_SUPPLY));
    }
}

pub fn created_submission(receipt: &Receipt) -> SubmissionId {
    match receipt.outcome {
        Outcome::Applied {
            created: Some(Created::Submission(submission)),
        } => submission,
        ref outcome => panic!("{outcome:?}"),
    }
}

/// The two steps of an audit by `who`.
pub fn audit_kinds(
    who: u8,
    submission: SubmissionId,
    verdict: Verdict,
    transcript: u8,
) -> (TransactionKind, TransactionKind) {
    let (salt, transcript) = (Salt([who; 32]), Transcript([transcript; 32]));
    let commitment = verdict.commitment(&address(who), &submission, &transcript, &salt);
    (
        TransactionKind::CommitAudit {
            submission,
            commitment,
        },
        TransactionKind::RevealAudit {
            submission,
            salt,
            verdict,
            transcript,
        },
    )
}
