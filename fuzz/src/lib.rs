//! A network in the middle of its life, for `fuzz_target_apply`, and what else targets share.
//!
//! Everything that takes bytes from outside, and the target that throws bytes at it:
//!
//! | who sends it | what | target |
//! |---|---|---|
//! | clients, gossip, blocks | a signed transaction, as bytes and as JSON | `transaction`; executed: `apply` |
//! | peers | blocks | `block` |
//! | clients | HTTP bodies in JSON; ids and amounts in paths and queries | `api`, `text` |
//! | nodes, to clients | answers in JSON, streams of events | `api` |
//! | a node's disk | values of the state, records of blocks | `objects`, `block` |
//! | an operator | the genesis file, an architecture, amounts, ids, URLs | `genesis`, `architecture`, `text` |
//! | hosts of weights | encrypted containers, weights | `container`, `weights` |
//! | submitters, trainers | embeddings | `embedding` |
//! | a wallet's folder | key files, recovery words | `keyfile` |
//!
//! Not here: consensus messages and the network's framing (commonware's own, fuzzed there), text for training
//! (local files, read by libraries), and a localnet's folder, which only its owner writes.

use soma_ledger::{Block, BlockOutcome, Executor, MemoryState, RoutingCache, initialize, view};
use soma_types::{
    Address, Architecture, ContentHash, DecryptionKey, Embedding, Epoch, Height, Keypair, ModelId, PublicKey,
    Salt, Seed, Shannons, Signature, SignedTransaction, SubmissionId, TargetId, Transaction,
    TransactionKind as Kind, VerifiedTransaction,
    amount::{MAX_SUPPLY, SHANNONS_PER_SOMA},
    genesis::{Genesis, GenesisAccount, GenesisValidator},
    list::List,
    objects::TargetStatus,
    params::Params,
    receipt::{Created, Outcome},
    transaction::{BasisPoints, PoolId, SubmissionReveal},
};

/// Few enough weights for a fuzzer to guess.
#[must_use]
pub const fn small_architecture() -> Architecture {
    Architecture {
        embedding_dim: 4,
        heads: 2,
        layers: 1,
        ffn_dim: 2,
        max_seq_len: 16,
        rope_wavelength: 100,
    }
}

/// Accounts 0 to 3 are validators, 4 to 6 own models, 7 has little and 8 nothing.
pub const ACCOUNTS: u8 = 9;

/// How many of them are validators.
pub const VALIDATORS: u8 = 4;

/// A genesis with epochs of 16 blocks.
///
/// # Panics
/// Never: its shares are below the whole.
#[must_use]
pub fn genesis() -> Genesis {
    let address = |who| keys(who).address();
    Genesis {
        network: "fuzz".to_owned(),
        timestamp_ms: 1,
        params: Params {
            architecture: small_architecture(),
            epoch_blocks: 16,
            audit_commit_blocks: 8,
            audit_reveal_blocks: 3,
            hearing_commit_blocks: 2,
            // So that whom it accuses is heard.
            auditors: 1,
            open_targets: 4,
            hits_goal: 8,
            difficulty_windows: 4,
            reveal_blocks: 5,
            settlement_blocks: 2,
            burn_per_year: Params::std().burn_per_year,
            ..Params::local()
        },
        accounts: (0..8)
            .map(|who| GenesisAccount {
                address: address(who),
                balance: Shannons(if who == 7 { 1 } else { 10_000 } * SHANNONS_PER_SOMA),
            })
            .collect(),
        validators: (0..4)
            .map(|who| GenesisValidator {
                address: address(who),
                network_key: PublicKey([who + 100; 32]),
                commission: BasisPoints::new(1_000).expect("a tenth"),
                stake: Shannons(1_000 * SHANNONS_PER_SOMA),
            })
            .collect(),
        weights: None,
    }
}

/// The keys of an account.
#[must_use]
pub fn keys(who: u8) -> Keypair {
    Keypair::from_secret_bytes([who + 1; 32])
}

/// The network, and what there is to name in a transaction.
#[derive(Clone)]
pub struct World {
    genesis: Genesis,
    state: MemoryState,
    cache: RoutingCache,
    height: Height,
    /// Models created.
    pub models: Vec<ModelId>,
    /// Submissions committed.
    pub submissions: Vec<SubmissionId>,
}

