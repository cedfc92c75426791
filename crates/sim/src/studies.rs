//! One file per question put to the ledger.

pub mod capital;
pub mod cheating;
pub mod decade;
pub mod difficulty;
pub mod dodging;
pub mod newcomer;
pub mod whale;

use soma_types::Shannons;

use crate::{
    cast::{Cast, Demand},
    participants::Rule,
    scale::{params, soma},
};

/// What a study tells while it runs: called once an epoch.
pub type Tick<'a> = &'a mut dyn FnMut(&'static str);

/// The network that studies start from: a supply of about a tenth of the maximum, spread over a few hundred.
#[must_use]
pub fn cast(seed: u64) -> Cast {
    Cast {
        seed,
        params: params(),
        validators: 25,
        validator_stake: soma(10_000),
        trainers: 24,
        trainer_stake: soma(1_000),
        newcomer_every: 0,
        submitters: 40,
        submitter_funds: soma(5_000),
        documents: 0.25,
        rule: Rule::Relaxing,
        households: 60,
        demand: Demand {
            payments: 300.0,
            // A payment's fee at a multiplier of 16.
            reference: Shannons(70_000_000),
            elasticity: 0.5,
        },
        guests: Vec::new(),
    }
}
