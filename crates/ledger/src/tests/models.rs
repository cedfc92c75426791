//! The life of models.

use soma_types::{
    ContentHash, Epoch, Rejection, Shannons, TransactionKind,
    event::Event,
    objects::{Inactivity, ModelStatus},
    transaction::{ModelFault, PoolId, Withdrawal},
};

use crate::{
    testing::{DIM, SOMA, World, address, basis, commit_model, reveal_model, tiny},
    view,
};

fn status(world: &mut World, model: soma_types::ModelId) -> ModelStatus {
    view::model(&mut world.chain.state, model)
        .unwrap()
        .unwrap()
        .status
}

#[test]
fn commit_reveal_compete() {
    let mut world = World::new(tiny());
    let model = world.create_model(4);
    let rent_before = world.supply().rent;
    world.apply(4, commit_model(model, 1));
    // One MiB for six epochs at 10 000 shannons.
    assert_eq!(world.supply().rent.0 - rent_before.0, 60_000);
    assert!(matches!(
        world.fail(4, commit_model(model, 2)),
        Rejection::AlreadyCommitted { .. }
    ));
    let reveal = reveal_model(model, 1);
    assert_eq!(
        world.fail(4, reveal.clone()),
        Rejection::RevealTooEarly { due: Epoch(1) }
    );
    world.until_epoch(1);
    assert_eq!(
        world.fail(5, reveal.clone()),
        Rejection::NotOwner { owner: address(4) }
    );
    world.apply(4, reveal.clone());
    assert_eq!(world.fail(4, reveal), Rejection::NothingCommitted {});
    assert_eq!(status(&mut world, model), ModelStatus::Created);
    assert!(world.open_targets().is_empty());
    // An update can follow at once.
    world.apply(4, commit_model(model, 2));
    world.until_epoch(2);
    assert_eq!(status(&mut world, model), ModelStatus::Active);
    assert!(
        world
            .open_targets()
            .iter()
            .all(|target| target.models == vec![model]),
        "all there are"
    );
    world.apply(4, reveal_model(model, 2));
    world.until_epoch(3);
    let record = view::model(&mut world.chain.state, model).unwrap().unwrap();
    assert_eq!(
        record.weights_in(Epoch(3)).unwrap().committed.hash,
        ContentHash([2; 32])
    );
    assert_eq!(
        record.weights_in(Epoch(2)).unwrap().committed.hash,
        ContentHash([1; 32])
    );
}

#[test]
fn a_commitment_that_is_not_revealed_lapses_and_costs() {
    let mut world = World::new(tiny());
    let model = world.create_model(4);
    world.apply(4, commit_model(model, 1));
    world.until_epoch(1);
    let pool = world.supply().reward_pool;
    world.until_epoch(2);
    let stake = view::stake(&mut world.chain.state, PoolId::Model(model), address(4)).unwrap();
    assert_eq!(stake.counting.0, 19 * SOMA, "5% of 20 SOMA");
    assert!(world.supply().reward_pool.0 > pool.0);
    let lapsed = Event::ModelLapsed {
        model,
        slashed: Shannons(SOMA),
    };
    assert!(world.history.last().unwrap().events.contains(&lapsed));
    assert_eq!(status(&mut world, model), ModelStatus::Created);
    assert_eq!(
        world.fail(4, reveal_model(model, 1)),
        Rejection::NothingCommitted {}
    );
    // It still has the least stake, and may try again.
    world.apply(4, commit_model(model, 1));
}

#[test]
fn a_slash_of_everything_leaves_a_sound_pool() {
    let mut world = World::new(soma_types::params::Params {
        lapse_slash: basis(10_000),
        ..tiny()
    });
    let model = world.create_model(4);
    world.apply(4, commit_model(model, 1));
    world.until_epoch(4);
    let pool = PoolId::Model(model);
    assert!(
        view::stake(&mut world.chain.state, pool, address(4))
            .unwrap()
            .counting
            .is_zero()
    );
    let all = TransactionKind::WithdrawStake {
        pool,
        amount: Withdrawal::All,
    };
    assert!(matches!(world.fail(4, all), Rejection::InsufficientStake { .. }));
    world.apply(
        4,
        TransactionKind::AddStake {
            pool,
            amount: Shannons(30 * SOMA),
        },
    );
    world.until_epoch(8);
    assert_eq!(
        view::stake(&mut world.chain.state, pool, address(4))
            .unwrap()
            .counting
            .0,
        30 * SOMA
    );
}

