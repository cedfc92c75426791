//! Weights that cannot be used, shown as late as can be, and embeddings that are chosen last.

use soma_types::{
    ModelId, Rejection, Shannons, TransactionKind as Kind,
    objects::{Model, ModelStatus},
    params::Params,
    transaction::ModelFault,
};

use super::gain;
use crate::{
    testing::{SOMA, World, basis, commit_model, commit_model_fixed, reveal_model, tiny},
    view,
};

const ATTACKER: u8 = 9;

fn record(world: &mut World, model: ModelId) -> Model {
    view::model(&mut world.chain.state, model).unwrap().unwrap()
}

/// A world at an epoch's last block, in which the attacker has just revealed weights, and what they had
/// before.
fn revealed_last(params: Params) -> (World, ModelId, u64) {
    let (mut world, _) = World::with_models(params, 3);
    let before = world.wealth(ATTACKER);
    let model = world.create_model(ATTACKER);
    world.apply(ATTACKER, commit_model(model, 50));
    world.until_epoch(3);
    world.until_offset(world.genesis.params.epoch_blocks - 1);
    (world, model, before)
}

fn report(world: &mut World, who: u8, model: ModelId) {
    let fault = ModelFault::BadWeights;
    world.apply(who, Kind::ReportModel { model, fault });
}

/// Attack: showing unusable weights at the last moment
/// Does: reveals a file that is no weights in the last block in which it may be revealed, so that the reports
/// of it fall on both sides of a boundary, and it competes for an epoch.
/// Outcome: reports of two epochs count together: past two thirds it is slashed as at any time, and has no
/// score from that block on, so that others fill its targets. Where weights are revealed in an epoch's first
/// half, the committee has the other half before they compete. (Reports of each epoch counted alone: it was
/// never retired.)
#[test]
fn showing_unusable_weights_at_the_last_moment() {
    let (mut world, model, before) = revealed_last(tiny());
    world.block(vec![
        (ATTACKER, reveal_model(model, 50)),
        (
            0,
            Kind::ReportModel {
                model,
                fault: ModelFault::BadWeights,
            },
        ),
    ]);
    // The second of four comes too late for the block, and the others after the boundary.
    world.until_epoch(4);
    assert_eq!(record(&mut world, model).status, ModelStatus::Active);
    let epoch = world.epoch();
    report(&mut world, 1, model);
    assert!(!record(&mut world, model).is_faulted_in(epoch));
    report(&mut world, 2, model);
    let faulted = record(&mut world, model);
    assert!(faulted.is_faulted_in(epoch) && faulted.reports.is_empty());
    world.until_epoch(5);
    assert_eq!(record(&mut world, model).status, ModelStatus::Retired);
    assert!(
        gain(&mut world, ATTACKER, before) <= -(2 * SOMA as i64),
        "a tenth of 20 SOMA"
    );

    let half = Params {
        weights_reveal_share: basis(5_000),
        ..tiny()
    };
    let (mut world, model, before) = revealed_last(half);
    let refused = world.fail(ATTACKER, reveal_model(model, 50));
    assert!(matches!(refused, Rejection::RevealTooLate { until } if until.0 == world.chain.height().0 - 8));
    world.until_epoch(4);
    assert_eq!(record(&mut world, model).status, ModelStatus::Created);
    assert!(gain(&mut world, ATTACKER, before) <= -(SOMA as i64), "it lapses");
}

/// Attack: adding up a host's bad days
/// Does: reports a good model in each epoch from another seat, or when its host was away for a moment, until
/// all reports together are past two thirds.
/// Outcome: a report counts in its epoch and the next, a seat once: what two epochs do not carry is
/// forgotten.
#[test]
fn adding_up_a_hosts_bad_days() {
    let (mut world, models) = World::with_models(
        Params {
            refresh_epochs: 20,
            ..tiny()
        },
        3,
    );
    let owner = world.wealth(4);
    for who in [0, 1, 2, 3, 0, 0] {
        report(&mut world, who, models[0]);
        let next = world.epoch().0 + 1;
        world.until_epoch(next);
    }
    let model = record(&mut world, models[0]);
    assert_eq!((model.status, model.faulted), (ModelStatus::Active, None));
    assert_eq!(model.reports.len(), 1, "the last epoch's");
    assert_eq!(world.wealth(4), owner);
}

/// Attack: placing an embedding last
/// Does: commits to weights, waits until all others have shown where they compete, and reveals an embedding
/// where few of them do.
/// Outcome: a commit fixes the embedding under the key: another one, or another key, opens nothing. Where a
/// network wants it (std), a commit that fixes none is refused.
#[test]
fn placing_an_embedding_last() {
    let params = Params {
        bound_embeddings: 1,
        ..tiny()
    };
    let mut world = World::in_lockstep(params);
    let model = world.create_model(ATTACKER);
    assert_eq!(
        world.fail(ATTACKER, commit_model(model, 1)),
        Rejection::EmbeddingNotCommitted {}
    );
    world.apply(ATTACKER, commit_model_fixed(ATTACKER, model, 1, 1));
    world.until_epoch(1);
    for shown in 2..5 {
        assert_eq!(
            world.fail(ATTACKER, reveal_model(model, shown)),
            Rejection::EmbeddingMismatch {}
        );
    }
    world.apply(ATTACKER, reveal_model(model, 1));
    world.until_epoch(2);
    assert_eq!(record(&mut world, model).status, ModelStatus::Active);
}

/// Attack: copying a commit of weights
/// Does: commits to the bytes that someone else has just committed to, hash, embedding and all, before their
/// key is public, to reveal what they reveal.
/// Outcome: what fixes an embedding names its owner: what they reveal opens nothing of the copier's, whose
/// commit lapses.
#[test]
fn copying_a_commit_of_weights() {
    let mut world = World::new(Params {
        bound_embeddings: 1,
        ..tiny()
    });
    let before = world.wealth(ATTACKER);
    let (original, copy) = (world.create_model(8), world.create_model(ATTACKER));
    let fixed = commit_model_fixed(8, original, 50, 50);
    let mut copied = fixed.clone();
    if let Kind::CommitModel { model, .. } = &mut copied {
        *model = copy;
    }
    world.apply(8, fixed);
    world.apply(ATTACKER, copied);
    world.until_epoch(1);
    world.apply(8, reveal_model(original, 50));
    assert_eq!(
        world.fail(ATTACKER, reveal_model(copy, 50)),
        Rejection::EmbeddingMismatch {}
    );
    world.until_epoch(2);
    let copied = record(&mut world, copy);
    assert_eq!(
        (copied.status, copied.rewards_total),
        (ModelStatus::Created, Shannons::ZERO)
    );
    assert!(gain(&mut world, ATTACKER, before) <= -(SOMA as i64));
}
