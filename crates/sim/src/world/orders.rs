//! What everyone wants in the next block.

use rand::{RngExt as _, seq::IndexedRandom as _};
use soma_ledger::view::{self, AuditTask};
use soma_types::{
    Address, Salt, Shannons, TransactionKind,
    list::List,
    transaction::{Payment, Withdrawal},
};

use super::{OWNER_FUNDS, World, notes::Note};
use crate::{
    chain::{Actor, Intent, present},
    error::SimError,
    participants::{
        Habit, SIZE_BYTES_MAX, Standing, Task, Trainer, Validator, Wallet, stake_moves, trainer_move,
    },
    scale::soma,
    space::CLUSTERS,
};

/// The part of what they own beyond their reserve that earners spend in an epoch.
const SPENDING: u64 = 4;
/// Offset of the block in which trainers and earners look after their affairs.
const MANAGE_AT: u64 = 2;
/// A salt hides from others; nobody here looks.
const AUDIT_SALT: Salt = Salt([7; 32]);

fn plain(by: Actor, kind: TransactionKind) -> Intent {
    Intent { by, kind }
}

fn transfer(from: Actor, to: Address, amount: Shannons) -> Intent {
    let payments = List::new(vec![Payment { to, amount }]).expect("one payment");
    plain(from, TransactionKind::Transfer { payments })
}

impl World {
    /// What everyone wants in the next block.
    pub(super) fn orders(&mut self) -> Result<Vec<(Intent, Note)>, SimError> {
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
            let documents = submitter.read(&mut self.space, &mut self.draw);
            if documents.is_empty() {
                continue;
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

    /// Validators vote where they are asked to: commits when a stage of the audits begins, reveals as soon
    /// as they may.
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
                Some(id) => Some(present(view::model(self.chain.state(), id)?, "model")?),
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
}