#[test]
fn weights_grow_old() {
    let (mut world, models) = World::with_models(tiny(), 1);
    world.until_epoch(7);
    assert_eq!(status(&mut world, models[0]), ModelStatus::Active);
    // Fresh weights, committed and revealed in time, would keep it active; it has none.
    world.until_epoch(8);
    assert_eq!(status(&mut world, models[0]), ModelStatus::Stale);
    assert!(world.open_targets().is_empty());
    let inactive = Event::ModelInactive {
        model: models[0],
        reason: Inactivity::Stale,
    };
    assert!(world.history.last().unwrap().events.contains(&inactive));
    world.apply(4, commit_model(models[0], 9));
    world.until_epoch(9);
    world.apply(4, reveal_model(models[0], 9));
    world.until_epoch(10);
    assert_eq!(status(&mut world, models[0]), ModelStatus::Active);
    assert_eq!(world.open_targets().len(), 4);
}

#[test]
fn deactivation_frees_the_stake() {
    let (mut world, models) = World::with_models(tiny(), 2);
    let pool = PoolId::Model(models[0]);
    let all = TransactionKind::WithdrawStake {
        pool,
        amount: Withdrawal::All,
    };
    assert!(matches!(
        world.fail(4, all.clone()),
        Rejection::SelfStakeTooSmall { .. }
    ));
    world.apply(4, TransactionKind::DeactivateModel { model: models[0] });
    assert!(
        world.open_targets()[0].models.contains(&models[0]),
        "frozen until the boundary"
    );
    assert_eq!(
        world.fail(4, commit_model(models[0], 3)),
        Rejection::ModelRetired {}
    );
    let add = TransactionKind::AddStake {
        pool,
        amount: Shannons(SOMA),
    };
    assert_eq!(world.fail(8, add), Rejection::PoolClosed {});
    world.until_epoch(3);
    assert_eq!(status(&mut world, models[0]), ModelStatus::Retired);
    assert!(
        world
            .open_targets()
            .iter()
            .all(|target| target.models == vec![models[1]])
    );
    let live = |world: &mut World| {
        view::counters(&mut world.chain.state)
            .unwrap()
            .unwrap()
            .live_models
    };
    assert_eq!(live(&mut world), 1, "its stake of epoch 0 is shares by epoch 3");
    world.apply(4, all);
    assert_eq!(world.supply().unbonding.0, 20 * SOMA);
}

#[test]
fn stake_added_just_before_a_retirement_matures_all_the_same() {
    let (mut world, models) = World::with_models(tiny(), 2);
    let pool = PoolId::Model(models[0]);
    world.apply(
        8,
        TransactionKind::AddStake {
            pool,
            amount: Shannons(SOMA),
        },
    );
    world.apply(4, TransactionKind::DeactivateModel { model: models[0] });
    world.until_epoch(3);
    assert_eq!(status(&mut world, models[0]), ModelStatus::Retired);
    assert_eq!(
        view::counters(&mut world.chain.state)
            .unwrap()
            .unwrap()
            .live_models,
        2
    );
    world.until_epoch(5);
    assert_eq!(
        view::counters(&mut world.chain.state)
            .unwrap()
            .unwrap()
            .live_models,
        1
    );
    assert_eq!(
        view::model_at(&mut world.chain.state, 0).unwrap(),
        Some(models[0])
    );
    world.until_epoch(9);
    let fee = world
        .apply(
            8,
            TransactionKind::WithdrawStake {
                pool,
                amount: Withdrawal::All,
            },
        )
        .fee;
    assert!(world.supply().unbonding.0 >= SOMA - 1 && fee.0 > 0);
}

