//! A small network: tiny epochs, four validators, a few rich accounts.

use std::collections::BTreeMap;

use soma_types::{
    Address, Epoch, ModelId, PublicKey, Receipt, Rejection, Seed, Shannons, SubmissionId, TransactionKind,
    VerifiedTransaction,
    genesis::{Genesis, GenesisAccount, GenesisValidator},
    objects::{Duty, Submission, SubmissionStatus, SupplyBreakdown, Target},
    params::Params,
    receipt::{Created, Outcome},
    transaction::Verdict,
};

use super::{
    kinds::{address, audit_kinds, basis, commit_model_fixed, keys, reveal_model},
    lazy::execute_lazily,
    naive::Economy,
    rules::SOMA,
};
use crate::{BlockInfo, BlockOutcome, Sandbox, view};

/// The network. After every block all money is counted.
#[derive(Clone, Debug)]
pub struct World {
    /// Its ledger.
    pub chain: Sandbox,
    /// What it started from.
    pub genesis: Genesis,
    /// The blocks so far.
    pub history: Vec<BlockOutcome>,
    /// Whether to execute each block a second time on a state that loads piece by piece.
    pub lazily: bool,
    /// The economy a second time, compared after each block.
    pub naive: Option<Economy>,
    /// What each seat's duty of an epoch last was: the ledger forgets it when it is paid.
    duties: BTreeMap<(Epoch, Address), Duty>,
    nonces: BTreeMap<u8, u64>,
}

