//! The boundary, the rewards and the fees (docs/protocol.md, sections 1 and 9).

use soma_routing::fixed::{LN_FRACTION_BITS, ln_q46};
use soma_types::{
    Epoch, Height, Shannons,
    objects::{
        AuditFinding, AuditOutcome, Challenge, ChallengeEnd, Difficulty, EpochRecord, EpochState, Submission,
        SubmissionStatus, SupplyBreakdown,
    },
    transaction::{PoolId, Verdict},
    upgrade::ProtocolVersion,
};

use super::{Economy, Now, goal_q16, money, part, shannons};
use crate::BlockInfo;

impl Economy {
    /// The epoch in progress, as the ledger shows it.
    pub fn epoch_state(&self) -> EpochState {
        let now = &self.now;
        EpochState {
            epoch: Epoch(now.epoch),
            first_height: Height(now.first_height),
            length_blocks: self.params.epoch_blocks,
            protocol_version: ProtocolVersion::FIRST,
            architecture: self.params.architecture,
            seed: now.seed,
            started_ms: now.started_ms,
            fee_multiplier_q16: u64::try_from(now.multiplier_q16).expect("at most 2^32"),
            rent_per_mib_epoch: shannons(now.rent_rate),
            audit_rate: self.params.audit_rate,
            auditors: self.params.auditors,
            unbonding_epochs: self.params.unbonding_epochs,
            bond_floor: shannons(now.bond_floor),
            challenge_seed: now.challenge_seed,
            difficulty: Difficulty {
                z_q16: now.z_q16,
                mean_hits_q16: now.mean_hits_q16,
                window: now.window as u32,
                window_hits: now.window_hits,
            },
            targets_opened: now.targets_opened,
            submissions_committed: now.committed,
            submissions_revealed: now.revealed,
            hits: now.hits,
            models: now.models,
            committee: self.seats().len() as u32,
            transactions: now.transactions,
            fees: shannons(now.fees),
            rent: shannons(now.rent),
            forfeits: shannons(now.forfeits),
        }
    }

    /// Where every shannon is, counted one by one.
    pub fn supply(&self) -> SupplyBreakdown {
        let epoch = self.now.epoch;
        let lots = |pending: bool| -> u128 {
            let pools = self.pools.values();
            pools
                .map(|pool| pool.added(|added| (added == epoch) == pending))
                .sum()
        };
        let reserved = self.closed.iter().map(|record| {
            let winners = money(record.reward_per_hit) * u128::from(record.state.hits);
            let gone = [
                record.paid_submitters,
                record.paid_models,
                record.paid_validators,
                record.returned,
            ];
            winners + money(record.validator_pot) - gone.into_iter().map(money).sum::<u128>()
        });
        SupplyBreakdown {
            balances: shannons(self.accounts.values().map(|account| account.balance).sum()),
            pools: shannons(self.pools.values().map(|pool| pool.worth).sum::<u128>() + lots(false)),
            pending: shannons(lots(true)),
            unbonding: shannons(self.unbonding.iter().map(|entry| entry.amount).sum()),
            bonds: shannons(
                self.submissions
                    .values()
                    .map(|one| money(one.bond) + one.challenge.map_or(0, |challenge| money(challenge.bond)))
                    .sum(),
            ),
            deposits: shannons(self.submissions.values().map(|one| money(one.deposit)).sum()),
            reward_pool: shannons(self.reward_pool),
            reserved: shannons(reserved.sum()),
            fees: shannons(self.now.fees),
            rent: shannons(self.now.rent),
            emission: shannons(self.emission_left),
            burned: shannons(self.burned),
        }
    }

    /// What an epoch emits: an even part, the remainder in the last.
    pub(super) fn emission(&self, epoch: u64) -> u128 {
        let epochs = u128::from(self.params.emission_epochs);
        let even = self.emission_total / epochs;
        match (u128::from(epoch) + 1).cmp(&epochs) {
            std::cmp::Ordering::Less => even,
            std::cmp::Ordering::Equal => self.emission_total - even * (epochs - 1),
            std::cmp::Ordering::Greater => 0,
        }
    }

