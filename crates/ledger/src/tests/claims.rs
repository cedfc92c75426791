//! What a claim must be worth, and how close it must come.

use soma_types::{Embedding, Epoch, Rejection, Seed, Shannons, objects::Target, params::Params};

use crate::{
    testing::{DIM, SOMA, World, basis, tiny},
    view,
};

/// A quarter of the winners is audited: a false claim gets away in three of four cases.
fn quarter() -> Params {
    Params {
        audit_rate: basis(2_500),
        // Rewards of thousands.
        emission_epochs: 365,
        ..tiny()
    }
}

#[test]
fn a_bond_is_worth_what_a_false_claim_could_earn() {
    let (mut world, _) = World::with_models(quarter(), 3);
    let now = view::epoch(&mut world.chain.state).unwrap().unwrap();
    let epochs = world.genesis.params.emission_epochs;
    let fresh = world.supply().emission.0 / (epochs - now.epoch.0);
    let reserve = world.supply().reward_pool.0 - now.forfeits.0;
    let most = (fresh * 8 / 10 + reserve / epochs) / 8;
    let floor = now.bond_floor.0;
    // Three rewards, twice, within rounding.
    assert!(floor.abs_diff(6 * most) < 100, "{floor} for {most}");

    let target = world.open_targets().remove(0);
    let find = world.find(8, &target, 1, 0);
    let id = world.commit(&find);
    // More than account 8 has: a claim that it cannot back.
    let (balance, needed) = (world.balance(8), now.bond_floor);
    assert!(balance < floor);
    assert!(matches!(
        world.fail(8, find.reveal(id)),
        Rejection::InsufficientBalance { needed: asked, .. } if asked == needed
    ));
}

#[test]
fn a_floor_is_frozen_for_its_epoch_and_a_large_file_pays_more() {
    let params = Params {
        bond_per_byte: Shannons(SOMA),
        ..quarter()
    };
    let (mut world, _) = World::with_models(params, 3);
    let floor = world.bond_floor();
    world.skip(5);
    assert_eq!(world.bond_floor(), floor);
    world.until_epoch(3);
    assert_ne!(world.bond_floor(), floor);

    let bond = |bond_per_byte| {
        let (mut world, _) = World::with_models(
            Params {
                bond_per_byte: Shannons(bond_per_byte),
                ..tiny()
            },
            3,
        );
        let target = world.open_targets().remove(0);
        let find = world.find(8, &target, 1, 0);
        let id = world.commit(&find);
        world.apply(8, find.reveal(id));
        (world.submission(id).bond, world.bond_floor())
    };
    // Everything is audited: a bond is a reward.
    let (small, floor) = bond(1_000);
    assert_eq!(small, floor);
    assert_eq!(bond(SOMA).0, Shannons(1_000 * SOMA), "by size");
}

/// An embedding whose dot product with the target is at least `low` and below `high`.
fn between(target: &Target, low: i64, high: i64) -> Embedding {
    let aim = Embedding::draw(&target.seed, DIM as usize);
    (0_u64..)
        .map(|number| Embedding::draw(&Seed([3; 32]).derive("try", number), DIM as usize))
        .find(|embedding| (low..high).contains(&i64::from(aim.dot(embedding))))
        .unwrap()
}

#[test]
fn a_commit_is_held_to_the_lower_of_two_thresholds() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let (early, late) = (world.find(8, &targets[0], 1, 0), world.find(9, &targets[0], 2, 0));
    world.skip(6);
    let early_id = world.commit(&early);
    let frozen = world.submission(early_id).threshold_q30;
    // A window without hits ends: what is asked falls, for the target that is open, too.
    world.skip(3);
    let relaxed = view::commit_threshold_q30(&mut world.chain.state, &targets[0]).unwrap();
    assert!(relaxed < frozen && frozen < targets[0].threshold_q30);
    assert_eq!(world.epoch(), Epoch(2));
    let embedding = between(&targets[0], relaxed, frozen);
    let [mut early, mut late] = [early, late];
    early.reveal.embedding = embedding.clone();
    late.reveal.embedding = embedding;

    // Who committed before is held to what was in force then.
    let earlier = world.commit(&late);
    assert_eq!(world.submission(earlier).threshold_q30, relaxed);
    world.apply(9, late.reveal(earlier));
    world.skip(2);
    assert_eq!(world.submission(earlier).found.unwrap().winner_index, Some(0));
}

#[test]
fn waiting_with_a_reveal_gains_nothing_and_a_target_never_gets_harder() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    world.skip(2);
    let asked = view::commit_threshold_q30(&mut world.chain.state, &target).unwrap();
    let mut find = world.find(8, &target, 1, 0);
    find.reveal.embedding = between(&target, asked - (1 << 24), asked);
    let id = world.commit(&find);
    world.skip(3);
    let now = view::commit_threshold_q30(&mut world.chain.state, &target).unwrap();
    assert!(now < asked, "it would do now");
    assert!(matches!(
        world.fail(8, find.reveal(id)),
        Rejection::BelowThreshold { threshold_q30, .. } if threshold_q30 == asked
    ));

    // Many hits make new targets harder, not the ones that are open.
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    for data in 0..12 {
        let open = world.open_targets();
        let other = open.iter().find(|open| open.id != targets[0].id).unwrap().clone();
        if other.epoch == Epoch(2) && world.epoch() == Epoch(2) {
            world.win(9, &other, data, 0);
        }
    }
    assert!(
        view::commit_threshold_q30(&mut world.chain.state, &targets[0]).unwrap() <= targets[0].threshold_q30
    );
}
