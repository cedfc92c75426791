//! One world: a ledger and those who live by it, run block by block.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use rand::{RngExt as _, seq::IndexedRandom as _};
use soma_ledger::{
    State as _, history,
    view::{self, AuditTask},
};
use soma_types::{
    Address, ModelId, Receipt, Rejection, Salt, Shannons, SubmissionId, TransactionKind,
    event::Event,
    list::List,
    objects::AuditFinding,
    params::Params,
    receipt::{Created, Outcome},
    transaction::{Payment, PoolId, Verdict, Withdrawal},
};

use crate::{
    SimError,
    agents::{
        Auditing, Diligent, Habit, Honest, Household, Rule, SIZE_BYTES_MAX, Standing, Submitting, Task,
        Trainer, Wallet, stake_moves, trainer_move,
    },
    board::Board,
    chain::{Actor, Chain, Intent, present},
    desk::Find,
    facts::{Facts, Tally},
    scale::{genesis, percent, soma},
    space::{CLUSTERS, Document, Rng, Space, normal, rng},
};

/// Nats by which the best of an average trainer's models improves in a year.
const PROGRESS_PER_YEAR: f64 = 0.03;
/// Standard deviation of a trainer's talent, in nats: about 2% of a loss.
const TALENT: f64 = 0.03;
/// Standard deviation of luck in one training, in nats.
const LUCK: f64 = 0.005;
/// Kinds of documents that a submitter has.
const CORPORA: usize = 3;
/// The part of what they own beyond their reserve that earners spend in an epoch.
const SPENDING: u64 = 4;

/// How many payments households want to make.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// Payments in an epoch while a payment's fee is `reference`.
    pub payments: f64,
    /// The fee that goes with it.
    pub reference: Shannons,
    /// Percent of payments lost with each percent of fee.
    pub elasticity: f64,
}

impl Demand {
    /// Payments wanted in an epoch at this fee.
    fn at(&self, fee: Shannons) -> f64 {
        let relative = fee.0.max(1) as f64 / self.reference.0 as f64;
        self.payments * relative.powf(-self.elasticity)
    }
}

/// Who takes part at the start, and under which rules.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Fixes every draw.
    pub seed: u64,
    /// The ledger's parameters.
    pub params: Params,
    /// Validators, all diligent.
    pub validators: u64,
    /// Stake of each.
    pub validator_stake: Shannons,
    /// Trainers, all there from the start.
    pub trainers: u64,
    /// Stake of each.
    pub trainer_stake: Shannons,
    /// Epochs from one new trainer to the next; 0: none come.
    pub newcomer_every: u64,
    /// Submitters, all honest.
    pub submitters: u64,
    /// What each works with: bonds, deposits, fees.
    pub submitter_funds: Shannons,
    /// Documents that each scores in a block.
    pub documents: f64,
    /// The threshold they hold themselves to.
    pub rule: Rule,
    /// Those who hold money and stake it.
    pub households: u64,
    /// What they pay each other.
    pub demand: Demand,
    /// Others who have money at the start.
    pub guests: Vec<(Actor, Shannons)>,
}

/// A submitter.
#[derive(Clone)]
pub struct Submitter {
    /// Its account.
    pub actor: Actor,
    /// What it does.
    pub strategy: Rc<dyn Submitting>,
    /// Documents it scores in a block.
    pub documents: f64,
    /// What kinds of documents it has.
    pub corpora: [usize; CORPORA],
    left_over: f64,
}

/// A validator.
#[derive(Clone)]
pub struct Validator {
    /// Its account.
    pub actor: Actor,
    /// What it does.
    pub strategy: Rc<dyn Auditing>,
}

/// What to do once a transaction's receipt is there.
enum Note {
    Nothing,
    Created(usize),
    Committed(Box<Find>),
    Model(usize),
    Gone(usize),
    Staked(usize, PoolId),
    Left(usize, PoolId),
}

