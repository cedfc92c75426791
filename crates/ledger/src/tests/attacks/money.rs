//! Money out of nothing, for nothing, or for almost nothing.

use proptest::prelude::*;
use soma_types::{
    ChainId, Epoch, PublicKey, Rejection, Shannons, Signature, SignedTransaction, Transaction,
    TransactionKind as Kind, VerifiedTransaction,
    event::Event,
    list::List,
    objects::Target,
    params::Params,
    transaction::{BasisPoints, PAYMENTS_MAX, Payment, PoolId, Verdict, Withdrawal},
};

use super::gain;
use crate::{
    testing::{Find, SOMA, World, address, audit_kinds, basis, created_submission, keys, tiny},
    view,
};

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
/// Outcome: the multiplier rises by up to an eighth an epoch until the traffic pays the burn target: whoever
/// makes most of the traffic pays most of 5% of the supply a year, and it is burned. Below it spam is as
/// cheap as the multiplier of the day.
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
    let record = view::epoch_record(&mut world.chain.state, Epoch(now.0 - 1))
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
/// Outcome: each new account costs them the account price besides its shannon, a thousandth of a SOMA at std
/// whatever the multiplier, paid as a fee: a million accounts take a thousand SOMA. Without the price they
/// took half a SOMA.
#[test]
fn dust_accounts() {
    let mut world = World::new(tiny());
    assert_eq!(world.genesis.params.account_price, Params::std().account_price);
    let strangers = |first: u64| {
        let payments = (0..PAYMENTS_MAX as u64).map(|number| {
            let mut to = address(200);
            to.0[..8].copy_from_slice(&(first + number).to_le_bytes());
            Payment {
                to,
                amount: Shannons(1),
            }
        });
        let payments = List::new(payments.collect()).unwrap();
        Kind::Transfer { payments }
    };
    let count = PAYMENTS_MAX as u64;
    let before = world.wealth(ATTACKER);
    let receipt = world.apply(ATTACKER, strangers(0));
    let cost = before - world.wealth(ATTACKER);
    assert_eq!(cost, receipt.fee.0 + count * (1 + SOMA / 1_000));
    assert_eq!(receipt.fee.0 / count, 445, "what it was without");
    let fees = view::epoch(&mut world.chain.state).unwrap().unwrap().fees;
    assert_eq!(fees.0, cost - count, "all but the shannons is fees");

    // Once they are there, they cost no more than others; and whoever cannot pay for all of them opens none.
    let receipt = world.apply(ATTACKER, strangers(0));
    assert!(
        receipt
            .events
            .iter()
            .all(|event| matches!(event, Event::Paid { .. }))
    );
    let left = world.balance(ATTACKER) - 2 * receipt.fee.0 - SOMA / 1_000;
    world.apply(ATTACKER, pay(8, left));
    let refused = world.fail(ATTACKER, strangers(count));
    assert!(
        matches!(refused, Rejection::InsufficientBalance { needed, .. } if needed.0 == count * (1 + SOMA / 1_000))
    );
    // Twice to the same one is one account.
    let twice = vec![
        Payment {
            to: address(201),
            amount: Shannons(1),
        };
        2
    ];
    let payments = List::new(twice).unwrap();
    let receipt = world.apply(8, Kind::Transfer { payments });
    let opened = receipt.events.iter();
    let opened = opened.filter(|event| matches!(event, Event::AccountOpened { .. }));
    assert_eq!(opened.count(), 1);
}

/// What each of these epochs paid, from epoch 2 on: hits in it, each hit's reward, and the validators' pot.
fn paid(hits: &[u8]) -> Vec<(u64, u64, u64)> {
    let (mut world, _) = World::with_models(tiny(), 3);
    let mut data = 0;
    for (epoch, count) in (2..).zip(hits) {
        world.until_epoch(epoch);
        let mut left = usize::from(*count);
        while left > 0 {
            let targets: Vec<Target> = world.open_targets().into_iter().take(left).collect();
            left -= targets.len();
            let finds: Vec<Find> = targets
                .iter()
                .zip(data + 1..)
                .map(|(target, data)| world.find(4 + data % 6, target, data, 0))
                .collect();
            data += finds.len() as u8;
            let receipts = world.block(finds.iter().map(|find| (find.who, find.commit())).collect());
            let ids = receipts.iter().map(created_submission);
            let reveals = finds
                .iter()
                .zip(ids)
                .map(|(find, id)| (find.who, find.reveal(id)));
            let reveals = reveals.collect();
            world.block(reveals);
            world.skip(2);
        }
    }
    let end = 2 + hits.len() as u64;
    world.until_epoch(end);
    (2..end)
        .map(|epoch| {
            let record = view::epoch_record(&mut world.chain.state, Epoch(epoch))
                .unwrap()
                .unwrap();
            (record.state.hits, record.reward_per_hit.0, record.validator_pot.0)
        })
        .collect()
}

/// Attack: withholding finds to be paid more later
/// Does: keeps what they find for some epochs, alone or with all other submitters, so that the pool grows and
/// a later hit earns more.
/// Outcome: what nobody earned is paid out over as many epochs as the emission: an epoch without any hit
/// raises a later reward by less than a 3652nd part, so that to have back what they withheld they would have
/// to win everything for ten years. (A hit earned up to five times as much before.)
#[test]
fn withholding_finds_to_be_paid_more() {
    let (withheld, steady) = (paid(&[0, 0, 0, 2]), paid(&[2, 2, 2, 2]));
    assert_eq!((withheld[0].0, withheld[3].0, steady[3].0), (0, 2, 2));
    let (later, now) = (withheld[3].1, steady[3].1);
    assert!(later > now, "it does rise");
    let lost = 3 * steady[0].1;
    let epochs = tiny().emission_epochs;
    assert!((later - now) * epochs <= lost + epochs, "by {}", later - now);
}

