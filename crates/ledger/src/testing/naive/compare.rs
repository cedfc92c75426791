//! Where the economy and the ledger must agree, shannon by shannon.

use soma_types::{
    Epoch, Height, Receipt, VerifiedTransaction,
    objects::{Committee, EpochRecord},
    transaction::PoolId,
};

use super::{Economy, rate_at, shannons};
use crate::{MemoryState, view};

/// Epochs back from the current one in which something can still change.
const LIVE_EPOCHS: u64 = 3;

impl Economy {
    /// Includes a transaction that the ledger included, with the same result.
    pub fn includes(&mut self, transaction: &VerifiedTransaction, receipt: &Receipt) {
        let kind = transaction.transaction().kind.name();
        let ours = self.apply(transaction);
        let theirs = Ok((u128::from(receipt.fee.0), receipt.outcome.clone()));
        assert_eq!(theirs, ours, "{kind}");
    }

    /// Compares everything that can have changed in the last block.
    pub fn agrees(&self, state: &mut MemoryState) {
        let now = self.now.epoch;
        assert_eq!(view::epoch(state).unwrap().unwrap(), self.epoch_state(), "epoch");
        for (address, account) in &self.accounts {
            let theirs = view::account(state, *address).unwrap();
            assert_eq!(
                (theirs.balance, theirs.nonce),
                (shannons(account.balance), account.nonce),
                "{address}"
            );
        }
        self.agrees_on_pools(state);
        self.agrees_on_models(state);
        let live = |epoch: u64| epoch + LIVE_EPOCHS >= now;
        for target in self.targets.values().filter(|target| live(target.epoch.0)) {
            assert_eq!(view::target(state, target.id).unwrap().as_ref(), Some(target));
        }
        for submission in self.submissions.values() {
            if live(self.targets[&submission.target].epoch.0) {
                let theirs = view::submission(state, submission.id).unwrap();
                assert_eq!(theirs.as_ref(), Some(submission));
                let theirs = view::audit_outcome(state, submission.id).unwrap();
                assert_eq!(theirs.as_ref(), self.outcomes.get(&submission.id));
            }
        }
        for (hash, holder) in &self.claims {
            let theirs = view::data_claim(state, *hash).unwrap();
            assert_eq!(theirs.map(|claim| claim.submission), Some(*holder), "claim");
        }
        for record in self.closed.iter().filter(|record| live(record.state.epoch.0)) {
            let theirs: Option<EpochRecord> = view::epoch_record(state, record.state.epoch).unwrap();
            assert_eq!(theirs.as_ref(), Some(record), "record");
        }
        let seats = self.seats().to_vec();
        let theirs = view::committee(state, Epoch(now)).unwrap();
        assert_eq!(theirs, Some(Committee { seats }), "committee");
        assert_eq!(
            view::params(state).unwrap().as_ref(),
            Some(&self.params),
            "parameters"
        );
        for proposal in &self.proposals {
            let theirs = view::proposal(state, proposal.index).unwrap();
            assert_eq!(theirs.as_ref(), Some(proposal));
        }
        let counters = view::counters(state).unwrap().unwrap();
        assert_eq!(counters.height, Height(self.height));
        assert_eq!(counters.sequence, self.sequence, "sequence");
        // Last: what is not where it should be shows above.
        assert_eq!(view::supply(state).unwrap().unwrap(), self.supply(), "supply");
    }

    fn agrees_on_pools(&self, state: &mut MemoryState) {
        let now = self.now.epoch;
        for (id, pool) in &self.pools {
            let theirs = view::pool(state, *id).unwrap().expect("a pool");
            let added = |age: u64| now.checked_sub(age).map_or(0, |epoch| pool.added_in(epoch));
            assert_eq!(
                (
                    theirs.stake,
                    theirs.shares.0,
                    theirs.pending,
                    theirs.young,
                    theirs.maturing
                ),
                (
                    shannons(pool.worth),
                    pool.issued,
                    shannons(added(0)),
                    shannons(added(1)),
                    shannons(added(2))
                ),
                "{id}"
            );
            // What counts of a pool that nobody competes or votes with is not kept up.
            let counts = match id {
                PoolId::Validator(address) => self.validators[address].listed,
                PoolId::Model(model) => self.models[model].is_live(),
            };
            if counts {
                assert_eq!(theirs.counted, shannons(pool.counted), "{id} counts");
            }
            let owners = pool.shares.keys().chain(pool.lots.iter().map(|lot| &lot.owner));
            for owner in owners {
                let (shares, counting, pending) = pool.holding(owner, now);
                let theirs = view::stake(state, *id, *owner).unwrap();
                assert_eq!(
                    (theirs.shares.0, theirs.counting, theirs.pending),
                    (shares, shannons(counting), shannons(pending)),
                    "{owner} in {id}"
                );
            }
        }
    }

    fn agrees_on_models(&self, state: &mut MemoryState) {
        let now = self.now.epoch;
        for (address, validator) in &self.validators {
            let theirs = view::validator(state, *address).unwrap().expect("a validator");
            assert_eq!(
                (
                    theirs.network_key,
                    theirs.leaving,
                    theirs.index != u64::MAX,
                    theirs.barred
                ),
                (
                    validator.network_key,
                    validator.leaving,
                    validator.listed,
                    validator.barred
                )
            );
            assert_eq!(theirs.rent_vote, validator.rent_vote.map(shannons));
            for epoch in [now, now + 1] {
                let ours = rate_at(&validator.commission, epoch);
                assert_eq!(theirs.commission.at(Epoch(epoch)), ours, "{address} in {epoch}");
            }
        }
        for (id, model) in &self.models {
            let theirs = view::model(state, *id).unwrap().expect("a model");
            assert_eq!(
                (theirs.owner, theirs.status, theirs.retiring, theirs.committed),
                (model.owner, model.status, model.retiring, model.committed.clone()),
                "{id}"
            );
            assert_eq!(theirs.faulted, model.faulted, "{id}");
            let weights = model.weights.as_ref().map(|(weights, _)| weights.clone());
            let revealed = model.revealed.as_ref().map(|(weights, _)| weights.clone());
            assert_eq!(
                (theirs.weights, theirs.revealed, theirs.previous),
                (weights, revealed, model.previous.clone()),
                "{id}"
            );
            assert_eq!(
                (theirs.hits, theirs.hits_total, theirs.rewards_total),
                (model.hits, model.hits_total, shannons(model.rewards_total)),
                "{id}"
            );
            for epoch in [now, now + 1] {
                let ours = rate_at(&model.commission, epoch);
                assert_eq!(theirs.commission.at(Epoch(epoch)), ours, "{id} in {epoch}");
            }
        }
    }
}
