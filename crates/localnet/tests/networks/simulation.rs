//! Whole networks in simulated time. Every run is made twice per seed and must come out the same.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use commonware_glue::simulate::{
    action::{Action, Crash, Schedule},
    engine::EngineDefinition as _,
    exit::ProcessedHeightAtLeast,
    plan::PlanBuilder,
    property::Property,
    tracker::ProgressTracker,
};
use commonware_utils::sync::Mutex;
use soma_ledger::view;
use soma_node::{
    block::BLOCK_BYTES_MAX,
    consensus::{Digest, Identity},
    time::DOUBT_MS,
};
use soma_types::{amount::MAX_SUPPLY, transaction::PAYMENTS_MAX};

use crate::simulated::{Network, State, sender};

const EPOCH_BLOCKS: u64 = 20;
const HEIGHT: u64 = 50;

/// All validators hold the same state root at every height they both finalized, the supply is exact, the
/// epochs have passed, and every payment was made once.
#[derive(Clone, Default)]
struct Sound {
    roots: Arc<Mutex<BTreeMap<u64, Digest>>>,
}

impl Property<Identity, State> for Sound {
    fn name(&self) -> &str {
        "one chain, exact supply, every payment once"
    }

    fn check<'a>(
        &'a self,
        _: &'a ProgressTracker<Identity>,
        states: &'a [&'a State],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            if states.len() != 4 {
                return Err(format!("{} of 4 validators run", states.len()));
            }
            let mut all = BTreeMap::new();
            for state in states {
                for (height, root) in state.roots.lock().iter() {
                    if *all.entry(*height).or_insert(*root) != *root {
                        return Err(format!("two state roots at height {height}"));
                    }
                }
                let query = state.query.lock().clone().ok_or("a validator has no state")?;
                let read = query.view(|state| {
                    let mut nonces = Vec::new();
                    for index in 0..4 {
                        nonces.push(view::account(state, sender(index).address())?.nonce);
                    }
                    Ok((view::supply(state)?, view::epoch(state)?, nonces))
                });
                let (supply, epoch, nonces) = read.await.map_err(|error| error.to_string())?;
                let supply = supply.and_then(|supply| supply.total());
                if supply != Some(MAX_SUPPLY) {
                    return Err(format!("the supply is {supply:?}"));
                }
                let epoch = epoch.map_or(0, |epoch| epoch.epoch.0);
                if epoch < 2 {
                    return Err(format!("it is only epoch {epoch}"));
                }
                if nonces != [8; 4] {
                    return Err(format!("after 8 payments each the nonces are {nonces:?}"));
                }
            }
            *self.roots.lock() = all;
            // Nothing may outlive the simulated world.
            for state in states {
                drop(state.query.lock().take());
            }
            Ok(())
        })
    }
}

#[test]
fn four_validators_cross_two_epochs_with_a_crash_and_agree() {
    let run = |seed| {
        let network = Network::new(4, EPOCH_BLOCKS);
        let sound = Sound::default();
        let victim = network.participants()[1].clone();
        let schedule = Schedule::new()
            .at(Duration::from_secs(3), Action::Crash(victim.clone()))
            .at(Duration::from_secs(8), Action::Restart(victim));
        let result = PlanBuilder::new(network)
            .seed(seed)
            .crash(Crash::Schedule(schedule))
            .exit_condition(ProcessedHeightAtLeast::new(HEIGHT))
            .timeout(Duration::from_secs(300))
            .property(sound.clone())
            .run()
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
            .remove(0);
        assert_eq!(result.crashes, 1);
        let roots = sound.roots.lock().clone();
        (result.state, roots)
    };
    for seed in [1, 2] {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first, second, "seed {seed} came out differently the second time");
        assert!(first.1.len() as u64 >= HEIGHT);
    }
}

/// What each block holds.
#[derive(Clone, Default)]
struct Full {
    sizes: Arc<Mutex<BTreeMap<u64, usize>>>,
}

impl Property<Identity, State> for Full {
    fn name(&self) -> &str {
        "blocks hold what waits"
    }

