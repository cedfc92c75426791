//! Money out of nothing, for nothing, or for almost nothing.

use proptest::prelude::*;
use soma_types::{
    ChainId, Epoch, PublicKey, Rejection, Shannons, Signature, SignedTransaction, Transaction,
    TransactionKind as Kind, VerifiedTransaction,
    list::List,
    params::Params,
    transaction::{BasisPoints, PAYMENTS_MAX, Payment, PoolId, Withdrawal},
};

use super::{
    super::world::{SOMA, World, address, basis, keys, tiny},
    gain,
};
use crate::view;

const ATTACKER: u8 = 9;

fn pay(to: u8, amount: u64) -> Kind {
    Kind::Transfer {
        payments: List::new(vec![Payment {
            to: address(to),
            amount: Shannons(amount),
        }])
        .unwrap(),
    }
}

/// Attack: spam at the minimum fee
/// Does: fills blocks with the cheapest transactions, epoch after epoch.
/// Outcome: the multiplier rises by up to an eighth an epoch until the traffic pays the burn target: whoever makes most of the traffic pays
/// most of 5% of the supply a year, and it is burned. Below it spam is as cheap as the multiplier of the day.
#[test]
fn spam_at_the_minimum_fee() {
    let params = Params {
        // A year so short that the burn target is worth some spam.
        epochs_per_year: 100_000,
        ..tiny()
    };
    let mut world = World::new(params);
    let before = world.wealth(ATTACKER);
    let mut paid = Vec::new();
    for epoch in 1..110 {
        let spent = world.wealth(ATTACKER);
        for _ in 0..4 {
            world.block(vec![(ATTACKER, pay(8, 1)); 5]);
        }
        paid.push(spent - world.wealth(ATTACKER));
        world.until_epoch(epoch);
    }
    let now = world.epoch();
    let record = view::epoch_record(&mut world.state, Epoch(now.0 - 1))
        .unwrap()
        .unwrap();
    let yearly = world.supply().circulating().0 / 20;
    let target = yearly / 100_000;
    let last = paid[paid.len() - 1];
    assert!(last.abs_diff(target) < target / 20, "{last} for {target}");
    assert!(record.burned.0 * 100 > record.state.fees.0 * 95, "it is burned");
    assert!(paid[0] * 100 < target, "it began cheap");
    assert!(gain(&mut world, ATTACKER, before) < 0);
}

/// Attack: dust accounts
/// Does: pays a shannon to as many new accounts as a transaction holds, to bloat the state.
/// Outcome: OPEN. An account costs its 40 bytes of a transaction: 445 shannons of fees at std's first multiplier, two million
/// accounts to the SOMA, and a sixteenth of that at the lowest multiplier.
#[test]
fn dust_accounts() {
    let params = Params {
        fee_base: Params::std().fee_base,
        fee_per_byte: Params::std().fee_per_byte,
        ..tiny()
    };
    let mut world = World::new(params);
    let before = world.wealth(ATTACKER);
    let payments = (0..PAYMENTS_MAX as u64).map(|number| {
        let mut to = address(200);
        to.0[..8].copy_from_slice(&number.to_le_bytes());
        Payment {
            to,
            amount: Shannons(1),
        }
    });
    let payments = List::new(payments.collect()).unwrap();
    world.apply(ATTACKER, Kind::Transfer { payments });
    let cost = (before - world.wealth(ATTACKER)) / PAYMENTS_MAX as u64;
    assert_eq!(cost, 446);
}

/// Attack: dust stakes and dust withdrawals
/// Does: stakes less than the least, or takes a stake out shannon by shannon, to have each rounded in his favour.
/// Outcome: stakes below the least are refused, and every withdrawal is rounded against him: he never has a shannon more than at
/// once.
#[test]
fn dust_stakes_and_withdrawals() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let pool = PoolId::Model(models[0]);
    let least = world.genesis.params.stake_min;
    let add = |amount| Kind::AddStake {
        pool,
        amount: Shannons(amount),
    };
    assert!(matches!(
        world.fail(ATTACKER, add(least.0 - 1)),
        Rejection::StakeTooSmall { .. }
    ));
    world.apply(ATTACKER, add(least.0));
    // A price that does not divide.
    let target = world.open_targets().remove(0);
    world.win(6, &target, 1, 0);
    world.until_epoch(6);
    let staked = |world: &mut World| {
        let stake = view::stake(&mut world.state, pool, address(ATTACKER)).unwrap();
        stake.counting.0
    };
    let at_once = staked(&mut world);
    for amount in [1, 1, 1, 7, 13, 1, 999] {
        let left = staked(&mut world);
        let receipt = world.apply(
            ATTACKER,
            Kind::WithdrawStake {
                pool,
                amount: Withdrawal::Amount(Shannons(amount)),
            },
        );
        assert!(receipt.fee.0 > 0);
        assert!(staked(&mut world) <= left - amount, "rounded against him");
    }
    assert!(staked(&mut world) <= at_once - 1_023);
}