    /// What each hit earns, even: of what the epoch adds all but the validators' part, and of the reserve as
    /// much as if it were to last for as many epochs as the emission.
    fn per_hit(&self, fresh: u128, reserve: u128, hits: u128) -> u128 {
        let targets = fresh - part(fresh, self.params.validator_share)
            + reserve / u128::from(self.params.emission_epochs);
        let per_hit = targets / hits.max(u128::from(self.params.hits_goal));
        per_hit - per_hit % 2
    }

    /// What makes a false claim a loss in an epoch that expects to add and to find this: the most that a hit
    /// can earn, times the chance not to be audited over the chance to be, times the margin; and not less
    /// than what it takes from others.
    pub(super) fn bond_floor(&self, fresh: u128, reserve: u128) -> u128 {
        // Choice: without a margin there is no floor.
        if self.params.bond_margin == 0 {
            return 0;
        }
        let audited = u128::from(self.params.audit_rate.get());
        let reward = self.per_hit(fresh, reserve, 0);
        let fair = (reward * (10_000 - audited)).div_ceil(audited);
        let floor = reward.max(fair * u128::from(self.params.bond_margin));
        // Choice: what no balance could hold is shown as the most that fits.
        floor.min(u128::from(u64::MAX))
    }

    /// z moves by half the logarithm of hits to goal, by at most a half, within [-4, 8].
    pub(super) fn end_window(&mut self) {
        let now = &mut self.now;
        // Choice: a window without models says nothing. The mean's new part is a quarter.
        if now.models > 0 {
            now.mean_hits_q16 = now.mean_hits_q16 - now.mean_hits_q16 / 4 + (now.window_hits << 16) / 4;
            let half = 1_u64 << 15;
            let ratio = ln_q46(now.mean_hits_q16 + half) - ln_q46(goal_q16(&self.params) + half);
            let step = (ratio >> (LN_FRACTION_BITS - 15)).clamp(-(1 << 15), 1 << 15);
            now.z_q16 = (now.z_q16 + step).clamp(-4 << 16, 8 << 16);
        }
        now.window_hits = 0;
    }

