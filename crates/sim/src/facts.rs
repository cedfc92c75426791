//! What happened in an epoch, as far as statistics need it.

use std::collections::BTreeMap;

use soma_types::{
    Address, ModelId, Receipt, Rejection, Shannons, SubmissionId,
    event::Event,
    objects::{EpochState, SubmissionStatus, SupplyBreakdown},
    receipt::Outcome,
    transaction::PoolId,
};

use crate::{board::Board, chain::Chain, error::SimError};

/// What happened in an epoch.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The epoch at its end.
    pub state: EpochState,
    /// Where every shannon was at its end.
    pub supply: SupplyBreakdown,
    /// The stake that counted in each model's pool, in SOMA.
    pub stakes: BTreeMap<ModelId, f64>,
    /// What was counted block by block.
    pub tally: Tally,
}

/// What is counted block by block.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// For each model the targets routed to it.
    pub routed: BTreeMap<ModelId, u64>,
    /// For each model its hits.
    pub won: BTreeMap<ModelId, u64>,
    /// How submissions ended: those of the epoch, and those of an earlier one that were settled.
    pub ended: Vec<(SubmissionId, SubmissionStatus)>,
    /// Commits of those who are watched.
    pub commits: BTreeMap<SubmissionId, Address>,
    /// Fees by who paid them.
    pub spent: BTreeMap<Address, Shannons>,
    /// Fees by the name of what they were paid for.
    pub fees: BTreeMap<&'static str, Shannons>,
    /// Why transactions failed or were refused.
    pub rejections: BTreeMap<&'static str, u64>,
    /// What began to unbond less what was released, by whose it is, in shannons.
    pub unbonding: BTreeMap<Address, i64>,
    /// What validators were paid, for an earlier epoch.
    pub validators_paid: BTreeMap<Address, Shannons>,
}

impl Tally {
    /// Counts a block: its events, and the receipts of transactions with these names.
    pub(crate) fn count(
        &mut self,
        events: &[Event],
        names: &[&'static str],
        receipts: &[Result<Receipt, Rejection>],
    ) {
        for event in events {
            self.count_event(event);
        }
        for (name, receipt) in names.iter().zip(receipts) {
            let rejection = match receipt {
                Ok(receipt) => {
                    self.fees.entry(name).or_default().0 += receipt.fee.0;
                    self.spent.entry(receipt.sender).or_default().0 += receipt.fee.0;
                    for event in &receipt.events {
                        self.count_event(event);
                    }
                    match &receipt.outcome {
                        Outcome::Applied { .. } => continue,
                        Outcome::Failed { rejection } => rejection,
                    }
                }
                Err(rejection) => rejection,
            };
            *self.rejections.entry(rejection.name()).or_default() += 1;
        }
    }

    fn count_event(&mut self, event: &Event) {
        match event {
            Event::TargetOpened { models, .. } => {
                for model in models {
                    *self.routed.entry(*model).or_default() += 1;
                }
            }
            Event::TargetFilled { model, .. } => *self.won.entry(*model).or_default() += 1,
            Event::SubmissionEnded { submission, status } => self.ended.push((*submission, *status)),
            Event::StakeWithdrawn {
                staker, unbonding, ..
            } => *self.unbonding.entry(*staker).or_default() += unbonding.0 as i64,
            Event::Unbonded { staker, amount } => {
                *self.unbonding.entry(*staker).or_default() -= amount.0 as i64;
            }
            Event::ValidatorPaid {
                validator, amount, ..
            } => {
                self.validators_paid.entry(*validator).or_default().0 += amount.0;
            }
            _ => {}
        }
    }

    /// Closes the epoch in progress.
    pub(crate) fn close(self, chain: &mut Chain, board: &Board) -> Result<Facts, SimError> {
        let stakes = board.pools.iter().filter_map(|pool| match pool.id {
            PoolId::Model(model) => Some((model, pool.stake)),
            PoolId::Validator(_) => None,
        });
        Ok(Facts {
            state: chain.epoch()?,
            supply: chain.supply()?,
            stakes: stakes.collect(),
            tally: self,
        })
    }
}
