//! Pools, validators, unbonding.

use soma_types::{
    Epoch, PublicKey, Rejection, Shannons, Signature, TransactionKind,
    objects::Commission,
    transaction::{PoolId, Withdrawal},
};

use crate::{
    testing::{SOMA, World, address, basis, keys, register, tiny},
    view,
};

fn add(pool: PoolId, amount: u64) -> TransactionKind {
    TransactionKind::AddStake {
        pool,
        amount: Shannons(amount),
    }
}

fn withdraw(pool: PoolId, amount: u64) -> TransactionKind {
    TransactionKind::WithdrawStake {
        pool,
        amount: Withdrawal::Amount(Shannons(amount)),
    }
}

const fn withdraw_all(pool: PoolId) -> TransactionKind {
    TransactionKind::WithdrawStake {
        pool,
        amount: Withdrawal::All,
    }
}

#[test]
fn stake_counts_from_the_next_epoch_and_unbonds_after_it_stopped() {
    let mut world = World::new(tiny());
    let pool = PoolId::Validator(address(0));
    world.apply(8, add(pool, 100 * SOMA));
    let stake = view::stake(&mut world.chain.state, pool, address(8)).unwrap();
    assert_eq!((stake.counting.0, stake.pending.0), (0, 100 * SOMA));
    assert!(matches!(
        world.fail(8, withdraw(pool, 1)),
        Rejection::InsufficientStake { .. }
    ));
    world.until_epoch(1);
    let stake = view::stake(&mut world.chain.state, pool, address(8)).unwrap();
    assert_eq!((stake.counting.0, stake.pending.0), (100 * SOMA, 0));
    let committee = view::committee(&mut world.chain.state, Epoch(1))
        .unwrap()
        .unwrap();
    assert_eq!(committee.seats[0].validator, address(0), "the largest first");
    assert_eq!(committee.seats[0].stake.0, 1_100 * SOMA);

    let before = world.balance(8);
    let fee = world.apply(8, withdraw(pool, 40 * SOMA)).fee.0;
    assert_eq!(world.balance(8), before - fee);
    assert_eq!(world.supply().unbonding.0, 40 * SOMA);
    let frozen = view::pool(&mut world.chain.state, pool).unwrap().unwrap();
    assert_eq!(
        (frozen.young.0, frozen.counted.0),
        (60 * SOMA, 1_100 * SOMA),
        "counts until the boundary"
    );
    world.until_epoch(2);
    assert_eq!(
        world.supply().unbonding.0,
        40 * SOMA,
        "stopped counting, waits one epoch"
    );
    world.until_epoch(3);
    assert_eq!(world.supply().unbonding.0, 0);
    assert_eq!(world.balance(8), before - fee + 40 * SOMA);
}

#[test]
fn pending_stake_comes_back_at_once() {
    let mut world = World::new(tiny());
    let pool = PoolId::Validator(address(0));
    let fees: u64 = [add(pool, SOMA), withdraw_all(pool)]
        .map(|kind| world.apply(8, kind).fee.0)
        .iter()
        .sum();
    assert_eq!(world.balance(8), 10_000 * SOMA - fees);
    assert!(matches!(
        world.fail(8, withdraw_all(pool)),
        Rejection::InsufficientStake { .. }
    ));
    let (list, count) = view::stakes(&mut world.chain.state, address(8), 0, 10).unwrap();
    assert_eq!((list.len(), count), (0, 0));
}

