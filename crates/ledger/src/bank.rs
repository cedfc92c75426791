//! One step's view of the state, and the only code that moves money.
//!
//! A step works on an overlay and on copies of the small, hot records ([`Hot`]). Both are kept only
//! when the step completes.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use soma_types::{
    Address, Epoch, Rejection, Shannons,
    amount::MAX_SUPPLY,
    event::Event,
    objects::{Account, EpochState, SupplyBreakdown},
    params::Params,
};

use crate::{
    error::{Broken, OrBroken, Stop},
    execute::Block,
    state::State,
    tables::{ACCOUNTS, COUNTERS, Counters, EPOCH, NETWORK, NetworkRecord, PARAMS, SUPPLY, Table},
};

/// A place where money is. Every shannon is in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bucket {
    Balances,
    Pools,
    Pending,
    Unbonding,
    Bonds,
    Deposits,
    RewardPool,
    Reserved,
    Fees,
    Rent,
    Emission,
    Burned,
}

/// The records that almost every step reads: loaded once a block, written back at its end.
#[derive(Clone, Debug)]
pub(crate) struct Hot {
    pub network: Arc<NetworkRecord>,
    pub params: Arc<Params>,
    pub now: EpochState,
    pub supply: SupplyBreakdown,
    pub counters: Counters,
}

impl Hot {
    pub(crate) fn load(state: &mut dyn State) -> Result<Self, Stop> {
        state.prefetch(&[
            NETWORK.key(&()),
            PARAMS.key(&()),
            EPOCH.key(&()),
            SUPPLY.key(&()),
            COUNTERS.key(&()),
        ])?;
        Ok(Self {
            network: Arc::new(NETWORK.expect(state, &())?),
            params: Arc::new(PARAMS.expect(state, &())?),
            now: EPOCH.expect(state, &())?,
            supply: SUPPLY.expect(state, &())?,
            counters: COUNTERS.expect(state, &())?,
        })
    }

    /// Writes what changes within an epoch. Parameters are written where they change.
    pub(crate) fn store(&self, state: &mut dyn State) {
        EPOCH.set(state, &(), &self.now);
        SUPPLY.set(state, &(), &self.supply);
        COUNTERS.set(state, &(), &self.counters);
    }

    /// The supply identity: nothing was created or lost.
    pub(crate) fn check_supply(&self) -> Result<(), Broken> {
        if self.supply.total() == Some(MAX_SUPPLY) {
            Ok(())
        } else {
            Err(Broken("supply identity"))
        }
    }

    /// How many blocks of the epoch came before this one.
    pub(crate) fn epoch_offset(&self, block: &Block) -> u64 {
        block.height.0.saturating_sub(self.now.first_height.0)
    }
}

/// One step in progress.
pub(crate) struct Ledger<'a> {
    pub state: &'a mut dyn State,
    pub block: &'a Block,
    pub hot: Hot,
    pub events: Vec<Event>,
}

impl Ledger<'_> {
    pub(crate) fn get<K: BorshSerialize, V: BorshSerialize + BorshDeserialize>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<V>, Stop> {
        table.get(self.state, key)
    }

    pub(crate) fn expect<K: BorshSerialize, V: BorshSerialize + BorshDeserialize>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<V, Stop> {
        table.expect(self.state, key)
    }

    pub(crate) fn set<K: BorshSerialize, V: BorshSerialize + BorshDeserialize>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
        value: &V,
    ) {
        table.set(self.state, key, value);
    }

    pub(crate) fn remove<K: BorshSerialize, V: BorshSerialize + BorshDeserialize>(
        &mut self,
        table: &Table<K, V>,
        key: &K,
    ) {
        table.remove(self.state, key);
    }

    pub(crate) fn prefetch(&mut self, keys: &[Vec<u8>]) -> Result<(), Stop> {
        Ok(self.state.prefetch(keys)?)
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The current epoch.
    pub(crate) fn epoch(&self) -> Epoch {
        self.hot.now.epoch
    }

    /// The next place in the order of commits.
    pub(crate) fn next_sequence(&mut self) -> Result<u64, Broken> {
        let sequence = self.hot.counters.sequence;
        self.hot.counters.sequence = sequence.checked_add(1).or_broken("commit counter")?;
        Ok(sequence)
    }

    /// Moves `amount` between buckets. The sum of all buckets stays what it was.
    pub(crate) fn shift(&mut self, from: Bucket, to: Bucket, amount: Shannons) -> Result<(), Broken> {
        let source = self.bucket(from);
        *source = source
            .checked_sub(amount)
            .or_broken("a supply total went below zero")?;
        let sink = self.bucket(to);
        *sink = sink.checked_add(amount).or_broken("a supply total overflowed")?;
        Ok(())
    }

    fn bucket(&mut self, bucket: Bucket) -> &mut Shannons {
        let supply = &mut self.hot.supply;
        match bucket {
            Bucket::Balances => &mut supply.balances,
            Bucket::Pools => &mut supply.pools,
            Bucket::Pending => &mut supply.pending,
            Bucket::Unbonding => &mut supply.unbonding,
            Bucket::Bonds => &mut supply.bonds,
            Bucket::Deposits => &mut supply.deposits,
            Bucket::RewardPool => &mut supply.reward_pool,
            Bucket::Reserved => &mut supply.reserved,
            Bucket::Fees => &mut supply.fees,
            Bucket::Rent => &mut supply.rent,
            Bucket::Emission => &mut supply.emission,
            Bucket::Burned => &mut supply.burned,
        }
    }

    /// An account, all zeros if it was never used.
    pub(crate) fn account(&mut self, address: &Address) -> Result<Account, Stop> {
        Ok(self.get(&ACCOUNTS, address)?.unwrap_or_default())
    }

    /// Pays `amount` out of `from` to `address`.
    pub(crate) fn credit(&mut self, address: &Address, amount: Shannons, from: Bucket) -> Result<(), Stop> {
        if amount.is_zero() {
            return Ok(());
        }
        let mut account = self.account(address)?;
        account.balance = account
            .balance
            .checked_add(amount)
            .or_broken("a balance overflowed")?;
        self.set(&ACCOUNTS, address, &account);
        Ok(self.shift(from, Bucket::Balances, amount)?)
    }

    /// Takes `amount` from `address` into `to`.
    pub(crate) fn debit(&mut self, address: &Address, amount: Shannons, to: Bucket) -> Result<(), Stop> {
        if amount.is_zero() {
            return Ok(());
        }
        let mut account = self.account(address)?;
        account.balance = account
            .balance
            .checked_sub(amount)
            .ok_or(Rejection::InsufficientBalance {
                balance: account.balance,
                needed: amount,
            })?;
        self.set(&ACCOUNTS, address, &account);
        Ok(self.shift(Bucket::Balances, to, amount)?)
    }

    /// Sends `amount` of `from` to the reward pool as a forfeit.
    pub(crate) fn forfeit(&mut self, amount: Shannons, from: Bucket) -> Result<(), Broken> {
        self.hot.now.forfeits = self
            .hot
            .now
            .forfeits
            .checked_add(amount)
            .or_broken("forfeits overflowed")?;
        self.shift(from, Bucket::RewardPool, amount)
    }
}