/// Attack: dust transfers and zero amounts
/// Does: sends nothing, or sums that overflow, to be credited without being debited.
/// Outcome: nothing and overflowing sums are refused before anything moves; he pays the fee.
#[test]
fn sums_that_overflow() {
    let mut world = World::new(tiny());
    let before = world.wealth(ATTACKER);
    let half = u64::MAX / 2 + 1;
    let payments = List::new(vec![
        Payment {
            to: address(ATTACKER),
            amount: Shannons(half),
        };
        2
    ])
    .unwrap();
    for kind in [
        pay(ATTACKER, 0),
        Kind::Transfer { payments },
        pay(ATTACKER, u64::MAX),
        Kind::AddStake {
            pool: PoolId::Validator(address(0)),
            amount: Shannons(u64::MAX),
        },
    ] {
        world.fail(ATTACKER, kind);
    }
    assert!(gain(&mut world, ATTACKER, before) < 0);
}

/// Attack: share-price inflation of an empty pool
/// Does: is the first in a pool, withdraws all but dust so that a share is dear, lets a reward raise its price, and waits for a victim whose
/// stake is then rounded away.
/// Outcome: a thousand shares that nobody owns are in every pool, and stake becomes shares at the boundary's price: the victim loses at most
/// a thousandth, the attacker gains nothing of it.
#[test]
fn share_price_inflation_of_an_empty_pool() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let pool = PoolId::Model(models[0]);
    let target = world.open_targets().remove(0);
    let place = target.models.iter().position(|id| *id == models[0]);
    world.win(6, &target, 1, place.unwrap_or(0));
    // The owner deactivates, is free to withdraw all but a few shannons, and the reward of epoch 2 comes then.
    world.apply(4, Kind::DeactivateModel { model: models[0] });
    let victim_stake = 1_000 * SOMA;
    world.until_epoch(3);
    let stake = view::stake(&mut world.state, pool, address(4)).unwrap();
    let most = Withdrawal::Amount(Shannons(stake.counting.0 - 1));
    world.apply(4, Kind::WithdrawStake { pool, amount: most });
    world.until_epoch(4);
    world.skip(3);
    let after = view::pool(&mut world.state, pool).unwrap().unwrap();
    let left = view::stake(&mut world.state, pool, address(4)).unwrap();
    // A retired pool takes no stake at all; and had it, at this price:
    let buys = u128::from(victim_stake) * (after.shares.0 + 1_000) / (u128::from(after.stake.0) + 1);
    let worth =
        buys * (u128::from(after.stake.0) + u128::from(victim_stake) + 1) / (after.shares.0 + buys + 1_000);
    assert!(
        worth + u128::from(victim_stake) / 1_000 >= u128::from(victim_stake),
        "{worth}"
    );
    assert!(left.counting <= after.stake);
    let refused = world.fail(
        8,
        Kind::AddStake {
            pool,
            amount: Shannons(victim_stake),
        },
    );
    assert_eq!(refused, Rejection::PoolClosed {});
}

/// Attack: nonce games
/// Does: replays transactions, leaves gaps, jumps to the last number there is, sends two with one number in a block, and uses another
/// network's.
/// Outcome: each is refused before it is in a block and costs its sender nothing; nothing of it takes effect. Exactly one of two with the same
/// number is included.
#[test]
fn nonce_games() {
    let mut world = World::new(tiny());
    let signed = |world: &World, nonce: u64, chain: ChainId| {
        VerifiedTransaction::assume_verified(SignedTransaction {
            transaction: Transaction {
                chain,
                sender: keys(ATTACKER).public_key(),
                nonce,
                expires: Epoch(u64::MAX),
                max_fee: Shannons(u64::MAX),
                kind: pay(8, world.height.0 + 1),
            },
            signature: Signature([0; 64]),
        })
    };
    let chain = world.genesis.chain_id();
    let first = signed(&world, 0, chain);
    let results = world.offer(&[first.clone(), first.clone()]);
    assert!(results[0].is_ok());
    assert!(matches!(results[1], Err(Rejection::NonceUsed { .. })));
    let before = world.wealth(ATTACKER);
    let (gap, last) = (signed(&world, 2, chain), signed(&world, u64::MAX, chain));
    let elsewhere = signed(&world, 1, ChainId([1; 32]));
    let results = world.offer(&[first, gap.clone(), last, elsewhere]);
    let names: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().unwrap_err().name())
        .collect();
    assert_eq!(names, ["NonceUsed", "NonceAhead", "NonceAhead", "WrongChain"]);
    assert_eq!(world.wealth(ATTACKER), before);
    // The gap is filled in one block, in order.
    let results = world.offer(&[signed(&world, 1, chain), gap]);
    assert!(results.iter().all(Result::is_ok));
}