#[test]
fn a_stake_that_comes_and_goes_leaves_nothing() {
    let mut world = World::in_lockstep(tiny());
    let pools = [0, 1, 2].map(|who| PoolId::Validator(address(who)));
    let listed = |world: &mut World| -> Vec<PoolId> {
        let (list, count) = view::stakes(&mut world.chain.state, address(8), 0, 10).unwrap();
        assert_eq!(list.len() as u64, count);
        list.iter().map(|stake| stake.pool).collect()
    };
    // An account stays for ever, and it has one.
    let before = world.chain.state.iter().count();
    for pool in pools {
        world.apply(8, add(pool, SOMA));
    }
    world.apply(8, withdraw_all(pools[0]));
    assert_eq!(listed(&mut world), [pools[2], pools[1]]);
    world.apply(8, add(pools[0], SOMA));
    world.apply(8, withdraw_all(pools[2]));
    assert_eq!(listed(&mut world), [pools[0], pools[1]]);
    // In part it stays, and what is left goes with the rest.
    world.until_epoch(1);
    world.apply(8, withdraw(pools[1], SOMA / 2));
    assert_eq!(listed(&mut world), [pools[0], pools[1]]);
    world.apply(8, withdraw_all(pools[1]));
    world.apply(8, withdraw_all(pools[0]));
    assert!(listed(&mut world).is_empty());
    let fresh = {
        let mut world = World::new(tiny());
        world.until_epoch(4);
        world.chain.state.iter().count()
    };
    world.until_epoch(4);
    assert_eq!(world.chain.state.iter().count(), fresh, "of {before} at first");
}

#[test]
fn owners_keep_their_least_stake_while_live() {
    let mut world = World::new(tiny());
    let pool = PoolId::Validator(address(0));
    assert!(matches!(
        world.fail(0, withdraw(pool, 1)),
        Rejection::SelfStakeTooSmall { .. }
    ));
    world.apply(0, TransactionKind::LeaveValidator);
    world.apply(0, withdraw_all(pool));
    assert_eq!(world.fail(0, add(pool, SOMA)), Rejection::PoolClosed {});
    world.until_epoch(1);
    assert_eq!(
        view::committee(&mut world.chain.state, Epoch(1))
            .unwrap()
            .unwrap()
            .seats
            .len(),
        3
    );
    // It may come back.
    let again = register(&world.genesis, 0, 2_000 * SOMA);
    world.apply(0, again);
    world.until_epoch(2);
    let committee = view::committee(&mut world.chain.state, Epoch(2))
        .unwrap()
        .unwrap();
    assert_eq!(
        (committee.seats.len(), committee.seats[0].validator),
        (4, address(0))
    );
    for who in 1..4 {
        world.apply(who, TransactionKind::LeaveValidator);
    }
    assert_eq!(
        world.fail(0, TransactionKind::LeaveValidator),
        Rejection::LastValidator {}
    );
}

#[test]
fn validators_prove_their_keys() {
    let mut world = World::new(tiny());
    let good = register(&world.genesis, 8, 1_000 * SOMA);
    let TransactionKind::RegisterValidator {
        network_key,
        commission,
        stake,
        ..
    } = good.clone()
    else {
        unreachable!()
    };
    let bad = TransactionKind::RegisterValidator {
        network_key,
        proof: Signature([1; 64]),
        commission,
        stake,
    };
    assert_eq!(world.fail(8, bad), Rejection::BadKeyProof {});
    // Another's proof does not serve.
    assert_eq!(world.fail(9, good.clone()), Rejection::BadKeyProof {});
    world.apply(8, good.clone());
    assert_eq!(world.fail(8, good), Rejection::AlreadyValidator {});
    let taken = TransactionKind::RegisterValidator {
        network_key: PublicKey([100; 32]),
        proof: Signature([1; 64]),
        commission,
        stake,
    };
    assert_eq!(world.fail(9, taken), Rejection::NetworkKeyTaken {});
    world.until_epoch(1);
    assert_eq!(
        view::committee(&mut world.chain.state, Epoch(1))
            .unwrap()
            .unwrap()
            .seats
            .len(),
        5
    );
    assert_eq!(keys(8).address(), address(8));
}