/// A ledger and those who live by it.
#[derive(Clone)]
pub struct World {
    /// The ledger.
    pub chain: Chain,
    /// What everyone can see.
    pub board: Board,
    /// Where documents are.
    pub space: Space,
    /// Who orders blocks and audits.
    pub validators: Vec<Validator>,
    /// Who trains models.
    pub trainers: Vec<Trainer>,
    /// Who finds data.
    pub submitters: Vec<Submitter>,
    /// Those who hold money and stake it.
    pub households: Vec<Household>,
    /// How many payments households want to make.
    pub demand: Demand,
    /// What others want in the next block.
    pub wishes: Vec<Intent>,
    /// Whose commits are told apart in [`Tally::commits`].
    pub watched: BTreeSet<Address>,
    tally: Tally,
    newcomer_every: u64,
    newcomer_stake: Shannons,
    reserves: BTreeMap<Address, Shannons>,
    found: Vec<(SubmissionId, Find)>,
    truths: BTreeMap<SubmissionId, Verdict>,
    settled_submissions: u64,
    findings: Vec<(Actor, SubmissionId, AuditFinding)>,
    payments_due: f64,
    draw: Rng,
}

/// Epochs after which everything of an epoch is paid.
const SETTLED_AFTER: u64 = 3;
/// What trainers and validators keep for fees and rent.
const OWNER_FUNDS: Shannons = soma(500);
const HOUSEHOLD_FUNDS: Shannons = soma(6_000);

impl World {
    /// A world before its first block.
    ///
    /// # Errors
    /// When the cast's parameters are not valid.
    pub fn new(cast: &Cast) -> Result<Self, SimError> {
        let mut draw = rng(cast.seed, 1);
        let actors = |role: &str, count: u64| (0..count).map(|i| Actor::new(role, i)).collect::<Vec<_>>();
        let (validators, trainers) = (
            actors("validator", cast.validators),
            actors("trainer", cast.trainers),
        );
        let (submitters, households) = (
            actors("submitter", cast.submitters),
            actors("household", cast.households),
        );
        let mut funded = cast.guests.clone();
        let trainer_funds = Shannons(cast.trainer_stake.0 + OWNER_FUNDS.0);
        for (actors, funds) in [
            (&validators, OWNER_FUNDS),
            (&trainers, trainer_funds),
            (&submitters, cast.submitter_funds),
            (&households, HOUSEHOLD_FUNDS),
        ] {
            funded.extend(actors.iter().map(|actor| (*actor, funds)));
        }
        let staked: Vec<(Actor, Shannons)> = validators
            .iter()
            .map(|actor| (*actor, cast.validator_stake))
            .collect();
        let mut chain = Chain::new(&genesis(cast.params.clone(), &funded, &staked), cast.seed)?;
        let board = Board::new(&mut chain, cast.params.clone())?;
        let reserve = |actors: &[Actor], funds: Shannons| -> Vec<(Address, Shannons)> {
            actors.iter().map(|actor| (actor.address, funds)).collect()
        };
        let reserves = [
            reserve(&validators, OWNER_FUNDS),
            reserve(&submitters, cast.submitter_funds),
        ]
        .concat();
        let mut world = Self {
            chain,
            board,
            space: Space::new(&mut draw),
            validators: validators
                .into_iter()
                .map(|actor| Validator {
                    actor,
                    strategy: Rc::new(Diligent),
                })
                .collect(),
            trainers: Vec::new(),
            submitters: Vec::new(),
            households: households
                .into_iter()
                .map(|actor| Household {
                    actor,
                    pools: Vec::new(),
                })
                .collect(),
            demand: cast.demand,
            wishes: Vec::new(),
            watched: BTreeSet::new(),
            tally: Tally::default(),
            newcomer_every: cast.newcomer_every,
            newcomer_stake: cast.trainer_stake,
            reserves: reserves.into_iter().collect(),
            found: Vec::new(),
            truths: BTreeMap::new(),
            settled_submissions: 0,
            findings: Vec::new(),
            payments_due: 0.0,
            draw,
        };
        for actor in trainers {
            world.add_trainer(actor, cast.trainer_stake);
        }
        for actor in submitters {
            world.add_submitter(actor, Rc::new(Honest { rule: cast.rule }), cast.documents);
        }
        Ok(world)
    }

