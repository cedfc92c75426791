//! Trainers: each creates a model, renews its weights in time, and gives up when nobody's data wants it. What
//! it does where a better model serves its region is its habit.

use soma_types::{
    ContentHash, DecryptionKey, Epoch, ModelId, Shannons, TransactionKind,
    hash::domain_hash,
    objects::{Model, ModelStatus},
    transaction::{BasisPoints, PoolId, Withdrawal},
};

use crate::{chain::Actor, space::Mind};

/// Age at which weights are renewed: in time to be revealed before they are stale.
const RENEW_AFTER: u64 = 10;
/// Epochs without any hit after which a trainer gives up.
const PATIENCE: u64 = 60;
/// Size of a model's weights.
const WEIGHTS_BYTES: u64 = 2 << 30;

/// Who trains a model.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// The owner's account.
    pub actor: Actor,
    /// What the model specialises in.
    pub cluster: usize,
    /// How much better than the average of its time it is, in nats.
    pub talent: f64,
    /// The owner's share of what it earns.
    pub commission: BasisPoints,
    /// What its owner stakes.
    pub stake: Shannons,
    /// What it does where a better one competes for its region.
    pub habit: Habit,
    /// The model, once created.
    pub model: Option<ModelId>,
    /// What the weights in training can do.
    pub next: Option<Mind>,
    /// The epoch in which it came.
    pub founded: u64,
    /// The last epoch in which its model won, or in which it was created.
    pub last_hit: u64,
}

/// What a trainer does where a better model serves its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Stays where it is.
    Steady,
    /// Reveals what it committed, and trains for another region next.
    Moving,
    /// Does not reveal what it committed for the region, and trains for another.
    Lapsing,
    /// Deactivates its model, withdraws, and comes back with a new one for another region.
    Returning,
}

/// What a trainer sees of its own model.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The epoch in progress.
    pub epoch: Epoch,
    /// Whether it has a better model in its region.
    pub beaten: bool,
    /// What it can spend.
    pub balance: Shannons,
    /// The model, once created.
    pub model: Option<&'a Model>,
}

/// What the trainer does in this epoch.
#[must_use]
pub fn trainer_move(trainer: &Trainer, standing: Standing<'_>) -> Option<TransactionKind> {
    let epoch = standing.epoch;
    let Some(model) = standing.model else {
        // Who comes back waits for its old stake.
        let ready = trainer.habit != Habit::Returning || standing.balance >= trainer.stake;
        return ready.then(|| TransactionKind::CreateModel {
            commission: trainer.commission,
            stake: trainer.stake,
            architecture: crate::scale::params().architecture,
        });
    };
    if !model.is_live() {
        let leaves = trainer.habit == Habit::Returning && model.status == ModelStatus::Retired;
        return leaves.then_some(TransactionKind::WithdrawStake {
            pool: PoolId::Model(model.id),
            amount: Withdrawal::All,
        });
    }
    if trainer.habit == Habit::Returning && standing.beaten && model.weights.is_some() {
        return Some(TransactionKind::DeactivateModel { model: model.id });
    }
    if model.status != ModelStatus::Created && trainer.last_hit + PATIENCE < epoch.0 {
        return Some(TransactionKind::DeactivateModel { model: model.id });
    }
    if let Some(committed) = &model.committed {
        let lapses = trainer.habit == Habit::Lapsing && standing.beaten;
        return (committed.epoch < epoch && !lapses).then(|| TransactionKind::RevealModel {
            model: model.id,
            key: DecryptionKey(model.id.0),
            embedding: trainer
                .next
                .as_ref()
                .expect("what was committed was trained")
                .embedding(),
        });
    }
    let due = match &model.weights {
        None => model.revealed.is_none(),
        Some(weights) => {
            let moves = trainer.habit != Habit::Steady && standing.beaten;
            model.revealed.is_none() && (moves || weights.active_from.plus(RENEW_AFTER) <= epoch)
        }
    };
    due.then(|| TransactionKind::CommitModel {
        model: model.id,
        url: "soma:weights".parse().expect("a valid URL"),
        size_bytes: WEIGHTS_BYTES,
        hash: ContentHash(domain_hash(
            "soma 2026 sim weights",
            &[&model.id.0, &epoch.0.to_le_bytes()],
        )),
        embedding: None,
    })
}