#[test]
fn nobody_buys_into_rewards_that_others_earned() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    world.win(8, &target, 1, 0);
    world.until_epoch(3);
    // The reward of epoch 2 is known now, and paid in epoch 4: a whale joins just in time.
    let pool = PoolId::Model(models[0]);
    let reward = view::epoch_record(&mut world.chain.state, Epoch(2))
        .unwrap()
        .unwrap()
        .reward_per_hit
        .0
        / 2;
    assert!(reward > 100 * SOMA);
    world.apply(9, add(pool, 5_000 * SOMA));
    world.until_epoch(4);
    assert_eq!(
        view::pool(&mut world.chain.state, pool)
            .unwrap()
            .unwrap()
            .counted
            .0,
        5_020 * SOMA
    );
    world.until_epoch(6);
    let record = view::pool(&mut world.chain.state, pool).unwrap().unwrap();
    assert!(
        record.young.is_zero() && record.maturing.is_zero(),
        "all is shares"
    );
    let whale = view::stake(&mut world.chain.state, pool, address(9)).unwrap();
    let owner = view::stake(&mut world.chain.state, pool, address(4)).unwrap();
    assert!(whale.counting.0 <= 5_000 * SOMA && whale.counting.0 > 5_000 * SOMA - 1_000);
    let pool_part = reward - reward / 10;
    assert!(owner.counting.0 <= 20 * SOMA + pool_part && owner.counting.0 > 20 * SOMA + pool_part - 10_000);
    // From the epoch in which its stake counted on, the whale earns.
    let target = world.open_targets().remove(0);
    world.win(8, &target, 2, 0);
    world.until_epoch(9);
    assert!(
        view::stake(&mut world.chain.state, pool, address(9))
            .unwrap()
            .counting
            .0
            > 5_100 * SOMA
    );
}

#[test]
fn an_empty_pool_cannot_be_inflated() {
    // The worst an attacker can arrange: one share's worth of stake, then a large reward.
    use soma_types::objects::{Pool, Shares};
    let pool = Pool {
        stake: Shannons(10_000 * SOMA),
        shares: Shares(1),
        ..Pool::default()
    };
    // Their share is worth a thousandth: the rest belongs to nobody.
    let worth = crate::stake::pool::worth(&pool, Shares(1)).unwrap();
    assert!(worth.0 <= 10 * SOMA);
}

#[test]
fn commission_changes_count_from_the_next_epoch() {
    let mut commission = Commission::new(basis(100), Epoch(3));
    commission.set(basis(200), Epoch(5));
    commission.set(basis(300), Epoch(5));
    assert_eq!(
        (commission.at(Epoch(5)), commission.at(Epoch(6))),
        (basis(100), basis(300))
    );
    commission.set(basis(400), Epoch(8));
    assert_eq!(
        (commission.at(Epoch(8)), commission.at(Epoch(9))),
        (basis(300), basis(400))
    );

    let mut world = World::new(tiny());
    world.apply(
        0,
        TransactionKind::SetValidatorCommission { commission: basis(0) },
    );
    let seat = |world: &mut World, epoch| {
        let committee = view::committee(&mut world.chain.state, Epoch(epoch))
            .unwrap()
            .unwrap();
        committee
            .seats
            .into_iter()
            .find(|seat| seat.validator == address(0))
            .unwrap()
    };
    world.until_epoch(1);
    assert_eq!(seat(&mut world, 0).commission, basis(1_000));
    assert_eq!(seat(&mut world, 1).commission, basis(0));
}

#[test]
fn rent_is_the_stake_weighted_median_of_votes() {
    let mut world = World::new(tiny());
    let vote = |rate| TransactionKind::SetRentVote {
        rent_per_mib_epoch: Shannons(rate),
    };
    world.apply(0, vote(5));
    world.until_epoch(1);
    let rent = |world: &mut World| {
        view::epoch(&mut world.chain.state)
            .unwrap()
            .unwrap()
            .rent_per_mib_epoch
            .0
    };
    assert_eq!(rent(&mut world), 10_000, "one of four moves nothing");
    world.apply(1, vote(7));
    world.until_epoch(2);
    assert_eq!(rent(&mut world), 7, "half of the stake is at or below 7");
    assert!(matches!(
        world.fail(1, vote(2 * SOMA)),
        Rejection::RentOutOfBounds { .. }
    ));
    assert_eq!(world.fail(8, vote(1)), Rejection::NotValidator {});
}
