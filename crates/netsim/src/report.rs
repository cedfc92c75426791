//! Many simulations: which fault was in how many of them, and what did not hold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::outcome::Outcome;

/// A row of the matrix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The fault.
    pub fault: String,
    /// Seeds in which it was.
    pub seeds: u64,
    /// Those of them in which something did not hold.
    pub failed: u64,
    /// The longest time from healing until all went on, in simulated milliseconds.
    pub slowest_recovery_ms: u64,
}

/// What came of many seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Members of each committee.
    pub validators: usize,
    /// The first seed.
    pub from: u64,
    /// How many, one after another.
    pub seeds: u64,
    /// Blocks that became final in all.
    pub blocks: u64,
    /// Payments that were made in all.
    pub payments: u64,
    /// By fault, in the order of their names.
    pub faults: Vec<Row>,
    /// Seeds in which something did not hold.
    pub failures: Vec<Outcome>,
}

impl Report {
    /// Nothing has been run.
    #[must_use]
    pub fn new(validators: usize, from: u64) -> Self {
        Self {
            validators,
            from,
            ..Self::default()
        }
    }

    /// One more seed.
    pub fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.blocks += outcome.blocks;
        self.payments += outcome.payments as u64;
        let mut rows: BTreeMap<String, Row> = std::mem::take(&mut self.faults)
            .into_iter()
            .map(|row| (row.fault.clone(), row))
            .collect();
        let names: BTreeSet<&str> = outcome
            .scenario
            .faults
            .iter()
            .map(|fault| fault.kind.name())
            .collect();
        for name in names {
            let row = rows.entry(name.to_owned()).or_insert_with(|| Row {
                fault: name.to_owned(),
                ..Row::default()
            });
            row.seeds += 1;
            row.failed += u64::from(!outcome.broken.is_empty());
            row.slowest_recovery_ms = row.slowest_recovery_ms.max(outcome.recovery_ms.unwrap_or(0));
        }
        self.faults = rows.into_values().collect();
        if !outcome.broken.is_empty() {
            self.failures.push(outcome);
        }
    }
}
