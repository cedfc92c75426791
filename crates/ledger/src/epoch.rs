//! The boundary between epochs (docs/protocol.md, section 1). It belongs to the first block of the new
//! epoch: everything that changes at a boundary has changed before that block's transactions.

use soma_types::{Epoch, Shannons, event::Event, objects::EpochState, params::Params};

use crate::{
    error::{OrBroken, Stop},
    ledger::Ledger,
    money::bonds::bond_floor,
    money::fees::MULTIPLIER_ONE_Q16,
    tables::{COMMITTEES, DUTIES},
};

impl Ledger<'_> {
    /// An epoch has its seed and its date from its first block.
    pub(crate) fn start_epoch(&mut self) {
        self.hot.now.seed = self.block.seed;
        self.hot.now.started_ms = self.block.timestamp_ms;
        self.announce();
    }

    /// Closes the epoch and opens the next, which [`Ledger::start_epoch`] starts. Nothing in between knows
    /// the seed.
    pub(crate) fn close_epoch(&mut self) -> Result<(), Stop> {
        self.end_window()?;
        let closed = self.hot.now;
        let (burned, recycled, fee_multiplier_q16) = self.close_fees(&closed)?;
        self.close_rewards(burned, recycled)?;
        let epoch = closed.epoch.next();
        let fees = |params: &Params| (params.fee_base, params.fee_per_byte);
        let fees_before = fees(&self.hot.params);
        self.activate_upgrades(epoch)?;
        let params = self.hot.params.clone();
        // Voted fees are what a transaction costs: what the old ones had become is no measure of the new.
        let fee_multiplier_q16 = if fees(&params) == fees_before {
            fee_multiplier_q16
        } else {
            MULTIPLIER_ONE_Q16
        };
        // What it will emit, and what the last one recycled; fees and forfeits to come nobody knows.
        let emission = self.hot.network.emission.emission(epoch);
        let fresh = emission.checked_add(recycled).or_broken("rewards overflowed")?;
        let mut difficulty = self.hot.now.difficulty;
        difficulty.window = 0;
        self.hot.now = EpochState {
            epoch,
            first_height: self.block.height,
            length_blocks: params.epoch_blocks,
            protocol_version: self.hot.now.protocol_version,
            architecture: params.architecture,
            seed: closed.seed,
            started_ms: closed.started_ms,
            fee_multiplier_q16,
            rent_per_mib_epoch: closed.rent_per_mib_epoch,
            audit_rate: params.audit_rate,
            auditors: params.auditors,
            unbonding_epochs: params.unbonding_epochs,
            bond_floor: bond_floor(&params, fresh, self.hot.supply.reward_pool),
            challenge_seed: None,
            difficulty,
            targets_opened: 0,
            submissions_committed: 0,
            submissions_revealed: 0,
            hits: 0,
            models: 0,
            committee: 0,
            transactions: 0,
            fees: Shannons::ZERO,
            rent: Shannons::ZERO,
            forfeits: Shannons::ZERO,
        };
        Ok(())
    }

    /// Seats the new epoch's committee and takes over its rent.
    pub(crate) fn seat_committee(&mut self) -> Result<(), Stop> {
        let (committee, rent) = self.roll_validators()?;
        let epoch: Epoch = self.epoch();
        self.hot.now.committee = committee.seats.len() as u32;
        self.hot.now.rent_per_mib_epoch = rent;
        self.set(&COMMITTEES, &epoch, &committee);
        self.tally_proposals(&committee)?;
        Ok(())
    }

    /// Tells those who follow that an epoch began.
    fn announce(&mut self) {
        let now = self.hot.now;
        self.emit(Event::EpochStarted {
            epoch: now.epoch,
            height: self.block.height,
            seed: now.seed,
            models: now.models,
            committee: now.committee,
        });
    }

    /// Counts the block for its proposer.
    pub(crate) fn credit_proposer(&mut self) -> Result<(), Stop> {
        let Some(proposer) = self.block.proposer else {
            return Ok(());
        };
        let key = (self.epoch(), proposer);
        let mut duty = self.get(&DUTIES, &key)?.unwrap_or_default();
        duty.blocks_proposed += 1;
        self.set(&DUTIES, &key, &duty);
        Ok(())
    }
}
