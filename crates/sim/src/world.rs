//! One world: a ledger and those who live by it, run block by block.

mod notes;
mod orders;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use rand::RngExt as _;
use soma_ledger::{State as _, history, view};
use soma_types::{
    Address, ModelId, Shannons, SubmissionId, event::Event, objects::AuditFinding, transaction::Verdict,
};

use crate::{
    board::Board,
    cast::{Cast, Demand},
    chain::{Actor, Chain, Intent},
    desk::Find,
    error::SimError,
    facts::{Facts, Tally},
    participants::{Diligent, Habit, Honest, Household, Submitter, Submitting, Trainer, Validator},
    scale::{genesis, percent, soma},
    space::{CLUSTERS, Rng, Space, normal, rng},
};

/// Standard deviation of a trainer's talent, in nats: about 2% of a loss.
const TALENT: f64 = 0.03;
/// Epochs after which everything of an epoch is paid.
const SETTLED_AFTER: u64 = 3;
/// What trainers and validators keep for fees and rent.
const OWNER_FUNDS: Shannons = soma(500);
/// What a household begins with.
const HOUSEHOLD_FUNDS: Shannons = soma(6_000);
/// Length of the signed encoding of a payment to one.
const PAYMENT_BYTES: u64 = 213;
/// Most payments that are simulated in an epoch.
const PAYMENTS_MAX: f64 = 2_000.0;

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
        let submitter = Submitter::new(actor, strategy, documents, &mut self.draw);
        self.submitters.push(submitter);
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
        let keys = history(self.chain.state(), epoch, self.settled_submissions)?;
        for key in keys {
            self.chain.state().set(&key, None);
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
        let (intents, notes): (Vec<Intent>, Vec<_>) = orders.into_iter().unzip();
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
        let fee = view::fee(self.chain.state(), PAYMENT_BYTES)?;
        self.payments_due = self.demand.at(fee).min(PAYMENTS_MAX);
        Ok(())
    }

    /// Lets someone keep all that it earns.
    pub fn let_save(&mut self, address: &Address) {
        self.reserves.remove(address);
    }

    /// The trainer of a model.
    #[must_use]
    pub fn trainer_of(&self, model: &ModelId) -> Option<&Trainer> {
        self.trainers.iter().find(|trainer| trainer.model == Some(*model))
    }
}
