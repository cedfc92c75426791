//! Rewards (docs/protocol.md, section 9).
//!
//! When epoch E closes, what it pays is fixed and reserved ([`Split`]). *Fresh* is what E itself adds: its
//! emission and recycled fees. The *reserve* is all else in the reward pool: what earlier epochs did not pay,
//! and what anyone forfeited. Validators share a part of what is fresh; hits share the rest of it and an even
//! part of the reserve, spread over as many epochs as the emission. So missing hits make nobody richer:
//! validators earn the same, a later hit next to nothing more, and who judges has no part in what is
//! forfeited but the finders' of a bond. What is not earned joins the reserve, which goes on paying when
//! nothing is emitted any more.
//!
//! In E + 2, a bounded number per block and in this order, each of E's winners is settled with the outcome of
//! its audit and each seat of E's committee is paid. Nobody has to claim. With the settlement goes what only
//! the audit needed: the winner's embedding and the votes.
//!
//! A seat earns its share of the pot by stake, times min(1, 2 * blocks proposed / expected), times the
//! share of its audits *in* E in which it agreed with the majority. What it does not earn returns.

use soma_routing::fixed::mul_div;
use soma_types::{
    Shannons,
    event::Event,
    objects::{AuditOutcome, EpochRecord, Seat, Submission, SubmissionStatus},
    transaction::{BasisPoints, PoolId, Verdict},
};

use crate::{
    error::{Broken, OrBroken, Stop},
    ledger::Ledger,
    money::{bank::Bucket, split::Split},
    tables::{
        AUDIT_OUTCOMES, COMMITTEES, DUTIES, EPOCHS, MODELS, SUBMISSION_EMBEDDINGS, SUBMISSIONS, WINNER_AT,
    },
};

/// What a hit's model earns: its owner's commission, and its pool's part.
fn model_parts(reward_per_hit: Shannons, commission: BasisPoints) -> (Shannons, Shannons) {
    let half = Shannons(reward_per_hit.0 / 2);
    let owner = commission.of(half);
    (owner, half.saturating_sub(owner))
}

/// What a seat earns for its blocks, before its audits are counted.
fn seat_reward(
    record: &EpochRecord,
    seat: &Seat,
    stake: u128,
    blocks_proposed: u64,
) -> Result<Shannons, Broken> {
    let share = mul_div(
        u128::from(record.validator_pot.0),
        u128::from(seat.stake.0),
        stake,
    )
    .or_broken("a committee without stake")?;
    let blocks = u128::from(record.state.length_blocks);
    let counted = (2 * u128::from(blocks_proposed) * u128::from(record.state.committee)).min(blocks);
    let reward = mul_div(share, counted, blocks).or_broken("an epoch without blocks")?;
    Ok(Shannons(
        u64::try_from(reward)
            .ok()
            .or_broken("a seat's reward overflowed")?,
    ))
}

