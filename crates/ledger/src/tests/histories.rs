//! Long adversarial histories in lockstep with the naive economy.
//!
//! A history is a tape of steps, eight bytes each; `Player` reads each as something to try in terms of
//! what exists when its turn comes: amounts at and beside every limit, blocks at and beside every phase,
//! several transactions in a block in any order, and transactions that must be refused. `Coverage`
//! counts what came of it, so that the tests cannot pass without having met everything.
//!
//! `SOMA_SOAK=N` runs N histories more.

use std::cell::RefCell;

use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use soma_types::{Rejection, TransactionKind, params::Params, transaction::BasisPoints};

use super::strategies::extremes;
use crate::testing::{Coverage, Player, Step, tiny};

fn play(params: Params, tape: &[Step], coverage: &mut Coverage) {
    let mut player = Player::new(params, coverage);
    for step in tape {
        player.step(*step);
    }
    player.finish();
}

/// The tests' rules, and the same with a sampled audit, few auditors, slow payouts, and what the public
/// network asks for beyond the documents.
fn rules(sampled: bool) -> Params {
    if !sampled {
        return tiny();
    }
    Params {
        audit_rate: BasisPoints::new(5_000).unwrap(),
        auditors: 2,
        // All is emitted before the longest histories end, and accounts can afford the bonds' floor.
        emission_epochs: 50,
        hits_goal: 1 << 20,
        payouts_per_block: 3,
        unbonding_epochs: 3,
        weights_reveal_share: BasisPoints::new(5_000).unwrap(),
        bound_embeddings: 1,
        opening_blocks: 2,
        data_chunks_min: 1,
        fee_share_max: BasisPoints::new(1_500).unwrap(),
        ..tiny()
    }
}

/// Reasons out of reach of these histories: about bytes, and more proposals than there are accounts.
const OUT_OF_REACH: [&str; 4] = ["TooLarge", "Malformed", "BadSignature", "TooManyProposals"];

/// Every kind must have taken effect at least this often.
const APPLIED_MIN: u64 = 5;

#[test]
fn the_ledger_follows_the_naive_economy_into_every_corner() {
    let mut runner = TestRunner::deterministic();
    let mut coverage = Coverage::default();
    for number in 0..40 {
        let tape = vec(any::<Step>(), 700..800)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        play(rules(number % 3 == 0), &tape, &mut coverage);
    }
    eprintln!("{coverage:#?}");
    let rare: Vec<_> = coverage
        .applied
        .iter()
        .filter(|(_, count)| **count < APPLIED_MIN)
        .collect();
    assert!(rare.is_empty(), "hardly ever: {rare:?}");
    assert_eq!(coverage.applied.len(), TransactionKind::NAMES.len());
    let never: Vec<_> = Rejection::TABLE
        .iter()
        .map(|(_, name)| *name)
        .filter(|name| !OUT_OF_REACH.contains(name) && !coverage.rejected.contains_key(name))
        .collect();
    assert!(never.is_empty(), "never rejected as {never:?}");
    for end in ["Won", "LostRace", "NotNew", "Expired", "Paid", "FoundFalse"] {
        let end = format!("Ended:{end}");
        assert!(coverage.events.contains_key(&end), "no {end}");
    }
    for event in [
        "AccountOpened",
        "Upgrade:Activated",
        "Upgrade:Expired",
        "Challenge:Upheld",
        "Challenge:Failed",
        "Challenge:Undecided",
        "Hearing:Convicts",
        "Hearing:Overrules",
        "Hearing:Undecided",
        "Unbonded",
        "ModelActivated",
        "ModelLapsed",
        "ModelFaulted",
        "ModelInactive",
        "TargetFilled",
        "ValidatorPaid",
        "EpochSettled",
        "DifficultyAdjusted",
    ] {
        assert!(coverage.events.contains_key(event), "no {event}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_history_agrees(tape in vec(any::<Step>(), 1..400), sampled: bool) {
        play(rules(sampled), &tape, &mut Coverage::default());
    }

    /// Parameters at the edges of what a vote could choose.
    #[test]
    fn any_rules_agree(params in extremes(), tape in vec(any::<Step>(), 1..300)) {
        play(params, &tape, &mut Coverage::default());
    }
}

/// Runs `SOMA_SOAK` histories with new seeds; none unless told.
#[test]
#[allow(clippy::disallowed_methods)]
fn soak() {
    let count: u32 = std::env::var("SOMA_SOAK")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: count.max(1),
        ..ProptestConfig::default()
    });
    if count > 0 {
        let histories = (
            prop_oneof![Just(rules(false)), Just(rules(true)), extremes()],
            vec(any::<Step>(), 1..1_500),
        );
        let coverage = RefCell::new(Coverage::default());
        runner
            .run(&histories, |(params, tape)| {
                play(params, &tape, &mut coverage.borrow_mut());
                Ok(())
            })
            .unwrap();
        eprintln!("{count} histories: {:#?}", coverage.borrow());
    }
}