/// Attack: validators who gain from missing hits
/// Does: as a validator keeps commits and reveals out of blocks, so that less of the pool goes to hits.
/// Outcome: validators share a part of what an epoch adds, whatever becomes of the rest and of what earlier
/// epochs left: with no hits at all they earn exactly what they earn with all of them, but for their part of
/// the fees that are missing. (They earned up to five times as much before.)
#[test]
fn validators_who_gain_from_missing_hits() {
    let (none, all) = (paid(&[0, 0, 0, 0, 0]), paid(&[8, 8, 8, 8, 8]));
    assert_eq!((none[4].0, all[4].0), (0, 8));
    for (none, all) in none.iter().zip(&all) {
        assert!(none.2 <= all.2, "{} for no hits, {} for all", none.2, all.2);
    }
    // More hits than the goal do not cost more than the goal's.
    let many = paid(&[12]);
    assert_eq!(many[0].0, 12);
    assert!(many[0].0 * many[0].1 <= 8 * all[0].1 + 16);
}

/// Attack: judging for the forfeits
/// Does: as a validator finds winners false, models unusable or reveals late, so that more is forfeited to
/// the pool of which validators have a part.
/// Outcome: what is forfeited joins the reserve, of which validators have no part. All that anyone gets of a
/// judgement is the finders' share of a bond.
#[test]
fn judging_for_the_forfeits() {
    let pot = |verdict: Verdict| {
        let (mut world, _) = World::with_models(tiny(), 3);
        let target = world.open_targets().remove(0);
        let id = world.win(ATTACKER, &target, 1, 0);
        world.until_epoch(3);
        let steps: Vec<_> = (0..4)
            .map(|who| (who, audit_kinds(who, id, verdict, 1)))
            .collect();
        let commits = steps.iter().map(|(who, (commit, _))| (*who, commit.clone()));
        world.block(commits.collect());
        world.skip(8);
        let reveals = steps.into_iter().map(|(who, (_, reveal))| (who, reveal));
        world.block(reveals.collect());
        world.until_epoch(5);
        let record = view::epoch_record(&mut world.chain.state, Epoch(4))
            .unwrap()
            .unwrap();
        (record.state.forfeits, record.validator_pot)
    };
    let (honest, slander) = (pot(Verdict::Valid), pot(Verdict::FalseScore));
    assert!(slander.0.0 > honest.0.0 + 100 * SOMA, "the reward came back");
    assert_eq!(slander.1, honest.1);
}

/// Attack: dust stakes and dust withdrawals
/// Does: stakes less than the least, or takes a stake out shannon by shannon, to have each rounded in their
/// favour.
/// Outcome: stakes below the least are refused, and every withdrawal is rounded against them: they never have
/// a shannon more than at once.
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
        let stake = view::stake(&mut world.chain.state, pool, address(ATTACKER)).unwrap();
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
/// Outcome: nothing and overflowing sums are refused before anything moves; they pay the fee.
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
/// Does: is the first in a pool, withdraws all but dust so that a share is dear, lets a reward raise its
/// price, and waits for a victim whose stake is then rounded away.
/// Outcome: a thousand shares that nobody owns are in every pool, and stake becomes shares at the boundary's
/// price: the victim loses at most a thousandth, the attacker gains nothing of it.
#[test]
fn share_price_inflation_of_an_empty_pool() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let pool = PoolId::Model(models[0]);
    let target = world.open_targets().remove(0);
    let place = target.models.iter().position(|id| *id == models[0]);
    world.win(6, &target, 1, place.unwrap_or(0));
    // The owner deactivates, is free to withdraw all but a few shannons, and the reward of epoch 2 comes
    // then.
    world.apply(4, Kind::DeactivateModel { model: models[0] });
    let victim_stake = 1_000 * SOMA;
    world.until_epoch(3);
    let stake = view::stake(&mut world.chain.state, pool, address(4)).unwrap();
    let most = Withdrawal::Amount(Shannons(stake.counting.0 - 1));
    world.apply(4, Kind::WithdrawStake { pool, amount: most });
    world.until_epoch(4);
    world.skip(3);
    let after = view::pool(&mut world.chain.state, pool).unwrap().unwrap();
    let left = view::stake(&mut world.chain.state, pool, address(4)).unwrap();
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
/// Does: replays transactions, leaves gaps, jumps to the last number there is, sends two with one number in a
/// block, and uses another network's.
/// Outcome: each is refused before it is in a block and costs its sender nothing; nothing of it takes effect.
/// Exactly one of two with the same number is included.
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
                kind: pay(8, world.chain.height().0 + 1),
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
/// Outcome: what is locked has left the balance when the next transaction is executed: the one that cannot be
/// paid fails.
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
/// Does: sets commissions and splits stakes so that what is rounded away goes to them.
/// Outcome: owner's and pool's parts of a reward add up to it exactly, whatever the commission: the owner's
/// is rounded down.
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
    /// Does: adds and withdraws stake in any amounts and at any times in a pool that earns nothing, whose
    /// price does not divide.
    /// Outcome: they never have more than they began with, not by a shannon; nor do the others in the pool
    /// have less.
    #[test]
    fn stake_that_comes_and_goes_gains_nothing(moves in moves()) {
        let (mut world, models) = World::with_models(tiny(), 3);
        let pool = PoolId::Model(models[0]);
        let owner = |world: &mut World| view::stake(&mut world.chain.state, pool, address(4)).unwrap().counting.0;
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
/// Does: uses a public key of small order, for which a signature of zeros is good over any message, to have
/// an account or a validator that everybody can sign for.
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
