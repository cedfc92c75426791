//! Many seeds, as many at a time as there are cores.

use std::{
    num::NonZeroUsize,
    ops::RangeInclusive,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use crate::{
    outcome::{Outcome, run},
    report::Report,
    scenario::Scenario,
};

/// Runs the scenarios of `seeds`, as many at a time as there are cores. `tick` sees each when it is over.
#[must_use]
pub fn run_all(seeds: RangeInclusive<u64>, validators: usize, tick: &mut dyn FnMut(&Outcome)) -> Report {
    let mut report = Report::new(validators, *seeds.start());
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let seeds = Mutex::new(seeds);
    let next = || seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        let (done, outcomes) = mpsc::channel();
        for _ in 0..workers {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                while let Some(seed) = next() {
                    if done.send(run(&Scenario::draw(seed, validators))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        for outcome in outcomes {
            tick(&outcome);
            report.add(outcome);
        }
    });
    report.failures.sort_by_key(|outcome| outcome.scenario.seed);
    report
}
