//! Validators and the committee (docs/protocol.md, section 4).

use std::cmp::Reverse;

use soma_types::{
    Address, PublicKey, Rejection, Signature,
    objects::Seat,
    transaction::{BasisPoints, PoolId, VALIDATOR_KEY_NAMESPACE, validator_key_message},
};

use super::{Economy, Validator, money, rate_at, set_rate, shannons};

impl Economy {
    pub(super) fn register_validator(
        &mut self,
        sender: Address,
        network_key: PublicKey,
        proof: &Signature,
        commission: BasisPoints,
        stake: u128,
    ) -> Result<(), Rejection> {
        if stake < money(self.params.validator_stake_min) {
            return Err(Rejection::StakeTooSmall {
                amount: shannons(stake),
                minimum: self.params.validator_stake_min,
            });
        }
        if self.validators.get(&sender).is_some_and(|known| known.listed) {
            return Err(Rejection::AlreadyValidator {});
        }
        let mut listed = self.validators.values().filter(|known| known.listed);
        if listed.any(|known| known.network_key == network_key) {
            return Err(Rejection::NetworkKeyTaken {});
        }
        let message = validator_key_message(&self.chain, &sender);
        if !network_key.verify(VALIDATOR_KEY_NAMESPACE, &message, proof) {
            return Err(Rejection::BadKeyProof {});
        }
        if self.validators.get(&sender).is_some_and(|known| known.barred) {
            return Err(Rejection::Barred {});
        }
        self.stake(sender, PoolId::Validator(sender), stake)?;
        let validator = Validator {
            network_key,
            commission: vec![(self.now.epoch, commission)],
            leaving: false,
            listed: true,
            rent_vote: None,
            barred: false,
        };
        self.validators.insert(sender, validator);
        Ok(())
    }

    /// A validator of the sender that is not leaving.
    fn own_validator(&mut self, sender: &Address) -> Result<&mut Validator, Rejection> {
        self.validators
            .get_mut(sender)
            .filter(|validator| !validator.leaving)
            .ok_or(Rejection::NotValidator {})
    }

    pub(super) fn leave_validator(&mut self, sender: Address) -> Result<(), Rejection> {
        self.own_validator(&sender)?;
        if self.validators.values().filter(|one| !one.leaving).count() == 1 {
            return Err(Rejection::LastValidator {});
        }
        self.own_validator(&sender)?.leaving = true;
        Ok(())
    }

    pub(super) fn set_validator_commission(
        &mut self,
        sender: Address,
        commission: BasisPoints,
    ) -> Result<(), Rejection> {
        let epoch = self.now.epoch;
        set_rate(&mut self.own_validator(&sender)?.commission, commission, epoch);
        Ok(())
    }

    pub(super) fn set_rent_vote(&mut self, sender: Address, rate: u128) -> Result<(), Rejection> {
        let validator = self.own_validator(&sender)?;
        // Choice: the most is one SOMA per MiB and epoch.
        let limit = 1_000_000_000;
        if rate > limit {
            return Err(Rejection::RentOutOfBounds {
                rate: shannons(rate),
                limit: shannons(limit),
            });
        }
        validator.rent_vote = Some(rate);
        Ok(())
    }

    /// The new epoch's committee, the largest first, and the rent it votes for.
    pub(super) fn seat_committee(&mut self) {
        let now = self.now.epoch;
        for (address, validator) in self.validators.iter_mut().filter(|(_, one)| one.listed) {
            let pool = self.pools.entry(PoolId::Validator(*address)).or_default();
            pool.roll(now);
            validator.listed = !(validator.leaving && pool.is_mature());
        }
        let mut seats: Vec<Seat> = self
            .validators
            .iter()
            .filter(|(_, validator)| !validator.leaving)
            .map(|(address, validator)| Seat {
                validator: *address,
                network_key: validator.network_key,
                stake: shannons(self.pools[&PoolId::Validator(*address)].counted),
                commission: rate_at(&validator.commission, now),
            })
            .filter(|seat| seat.stake.0 > 0)
            .collect();
        seats.sort_by_key(|seat| (Reverse(seat.stake), seat.validator));
        seats.truncate(self.params.committee_size as usize);
        self.now.rent_rate = self.voted_rent(&seats);
        self.committees.insert(now, seats);
    }

    /// The least rate at or below which half of the stake votes. Choice: who has not voted is for what is.
    fn voted_rent(&self, seats: &[Seat]) -> u128 {
        let vote = |seat: &Seat| {
            self.validators[&seat.validator]
                .rent_vote
                .unwrap_or(self.now.rent_rate)
        };
        let total: u128 = seats.iter().map(|seat| money(seat.stake)).sum();
        let mut rates: Vec<u128> = seats.iter().map(vote).collect();
        rates.sort_unstable();
        rates
            .into_iter()
            .find(|rate| {
                let below = seats.iter().filter(|seat| vote(seat) <= *rate);
                2 * below.map(|seat| money(seat.stake)).sum::<u128>() >= total
            })
            .unwrap_or(self.now.rent_rate)
    }
}
