//! Rewards (PROTOCOL.md, section 9).
//!
//! When epoch E closes, its pool is split: what each hit earns is fixed and reserved, and so is the
//! validators' pot; the rest rolls over. In E + 2, a bounded number per block and in this order, each
//! of E's winners is settled with the outcome of its audit and each seat of E's committee is paid. Nobody has to claim.
//!
//! A seat earns its share of the pot by stake, times min(1, 2 * blocks proposed / expected), times the
//! share of its audits *in* E in which it agreed with the majority. What it does not earn returns.

use soma_types::{
    Shannons,
    event::Event,
    objects::{AuditOutcome, EpochRecord, Seat, Submission, SubmissionStatus},
    params::Params,
    transaction::{BasisPoints, PoolId, Verdict},
};

use crate::{
    bank::{Bucket, Ledger},
    error::{Broken, OrBroken, Stop},
    fixed::mul_div,
    tables::{AUDIT_OUTCOMES, COMMITTEES, DUTIES, EPOCHS, MODELS, SUBMISSIONS, WINNER_AT},
};

/// What each of `hits` earns from an epoch's pool; with none, the most that one can earn. Even, so that
/// submitter and model get the same.
pub(crate) fn reward_per_hit(params: &Params, pool: Shannons, hits: u64) -> Shannons {
    let targets = pool.saturating_sub(params.validator_share.of(pool));
    Shannons(targets.0 / hits.max(params.hits_goal) / 2 * 2)
}

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
    /// Splits the closing epoch's pool and archives it. `burned` and `recycled` are its fees.
    pub(crate) fn close_rewards(&mut self, burned: Shannons, recycled: Shannons) -> Result<(), Stop> {
        let state = self.hot.now;
        let params = self.hot.params.clone();
        let emission = self.hot.network.emission.emission(state.epoch);
        self.shift(Bucket::Emission, Bucket::RewardPool, emission)?;
        self.shift(Bucket::Rent, Bucket::Reserved, state.rent)?;

        let pool = self.hot.supply.reward_pool;
        let validators = params.validator_share.of(pool);
        let reward_per_hit = reward_per_hit(&params, pool, state.hits);
        let winners = reward_per_hit
            .mul_div(state.hits, 1)
            .or_broken("rewards overflowed")?;
        self.shift(Bucket::RewardPool, Bucket::Reserved, winners)?;
        self.shift(Bucket::RewardPool, Bucket::Reserved, validators)?;
        let record = EpochRecord {
            state,
            emission,
            burned,
            recycled,
            pool,
            reward_per_hit,
            validator_pot: validators
                .checked_add(state.rent)
                .or_broken("the validators' pot overflowed")?,
            settled_hits: 0,
            audited: 0,
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
        submission.status = match &outcome {
            Some(AuditOutcome {
                majority: Some(finding),
                agreed,
                ..
            }) if finding.verdict != Verdict::Valid => {
                self.punish(record, &submission, finding.verdict, agreed)?
            }
            _ => self.reward(record, &submission)?,
        };
        self.end_challenge(&mut submission, outcome.as_ref())?;
        submission.bond = Shannons::ZERO;
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
        let duty = self
            .get(&DUTIES, &(record.state.epoch, seat.validator))?
            .unwrap_or_default();
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