#[test]
fn a_reward_to_an_empty_pool_goes_to_its_owner() {
    let (mut world, models) = World::with_models(tiny(), 1);
    let target = world.open_targets().remove(0);
    world.win(8, &target, 1, 0);
    world.apply(4, TransactionKind::DeactivateModel { model: models[0] });
    world.until_epoch(3);
    let pool = PoolId::Model(models[0]);
    world.apply(
        4,
        TransactionKind::WithdrawStake {
            pool,
            amount: Withdrawal::All,
        },
    );
    let before = world.balance(4);
    world.until_epoch(5);
    let record = view::epoch_record(&mut world.chain.state, Epoch(2))
        .unwrap()
        .unwrap();
    assert!(record.settled);
    let gained = world.balance(4) - before;
    assert_eq!(
        gained,
        record.reward_per_hit.0 / 2 + 20 * SOMA,
        "its half of the hit, and the unbonded stake"
    );
}

#[test]
fn two_thirds_of_the_stake_retire_a_faulty_model() {
    let (mut world, models) = World::with_models(tiny(), 2);
    let report = TransactionKind::ReportModel {
        model: models[0],
        fault: ModelFault::BadWeights,
    };
    assert_eq!(world.fail(8, report.clone()), Rejection::NotInCommittee {});
    world.apply(0, report.clone());
    assert_eq!(world.fail(0, report.clone()), Rejection::AlreadyReported {});
    world.apply(1, report.clone());
    assert!(
        view::model(&mut world.chain.state, models[0])
            .unwrap()
            .unwrap()
            .is_live(),
        "half is not enough"
    );
    world.apply(2, report.clone());
    let stake = view::stake(&mut world.chain.state, PoolId::Model(models[0]), address(4)).unwrap();
    assert_eq!(stake.counting.0, 18 * SOMA, "10% of 20 SOMA");
    assert_eq!(world.fail(3, report), Rejection::ModelRetired {});
    world.until_epoch(3);
    assert_eq!(status(&mut world, models[0]), ModelStatus::Retired);
}

#[test]
fn the_same_file_again_keeps_its_place_in_the_order() {
    let (mut world, models) = World::with_models(tiny(), 2);
    let sequence = |world: &mut World| {
        let model = view::model(&mut world.chain.state, models[0]).unwrap().unwrap();
        model.weights.unwrap().committed.sequence
    };
    let first = sequence(&mut world);
    world.apply(4, commit_model(models[0], 0));
    world.until_epoch(3);
    world.apply(4, reveal_model(models[0], 0));
    world.until_epoch(4);
    assert_eq!(sequence(&mut world), first);
    world.apply(4, commit_model(models[0], 77));
    world.until_epoch(5);
    world.apply(4, reveal_model(models[0], 77));
    world.until_epoch(6);
    assert!(sequence(&mut world) > first);
}

#[test]
fn stake_moves_routing_only_from_the_next_epoch() {
    // One model per target: the routing decides alone.
    let params = soma_types::params::Params {
        models_per_target: 1,
        ..tiny()
    };
    let (mut world, models) = World::with_models(params, 2);
    let pool = PoolId::Model(models[1]);
    let before = view::epoch(&mut world.chain.state).unwrap().unwrap().models;
    assert_eq!(before, 2);
    world.apply(
        9,
        TransactionKind::AddStake {
            pool,
            amount: Shannons(9_000 * SOMA),
        },
    );
    let counted = view::pool(&mut world.chain.state, pool).unwrap().unwrap().counted;
    assert_eq!(counted.0, 20 * SOMA);
    world.until_epoch(3);
    // ln(451) = 6.1: kappa = 11.3 makes up for it only by more than half a similarity.
    let chosen = world
        .open_targets()
        .iter()
        .filter(|target| target.models == vec![models[1]])
        .count();
    assert!(
        chosen >= 3,
        "{chosen} of 4 go to the model with 451 times the stake"
    );
    assert_eq!(DIM, 8);
    assert_eq!(basis(1).get(), 1);
}