/// Attack: spending what is locked
/// Does: commits, reveals, stakes and pays in one block with the same shannons.
/// Outcome: what is locked has left the balance when the next transaction is executed: the one that cannot be paid fails.
#[test]
fn spending_what_is_locked() {
    let mut world = World::new(tiny());
    let before = world.wealth(ATTACKER);
    let all = Shannons(9_999 * SOMA);
    let stake = Kind::AddStake {
        pool: PoolId::Validator(address(0)),
        amount: all,
    };
    let receipts = world.block(vec![
        (ATTACKER, stake.clone()),
        (ATTACKER, stake),
        (ATTACKER, pay(8, all.0)),
    ]);
    let applied: Vec<bool> = receipts.iter().map(soma_types::Receipt::applied).collect();
    assert_eq!(applied, [true, false, false]);
    assert!(gain(&mut world, ATTACKER, before) < 0);
}

/// Attack: rounding commissions
/// Does: sets commissions and splits stakes so that what is rounded away goes to him.
/// Outcome: owner's and pool's parts of a reward add up to it exactly, whatever the commission: the owner's is rounded down.
#[test]
fn rounding_commissions() {
    for points in [0, 1, 3_333, 9_999, 10_000] {
        for amount in [0, 1, 2, 9_999, 10_001, 10_000_000 * SOMA] {
            let owner = basis(points).of(Shannons(amount));
            let exact = u128::from(amount) * u128::from(points);
            assert_eq!(u128::from(owner.0), exact / 10_000);
            assert!(owner.0 <= amount);
        }
    }
    assert!(BasisPoints::new(10_001).is_err());
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Add(u64),
    Take(u64),
    TakeAll,
    Wait(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        3 => (SOMA / 1_000..50 * SOMA).prop_map(Move::Add),
        3 => (1..30 * SOMA).prop_map(Move::Take),
        1 => (1..5_u64).prop_map(Move::Take),
        1 => Just(Move::TakeAll),
        2 => (1..40_u64).prop_map(Move::Wait),
    ];
    prop::collection::vec(one, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Attack: any coming and going of stake
    /// Does: adds and withdraws stake in any amounts and at any times in a pool that earns nothing, whose price does not divide.
    /// Outcome: he never has more than he began with, not by a shannon; nor do the others in the pool have less.
    #[test]
    fn stake_that_comes_and_goes_gains_nothing(moves in moves()) {
        let (mut world, models) = World::with_models(tiny(), 3);
        let pool = PoolId::Model(models[0]);
        let owner = |world: &mut World| view::stake(&mut world.state, pool, address(4)).unwrap().counting.0;
        // A reward makes the price uneven, then nothing is earned any more.
        let target = world.open_targets().remove(0);
        let place = target.models.iter().position(|id| *id == models[0]).unwrap_or(0);
        world.win(6, &target, 1, place);
        world.until_epoch(5);
        let (before, others) = (world.wealth(ATTACKER), owner(&mut world));
        let mut fees = 0;
        for step in moves {
            let kind = match step {
                Move::Add(amount) => Kind::AddStake { pool, amount: Shannons(amount) },
                Move::Take(amount) => Kind::WithdrawStake { pool, amount: Withdrawal::Amount(Shannons(amount)) },
                Move::TakeAll => Kind::WithdrawStake { pool, amount: Withdrawal::All },
                Move::Wait(blocks) => {
                    world.skip(blocks);
                    continue;
                }
            };
            fees += world.one(ATTACKER, kind).fee.0;
            prop_assert!(world.wealth(ATTACKER) + fees <= before);
        }
        world.skip(60);
        prop_assert!(world.wealth(ATTACKER) + fees <= before);
        prop_assert!(owner(&mut world) >= others);
    }
}

/// Attack: signing for nobody
/// Does: uses a public key of small order, for which a signature of zeros is good over any message, to have an account or a
/// validator that everybody can sign for.
/// Outcome: such keys sign nothing: refused as a bad signature. (It worked until fuzzing found it.)
#[test]
fn signing_for_nobody() {
    let world = World::new(tiny());
    let signed = SignedTransaction {
        transaction: Transaction {
            chain: world.genesis.chain_id(),
            sender: PublicKey([0; 32]),
            nonce: 0,
            expires: Epoch(9),
            max_fee: Shannons(u64::MAX),
            kind: pay(8, 1),
        },
        signature: Signature([0; 64]),
    };
    assert_eq!(signed.verify(), Err(Rejection::BadSignature {}));
}
