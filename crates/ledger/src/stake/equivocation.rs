//! Equivocation (docs/protocol.md, section 4): who votes for two blocks in one view pays, with all who staked
//! on it.
//!
//! Upon *evidence*, two conflicting votes signed by the network key of a seat: `equivocation_slash` of the
//! pool is burned, from every staker in proportion; the validator loses its seat at the next boundary, and
//! its account can never be a validator again. Whoever ran it may register another account. So a pool is
//! slashed at most once, which also bounds how many shares a shannon can come to have.
//!
//! **Who pays.** Stake that counts when the evidence is accepted: shares through their price, younger stake
//! in the position it is in, when that is next touched. Stake withdrawn before but counting at the offence
//! pays when it is released. Evidence is accepted for as long as that can be.
//!
//! **Why burned.** What goes to the reward pool comes back to whoever earns rewards: a validator could take
//! from those who staked on it for a small part of its own.
//!
//! **Failures.** The last validator that does not leave keeps its seat, for the network would stop.

use soma_types::{
    Address, Rejection, equivocation::Equivocation, event::Event, objects::PoolSlash, transaction::PoolId,
};

use crate::{
    error::Stop,
    ledger::Ledger,
    money::bank::Bucket,
    stake::slash::slash_pool,
    tables::{COMMITTEES, EPOCHS, POOLS, VALIDATORS},
};

impl Ledger<'_> {
    pub(crate) fn report_equivocation(&mut self, evidence: &Equivocation) -> Result<(), Stop> {
        // What was withdrawn in the epoch of the offence is released this much later, whatever was voted
        // since.
        let newest = self.epoch();
        let waits = if evidence.epoch < newest {
            self.expect(&EPOCHS, &evidence.epoch)?.state.unbonding_epochs
        } else {
            self.hot.now.unbonding_epochs
        };
        let oldest = newest.minus(waits + 1).unwrap_or_default();
        let given = evidence.epoch;
        if given < oldest || given > newest {
            return Err(Rejection::EvidenceOutOfBounds {
                given,
                oldest,
                newest,
            }
            .into());
        }
        if !evidence.conflicts() {
            return Err(Rejection::VotesAgree {}.into());
        }
        let committee = self.expect(&COMMITTEES, &given)?;
        let mut seats = committee.seats.iter();
        let Some(seat) = seats.find(|seat| seat.network_key == evidence.network_key) else {
            return Err(Rejection::NotSeated { epoch: given }.into());
        };
        if !evidence.is_signed(&self.hot.network.chain) {
            return Err(Rejection::BadVoteSignature {}.into());
        }
        let address: Address = seat.validator;
        let mut validator = self.expect(&VALIDATORS, &address)?;
        if validator.barred {
            return Err(Rejection::AlreadyBarred {}.into());
        }

        // From here on nothing is rejected.
        let id = PoolId::Validator(address);
        let mut pool = self.expect(&POOLS, &id)?;
        let slash = PoolSlash {
            epoch: newest,
            offence: given,
            share: self.hot.params.equivocation_slash,
        };
        let slashed = slash_pool(&mut pool, slash)?;
        self.set(&POOLS, &id, &pool);
        self.shift(Bucket::Pools, Bucket::Burned, slashed)?;
        validator.barred = true;
        if !validator.leaving && self.hot.counters.staying_validators > 1 {
            self.hot.counters.staying_validators -= 1;
            validator.leaving = true;
        }
        self.set(&VALIDATORS, &address, &validator);
        self.emit(Event::ValidatorBarred {
            validator: address,
            offence: given,
            slashed,
        });
        Ok(())
    }
}
