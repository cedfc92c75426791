//! Validators and committees (docs/protocol.md, section 4).

use soma_types::{
    Address, PublicKey, Rejection, Shannons, Signature,
    event::Event,
    objects::{Commission, Committee, Seat, Validator},
    transaction::{BasisPoints, PoolId, VALIDATOR_KEY_NAMESPACE, validator_key_message},
};

use crate::{
    error::Stop,
    ledger::Ledger,
    stake::pool::is_mature,
    tables::{NETWORK_KEYS, POOLS, VALIDATOR_AT, VALIDATORS},
};

/// The most that a vote can make storing one MiB for one epoch cost.
pub(crate) const RENT_MAX: Shannons = Shannons(soma_types::amount::SHANNONS_PER_SOMA);

/// The index of a validator that has left.
const UNLISTED: u64 = u64::MAX;

impl Ledger<'_> {
    pub(crate) fn register_validator(
        &mut self,
        sender: &Address,
        network_key: PublicKey,
        proof: &Signature,
        commission: BasisPoints,
        stake: Shannons,
    ) -> Result<(), Stop> {
        let minimum = self.hot.params.validator_stake_min;
        if stake < minimum {
            return Err(Rejection::StakeTooSmall {
                amount: stake,
                minimum,
            }
            .into());
        }
        // One that left may come back, once it is off the list.
        let before = self.get(&VALIDATORS, sender)?;
        if before
            .as_ref()
            .is_some_and(|validator| validator.index != UNLISTED)
        {
            return Err(Rejection::AlreadyValidator {}.into());
        }
        if self.get(&NETWORK_KEYS, &network_key)?.is_some() {
            return Err(Rejection::NetworkKeyTaken {}.into());
        }
        let message = validator_key_message(&self.hot.network.chain, sender);
        if !network_key.verify(VALIDATOR_KEY_NAMESPACE, &message, proof) {
            return Err(Rejection::BadKeyProof {}.into());
        }
        if before.is_some_and(|validator| validator.barred) {
            return Err(Rejection::Barred {}.into());
        }
        self.add_pending(PoolId::Validator(*sender), sender, stake)?;
        self.list_validator(sender, network_key, commission);
        self.emit(Event::ValidatorRegistered { validator: *sender });
        Ok(())
    }

    /// Enters a validator in the list.
    pub(crate) fn list_validator(
        &mut self,
        address: &Address,
        network_key: PublicKey,
        commission: BasisPoints,
    ) {
        let index = self.hot.counters.validators;
        let validator = Validator {
            address: *address,
            index,
            network_key,
            commission: Commission::new(commission, self.epoch()),
            registered: self.epoch(),
            leaving: false,
            rent_vote: None,
            barred: false,
        };
        self.set(&VALIDATORS, address, &validator);
        self.set(&VALIDATOR_AT, &index, address);
        self.set(&NETWORK_KEYS, &network_key, address);
        self.hot.counters.validators += 1;
        self.hot.counters.staying_validators += 1;
    }

    fn own_validator(&mut self, sender: &Address) -> Result<Validator, Stop> {
        match self.get(&VALIDATORS, sender)? {
            Some(validator) if !validator.leaving => Ok(validator),
            _ => Err(Rejection::NotValidator {}.into()),
        }
    }

    pub(crate) fn leave_validator(&mut self, sender: &Address) -> Result<(), Stop> {
        let mut validator = self.own_validator(sender)?;
        if self.hot.counters.staying_validators <= 1 {
            return Err(Rejection::LastValidator {}.into());
        }
        self.hot.counters.staying_validators -= 1;
        validator.leaving = true;
        self.set(&VALIDATORS, sender, &validator);
        self.emit(Event::ValidatorLeft { validator: *sender });
        Ok(())
    }

    pub(crate) fn set_validator_commission(
        &mut self,
        sender: &Address,
        commission: BasisPoints,
    ) -> Result<(), Stop> {
        let mut validator = self.own_validator(sender)?;
        validator.commission.set(commission, self.epoch());
        self.set(&VALIDATORS, sender, &validator);
        Ok(())
    }

    pub(crate) fn set_rent_vote(&mut self, sender: &Address, rate: Shannons) -> Result<(), Stop> {
        let mut validator = self.own_validator(sender)?;
        if rate > RENT_MAX {
            return Err(Rejection::RentOutOfBounds {
                rate,
                limit: RENT_MAX,
            }
            .into());
        }
        validator.rent_vote = Some(rate);
        self.set(&VALIDATORS, sender, &validator);
        Ok(())
    }

    /// At a boundary: pools roll, leavers go, and the largest eligible validators take their seats.
    /// Returns the committee and the rent that it voted for.
    pub(crate) fn roll_validators(&mut self) -> Result<(Committee, Shannons), Stop> {
        let count = self.hot.counters.validators;
        let addresses = self.expect_all(&VALIDATOR_AT, 0..count)?;
        let records = |address: &Address| [VALIDATORS.key(address), POOLS.key(&PoolId::Validator(*address))];
        self.prefetch(addresses.iter().flat_map(records))?;

        let epoch = self.epoch();
        let mut listed = 0;
        let mut kept: Vec<(Validator, Shannons)> = Vec::new();
        for address in &addresses {
            let id = PoolId::Validator(*address);
            let (mut validator, mut pool) = (self.expect(&VALIDATORS, address)?, self.expect(&POOLS, &id)?);
            self.roll_pool(id, &mut pool)?;
            self.set(&POOLS, &id, &pool);
            // One that left stays in the list until its pool needs no more boundaries.
            if validator.leaving && is_mature(&pool) {
                validator.index = UNLISTED;
                self.set(&VALIDATORS, address, &validator);
                self.remove(&NETWORK_KEYS, &validator.network_key);
                continue;
            }
            let index = listed;
            listed += 1;
            if validator.index != index {
                validator.index = index;
                self.set(&VALIDATORS, address, &validator);
                self.set(&VALIDATOR_AT, &index, address);
            }
            if !validator.leaving {
                kept.push((validator, pool.counted));
            }
        }
        for index in listed..count {
            self.remove(&VALIDATOR_AT, &index);
        }
        self.hot.counters.validators = listed;

        kept.sort_by_key(|(validator, stake)| (std::cmp::Reverse(*stake), validator.address));
        kept.retain(|(_, stake)| !stake.is_zero());
        kept.truncate(self.hot.params.committee_size as usize);
        let rent = self.voted_rent(&kept);
        let seats = kept
            .into_iter()
            .map(|(validator, stake)| Seat {
                validator: validator.address,
                network_key: validator.network_key,
                stake,
                commission: validator.commission.at(epoch),
            })
            .collect();
        Ok((Committee { seats }, rent))
    }

    /// The stake-weighted median of the committee's votes; who has not voted is for what is.
    fn voted_rent(&self, committee: &[(Validator, Shannons)]) -> Shannons {
        let current = self.hot.now.rent_per_mib_epoch;
        let mut votes: Vec<(Shannons, u128)> = committee
            .iter()
            .map(|(validator, stake)| (validator.rent_vote.unwrap_or(current), u128::from(stake.0)))
            .collect();
        votes.sort_unstable();
        let total: u128 = votes.iter().map(|(_, stake)| stake).sum();
        let mut sum = 0;
        for (rate, stake) in votes {
            sum += stake;
            if 2 * sum >= total {
                return rate;
            }
        }
        current
    }
}