impl World {
    /// Validators 0 to 3 with 1000 SOMA staked each; accounts 0 to 9 with 10 000 SOMA each.
    #[must_use]
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
        let mut world = Self {
            chain: Sandbox::new(&genesis, Seed([7; 32])).unwrap(),
            genesis,
            history: Vec::new(),
            lazily: false,
            naive: None,
            duties: BTreeMap::new(),
            nonces: BTreeMap::new(),
        };
        world.check_money();
        world
    }

    /// A network beside which the naive economy runs in lockstep.
    #[must_use]
    pub fn in_lockstep(params: Params) -> Self {
        let world = Self::new(params);
        Self {
            naive: Some(Economy::new(&world.genesis)),
            ..world
        }
    }

    /// A transaction of `who` with this nonce, see [`Sandbox::transaction`].
    #[must_use]
    pub fn transaction(&self, who: u8, nonce: u64, kind: TransactionKind) -> VerifiedTransaction {
        self.chain.transaction(keys(who).public_key(), nonce, kind)
    }

    /// The next transaction of `who`, not counted.
    #[must_use]
    pub fn numbered(&self, who: u8, kind: TransactionKind) -> VerifiedTransaction {
        self.transaction(who, self.nonces.get(&who).copied().unwrap_or(0), kind)
    }

    /// The next block, which validators propose in turn.
    #[must_use]
    pub fn next_block(&self) -> BlockInfo {
        let proposer = (self.chain.height().next().0 % 4) as u8;
        self.chain.next_block(Some(address(proposer)))
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
        let (block, before) = (self.next_block(), self.lazily.then(|| self.chain.state.clone()));
        let results = self.offer(&transactions);
        if let Some(before) = before {
            let outcome = self.history.last().expect("it was just executed");
            let (again, state) = execute_lazily(before, block, &transactions);
            assert_eq!((&again, &state), (outcome, &self.chain.state));
        }
        results.into_iter().map(Result::unwrap).collect()
    }

    /// Offers transactions as they are to the next block, which takes those that are not refused.
    pub fn offer(&mut self, transactions: &[VerifiedTransaction]) -> Vec<Result<Receipt, Rejection>> {
        let next = self.next_block();
        let mut block = self.chain.begin(next).unwrap();
        let apply = |transaction| block.apply(transaction).unwrap().cloned();
        let results: Vec<_> = transactions.iter().map(apply).collect();
        self.history.push(block.end().unwrap());
        self.check_money();
        // Beside the naive economy, histories are long and nobody asks.
        if self.naive.is_none() {
            self.note_duties();
        }
        if let Some(naive) = &mut self.naive {
            naive.begin(&next);
            for (transaction, result) in transactions.iter().zip(&results) {
                match result {
                    Ok(receipt) => naive.includes(transaction, receipt),
                    Err(rejection) => assert_eq!(naive.admit(transaction).as_ref(), Err(rejection)),
                }
            }
            naive.agrees(&mut self.chain.state);
        }
        results
    }

    /// Notes what the ledger knows of the duties of the last three epochs.
    fn note_duties(&mut self) {
        let now = self.epoch();
        for epoch in (0..3).filter_map(|age| now.minus(age)) {
            for who in 0..4 {
                let duty = view::duty(&mut self.chain.state, epoch, address(who)).unwrap();
                self.duties.extend(duty.map(|duty| ((epoch, address(who)), duty)));
            }
        }
    }

    /// Audits assigned to seat `who` in an epoch, and done.
    #[must_use]
    pub fn audits_of(&self, who: u8, epoch: u64) -> (u64, u64) {
        let duty = &self.duties[&(Epoch(epoch), address(who))];
        (duty.audits_assigned, duty.audits_done)
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

    /// Empty blocks.
    pub fn skip(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.block(vec![]);
        }
    }

    /// The epoch in progress.
    pub fn epoch(&mut self) -> Epoch {
        view::epoch(&mut self.chain.state).unwrap().unwrap().epoch
    }

    /// The least bond of a reveal.
    pub fn bond_floor(&mut self) -> Shannons {
        view::epoch(&mut self.chain.state).unwrap().unwrap().bond_floor
    }

    /// Empty blocks up to and including the first of `epoch`.
    pub fn until_epoch(&mut self, epoch: u64) {
        while self.epoch() < Epoch(epoch) {
            self.block(vec![]);
        }
    }

    /// The next block's place in its epoch.
    fn offset(&mut self) -> u64 {
        let now = view::epoch(&mut self.chain.state).unwrap().unwrap();
        self.next_block().height.0 - now.first_height.0
    }

    /// Empty blocks until the next one is this far into its epoch.
    pub fn until_offset(&mut self, offset: u64) {
        while self.offset() < offset {
            self.block(vec![]);
        }
    }

    /// What `who` can spend.
    pub fn balance(&mut self, who: u8) -> u64 {
        view::account(&mut self.chain.state, address(who))
            .unwrap()
            .balance
            .0
    }

    /// Where every shannon is, as the ledger says.
    pub fn supply(&mut self) -> SupplyBreakdown {
        view::supply(&mut self.chain.state).unwrap().unwrap()
    }

    /// A submission.
    pub fn submission(&mut self, id: SubmissionId) -> Submission {
        view::submission(&mut self.chain.state, id).unwrap().unwrap()
    }

    /// A winner of the last epoch that is under audit or challenged, if there is one.
    pub fn audited(&mut self, pick: u8) -> Option<SubmissionId> {
        let mut tasks = view::audit_tasks(&mut self.chain.state, 0, 50).unwrap();
        tasks.extend(view::challenge_tasks(&mut self.chain.state, 0, 50).unwrap());
        (!tasks.is_empty()).then(|| tasks[pick as usize % tasks.len()].submission.id)
    }

    /// How a submission stands.
    pub fn status(&mut self, id: SubmissionId) -> SubmissionStatus {
        self.submission(id).status
    }

    /// The targets that take commits.
    pub fn open_targets(&mut self) -> Vec<Target> {
        view::open_targets(&mut self.chain.state).unwrap()
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

    /// Models owned by accounts 4, 5, .. competing from epoch 2, where the world then stands.
    #[must_use]
    pub fn with_models(params: Params, count: u8) -> (Self, Vec<ModelId>) {
        Self::new(params).populated(count)
    }

    /// The same for a world at its beginning.
    #[must_use]
    pub fn populated(mut self, count: u8) -> (Self, Vec<ModelId>) {
        let world = &mut self;
        let models: Vec<ModelId> = (0..count).map(|index| world.create_model(4 + index)).collect();
        let commits = models
            .iter()
            .zip(0..)
            .map(|(id, index)| (4 + index, commit_model_fixed(4 + index, *id, index, index)));
        let receipts = world.block(commits.collect());
        assert!(receipts.iter().all(Receipt::applied), "{receipts:?}");
        world.until_epoch(1);
        let reveals = models
            .iter()
            .zip(0..)
            .map(|(id, index)| (4 + index, reveal_model(*id, index)));
        let receipts = world.block(reveals.collect());
        assert!(receipts.iter().all(Receipt::applied), "{receipts:?}");
        world.until_epoch(2);
        (self, models)
    }

    /// Votes on a winner, each by someone with a verdict and a transcript told by a number: committed in
    /// the next block, revealed in the first one in which they can be.
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
        let polled = view::polled(&mut self.chain.state, &winner).unwrap();
        let voters = polled.map_or_else(Vec::new, |polled| polled.voters);
        (0..10).filter(|who| voters.contains(&address(*who))).collect()
    }

    /// One block of transactions that must all take effect.
    fn apply_all(&mut self, kinds: Vec<(u8, TransactionKind)>) {
        let receipts = self.block(kinds);
        assert!(receipts.iter().all(Receipt::applied), "{receipts:?}");
    }
}
