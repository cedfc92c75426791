//! Whole networks in simulated time. Every run is made twice per seed and must come out the same.

mod common;

use std::{future::Future, pin::Pin, time::Duration};

use common::{Network, State};
use commonware_glue::simulate::{
    action::{Action, Crash, Schedule},
    engine::EngineDefinition as _,
    exit::ProcessedHeightAtLeast,
    plan::PlanBuilder,
    property::Property,
    tracker::ProgressTracker,
};
use soma_node::consensus::Identity;

/// All validators hold the same outcome and state root at every height they both executed.
#[derive(Clone)]
struct Agreement;

impl Property<Identity, State> for Agreement {
    fn name(&self) -> &str {
        "agreement"
    }

    fn check<'a>(
        &'a self,
        _: &'a ProgressTracker<Identity>,
        states: &'a [&'a State],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            let first = states[0].watch.0.lock().clone();
            for (height, expected) in &first {
                for state in states {
                    if let Some(found) = state.watch.0.lock().get(height)
                        && found != expected
                    {
                        return Err(format!("height {height}: {found:?} is not {expected:?}"));
                    }
                }
            }
            let total = first.values().next_back().map(|(total, _)| *total);
            let height = first.keys().next_back().copied().unwrap_or_default();
            if total != Some(3 * height) {
                return Err(format!("after {height} blocks the total is {total:?}"));
            }
            Ok(())
        })
    }
}

#[test]
fn four_validators_survive_a_crash_and_agree() {
    for seed in [1, 2] {
        let run = || {
            let network = Network::new(4);
            let victim = network.participants()[1].clone();
            let schedule = Schedule::new()
                .at(Duration::from_secs(3), Action::Crash(victim.clone()))
                .at(Duration::from_secs(8), Action::Restart(victim));
            PlanBuilder::new(network)
                .seed(seed)
                .crash(Crash::Schedule(schedule))
                .exit_condition(ProcessedHeightAtLeast::new(60))
                .timeout(Duration::from_secs(300))
                .property(Agreement)
                .run()
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
                .remove(0)
        };
        let (first, second) = (run(), run());
        assert_eq!(first.crashes, 1);
        assert_eq!(
            first.state, second.state,
            "seed {seed} came out differently the second time"
        );
    }
}
