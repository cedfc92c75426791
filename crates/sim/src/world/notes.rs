//! What is remembered of what the ledger accepted.

use soma_types::{
    Receipt, Rejection,
    receipt::{Created, Outcome},
    transaction::{PoolId, Verdict},
};

use super::World;
use crate::{desk::Find, space::normal};

/// Nats by which the best of an average trainer's models improves in a year.
const PROGRESS_PER_YEAR: f64 = 0.03;
/// Standard deviation of luck in one training, in nats.
const LUCK: f64 = 0.005;

/// What to do once a transaction's receipt is there.
pub(super) enum Note {
    /// Nothing is remembered.
    Nothing,
    /// A trainer has a model.
    Created(usize),
    /// A find waits for its reveal.
    Committed(Box<Find>),
    /// A trainer's next weights are trained.
    Model(usize),
    /// A trainer's model is gone.
    Gone(usize),
    /// A household has stake in a pool.
    Staked(usize, PoolId),
    /// A household has left a pool.
    Left(usize, PoolId),
}

impl World {
    pub(super) fn take_note(&mut self, note: Note, receipt: &Result<Receipt, Rejection>) {
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
}
