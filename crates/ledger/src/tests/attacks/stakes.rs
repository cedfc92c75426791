//! What those who hold other people's stake, or stand in line with them, can do to them.

use soma_types::{
    Epoch, Receipt, Rejection, Shannons, TransactionKind as Kind,
    objects::SubmissionStatus,
    params::Params,
    transaction::{PoolId, Withdrawal},
};

use super::proposals::{seats, stake_kind, withdraw_kind};
use crate::{
    RELEASES_PER_BLOCK,
    testing::{SOMA, World, address, basis, evidence, register, report, tiny},
    view,
};

const ATTACKER: u8 = 9;

/// Attack: rent pushed up by a cartel
/// Does: holds less than half of the committee's stake and votes for the highest rent, so that rivals cannot
/// afford to publish and validators earn more.
/// Outcome: the rent is the stake-weighted median of the committee's votes: below half it moves nothing,
/// above half it goes as far as its bound, a SOMA per MiB and epoch. Who has not voted counts for what is, so
/// against such a cartel the others must vote.
#[test]
fn rent_pushed_up_by_a_cartel() {
    let mut world = seats(5);
    let rent = |world: &mut World| {
        view::epoch(&mut world.chain.state)
            .unwrap()
            .unwrap()
            .rent_per_mib_epoch
    };
    let usual = rent(&mut world);
    let dear = |amount| Kind::SetRentVote {
        rent_per_mib_epoch: Shannons(amount),
    };
    assert!(matches!(
        world.fail(0, dear(SOMA + 1)),
        Rejection::RentOutOfBounds { .. }
    ));
    for who in 0..2 {
        world.apply(who, dear(SOMA));
    }
    for who in 3..5 {
        world.apply(who, dear(usual.0));
    }
    world.until_epoch(2);
    assert_eq!(rent(&mut world), usual, "two fifths");
    world.apply(2, dear(SOMA));
    world.until_epoch(3);
    assert_eq!(rent(&mut world).0, SOMA, "three fifths");
    world.apply(2, dear(usual.0));
    world.until_epoch(4);
    assert_eq!(rent(&mut world), usual);
}

/// Attack: commission raised just before the reward
/// Does: attracts stake with a low commission, and sets it to the whole when the pool is about to be paid, as
/// a model's owner and as a validator.
/// Outcome: a hit's reward is split by the commission in force when it was revealed, a seat's by that of its
/// epoch, and a new one counts from the next epoch, before which those who staked can withdraw what it would
/// take from.
#[test]
fn commission_raised_just_before_the_reward() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let whole = basis(10_000);
    let target = world.open_targets().remove(0);
    let place = target.models.iter().position(|id| *id == models[0]).unwrap();
    let winner = world.win(8, &target, 1, place);
    let (model, commission) = (models[0], whole);
    world.apply(4, Kind::SetModelCommission { model, commission });
    world.apply(0, Kind::SetValidatorCommission { commission });
    world.until_epoch(5);
    let SubmissionStatus::Paid { owner, pool, .. } = world.status(winner) else {
        panic!("{:?}", world.status(winner));
    };
    assert_eq!(owner.0, (owner.0 + pool.0) / 10);
    let seat = |world: &mut World, epoch| {
        let committee = view::committee(&mut world.chain.state, Epoch(epoch))
            .unwrap()
            .unwrap();
        let mut seats = committee.seats.into_iter();
        seats
            .find(|seat| seat.validator == address(0))
            .unwrap()
            .commission
    };
    assert_eq!((seat(&mut world, 2), seat(&mut world, 3)), (basis(1_000), whole));
}

/// Attack: voting twice to hurt those who stake
/// Does: attracts stake many times their own, votes for two blocks in one view, and shows the evidence
/// themselves, to earn from the pool what the others lose.
/// Outcome: all lose 5%, they as much of their own, and it is burned: nobody earns it. (It went to the reward
/// pool: with a fiftieth of the stake of their own, a validator that earned more than a fiftieth of rewards
/// gained.)
#[test]
fn voting_twice_to_hurt_those_who_stake() {
    let mut world = World::in_lockstep(tiny());
    let kind = register(&world.genesis, ATTACKER, 1_000 * SOMA);
    world.apply(ATTACKER, kind);
    world.until_epoch(1);
    for who in 4..9 {
        world.apply(who, stake_kind(ATTACKER, 9_000 * SOMA));
    }
    world.until_epoch(5);
    let burned = world.supply().burned;
    let before: Vec<u64> = (4..10).map(|who| world.wealth(who)).collect();
    let evidence = evidence(&world.genesis, ATTACKER, 5, 1, 2);
    let mut without = world.clone();
    without.skip(1);
    world.apply(ATTACKER, report(evidence));
    assert_eq!(world.supply().reward_pool, without.supply().reward_pool);
    let lost: Vec<u64> = (4..10)
        .zip(&before)
        .map(|(who, before)| before - world.wealth(who))
        .collect();
    let total = world.supply().burned.0 - burned.0;
    assert!(total > 2_000 * SOMA && lost[..5].iter().all(|lost| *lost > 400 * SOMA));
    assert!(lost[5] >= 50 * SOMA, "{lost:?}");
}

/// Attack: clogging the releases
/// Does: withdraws shannon by shannon, as often as blocks hold, so that those who withdraw after them wait
/// behind their releases.
/// Outcome: a block releases as many as a block of withdrawals makes: whoever withdraws in an epoch's n-th
/// block has theirs by the n-th of its release. (A block released 64: a day of waiting for everyone cost 261
/// SOMA in fees at std.)
#[test]
fn clogging_the_releases() {
    const EACH: usize = RELEASES_PER_BLOCK / 4;
    let mut world = World::new(Params {
        unbonding_epochs: 2,
        ..tiny()
    });
    for who in 4..9 {
        world.apply(who, stake_kind(0, 100 * SOMA));
    }
    world.until_epoch(2);
    let first = world.chain.height();
    for _ in 0..3 {
        let dust = (4..8).flat_map(|who| vec![(who, withdraw_kind(0, 1)); EACH]);
        assert!(world.block(dust.collect()).iter().all(Receipt::applied));
    }
    world.apply(8, withdraw_kind(0, 50 * SOMA));
    let place = world.chain.height().0 - first.0;
    let before = world.balance(8);
    world.until_epoch(5);
    assert_eq!(world.balance(8), before);
    world.skip(place);
    assert_eq!(world.balance(8), before + 50 * SOMA);
    assert!(world.supply().unbonding.is_zero());
}

/// Attack: withdrawing what was slashed
/// Does: withdraws all from a validator in the block in which its evidence is shown, before or after it.
/// Outcome: before it, what waits pays when it is released; after it, it has paid: the same to the shannon.
#[test]
fn withdrawing_what_was_slashed() {
    let left = |late: bool| {
        let mut world = World::in_lockstep(tiny());
        let kind = register(&world.genesis, 5, 2_000 * SOMA);
        world.apply(5, kind);
        world.apply(8, stake_kind(5, 1_000 * SOMA));
        world.until_epoch(1);
        let pool = PoolId::Validator(address(5));
        let take = Kind::WithdrawStake {
            pool,
            amount: Withdrawal::All,
        };
        let mut steps = vec![(8, take), (0, report(evidence(&world.genesis, 5, 1, 1, 2)))];
        if late {
            steps.reverse();
        }
        assert!(world.block(steps).iter().all(Receipt::applied));
        let before = world.balance(8);
        world.until_epoch(4);
        world.balance(8) - before
    };
    assert_eq!(left(false), 950 * SOMA);
    assert_eq!(left(true), 950 * SOMA);
}