impl Ledger<'_> {
    /// Splits the closing epoch's rewards and archives it. `burned` and `recycled` are its fees.
    pub(crate) fn close_rewards(&mut self, burned: Shannons, recycled: Shannons) -> Result<(), Stop> {
        let state = self.hot.now;
        let params = self.hot.params.clone();
        let emission = self.hot.network.emission.emission(state.epoch);
        self.shift(Bucket::Emission, Bucket::RewardPool, emission)?;
        self.shift(Bucket::Rent, Bucket::Reserved, state.rent)?;

        let fresh = emission.checked_add(recycled).or_broken("rewards overflowed")?;
        let reserve = self.hot.supply.reward_pool.checked_sub(fresh);
        let reserve = reserve.or_broken("a reserve below zero")?;
        let Split { validators, per_hit } = Split::new(&params, fresh, reserve, state.hits);
        let winners = per_hit.mul_div(state.hits, 1).or_broken("rewards overflowed")?;
        self.shift(Bucket::RewardPool, Bucket::Reserved, winners)?;
        self.shift(Bucket::RewardPool, Bucket::Reserved, validators)?;
        let record = EpochRecord {
            state,
            emission,
            burned,
            recycled,
            reserve,
            reward_per_hit: per_hit,
            validator_pot: validators
                .checked_add(state.rent)
                .or_broken("the validators' pot overflowed")?,
            settled_hits: 0,
            audited: 0,
            heard: 0,
            found_false: 0,
            paid_submitters: Shannons::ZERO,
            paid_models: Shannons::ZERO,
            paid_validators: Shannons::ZERO,
            returned: Shannons::ZERO,
            settled: false,
        };
        self.set(&EPOCHS, &state.epoch, &record);
        Ok(())
    }

    /// Settles one winner or pays one seat of the epoch whose turn it is. False when nothing is due.
    pub(crate) fn pay_next(&mut self) -> Result<bool, Stop> {
        let epoch = self.hot.counters.payout_epoch;
        if epoch.plus(2) > self.epoch() {
            return Ok(false);
        }
        let mut record = self.expect(&EPOCHS, &epoch)?;
        if self.hot.counters.payout_winner < record.state.hits {
            self.settle_winner(&mut record, self.hot.counters.payout_winner)?;
            self.hot.counters.payout_winner += 1;
        } else {
            let committee = self.expect(&COMMITTEES, &epoch)?;
            let place = self.hot.counters.payout_seat as usize;
            if let Some(seat) = committee.seats.get(place) {
                let stake = committee.seats.iter().map(|seat| u128::from(seat.stake.0)).sum();
                self.pay_seat(&mut record, seat, stake)?;
                self.hot.counters.payout_seat += 1;
            } else {
                self.finish_payout(&mut record)?;
            }
        }
        self.set(&EPOCHS, &epoch, &record);
        Ok(true)
    }

    fn settle_winner(&mut self, record: &mut EpochRecord, index: u64) -> Result<(), Stop> {
        let epoch = record.state.epoch;
        let id = self.expect(&WINNER_AT, &(epoch, index))?;
        let mut submission = self.expect(&SUBMISSIONS, &id)?;
        let audit = self.audit_epoch(epoch)?;
        let outcome = self.conclude_audit(&audit, &submission)?;
        record.settled_hits += 1;
        record.audited += u64::from(outcome.is_some());
        let heard = |outcome: &AuditOutcome| outcome.hearing.is_some();
        record.heard += u64::from(outcome.as_ref().is_some_and(heard));
        submission.status = match outcome.as_ref().and_then(AuditOutcome::conviction) {
            Some((verdict, finders)) => self.punish(record, &submission, verdict, finders)?,
            None => self.reward(record, &submission)?,
        };
        self.end_challenge(&mut submission, outcome.as_ref())?;
        submission.bond = Shannons::ZERO;
        self.remove(&SUBMISSION_EMBEDDINGS, &id);
        if let Some(outcome) = outcome {
            self.set(&AUDIT_OUTCOMES, &id, &outcome);
        }
        self.set(&SUBMISSIONS, &id, &submission);
        self.emit(Event::SubmissionEnded {
            submission: id,
            status: submission.status,
        });
        Ok(())
    }

    /// A winner that stands: submitter, owner and pool are paid.
    fn reward(
        &mut self,
        record: &mut EpochRecord,
        submission: &Submission,
    ) -> Result<SubmissionStatus, Stop> {
        let found = submission
            .found
            .as_ref()
            .or_broken("a winner that was not revealed")?;
        let half = Shannons(record.reward_per_hit.0 / 2);
        let (owner, pool) = model_parts(record.reward_per_hit, found.commission);
        let mut model = self.expect(&MODELS, &found.model)?;
        self.credit(&submission.submitter, submission.bond, Bucket::Bonds)?;
        self.credit(&submission.submitter, half, Bucket::Reserved)?;
        self.credit(&model.owner, owner, Bucket::Reserved)?;
        self.pay_pool(PoolId::Model(model.id), &model.owner, pool)?;
        model.rewards_total = model
            .rewards_total
            .checked_add(half)
            .or_broken("a model's rewards overflowed")?;
        self.set(&MODELS, &found.model, &model);
        record.paid_submitters = record
            .paid_submitters
            .checked_add(half)
            .or_broken("paid rewards overflowed")?;
        record.paid_models = record
            .paid_models
            .checked_add(half)
            .or_broken("paid rewards overflowed")?;
        Ok(SubmissionStatus::Paid {
            submitter: half,
            owner,
            pool,
        })
    }

    /// A winner found false: its bond is split, its reward returns.
    fn punish(
        &mut self,
        record: &mut EpochRecord,
        submission: &Submission,
        verdict: Verdict,
        agreed: &[soma_types::Address],
    ) -> Result<SubmissionStatus, Stop> {
        self.split_bond(submission, agreed)?;
        self.forfeit(record.reward_per_hit, Bucket::Reserved)?;
        record.found_false += 1;
        record.returned = record
            .returned
            .checked_add(record.reward_per_hit)
            .or_broken("returned rewards overflowed")?;
        Ok(SubmissionStatus::FoundFalse {
            verdict,
            bond: submission.bond,
            reward: record.reward_per_hit,
        })
    }

    fn pay_seat(&mut self, record: &mut EpochRecord, seat: &Seat, stake: u128) -> Result<(), Stop> {
        let key = (record.state.epoch, seat.validator);
        let duty = self.get(&DUTIES, &key)?.unwrap_or_default();
        self.remove(&DUTIES, &key);
        let full = seat_reward(record, seat, stake, duty.blocks_proposed)?;
        let amount = match duty.audits_assigned {
            0 => full,
            assigned => full
                .mul_div(duty.audits_done, assigned)
                .or_broken("a seat's reward overflowed")?,
        };
        let owner = seat.commission.of(amount);
        let pool = amount.saturating_sub(owner);
        self.credit(&seat.validator, owner, Bucket::Reserved)?;
        self.pay_pool(PoolId::Validator(seat.validator), &seat.validator, pool)?;
        record.paid_validators = record
            .paid_validators
            .checked_add(amount)
            .or_broken("paid rewards overflowed")?;
        let forfeited = full.saturating_sub(amount);
        self.emit(Event::ValidatorPaid {
            validator: seat.validator,
            epoch: record.state.epoch,
            amount,
            forfeited,
        });
        Ok(())
    }

    /// Everyone of the epoch is paid: what validators did not earn returns, and the next epoch's turn
    /// comes.
    fn finish_payout(&mut self, record: &mut EpochRecord) -> Result<(), Stop> {
        let left = record
            .validator_pot
            .checked_sub(record.paid_validators)
            .or_broken("validators overpaid")?;
        self.forfeit(left, Bucket::Reserved)?;
        record.returned = record
            .returned
            .checked_add(left)
            .or_broken("returned rewards overflowed")?;
        record.settled = true;
        let counters = &mut self.hot.counters;
        (counters.payout_winner, counters.payout_seat) = (0, 0);
        counters.payout_epoch = counters.payout_epoch.next();
        self.emit(Event::EpochSettled {
            epoch: record.state.epoch,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use soma_types::{amount::MAX_SUPPLY, params::Params};

    use super::*;

    prop_compose! {
        /// Parameters, and a supply of which a part is fresh and a part reserve.
        fn epochs()(
            goal in prop_oneof![1_u64..300, 1_u64..1 << 32],
            share in 0_u16..=10_000,
            epochs in prop_oneof![Just(1), 1_u64..5_000],
            fresh in 0..=MAX_SUPPLY.0,
            part in 0_u64..=1_000,
        ) -> (Params, Shannons, Shannons) {
            let params = Params {
                hits_goal: goal,
                validator_share: BasisPoints::new(share).unwrap(),
                emission_epochs: epochs,
                ..Params::std()
            };
            (params, Shannons(fresh), Shannons((MAX_SUPPLY.0 - fresh) / 1_000 * part))
        }
    }

    proptest! {
        #[test]
        fn no_more_is_paid_than_there_is((params, fresh, reserve) in epochs(), hits in 0_u64..1 << 33) {
            let split = Split::new(&params, fresh, reserve, hits);
            let paid = u128::from(split.validators.0) + u128::from(split.per_hit.0) * u128::from(hits);
            prop_assert!(paid <= u128::from(fresh.0) + u128::from(reserve.0));
            prop_assert!(split.validators <= fresh);
            prop_assert_eq!(split.per_hit.0 % 2, 0);
        }

        /// Hits that are missing make neither the others nor validators richer, in their epoch; and hits
        /// beyond the goal take together what the goal's would.
        #[test]
        fn missing_hits_pay_nobody((params, fresh, reserve) in epochs(), part in 0_u64..=1_000) {
            let goal = params.hits_goal;
            let split = |hits: u64| Split::new(&params, fresh, reserve, hits);
            let (full, short) = (split(goal), split(goal * part / 1_000));
            prop_assert_eq!(short.per_hit, full.per_hit);
            prop_assert_eq!(short.validators, full.validators);
            let over = split(goal + goal * part / 1_000 + 1);
            prop_assert!(over.per_hit <= full.per_hit);
            prop_assert_eq!(over.validators, full.validators);
        }

        /// Nor later ones: of what an epoch did not pay, a later hit has at most the emission's epochs' part
        /// of its goal's part.
        #[test]
        fn an_unpaid_epoch_is_paid_over_all_of_them((params, fresh, reserve) in epochs()) {
            let left = fresh.saturating_sub(params.validator_share.of(fresh));
            let more = Shannons((reserve.0 + left.0).min(MAX_SUPPLY.0));
            let later = |reserve| Split::new(&params, fresh, reserve, 0).per_hit.0;
            let rise = later(more) - later(reserve);
            // Rounding aside: down to even, twice.
            prop_assert!(rise <= left.0 / params.emission_epochs / params.hits_goal + 3);
        }
    }
}
