//! Who votes for two blocks at once pays, with all who staked on it, and loses its seat.

use soma_types::{
    Epoch, Rejection, Shannons, TransactionKind as Kind,
    params::Params,
    transaction::{PoolId, Withdrawal},
};

use crate::{
    testing::{SOMA, World, address, evidence, register, report, tiny},
    view,
};

fn stake(world: &mut World, who: u8) -> u64 {
    let stake = view::stake(
        &mut world.chain.state,
        PoolId::Validator(address(5)),
        address(who),
    )
    .unwrap();
    stake.counting.0
}

fn add(amount: u64) -> Kind {
    Kind::AddStake {
        pool: PoolId::Validator(address(5)),
        amount: Shannons(amount),
    }
}

/// Validator 5 has a seat, old stake of its own, and stake of others of every age.
fn staked() -> World {
    let params = Params {
        unbonding_epochs: 2,
        ..tiny()
    };
    let mut world = World::new(params);
    let kind = register(&world.genesis, 5, 2_000 * SOMA);
    world.apply(5, kind);
    world.apply(6, add(100 * SOMA));
    world.until_epoch(3);
    world.apply(7, add(100 * SOMA + 1));
    world.until_epoch(4);
    world.apply(8, add(100 * SOMA + 3));
    world.until_epoch(5);
    world.apply(9, add(50 * SOMA));
    world
}

#[test]
fn all_who_staked_on_it_pay_in_proportion() {
    let mut world = staked();
    let before: Vec<u64> = (5..9).map(|who| stake(&mut world, who)).collect();
    let (burned, kind) = (
        world.supply().burned,
        report(evidence(&world.genesis, 5, 5, 1, 2)),
    );
    world.apply(0, kind);
    let after: Vec<u64> = (5..9).map(|who| stake(&mut world, who)).collect();
    for (before, after) in before.iter().zip(&after) {
        let kept = *before as f64 * 0.95;
        assert!((*after as f64 - kept).abs() < 4.0, "{before} to {after}");
        assert!(*after as f64 <= kept, "rounded against the staker");
    }
    let lost: u64 = before.iter().sum::<u64>() - after.iter().sum::<u64>();
    let slashed = world.supply().burned.0 - burned.0;
    assert!(lost.abs_diff(slashed) < 8, "all of it is burned");
    // What did not count yet was no part of it, and comes back whole.
    let (balance, all) = (world.balance(9), Withdrawal::All);
    let pool = PoolId::Validator(address(5));
    let receipt = world.apply(9, Kind::WithdrawStake { pool, amount: all });
    assert_eq!(world.balance(9), balance + 50 * SOMA - receipt.fee.0);
    // Everyone can take out what is left, whenever it becomes shares.
    world.until_epoch(7);
    for who in 5..9 {
        world.apply(who, Kind::WithdrawStake { pool, amount: all });
    }
    world.until_epoch(11);
    assert!(world.supply().unbonding.is_zero());
}

#[test]
fn its_seat_is_gone_for_good() {
    let mut world = staked();
    let kind = report(evidence(&world.genesis, 5, 4, 1, 2));
    world.apply(9, kind);
    // More evidence of the same changes nothing.
    let other = report(evidence(&world.genesis, 5, 5, 3, 4));
    assert_eq!(world.fail(9, other), Rejection::AlreadyBarred {});
    assert_eq!(world.fail(6, add(SOMA)), Rejection::PoolClosed {});
    let seated = |world: &mut World| {
        let epoch = world.epoch();
        let committee = view::committee(&mut world.chain.state, epoch).unwrap().unwrap();
        committee.seats.iter().any(|seat| seat.validator == address(5))
    };
    assert!(seated(&mut world), "the committee is frozen for the epoch");
    world.until_epoch(6);
    assert!(!seated(&mut world));
    world.until_epoch(9);
    let again = register(&world.genesis, 5, 1_000 * SOMA);
    assert_eq!(world.fail(5, again), Rejection::Barred {});
    let anew = register(&world.genesis, 9, 1_000 * SOMA);
    world.apply(9, anew);
}

#[test]
fn who_withdraws_after_the_offence_pays_when_it_is_released() {
    let mut world = staked();
    let pool = PoolId::Validator(address(5));
    let half = Withdrawal::Amount(Shannons(60 * SOMA));
    let receipt = world.apply(6, Kind::WithdrawStake { pool, amount: half });
    assert!(receipt.applied());
    world.until_epoch(7);
    // Of epoch 5, in which what was withdrawn then still counted.
    let kind = report(evidence(&world.genesis, 5, 5, 1, 2));
    world.apply(0, kind);
    let later = Withdrawal::Amount(Shannons(10 * SOMA));
    let receipt = world.apply(6, Kind::WithdrawStake { pool, amount: later });
    let before = world.balance(6);
    assert!(receipt.applied());
    world.until_epoch(8);
    assert_eq!(world.balance(6), before + 57 * SOMA, "60 less a twentieth");
    world.until_epoch(10);
    assert_eq!(
        world.balance(6),
        before + 67 * SOMA,
        "what was withdrawn after the slash had paid"
    );
    assert!(world.supply().unbonding.is_zero());
}

#[test]
fn the_last_validator_keeps_its_seat() {
    let mut world = staked();
    for who in 0..4 {
        world.apply(who, Kind::LeaveValidator);
    }
    let kind = report(evidence(&world.genesis, 5, 5, 1, 2));
    world.apply(9, kind);
    world.until_epoch(8);
    let committee = view::committee(&mut world.chain.state, Epoch(8))
        .unwrap()
        .unwrap();
    assert_eq!(committee.seats.len(), 1, "or the network would stop");
}