    /// Closes the epoch and opens the next with this block.
    pub(super) fn close_epoch(&mut self, block: &BlockInfo) {
        self.end_window();
        let state = self.epoch_state();

        // Fees: burned up to the target, the rest recycled, and the multiplier follows.
        let circulating: u128 = 10_000_000 * 1_000_000_000 - self.emission_left - self.burned;
        let yearly = part(circulating, self.params.burn_per_year) / u128::from(self.params.epochs_per_year);
        // Of what its hits' submitters earn, recycled fees aside, no more than a share, if the rules name
        // one.
        let hits = u128::from(self.now.hits);
        let earned = self.per_hit(self.emission(self.now.epoch), self.reward_pool, hits) / 2 * hits;
        let target = match self.params.fee_share_max.get() {
            0 => yearly,
            _ => yearly.min(part(earned, self.params.fee_share_max)),
        };
        let burned = self.now.fees.min(target);
        let recycled = self.now.fees - burned;
        self.burned += burned;
        let m = self.now.multiplier_q16;
        let (low, high) = (m - m / 8, m + m / 8);
        // Choice: without fees it rises; without a target only while blocks hold more than 256 transactions
        // each.
        let wanted = match target {
            0 if u128::from(state.transactions) > u128::from(state.length_blocks) * 256 => high,
            0 => 1 << 16,
            _ => (m * target).checked_div(self.now.fees).unwrap_or(high),
        };
        let multiplier_q16 = wanted.clamp(low, high).clamp(1 << 12, 1 << 32);

        // Rewards: validators share in what is fresh alone. What nobody earns is the next epoch's reserve.
        let emission = self.emission(self.now.epoch);
        self.emission_left -= emission;
        let (fresh, reserve) = (emission + recycled, self.reward_pool);
        let validators = part(fresh, self.params.validator_share);
        let hits = u128::from(self.now.hits);
        let per_hit = self.per_hit(fresh, reserve, hits);
        self.reward_pool = fresh + reserve - validators - per_hit * hits;
        self.closed.push(EpochRecord {
            state,
            emission: shannons(emission),
            burned: shannons(burned),
            recycled: shannons(recycled),
            reserve: shannons(reserve),
            reward_per_hit: shannons(per_hit),
            validator_pot: shannons(validators + self.now.rent),
            settled_hits: 0,
            audited: 0,
            heard: 0,
            found_false: 0,
            paid_submitters: Shannons(0),
            paid_models: Shannons(0),
            paid_validators: Shannons(0),
            returned: Shannons(0),
            settled: false,
        });

        // All that the old epoch decided went by its rules; from here on those of the new one are in force.
        let fees = (self.params.fee_base, self.params.fee_per_byte);
        self.activate_upgrades(self.now.epoch + 1);
        // Choice: new fees start at a multiplier of one.
        let same = fees == (self.params.fee_base, self.params.fee_per_byte);
        let multiplier_q16 = if same { multiplier_q16 } else { 1 << 16 };
        self.now = Now {
            epoch: self.now.epoch + 1,
            first_height: self.height,
            seed: block.seed,
            started_ms: block.timestamp_ms,
            multiplier_q16,
            rent_rate: self.now.rent_rate,
            bond_floor: self.bond_floor(self.emission(self.now.epoch + 1) + recycled, self.reward_pool),
            z_q16: self.now.z_q16,
            mean_hits_q16: self.now.mean_hits_q16,
            ..Now::default()
        };
        self.roll_models();
        self.seat_committee();
        self.tally_proposals();
        self.now.models = self.competing().len() as u64;
        self.open_targets(block);
    }

    /// Pays the next winner, seat, or remainder of the epoch before the last.
    pub(super) fn pay_next(&mut self) {
        let Some(mut record) = self.closed.get(self.paying).copied() else {
            return;
        };
        let epoch = record.state.epoch.0;
        if epoch + 2 > self.now.epoch {
            return;
        }
        if self.paid_winners < record.state.hits {
            self.settle_winner(&mut record, self.paid_winners);
            self.paid_winners += 1;
        } else if self.paid_seats < self.committees[&epoch].len() {
            self.pay_seat(&mut record, self.paid_seats);
            self.paid_seats += 1;
        } else {
            let left = money(record.validator_pot) - money(record.paid_validators);
            self.forfeit(left);
            record.returned = shannons(money(record.returned) + left);
            record.settled = true;
            (self.paid_winners, self.paid_seats) = (0, 0);
            self.paying += 1;
        }
        self.closed[epoch as usize] = record;
    }

    fn settle_winner(&mut self, record: &mut EpochRecord, index: u64) {
        let epoch = record.state.epoch;
        let submission = self
            .submissions
            .values()
            .find(|one| {
                let place = one.found.as_ref().and_then(|found| found.winner_index);
                place == Some(index) && self.targets[&one.target].epoch == epoch
            })
            .cloned()
            .expect("each hit has a winner");
        let audit = self.closed[epoch.0 as usize + 1].state;
        let outcome = self.conclude(&audit, submission.id);
        record.settled_hits += 1;
        record.audited += u64::from(outcome.is_some());
        let heard = |outcome: &AuditOutcome| outcome.hearing.is_some();
        record.heard += u64::from(outcome.as_ref().is_some_and(heard));
        let count = outcome.map(|outcome| outcome.hearing.unwrap_or(outcome.drawn));
        let finding = count.as_ref().and_then(|count| count.majority);
        let mut share = 0;
        let status = match finding.filter(|finding| finding.verdict != Verdict::Valid) {
            Some(finding) => {
                let finders = count.expect("it has a majority").agreed;
                let (bond, reward) = (submission.bond, record.reward_per_hit);
                // Half to those who found it: of that half to the challenger, if there is one, the rest to
                // the auditors in equal parts. The other half to the pool, rounding included.
                let mut half = money(bond) / 2;
                if let Some(challenge) = submission.challenge {
                    share = half / 2;
                    half -= share;
                    self.credit(challenge.challenger, share);
                }
                let each = half / finders.len() as u128;
                for finder in &finders {
                    self.credit(*finder, each);
                }
                self.forfeit(money(bond) - share - each * finders.len() as u128);
                self.forfeit(money(reward));
                record.found_false += 1;
                record.returned = shannons(money(record.returned) + money(reward));
                SubmissionStatus::FoundFalse {
                    verdict: finding.verdict,
                    bond,
                    reward,
                }
            }
            None => self.reward(record, &submission),
        };
        let challenge = submission
            .challenge
            .map(|challenge| self.end_challenge(challenge, &submission, finding, share));
        self.submissions.insert(
            submission.id,
            Submission {
                status,
                bond: Shannons(0),
                challenge,
                ..submission
            },
        );
    }

