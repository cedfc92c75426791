//! Reports of weights that cannot be used (docs/protocol.md, section 5).
//!
//! Reports of this epoch and the last are counted together: weights may be seen to be unusable on both sides
//! of a boundary. Older ones are dropped at a boundary, so that a host's bad days do not add up. From the
//! report on that carries, the weights have no score: whoever claims on a target of theirs says so, so it is
//! not they who keep it closed.

use soma_types::{
    Address, ModelId, Rejection,
    event::Event,
    objects::{Inactivity, Report},
    transaction::{ModelFault, PoolId},
};

use crate::{
    error::Stop,
    ledger::Ledger,
    tables::{COMMITTEES, MODELS, POOLS, REVEALED_EMBEDDINGS},
};

impl Ledger<'_> {
    /// A committee member reports the newest revealed weights. Past two thirds of the committee's stake in
    /// this epoch and the last, the owner is slashed, the weights have no score any more, and the model
    /// retires at the next boundary.
    pub(crate) fn report_model(
        &mut self,
        sender: &Address,
        id: &ModelId,
        fault: ModelFault,
    ) -> Result<(), Stop> {
        let epoch = self.epoch();
        let committee = self.expect(&COMMITTEES, &epoch)?;
        if committee.seats.iter().all(|seat| seat.validator != *sender) {
            return Err(Rejection::NotInCommittee {}.into());
        }
        let mut model = self
            .get(&MODELS, id)?
            .ok_or(Rejection::NoSuchModel { model: *id })?;
        if !model.is_live() {
            return Err(Rejection::ModelRetired {}.into());
        }
        // Weights of a shape that the network has left cannot fit it, which is no fault.
        let network = self.hot.params.architecture;
        let newest = model.revealed.as_ref().or(model.weights.as_ref());
        let Some(weights) = newest.filter(|weights| weights.committed.architecture == network) else {
            return Err(Rejection::NothingToReport {}.into());
        };
        let sequence = weights.committed.sequence;
        let is_own = |report: &Report| report.validator == *sender;
        model
            .reports
            .retain(|report| report.sequence == sequence && report.epoch.next() >= epoch);
        if model
            .reports
            .iter()
            .any(|report| is_own(report) && report.epoch == epoch)
        {
            return Err(Rejection::AlreadyReported {}.into());
        }

        // From here on nothing is rejected.
        model.reports.retain(|report| !is_own(report));
        model.reports.push(Report {
            sequence,
            validator: *sender,
            epoch,
        });
        self.emit(Event::ModelReported {
            model: *id,
            validator: *sender,
            fault,
        });
        let (mut reported, mut total) = (0, 0);
        for seat in &committee.seats {
            let stake = u128::from(seat.stake.0);
            total += stake;
            if model
                .reports
                .iter()
                .any(|report| report.validator == seat.validator)
            {
                reported += stake;
            }
        }
        if 3 * reported > 2 * total {
            let pool_id = PoolId::Model(*id);
            let mut pool = self.expect(&POOLS, &pool_id)?;
            let share = self.hot.params.fault_slash;
            let slashed = self.slash_position(pool_id, &mut pool, &model.owner, share)?;
            self.set(&POOLS, &pool_id, &pool);
            model.retiring = Some(Inactivity::Faulted);
            model.revealed = None;
            model.faulted = Some(sequence);
            model.reports.clear();
            self.remove(&REVEALED_EMBEDDINGS, id);
            self.emit(Event::ModelFaulted { model: *id, slashed });
        }
        self.set(&MODELS, id, &model);
        Ok(())
    }
}
