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
//! | nodes, to light clients | proofs | `proof` |
//! | a node's disk | values of the state, records of blocks | `objects`, `block` |
//! | an operator | the genesis file, an architecture, amounts, ids, URLs | `genesis`, `architecture`, `text` |
//! | hosts of weights | encrypted containers, weights | `container`, `weights` |
//! | submitters, trainers | embeddings | `embedding` |
//! | a wallet's folder | key files, recovery words | `keyfile` |
//!
//! Not here: consensus messages and the network's framing (commonware's own, fuzzed there), text for training
//! (local files, read by libraries), and a localnet's folder, which only its owner writes.

use soma_ledger::{
    BlockOutcome, MemoryState,
    testing::{World as Tests, address, tiny},
    view,
};
use soma_types::{
    Address, Architecture, ModelId, Shannons, SubmissionId, TargetId, TransactionKind as Kind,
    VerifiedTransaction,
    amount::{MAX_SUPPLY, SHANNONS_PER_SOMA},
    list::List,
    objects::{Target, TargetStatus},
    params::Params,
    receipt::{Created, Outcome},
    transaction::PoolId,
};

pub use soma_ledger::testing::keys;

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

/// Accounts 0 to 3 are validators, 4 to 6 own models, the last has nothing.
pub const ACCOUNTS: u8 = 11;

/// How many of them are validators.
pub const VALIDATORS: u8 = 4;

/// The tests' rules, under which whom an auditor accuses is heard, and samples are sound.
#[must_use]
pub fn params() -> Params {
    Params {
        auditors: 1,
        cross_entropy_min_nano: 0,
        model_stake_min: Shannons(SHANNONS_PER_SOMA),
        ..tiny()
    }
}

/// The ledger's tests' network, and what there is to name in a transaction.
#[derive(Clone)]
pub struct World {
    tests: Tests,
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
        let (tests, models) = Tests::with_models(params(), 3);
        let mut world = Self {
            tests,
            models,
            submissions: Vec::new(),
        };
        world.win(5, 0);
        world.until_epoch(3);
        world.win(6, 1);
        let race = world.commit(5, 2);
        world.tests.apply(5, race);
        world.commit(5, 4);
        world
    }

    /// A winner among the submissions.
    fn win(&mut self, who: u8, data: u8) {
        let target = self.free_target();
        let winner = self.tests.win(who, &target, data, 0);
        self.submissions.push(winner);
    }

    /// A commit among the submissions; returns its reveal.
    fn commit(&mut self, who: u8, data: u8) -> Kind {
        let target = self.free_target();
        let find = self.tests.find(who, &target, data, 0);
        let id = self.tests.commit(&find);
        self.submissions.push(id);
        find.reveal(id)
    }

    /// A target that nobody races for.
    fn free_target(&mut self) -> Target {
        let mut open = self.tests.open_targets().into_iter();
        let free = open.find(|target| target.status == TargetStatus::Open);
        free.expect("there are four")
    }

    /// A transaction of an account with its next nonce; its signature is taken as checked.
    ///
    /// # Panics
    /// Never: the state is in memory.
    #[must_use]
    pub fn transaction(&mut self, who: u8, kind: Kind) -> VerifiedTransaction {
        let account = view::account(self.state(), address(who)).expect("all is loaded");
        self.tests.transaction(who, account.nonce, kind)
    }

    /// Executes a block of those transactions that are not refused, and counts all money.
    ///
    /// # Panics
    /// When the ledger is broken: that is what is looked for.
    pub fn block(&mut self, transactions: &[VerifiedTransaction]) -> BlockOutcome {
        self.tests.offer(transactions);
        let outcome = self.tests.history.pop().expect("it was just executed");
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
        &mut self.tests.chain.state
    }

    /// The current epoch.
    pub fn epoch(&mut self) -> u64 {
        self.tests.epoch().0
    }

    /// Blocks up to the one before votes of audits or of hearings are revealed, if some are still to be
    /// committed.
    ///
    /// # Panics
    /// Never: the state is in memory.
    pub fn until_reveals(&mut self) {
        let params = params();
        let phases = [
            0..params.audit_commit_blocks,
            params.hearing_from()..params.hearing_reveals_from(),
        ];
        loop {
            let now = view::epoch(self.state())
                .expect("all is loaded")
                .expect("after genesis");
            let next = self.tests.next_block().height.0 - now.first_height.0;
            if !phases.iter().any(|phase| phase.contains(&next)) {
                break;
            }
            self.block(&[]);
        }
    }

    /// The open targets.
    pub fn targets(&mut self) -> Vec<TargetId> {
        let open = self.tests.open_targets().into_iter();
        open.map(|target| target.id).collect()
    }

    /// All that exists adds up, and everything that was under way ends.
    ///
    /// # Panics
    /// When it does not.
    pub fn finish(&mut self) {
        let end = self.epoch() + 3;
        self.until_epoch(end);
        assert_eq!(self.tests.supply().total(), Some(MAX_SUPPLY));
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
                let known: Vec<Address> = (0..ACCOUNTS).map(address).collect();
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