    /// A trainer with a talent and a speciality drawn at random. Its account must be funded.
    pub fn add_trainer(&mut self, actor: Actor, stake: Shannons) -> usize {
        self.reserves.insert(actor.address, OWNER_FUNDS);
        self.trainers.push(Trainer {
            actor,
            cluster: self.draw.random_range(0..CLUSTERS),
            talent: TALENT * normal(&mut self.draw),
            commission: percent(10),
            stake,
            habit: Habit::Steady,
            model: None,
            next: None,
            founded: self.board.now.epoch.0,
            last_hit: self.board.now.epoch.0,
        });
        self.trainers.len() - 1
    }

    /// A submitter with documents of a few kinds. Its account must be funded.
    pub fn add_submitter(&mut self, actor: Actor, strategy: Rc<dyn Submitting>, documents: f64) -> usize {
        self.submitters.push(Submitter {
            actor,
            strategy,
            documents,
            corpora: std::array::from_fn(|_| self.draw.random_range(0..CLUSTERS)),
            // So that not all score in the same block.
            left_over: self.draw.random(),
        });
        self.submitters.len() - 1
    }

    /// What true scoring of a submission shows.
    #[must_use]
    pub fn truth(&self, submission: &SubmissionId) -> Verdict {
        self.truths.get(submission).copied().unwrap_or(Verdict::Valid)
    }

    /// Runs the epoch in progress to its last block; returns what happened in it.
    ///
    /// # Errors
    /// When the ledger is broken.
    pub fn epoch(&mut self) -> Result<Facts, SimError> {
        loop {
            self.block()?;
            if self.board.offset == self.board.now.length_blocks {
                break;
            }
        }
        self.forget()?;
        std::mem::take(&mut self.tally).close(&mut self.chain, &self.board)
    }

    /// Drops what no rule reads again, so that ten years fit into memory.
    fn forget(&mut self) -> Result<(), SimError> {
        let Some(epoch) = self.board.now.epoch.minus(SETTLED_AFTER) else {
            return Ok(());
        };
        let keys = history(&mut self.chain.state, epoch, self.settled_submissions)?;
        for key in keys {
            self.chain.state.set(&key, None);
        }
        self.settled_submissions += self.chain.record(epoch)?.state.submissions_committed;
        Ok(())
    }

