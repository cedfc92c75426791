//! What happens to a network, drawn from a seed.

use std::{collections::BTreeSet, time::Duration};

use commonware_p2p::simulated::Link;
use commonware_utils::Probability;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::Serialize;

use crate::{
    fault::{Fault, Kind},
    load::Traffic,
};

/// The fewest validators of which one may be anything.
pub const VALIDATORS_MIN: usize = 4;
/// The most that a simulation runs.
pub const VALIDATORS_MAX: usize = 10;
/// Nothing goes wrong before, in milliseconds.
const QUIET_MS: u64 = 1_500;
/// Nothing goes wrong afterwards in what is drawn, but those who are not honest; in milliseconds.
const HEALED_MS: u64 = 10_000;
/// The shortest fault, in milliseconds.
const FAULT_MS_MIN: u64 = 500;
/// Most faults at a time, besides those who are not honest.
const FAULTS_MAX: usize = 4;
/// Most payees of a payment that is drawn: blocks stay so empty that fees do not rise.
const PAYEES_MAX: usize = 16;
/// A link that nothing is wrong with, in milliseconds.
const LATENCY_MS: u64 = 10;
const JITTER_MS: u64 = 5;

/// What happens to a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scenario {
    /// What it is drawn from, and what orders everything else.
    pub seed: u64,
    /// Members of the committee.
    pub validators: usize,
    /// When all faults are over but those who are not honest, in simulated milliseconds.
    pub healed_ms: u64,
    /// How much is paid meanwhile.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// In the order of their beginnings.
    pub faults: Vec<Fault>,
}

impl Scenario {
    /// Nothing goes wrong.
    #[must_use]
    pub const fn calm(seed: u64, validators: usize) -> Self {
        Self {
            seed,
            validators,
            healed_ms: HEALED_MS,
            traffic: Traffic::Steady,
            faults: Vec::new(),
        }
    }

    /// The scenario of a seed: the same for the same arguments, always.
    #[must_use]
    pub fn draw(seed: u64, validators: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..validators).collect();
        order.shuffle(&mut rng);
        let byzantine = rng.random_range(0..=max_faulty(validators));
        let (bad, honest) = order.split_at(byzantine);
        let mut faults: Vec<Fault> = bad
            .iter()
            .map(|validator| Fault {
                from_ms: 0,
                until_ms: u64::MAX,
                kind: byzantine_kind(*validator, &mut rng),
            })
            .collect();
        for _ in 0..rng.random_range(1..=FAULTS_MAX) {
            let from_ms = rng.random_range(QUIET_MS..HEALED_MS - FAULT_MS_MIN);
            let until_ms = rng.random_range(from_ms + FAULT_MS_MIN..=HEALED_MS);
            let kind = kind(validators, honest, &mut rng);
            faults.push(Fault {
                from_ms,
                until_ms,
                kind,
            });
        }
        faults.sort_by_key(|fault| fault.from_ms);
        let traffic = match rng.random_range(0..4) {
            0 => Traffic::Burst {
                payments: rng.random_range(1..=30),
                payees: rng.random_range(1..=PAYEES_MAX),
            },
            _ => Traffic::Steady,
        };
        Self {
            traffic,
            faults,
            ..Self::calm(seed, validators)
        }
    }

    /// Those who are not honest.
    #[must_use]
    pub fn byzantine(&self) -> BTreeSet<usize> {
        self.faults
            .iter()
            .filter_map(|fault| fault.kind.byzantine())
            .collect()
    }

    /// What is wrong at `now_ms`.
    pub fn at(&self, now_ms: u64) -> impl Iterator<Item = &Kind> {
        self.faults
            .iter()
            .filter(move |fault| fault.is_there(now_ms))
            .map(|fault| &fault.kind)
    }

    /// The link from one to another at `now_ms`; none where nothing passes.
    #[must_use]
    pub fn link(&self, from: usize, to: usize, now_ms: u64) -> Option<Link> {
        let (mut latency_ms, mut jitter_ms, mut passes) = (LATENCY_MS, JITTER_MS, 100);
        for kind in self.at(now_ms) {
            match kind {
                Kind::Loss { percent } => passes = passes * (100 - percent) / 100,
                Kind::Delay {
                    latency_ms: latency,
                    jitter_ms: jitter,
                } => (latency_ms, jitter_ms) = (latency_ms.max(*latency), jitter_ms.max(*jitter)),
                Kind::Deaf { from: other, to: one } if (*other, *one) == (from, to) => return None,
                Kind::Partition { group } if group.contains(&from) != group.contains(&to) => return None,
                _ => {}
            }
        }
        Some(Link {
            latency: Duration::from_millis(latency_ms),
            jitter: Duration::from_millis(jitter_ms),
            success_rate: Probability::new(passes, 100).expect("at most 100 of 100 pass"),
        })
    }

    /// How far the clock of `validator` is ahead at `now_ms`, in milliseconds.
    #[must_use]
    pub fn ahead_ms(&self, validator: usize, now_ms: u64) -> i64 {
        let there = self.faults.iter().filter(|fault| fault.is_there(now_ms));
        there
            .map(|fault| match &fault.kind {
                Kind::ClockStep {
                    validator: one,
                    ahead_ms,
                } if *one == validator => *ahead_ms,
                Kind::ClockDrift {
                    validator: one,
                    permille,
                } if *one == validator => {
                    let since_ms = i64::try_from(now_ms - fault.from_ms).unwrap_or(i64::MAX);
                    since_ms.saturating_mul(*permille) / 1_000
                }
                _ => 0,
            })
            .sum()
    }
}

/// How many of so many validators may be anything.
#[must_use]
pub const fn max_faulty(validators: usize) -> usize {
    (validators - 1) / 3
}

fn byzantine_kind(validator: usize, rng: &mut StdRng) -> Kind {
    match rng.random_range(0..6) {
        0 => Kind::Equivocator { validator },
        1 => Kind::Twins { validator },
        2 => Kind::Garbage { validator },
        3 => Kind::Stale { validator },
        4 => Kind::Withholder { validator },
        _ => Kind::Silent { validator },
    }
}

fn kind(validators: usize, honest: &[usize], rng: &mut StdRng) -> Kind {
    let validator = honest[rng.random_range(0..honest.len())];
    match rng.random_range(0..13) {
        0 => Kind::Loss {
            percent: rng.random_range(1..=40),
        },
        1 => Kind::Delay {
            latency_ms: rng.random_range(20..=600),
            jitter_ms: rng.random_range(0..=300),
        },
        2 => {
            let from = (validator + rng.random_range(1..validators)) % validators;
            Kind::Deaf { from, to: validator }
        }
        3 => {
            let mut all: Vec<usize> = (0..validators).collect();
            all.shuffle(rng);
            all.truncate(rng.random_range(1..=validators / 2));
            Kind::Partition { group: all }
        }
        4 => Kind::Crash { validator },
        5 => Kind::Outage,
        6 => Kind::Torn {
            validator,
            operations: rng.random_range(0..200),
        },
        7 => Kind::FailingDisk {
            validator,
            permille: rng.random_range(1..=100),
        },
        8 => Kind::FullDisk { validator },
        9 => Kind::NoDescriptors { validator },
        10 => Kind::SlowDisk {
            validator,
            delay_ms: rng.random_range(1..=100),
        },
        11 => Kind::ClockStep {
            validator,
            ahead_ms: rng.random_range(-3_600_000..=3_600_000),
        },
        _ => Kind::ClockDrift {
            validator,
            permille: rng.random_range(-200..=200),
        },
    }
}

#[cfg(test)]
mod tests;