    /// A challenge of a winner with this finding; `share` is what it gets if
    /// that was false.
    fn end_challenge(
        &mut self,
        challenge: Challenge,
        winner: &Submission,
        finding: Option<AuditFinding>,
        share: u128,
    ) -> Challenge {
        let bond = challenge.bond;
        let (end, payee) = match finding.map(|finding| finding.verdict) {
            // Choice: without a majority nobody loses.
            None => (ChallengeEnd::Undecided, challenge.challenger),
            Some(Verdict::Valid) => (ChallengeEnd::Failed { bond }, winner.submitter),
            Some(_) => {
                let share = shannons(share);
                (ChallengeEnd::Upheld { share }, challenge.challenger)
            }
        };
        self.credit(payee, money(bond));
        Challenge {
            bond: Shannons(0),
            end: Some(end),
            ..challenge
        }
    }

    fn reward(&mut self, record: &mut EpochRecord, submission: &Submission) -> SubmissionStatus {
        let found = submission.found.as_ref().expect("a winner");
        let half = money(record.reward_per_hit) / 2;
        let commission = part(half, found.commission);
        let owner = self.models[&found.model].owner;
        self.credit(submission.submitter, money(submission.bond) + half);
        self.credit(owner, commission);
        self.reward_stakers(PoolId::Model(found.model), owner, half - commission);
        let model = self.models.get_mut(&found.model).expect("routed to");
        model.rewards_total += half;
        record.paid_submitters = shannons(money(record.paid_submitters) + half);
        record.paid_models = shannons(money(record.paid_models) + half);
        SubmissionStatus::Paid {
            submitter: shannons(half),
            owner: shannons(commission),
            pool: shannons(half - commission),
        }
    }

    /// By stake, times min(1, 2 * blocks proposed / expected), times the duty done in audits.
    fn pay_seat(&mut self, record: &mut EpochRecord, place: usize) {
        let epoch = record.state.epoch.0;
        let seats = self.committees[&epoch].clone();
        let seat = seats[place];
        let total: u128 = seats.iter().map(|seat| money(seat.stake)).sum();
        let duty = self
            .duties
            .get(&(epoch, seat.validator))
            .cloned()
            .unwrap_or_default();
        let mut amount = money(record.validator_pot) * money(seat.stake) / total;
        let blocks = u128::from(record.state.length_blocks);
        // Expected are blocks / seats.
        amount = amount * (2 * duty.blocks * seats.len() as u128).min(blocks) / blocks;
        // Without audits there is nothing to neglect.
        amount = (amount * duty.agreed).checked_div(duty.audits).unwrap_or(amount);
        let commission = part(amount, seat.commission);
        self.credit(seat.validator, commission);
        self.reward_stakers(
            PoolId::Validator(seat.validator),
            seat.validator,
            amount - commission,
        );
        record.paid_validators = shannons(money(record.paid_validators) + amount);
    }
}