    /// Runs one block.
    ///
    /// # Errors
    /// When the ledger is broken.
    pub fn block(&mut self) -> Result<(), SimError> {
        // At a boundary everything changes before anyone can act on it.
        let boundary = self.board.offset == self.board.now.length_blocks;
        let orders = if boundary { Vec::new() } else { self.orders()? };
        let (intents, notes): (Vec<Intent>, Vec<Note>) = orders.into_iter().unzip();
        let names: Vec<&'static str> = intents.iter().map(|intent| intent.kind.name()).collect();
        let proposer = self.validators[(self.chain.height().0 % self.validators.len() as u64) as usize].actor;
        let done = self.chain.block(proposer.address, intents)?;
        self.tally.count(&done.events, &names, &done.receipts);
        for event in &done.events {
            self.hear(event);
        }
        self.board.follow(&mut self.chain, &done.events, done.boundary)?;
        if boundary {
            self.begin_epoch()?;
        }
        for (note, receipt) in notes.into_iter().zip(&done.receipts) {
            self.take_note(note, receipt);
        }
        Ok(())
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::ModelActivated { model } => {
                let owner = self
                    .trainers
                    .iter_mut()
                    .find(|trainer| trainer.model == Some(*model));
                if let Some(mind) = owner.and_then(|trainer| trainer.next.take()) {
                    match self.board.place(model) {
                        Some(place) => self.board.minds[place] = mind,
                        None => self.board.enter(*model, mind),
                    }
                }
            }
            Event::TargetFilled { model, .. } => {
                let epoch = self.board.now.epoch.0;
                if let Some(owner) = self
                    .trainers
                    .iter_mut()
                    .find(|trainer| trainer.model == Some(*model))
                {
                    owner.last_hit = epoch;
                }
            }
            _ => {}
        }
    }

    fn begin_epoch(&mut self) -> Result<(), SimError> {
        self.found.clear();
        self.findings.clear();
        let fee = view::fee(&mut self.chain.state, PAYMENT_BYTES)?;
        self.payments_due = self.demand.at(fee).min(PAYMENTS_MAX);
        Ok(())
    }

    /// What everyone wants in the next block.
    fn orders(&mut self) -> Result<Vec<(Intent, Note)>, SimError> {
        let mut orders: Vec<(Intent, Note)> = std::mem::take(&mut self.found)
            .into_iter()
            .map(|(submission, find)| (find.open(submission), Note::Nothing))
            .collect();
        orders.extend(self.wishes.drain(..).map(|wish| (wish, Note::Nothing)));
        let offset = self.board.offset;
        self.audit(&mut orders);
        if self.board.time_to_reveal() {
            self.submit(&mut orders)?;
        }
        self.pay(&mut orders);
        if offset == MANAGE_AT {
            self.train(&mut orders)?;
            self.spend(&mut orders)?;
        }
        if offset == MANAGE_AT + 1 {
            self.stake(&mut orders)?;
        }
        Ok(orders)
    }

    fn submit(&mut self, orders: &mut Vec<(Intent, Note)>) -> Result<(), SimError> {
        let order: Vec<usize> =
            rand::seq::index::sample(&mut self.draw, self.submitters.len(), self.submitters.len()).into_vec();
        let mut taken = Vec::new();
        let params = &self.board.params;
        let by_size = Shannons(params.bond_per_byte.0 * SIZE_BYTES_MAX);
        let each = self.board.now.bond_floor.max(by_size).0 + params.submission_deposit.0;
        for index in order {
            let submitter = &mut self.submitters[index];
            submitter.left_over += submitter.documents;
            let count = submitter.left_over as usize;
            if count == 0 {
                continue;
            }
            submitter.left_over -= count as f64;
            let mut documents: Vec<Document> = Vec::with_capacity(count);
            for _ in 0..count {
                let cluster = *submitter.corpora.choose(&mut self.draw).expect("some corpora");
                documents.push(self.space.document(cluster, &mut self.draw));
            }
            let wallet = Wallet {
                me: submitter.actor,
                documents: &documents,
                bonds: (self.chain.balance(submitter.actor)?.0 / each) as usize,
            };
            for find in submitter.strategy.finds(&self.board, &wallet) {
                taken.push(find.target);
                orders.push((find.commit(), Note::Committed(Box::new(find))));
            }
        }
        // Commits of one block are seen by all from the next on.
        for target in &taken {
            self.board.claim(target);
        }
        Ok(())
    }

    /// Validators vote where they are asked to: commits when a stage of the audits begins, reveals as soon as
    /// they may.
    fn audit(&mut self, orders: &mut Vec<(Intent, Note)>) {
        if let Some(stage) = self.board.votes_begin() {
            let asked = |audit: &&AuditTask| audit.polled.stage == stage;
            for audit in self.board.audits.iter().filter(asked) {
                let submission = audit.submission.id;
                let task = Task {
                    submission,
                    stage,
                    voters: &audit.polled.voters,
                    truth: self.truth(&submission),
                };
                let voters = self
                    .validators
                    .iter()
                    .filter(|one| task.voters.contains(&one.actor.address));
                for Validator { actor, strategy } in voters {
                    let Some(finding) = strategy.finding(*actor, task) else {
                        continue;
                    };
                    let commitment = finding.verdict.commitment(
                        &actor.address,
                        &submission,
                        &finding.transcript,
                        &AUDIT_SALT,
                    );
                    let kind = TransactionKind::CommitAudit {
                        submission,
                        commitment,
                    };
                    orders.push((plain(*actor, kind), Note::Nothing));
                    self.findings.push((*actor, submission, finding));
                }
            }
        } else if self.board.reveals_begin() {
            for (actor, submission, finding) in self.findings.drain(..) {
                let kind = TransactionKind::RevealAudit {
                    submission,
                    salt: AUDIT_SALT,
                    verdict: finding.verdict,
                    transcript: finding.transcript,
                };
                orders.push((plain(actor, kind), Note::Nothing));
            }
        }
    }

    fn pay(&mut self, orders: &mut Vec<(Intent, Note)>) {
        let left = self.board.now.length_blocks - self.board.offset;
        let count = (self.payments_due / left as f64).round();
        self.payments_due -= count;
        if self.households.len() < 2 {
            return;
        }
        for _ in 0..count as u64 {
            let mut pair = self
                .households
                .sample(&mut self.draw, 2)
                .map(|household| household.actor);
            if let (Some(from), Some(to)) = (pair.next(), pair.next()) {
                orders.push((transfer(from, to.address, soma(1)), Note::Nothing));
            }
        }
    }

    /// Those who earn spend a part of it with households.
    fn spend(&mut self, orders: &mut Vec<(Intent, Note)>) -> Result<(), SimError> {
        let owners = self.trainers.iter().map(|trainer| trainer.actor);
        let validators = self.validators.iter().map(|validator| validator.actor);
        let submitters = self.submitters.iter().map(|submitter| submitter.actor);
        let earners: Vec<Actor> = owners.chain(validators).chain(submitters).collect();
        for earner in earners {
            let Some(reserve) = self.reserves.get(&earner.address) else {
                continue;
            };
            let surplus = self.chain.balance(earner)?.saturating_sub(*reserve);
            let payee = self
                .households
                .choose(&mut self.draw)
                .map(|household| household.actor.address);
            if let Some(payee) = payee.filter(|_| surplus > soma(20)) {
                orders.push((
                    transfer(earner, payee, Shannons(surplus.0 / SPENDING)),
                    Note::Nothing,
                ));
            }
        }
        Ok(())
    }

    fn stake(&mut self, orders: &mut Vec<(Intent, Note)>) -> Result<(), SimError> {
        for (index, household) in self.households.iter().enumerate() {
            let balance = self.chain.balance(household.actor)?;
            for kind in stake_moves(household, &self.board, balance, &mut self.draw) {
                let note = match &kind {
                    TransactionKind::AddStake { pool, .. } => Note::Staked(index, *pool),
                    TransactionKind::WithdrawStake {
                        pool,
                        amount: Withdrawal::All,
                    } => Note::Left(index, *pool),
                    _ => Note::Nothing,
                };
                orders.push((plain(household.actor, kind), note));
            }
        }
        Ok(())
    }

    fn train(&mut self, orders: &mut Vec<(Intent, Note)>) -> Result<(), SimError> {
        let epoch = self.board.now.epoch;
        if self.newcomer_every > 0 && epoch.0 > 0 && epoch.0.is_multiple_of(self.newcomer_every) {
            let actor = Actor::new("newcomer", epoch.0);
            self.add_trainer(actor, self.newcomer_stake);
            let funds = Shannons(self.newcomer_stake.0 + OWNER_FUNDS.0);
            if let Some(backer) = self.households.choose(&mut self.draw) {
                orders.push((transfer(backer.actor, actor.address, funds), Note::Nothing));
            }
        }
        for index in 0..self.trainers.len() {
            let model = match self.trainers[index].model {
                None => None,
                Some(id) => Some(present(view::model(&mut self.chain.state, id)?, "model")?),
            };
            let standing = Standing {
                epoch,
                beaten: self.is_beaten(index),
                balance: self.chain.balance(self.trainers[index].actor)?,
                model: model.as_ref(),
            };
            let Some(kind) = trainer_move(&self.trainers[index], standing) else {
                continue;
            };
            let note = match &kind {
                TransactionKind::CreateModel { .. } => Note::Created(index),
                TransactionKind::CommitModel { .. } => Note::Model(index),
                TransactionKind::WithdrawStake { .. } => Note::Gone(index),
                _ => Note::Nothing,
            };
            // Who has met a better one looks elsewhere.
            let trainer = &mut self.trainers[index];
            let has_met = match note {
                Note::Model(_) => {
                    trainer.next.is_some() || standing.model.is_some_and(|model| model.weights.is_some())
                }
                Note::Gone(_) => true,
                _ => false,
            };
            if has_met && standing.beaten && trainer.habit != Habit::Steady {
                trainer.cluster = self.draw.random_range(0..CLUSTERS);
            }
            orders.push((plain(self.trainers[index].actor, kind), note));
        }
        Ok(())
    }

    /// Whether a better trainer's model competes in the region of this one.
    fn is_beaten(&self, index: usize) -> bool {
        let own = &self.trainers[index];
        let better = |other: &Trainer| {
            let competes = other
                .model
                .is_some_and(|model| self.board.place(&model).is_some());
            competes && other.cluster == own.cluster && other.talent > own.talent
        };
        self.trainers.iter().any(better)
    }

    /// Lets someone keep all that it earns.
    pub fn let_save(&mut self, address: &Address) {
        self.reserves.remove(address);
    }

    fn take_note(&mut self, note: Note, receipt: &Result<Receipt, Rejection>) {
        let Ok(receipt) = receipt else { return };
        let Outcome::Applied { created } = &receipt.outcome else {
            return;
        };
        match (note, created) {
            (Note::Created(index), Some(Created::Model(model))) => self.trainers[index].model = Some(*model),
            (Note::Model(index), _) => {
                let years = self.board.now.epoch.0 as f64 / self.board.params.epochs_per_year as f64;
                let trainer = &mut self.trainers[index];
                let skill = trainer.talent + PROGRESS_PER_YEAR * years + LUCK * normal(&mut self.draw);
                trainer.next = Some(self.space.mind(trainer.cluster, skill, &mut self.draw));
            }
            (Note::Committed(find), Some(Created::Submission(submission))) => {
                if find.truth != Verdict::Valid {
                    self.truths.insert(*submission, find.truth);
                }
                if self.watched.contains(&find.by.address) {
                    self.tally.commits.insert(*submission, find.by.address);
                }
                self.found.push((*submission, *find));
            }
            (Note::Gone(index), _) => self.trainers[index].model = None,
            (Note::Staked(index, pool), _) => {
                let pools = &mut self.households[index].pools;
                if !pools.contains(&pool) {
                    pools.push(pool);
                }
            }
            (Note::Left(index, pool), _) => self.households[index].pools.retain(|other| *other != pool),
            _ => {}
        }
    }

    /// The trainer of a model.
    #[must_use]
    pub fn trainer_of(&self, model: &ModelId) -> Option<&Trainer> {
        self.trainers.iter().find(|trainer| trainer.model == Some(*model))
    }
}

/// Offset of the block in which trainers and earners look after their affairs.
const MANAGE_AT: u64 = 2;
/// Length of the signed encoding of a payment to one.
pub const PAYMENT_BYTES: u64 = 213;
/// Most payments that are simulated in an epoch.
const PAYMENTS_MAX: f64 = 2_000.0;
/// A salt hides from others; nobody here looks.
const AUDIT_SALT: Salt = Salt([7; 32]);

fn plain(by: Actor, kind: TransactionKind) -> Intent {
    Intent { by, kind }
}

fn transfer(from: Actor, to: Address, amount: Shannons) -> Intent {
    let payments = List::new(vec![Payment { to, amount }]).expect("one payment");
    plain(from, TransactionKind::Transfer { payments })
}
