//! Whole networks. `soma sim network` runs many more (docs/simulation.md).

use soma_netsim::{Fault, Kind, Outcome, Plant, Plants, Scenario, Traffic, run, run_all, run_planted};
use soma_node::{block::BLOCK_BYTES_MAX, time::DOUBT_MS};
use soma_types::transaction::PAYMENTS_MAX;

/// Runs a scenario, in which all must hold.
#[track_caller]
fn holds(scenario: &Scenario) -> Outcome {
    let outcome = run(scenario);
    assert_eq!(outcome.broken, [], "{outcome:#?}");
    outcome
}

/// From the second to the third number of milliseconds.
fn fault(kind: Kind, from_ms: u64, until_ms: u64) -> Fault {
    Fault {
        from_ms,
        until_ms,
        kind,
    }
}

/// What CI runs. More: `soma sim network --seeds 1000`.
#[test]
fn the_first_seeds_hold() {
    let report = run_all(1..=6, 4, &mut |_| {});
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert!(report.payments > 0 && report.blocks > 6 * 10, "{report:#?}");
}

#[test]
fn a_crash_over_two_boundaries_comes_to_the_same_twice() {
    let scenario = Scenario {
        faults: vec![fault(Kind::Crash { validator: 1 }, 3_000, 8_000)],
        ..Scenario::calm(1, 4)
    };
    let first = holds(&scenario);
    assert!(
        first.blocks > 20,
        "two epochs are over after {} blocks",
        first.blocks
    );
    assert_eq!(run(&scenario), first);
}

/// A proposal on a parent that is not final yet offered what the parent holds: blocks held 512, 0, 512, 0.
#[test]
fn blocks_are_full_while_transactions_wait() {
    let traffic = Traffic::Burst {
        payments: 90,
        payees: PAYMENTS_MAX / 2,
    };
    let sizes = holds(&Scenario {
        traffic,
        healed_ms: 4_000,
        ..Scenario::calm(1, 4)
    })
    .sizes;
    let long = sizes
        .iter()
        .filter(|size| **size > BLOCK_BYTES_MAX * 9 / 10)
        .count();
    assert!(long >= 2, "of 540 payments 2 full blocks are made: {sizes:?}");
    let first = sizes
        .iter()
        .position(|size| *size > 0)
        .expect("payments are made");
    let last = sizes
        .iter()
        .rposition(|size| *size > BLOCK_BYTES_MAX / 2)
        .expect("blocks are full");
    assert!(
        sizes[first..last].iter().all(|size| *size > 0),
        "blocks between two that hold something are empty: {sizes:?}"
    );
}

/// All clocks are wrong alike for some time.
fn wrong_clocks(ahead_ms: i64, from_ms: u64, until_ms: u64) -> Scenario {
    let one = |validator| fault(Kind::ClockStep { validator, ahead_ms }, from_ms, until_ms);
    Scenario {
        healed_ms: until_ms,
        faults: (0..4).map(one).collect(),
        ..Scenario::calm(1, 4)
    }
}

#[test]
fn clocks_that_step_and_are_put_right_change_nothing() {
    for hour_ms in [3_600_000, -3_600_000] {
        let outcome = holds(&wrong_clocks(hour_ms, 2_000, 6_000));
        let date_ms = outcome.last_date_ms.expect("storage was read");
        // Simulated time begins in 1970, as these networks do.
        assert!(
            (outcome.blocks * 250..20_000).contains(&date_ms),
            "{date_ms} after {} blocks",
            outcome.blocks
        );
    }
}

#[test]
fn clocks_that_are_set_back_after_long_do_not_stop_the_chain() {
    let outcome = holds(&wrong_clocks(60_000, 1_000, DOUBT_MS + 4_000));
    let date_ms = outcome.last_date_ms.expect("storage was read");
    assert!(date_ms > 60_000, "{date_ms}, as if the step was never believed");
}

/// What planted ledgers are found by.
fn found(plants: &Plants) -> Vec<(&'static str, String)> {
    let scenario = Scenario {
        healed_ms: 4_000,
        ..Scenario::calm(1, 4)
    };
    let broken = run_planted(&scenario, plants).broken;
    broken.into_iter().map(|one| (one.property, one.detail)).collect()
}

#[test]
fn a_ledger_that_pays_too_much_is_found() {
    let found = found(&[(1, Plant::Generous)].into());
    assert!(
        found.iter().any(|(_, detail)| detail.contains("validator 1")),
        "{found:?}"
    );
}

#[test]
fn ledgers_that_all_pay_too_much_are_found() {
    let found = found(&(0..4).map(|one| (one, Plant::Generous)).collect());
    assert!(
        found
            .iter()
            .any(|(property, _)| *property == "every payment once"),
        "{found:?}"
    );
}
