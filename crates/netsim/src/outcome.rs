//! One simulation from its seed to what did not hold.

use std::panic::{AssertUnwindSafe, catch_unwind};

use commonware_runtime::{Runner as _, deterministic};
use serde::Serialize;

use crate::{
    findings::Findings,
    host::message,
    log::Log,
    property::{Broken, broken},
    quiet,
    scenario::Scenario,
    world::{Plants, World},
};

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// Properties that did not hold.
    pub broken: Vec<Broken>,
    /// Blocks that are final in the end.
    pub blocks: u64,
    /// The date of the last of them by its leader, in milliseconds; nothing if no storage could be read.
    pub last_date_ms: Option<u64>,
    /// How long what they hold is, of each in bytes.
    #[serde(skip)]
    pub sizes: Vec<usize>,
    /// Payments that were made.
    pub payments: usize,
    /// Simulated milliseconds from healing until all went on.
    pub recovery_ms: Option<u64>,
    /// A checksum of all that happened, in its order: the same for the same scenario.
    pub checksum: String,
    /// The last events of each validator.
    pub events: Vec<Vec<String>>,
}

/// Runs a scenario.
#[must_use]
pub fn run(scenario: &Scenario) -> Outcome {
    run_planted(scenario, &Plants::new())
}

/// Runs a scenario with ledgers that are broken on purpose.
#[must_use]
pub fn run_planted(scenario: &Scenario, plants: &Plants) -> Outcome {
    let log = Log::new(scenario.validators);
    let runner = deterministic::Runner::new(deterministic::Config::new().with_seed(scenario.seed));
    let lived = quiet::during(|| {
        catch_unwind(AssertUnwindSafe(|| {
            runner.start(|context| async {
                let auditor = context.auditor();
                let findings = World::new(context, scenario, plants, log.clone()).live().await;
                (findings, auditor.state())
            })
        }))
    });
    let (findings, checksum) = lived.unwrap_or_else(|panic| {
        let reason = format!("the simulation itself stopped: {}", message(panic.as_ref()));
        let findings = Findings {
            recovery: Some(Err(reason)),
            ..Findings::default()
        };
        (findings, String::new())
    });
    let stored = findings.stored.values().filter_map(|stored| stored.as_ref().ok());
    let longest = stored
        .map(|stored| &stored.blocks)
        .max_by_key(|blocks| blocks.len());
    Outcome {
        scenario: scenario.clone(),
        broken: broken(&findings),
        blocks: (0..scenario.validators)
            .map(|one| log.height(one))
            .max()
            .unwrap_or(0),
        last_date_ms: longest.and_then(|blocks| Some(blocks.last_key_value()?.1.timestamp_ms)),
        sizes: longest.map_or_else(Vec::new, |blocks| {
            blocks.values().map(|block| block.bytes).collect()
        }),
        payments: findings.payments.len(),
        recovery_ms: findings.recovery.and_then(Result::ok),
        checksum,
        events: log.events(),
    }
}
