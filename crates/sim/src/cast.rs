//! Who takes part in a world at its start, and under which rules.

use soma_types::{Shannons, params::Params};

use crate::{chain::Actor, participants::Rule};

/// How many payments households want to make.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// Payments in an epoch while a payment's fee is `reference`.
    pub payments: f64,
    /// The fee that goes with it.
    pub reference: Shannons,
    /// Percent of payments lost with each percent of fee.
    pub elasticity: f64,
}

impl Demand {
    /// Payments wanted in an epoch at this fee.
    pub(crate) fn at(&self, fee: Shannons) -> f64 {
        let relative = fee.0.max(1) as f64 / self.reference.0 as f64;
        self.payments * relative.powf(-self.elasticity)
    }
}

/// Who takes part at the start, and under which rules.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Fixes every draw.
    pub seed: u64,
    /// The ledger's parameters.
    pub params: Params,
    /// Validators, all diligent.
    pub validators: u64,
    /// Stake of each.
    pub validator_stake: Shannons,
    /// Trainers, all there from the start.
    pub trainers: u64,
    /// Stake of each.
    pub trainer_stake: Shannons,
    /// Epochs from one new trainer to the next; 0: none come.
    pub newcomer_every: u64,
    /// Submitters, all honest.
    pub submitters: u64,
    /// What each works with: bonds, deposits, fees.
    pub submitter_funds: Shannons,
    /// Documents that each scores in a block.
    pub documents: f64,
    /// The threshold they hold themselves to.
    pub rule: Rule,
    /// Those who hold money and stake it.
    pub households: u64,
    /// What they pay each other.
    pub demand: Demand,
    /// Others who have money at the start.
    pub guests: Vec<(Actor, Shannons)>,
}
