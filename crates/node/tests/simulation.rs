//! Whole networks in simulated time. Every run is made twice per seed and must come out the same.

mod common;

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use common::{Network, State, sender};
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
use soma_node::consensus::{Digest, Identity};
use soma_types::amount::MAX_SUPPLY;

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