    fn check<'a>(
        &'a self,
        _: &'a ProgressTracker<Identity>,
        states: &'a [&'a State],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            for state in states {
                drop(state.query.lock().take());
                let mut sizes = self.sizes.lock();
                for (height, size) in state.sizes.lock().iter() {
                    sizes.insert(*height, *size);
                }
            }
            Ok(())
        })
    }
}

/// A proposal on a parent that is not final yet offered what the parent holds: blocks held 512, 0, 512, 0.
#[test]
fn blocks_are_full_while_transactions_wait() {
    let mut network = Network::new(4, 1_000);
    // Some hundred of these fill a block.
    (network.senders, network.payments, network.payees) = (16, 40, PAYMENTS_MAX / 2);
    let long = network.payment(0, 0).len();
    let full = Full::default();
    PlanBuilder::new(network)
        .seed(1)
        .exit_condition(ProcessedHeightAtLeast::new(24))
        .timeout(Duration::from_secs(60))
        .property(full.clone())
        .run()
        .unwrap_or_else(|error| panic!("{error}"));
    let sizes: Vec<usize> = full.sizes.lock().values().copied().collect();
    assert_eq!(
        sizes.iter().sum::<usize>(),
        16 * 40,
        "all are included: {sizes:?}"
    );
    let busy = sizes.split(|size| *size == 0).filter(|run| !run.is_empty());
    assert_eq!(
        busy.count(),
        1,
        "blocks between two that hold something are empty: {sizes:?}"
    );
    let full = sizes
        .iter()
        .filter(|size| (**size + 1) * long > BLOCK_BYTES_MAX)
        .count();
    assert!(
        full >= 2,
        "of 640 payments 2 full blocks are made, and up to 2 that are not: {sizes:?}"
    );
}

/// The last block's height and date, at every validator.
#[derive(Clone, Default)]
struct Dates {
    latest: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Property<Identity, State> for Dates {
    fn name(&self) -> &str {
        "blocks go on"
    }

    fn check<'a>(
        &'a self,
        _: &'a ProgressTracker<Identity>,
        states: &'a [&'a State],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            for state in states {
                let query = state.query.lock().take().ok_or("a validator has no state")?;
                let tip = query.tip().await.ok_or("a validator has no block")?;
                self.latest.lock().push((tip.height, tip.timestamp_ms));
            }
            Ok(())
        })
    }
}

/// The dates after `height` blocks, which must come within `patience` of simulated time while the wall clock
/// is `off_ms` off between the fifth second and `until_ms`.
fn dates_with_a_wrong_clock(off_ms: i64, until_ms: u64, height: u64, patience: Duration) -> Vec<(u64, u64)> {
    let mut network = Network::new(4, 1_000);
    network.wall = Arc::new(move |steady_ms| {
        if (5_000..until_ms).contains(&steady_ms) {
            off_ms
        } else {
            0
        }
    });
    let dates = Dates::default();
    PlanBuilder::new(network)
        .seed(1)
        .exit_condition(ProcessedHeightAtLeast::new(height))
        .timeout(patience)
        .property(dates.clone())
        .run()
        .unwrap_or_else(|error| panic!("{error}"));
    let latest = dates.latest.lock().clone();
    assert_eq!(latest.len(), 4);
    latest
}

#[test]
fn a_clock_that_steps_and_is_put_right_changes_nothing() {
    for hour_ms in [3_600_000, -3_600_000] {
        let dates = dates_with_a_wrong_clock(hour_ms, 10_000, 60, Duration::from_secs(25));
        for (height, date_ms) in dates {
            // Simulated time begins in 1970, as these networks do.
            assert!(
                (height * 250..25_000).contains(&date_ms),
                "block {height} is dated {date_ms}"
            );
        }
    }
}

#[test]
fn a_clock_that_is_set_back_after_long_does_not_stop_the_chain() {
    let back_ms = DOUBT_MS + 8_000;
    // Up to the step back, the doubt after it, and some blocks more: before the chain's time is caught up
    // with.
    let patience = Duration::from_secs(110);
    for (height, date_ms) in dates_with_a_wrong_clock(60_000, back_ms, 310, patience) {
        assert!(
            date_ms > 110_000,
            "block {height} is dated {date_ms}, as if the step was never believed"
        );
    }
}