impl World {
    /// Three models that compete, a winner under audit, a winner of this epoch, a race, and a commit.
    ///
    /// # Panics
    /// When the ledger is broken.
    #[must_use]
    pub fn populated() -> Self {
        let genesis = genesis();
        let mut state = MemoryState::new();
        initialize(&mut state, &genesis).expect("a good genesis");
        let mut world = Self {
            genesis,
            state,
            cache: RoutingCache::new(),
            height: Height::ZERO,
            models: Vec::new(),
            submissions: Vec::new(),
        };
        for owner in 4..7 {
            let create = Kind::CreateModel {
                commission: BasisPoints::new(500).expect("a twentieth"),
                stake: Shannons(20 * SHANNONS_PER_SOMA),
                architecture: small_architecture(),
            };
            world.must(owner, create);
            let model = *world.models.last().expect("just created");
            let commit = Kind::CommitModel {
                model,
                url: "soma:weights".parse().expect("a URL"),
                size_bytes: 1 << 20,
                hash: ContentHash([owner; 32]),
            };
            world.must(owner, commit);
        }
        world.until_epoch(1);
        for (owner, model) in (4..).zip(world.models.clone()) {
            let reveal = Kind::RevealModel {
                model,
                key: DecryptionKey([owner; 32]),
                embedding: Embedding::draw(&Seed([owner; 32]), small_architecture().embedding_dim as usize),
            };
            world.must(owner, reveal);
        }
        world.until_epoch(2);
        world.submit(5, 0, 3);
        world.until_epoch(3);
        world.submit(6, 1, 3);
        world.submit(5, 2, 0);
        let target = world.free_target();
        let salt = Salt([9; 32]);
        let reveal = world.reveal(target, 4);
        let commitment = reveal.commitment(&keys(5).address(), &salt);
        world.must(5, Kind::CommitSubmission { target, commitment });
        world
    }

    /// Data that hits the first open target, committed, revealed, and followed by some blocks.
    fn submit(&mut self, who: u8, data: u8, blocks: u64) {
        let target = self.free_target();
        let salt = Salt([data; 32]);
        let reveal = self.reveal(target, data);
        let commitment = reveal.commitment(&keys(who).address(), &salt);
        self.must(who, Kind::CommitSubmission { target, commitment });
        let submission = *self.submissions.last().expect("just committed");
        self.must(
            who,
            Kind::RevealSubmission {
                submission,
                salt,
                reveal,
            },
        );
        for _ in 0..blocks {
            self.block(&[]);
        }
    }

    /// A target that nobody races for.
    fn free_target(&mut self) -> TargetId {
        let open = view::open_targets(&mut self.state).expect("all is loaded");
        let free = open.iter().find(|target| target.status == TargetStatus::Open);
        free.expect("there are four").id
    }

    fn reveal(&mut self, target: TargetId, data: u8) -> SubmissionReveal {
        let target = view::target(&mut self.state, target)
            .expect("all is loaded")
            .expect("an open target");
        SubmissionReveal {
            data_url: "soma:data".parse().expect("a URL"),
            data_size_bytes: 1_000,
            data_hash: ContentHash([data; 32]),
            losses_nano: List::new(vec![1_000_000_000; target.models.len()]).expect("few models"),
            cross_entropy_nano: 900_000_000,
            embedding: Embedding::draw(&target.seed, small_architecture().embedding_dim as usize),
        }
    }

    fn must(&mut self, who: u8, kind: Kind) {
        let transaction = self.transaction(who, kind);
        let outcome = self.block(&[transaction]);
        assert!(outcome.receipts[0].applied(), "{:?}", outcome.receipts);
    }

    /// A transaction of an account with its next nonce; its signature is taken as checked.
    #[must_use]
    pub fn transaction(&mut self, who: u8, kind: Kind) -> VerifiedTransaction {
        let keys = keys(who);
        let account = view::account(&mut self.state, keys.address()).expect("all is loaded");
        VerifiedTransaction::assume_verified(SignedTransaction {
            transaction: Transaction {
                chain: self.genesis.chain_id(),
                sender: keys.public_key(),
                nonce: account.nonce,
                expires: Epoch(u64::MAX),
                max_fee: Shannons(u64::MAX),
                kind,
            },
            signature: Signature([0; 64]),
        })
    }

    /// Executes a block of those transactions that are not refused.
    ///
    /// # Panics
    /// When the ledger is broken: that is what is looked for.
    pub fn block(&mut self, transactions: &[VerifiedTransaction]) -> BlockOutcome {
        self.height = self.height.next();
        let block = Block {
            height: self.height,
            seed: Seed([7; 32]).derive("block", self.height.0),
            timestamp_ms: self.height.0,
            proposer: Some(keys((self.height.0 % 4) as u8).address()),
        };
        let mut executor = Executor::new(block);
        executor
            .begin(&mut self.state, &mut self.cache)
            .expect("a sound ledger");
        for transaction in transactions {
            // Refused ones are left out.
            let _ = executor
                .apply(&mut self.state, transaction)
                .expect("a sound ledger");
        }
        let outcome = executor.end(&mut self.state).expect("a sound ledger");
        for receipt in &outcome.receipts {
            match receipt.outcome {
                Outcome::Applied {
                    created: Some(Created::Model(id)),
                } => self.models.push(id),
                Outcome::Applied {
                    created: Some(Created::Submission(id)),
                } => self.submissions.push(id),
                _ => {}
            }
        }
        outcome
    }

