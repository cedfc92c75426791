//! Random histories: whatever is tried, nothing panics, and money is neither made nor lost (the world
//! counts all of it after every block).

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use soma_types::{
    Rejection, Shannons, amount::MAX_SUPPLY, event::Event, params::Params, transaction::BasisPoints,
};

use super::strategies::{extremes, tries, tries_and_upgrades};
use crate::testing::{Driver, SOMA, Try, tiny};

/// Plays a history to its end under the tests' usual rules, or with a sampled audit and slow payouts.
fn play(tries: &[Try], sampled: bool) -> Driver {
    let params = if sampled {
        Params {
            audit_rate: BasisPoints::new(5_000).unwrap(),
            // Small rewards, so that accounts can afford the floor of the bonds.
            hits_goal: 1 << 20,
            auditors: 2,
            payouts_per_block: 3,
            ..tiny()
        }
    } else {
        tiny()
    };
    play_under(params, tries)
}

/// Plays a history to its end: whatever is under way is over then.
fn play_under(params: Params, tries: &[Try]) -> Driver {
    let mut driver = Driver::new(params);
    for attempt in tries {
        driver.run(attempt);
    }
    let end = driver.world.epoch().0 + 4;
    driver.world.until_epoch(end);
    driver
}

/// The random histories do meet what matters.
#[test]
fn histories_are_not_vacuous() {
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..40 {
        let strategy = if round % 4 == 3 {
            tries_and_upgrades().boxed()
        } else {
            tries().boxed()
        };
        let tries = prop::collection::vec(strategy, 200..250)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let driver = play(&tries, round % 2 == 1);
        for block in &driver.world.history {
            for event in block
                .events
                .iter()
                .chain(block.receipts.iter().flat_map(|receipt| &receipt.events))
            {
                let mut name = format!("{event:?}");
                if let Event::SubmissionEnded { status, .. } = event {
                    name = format!("Ended:{status:?}");
                }
                if let Event::UpgradeEnded { status, .. } = event {
                    name = format!("Upgrade:{status:?}");
                }
                if let Event::ChallengeEnded { end, .. } = event {
                    name = format!("Challenge:{end:?}");
                }
                let name = name.split([' ', '{']).next().unwrap_or_default();
                *met.entry(name.to_owned()).or_default() += 1;
            }
        }
    }
    for name in [
        "Paid",
        "StakeAdded",
        "StakeWithdrawn",
        "Unbonded",
        "ModelCreated",
        "ModelCommitted",
        "ModelRevealed",
        "ModelActivated",
        "ModelLapsed",
        "ModelReported",
        "ModelFaulted",
        "ModelInactive",
        "TargetOpened",
        "TargetFilled",
        "SubmissionRevealed",
        "Ended:Won",
        "Ended:Paid",
        "Ended:LostRace",
        "Ended:Expired",
        "Ended:FoundFalse",
        "AuditRevealed",
        "SubmissionChallenged",
        "Challenge:Upheld",
        "Challenge:Failed",
        "Challenge:Undecided",
        "UpgradeScheduled",
        "Upgrade:Activated",
        "Upgrade:Expired",
        "ValidatorPaid",
        "ValidatorRegistered",
        "ValidatorLeft",
        "EpochSettled",
        "DifficultyAdjusted",
    ] {
        assert!(met.contains_key(name), "no history had {name}: {met:?}");
    }
}

/// Blocks of a random history, executed on a state that must be loaded piece by piece, end the same.
#[test]
fn histories_do_not_depend_on_what_is_loaded() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..4 {
        let tries = prop::collection::vec(tries(), 60..80)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let mut driver = Driver::new(tiny());
        driver.world.lazily = true;
        for attempt in &tries {
            driver.run(attempt);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_history_conserves_money(tries in prop::collection::vec(tries(), 1..250), sampled: bool) {
        let mut driver = play(&tries, sampled);
        let supply = driver.world.supply();
        prop_assert_eq!(supply.total(), Some(MAX_SUPPLY));
        prop_assert_eq!(supply.deposits, Shannons::ZERO);
        prop_assert_eq!(supply.bonds, Shannons::ZERO);
        prop_assert_eq!(supply.pending, Shannons::ZERO);
        prop_assert_eq!(supply.unbonding, Shannons::ZERO);
    }

    /// Nor does any change of them while all is under way.
    #[test]
    fn any_upgrade_conserves_money(
        tries in prop::collection::vec(tries_and_upgrades(), 1..200),
        sampled: bool,
    ) {
        let mut driver = play(&tries, sampled);
        prop_assert_eq!(driver.world.supply().total(), Some(MAX_SUPPLY));
    }

    /// No choice of parameters breaks the ledger.
    #[test]
    fn any_rules_conserve_money(params in extremes(), tries in prop::collection::vec(tries(), 1..150)) {
        let mut driver = play_under(params, &tries);
        prop_assert_eq!(driver.world.supply().total(), Some(MAX_SUPPLY));
    }

    /// Stake that comes and goes never takes out more than went in, whoever else is in the pool.
    #[test]
    fn rounding_never_favours_the_caller(
        amounts in prop::collection::vec((0..2_u8, SOMA / 1_000..100 * SOMA, prop::bool::ANY), 1..30),
        reward in 0..1_000 * SOMA,
    ) {
        use soma_types::objects::{Pool, PoolPrice, Shares};
        let mut pool = Pool { stake: Shannons(7 * SOMA + 13), shares: Shares(7_000 * u128::from(SOMA)), ..Pool::default() };
        pool.stake.0 += reward;
        for (_, amount, _) in amounts {
            let price = PoolPrice { worth: Shannons(pool.stake.0 + 1), shares: Shares(pool.shares.0 + crate::stake::pool::VIRTUAL_SHARES) };
            let shares = Shares(u128::from(amount) * price.shares.0 / u128::from(price.worth.0));
            let before = pool;
            pool.stake.0 += amount;
            pool.shares.0 += shares.0;
            let worth = crate::stake::pool::worth(&pool, shares).unwrap();
            prop_assert!(worth.0 <= amount);
            // Nor do those who were there lose.
            prop_assert!(crate::stake::pool::worth(&pool, before.shares).unwrap() >= crate::stake::pool::worth(&before, before.shares).unwrap());
        }
        let nothing: Rejection = Rejection::NothingToDo {};
        prop_assert!(!nothing.is_refusal());
    }
}