    /// Empty blocks up to the first of an epoch.
    pub fn until_epoch(&mut self, epoch: u64) {
        while self.epoch() < epoch {
            self.block(&[]);
        }
    }

    /// What is stored.
    pub const fn state(&mut self) -> &mut MemoryState {
        &mut self.state
    }

    /// The current epoch.
    ///
    /// # Panics
    /// Never: the state is in memory.
    pub fn epoch(&mut self) -> u64 {
        let now = view::epoch(&mut self.state).expect("all is loaded");
        now.expect("after genesis").epoch.0
    }

    /// Blocks up to the one before votes of audits or of hearings are revealed, if some are still to be
    /// committed.
    ///
    /// # Panics
    /// Never: the state is in memory.
    pub fn until_reveals(&mut self) {
        let params = &self.genesis.params;
        let commits = params.audit_commit_blocks;
        let hearing = commits + params.audit_reveal_blocks;
        let phases = [0..commits, hearing..hearing + params.hearing_commit_blocks];
        loop {
            let now = view::epoch(&mut self.state)
                .expect("all is loaded")
                .expect("after genesis");
            let next = self.height.next().0 - now.first_height.0;
            if !phases.iter().any(|phase| phase.contains(&next)) {
                break;
            }
            self.block(&[]);
        }
    }

    /// The open targets.
    ///
    /// # Panics
    /// Never: the state is in memory.
    pub fn targets(&mut self) -> Vec<TargetId> {
        let open = view::open_targets(&mut self.state).expect("all is loaded");
        open.into_iter().map(|target| target.id).collect()
    }

    /// All that exists adds up, and everything that was under way ends.
    ///
    /// # Panics
    /// When it does not.
    pub fn finish(&mut self) {
        let end = self.epoch() + 3;
        self.until_epoch(end);
        let supply = view::supply(&mut self.state).expect("all is loaded");
        assert_eq!(supply.expect("after genesis").total(), Some(MAX_SUPPLY));
    }

    /// Puts names of what exists in the place of names that end in a zero byte: nobody guesses a hash.
    pub fn resolve(&mut self, kind: &mut Kind) {
        let targets = self.targets();
        let models = self.models.clone();
        let submissions = self.submissions.clone();
        let model = |id: &mut ModelId| id.0 = pick(id.0, &models.iter().map(|id| id.0).collect::<Vec<_>>());
        let submission = |id: &mut SubmissionId| {
            id.0 = pick(id.0, &submissions.iter().map(|id| id.0).collect::<Vec<_>>());
        };
        match kind {
            Kind::Transfer { payments } => {
                let known: Vec<Address> = (0..ACCOUNTS).map(|who| keys(who).address()).collect();
                let resolved = payments.iter().map(|payment| {
                    let mut payment = *payment;
                    payment.to.0 = pick(payment.to.0, &known.iter().map(|one| one.0).collect::<Vec<_>>());
                    payment
                });
                *payments = List::new(resolved.collect()).expect("as many as before");
            }
            Kind::AddStake { pool, .. } | Kind::WithdrawStake { pool, .. } => match pool {
                PoolId::Validator(address) => {
                    let known: Vec<[u8; 32]> = (0..ACCOUNTS).map(|who| keys(who).address().0).collect();
                    address.0 = pick(address.0, &known);
                }
                PoolId::Model(id) => model(id),
            },
            Kind::CommitModel { model: id, .. }
            | Kind::RevealModel { model: id, .. }
            | Kind::SetModelCommission { model: id, .. }
            | Kind::DeactivateModel { model: id }
            | Kind::ReportModel { model: id, .. } => model(id),
            Kind::CommitSubmission { target, .. } => {
                let known: Vec<[u8; 32]> = targets.iter().map(|id| id.0).collect();
                target.0 = pick(target.0, &known);
            }
            Kind::RevealSubmission { submission: id, .. }
            | Kind::CommitAudit { submission: id, .. }
            | Kind::RevealAudit { submission: id, .. }
            | Kind::ChallengeSubmission { submission: id } => submission(id),
            Kind::CreateModel { .. }
            | Kind::RegisterValidator { .. }
            | Kind::LeaveValidator
            | Kind::SetValidatorCommission { .. }
            | Kind::SetRentVote { .. }
            | Kind::ProposeUpgrade { .. }
            | Kind::VoteUpgrade { .. }
            | Kind::ReportEquivocation { .. } => {}
        }
    }
}

fn pick(id: [u8; 32], known: &[[u8; 32]]) -> [u8; 32] {
    if id[31] == 0 && !known.is_empty() {
        known[id[0] as usize % known.len()]
    } else {
        id
    }
}
