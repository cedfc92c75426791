//! One step's view of the state.
//!
//! A step works on an overlay and on copies of the small, hot records ([`Hot`]). Both are kept only
//! when the step completes.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use soma_types::{
    Epoch,
    amount::MAX_SUPPLY,
    event::Event,
    objects::{EpochState, SupplyBreakdown},
    params::Params,
};

use crate::{
    block::BlockInfo,
    error::{Broken, OrBroken, Stop},
    state::State,
    table::Table,
    tables::{COUNTERS, Counters, EPOCH, NETWORK, NetworkRecord, PARAMS, SUPPLY},
};

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
    /// Where they lie.
    pub(crate) fn keys() -> [Vec<u8>; 5] {
        [
            NETWORK.key(&()),
            PARAMS.key(&()),
            EPOCH.key(&()),
            SUPPLY.key(&()),
            COUNTERS.key(&()),
        ]
    }

    pub(crate) fn load(state: &mut dyn State) -> Result<Self, Stop> {
        state.prefetch(&Self::keys())?;
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
    pub(crate) fn epoch_offset(&self, block: &BlockInfo) -> u64 {
        block.height.0.saturating_sub(self.now.first_height.0)
    }
}

/// One step in progress.
pub(crate) struct Ledger<'a> {
    pub state: &'a mut dyn State,
    pub block: &'a BlockInfo,
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

    pub(crate) fn get_all<K: BorshSerialize, V: BorshSerialize + BorshDeserialize>(
        &mut self,
        table: &Table<K, V>,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<V>>, Stop> {
        table.get_all(self.state, keys)
    }

    pub(crate) fn expect_all<K: BorshSerialize, V: BorshSerialize + BorshDeserialize>(
        &mut self,
        table: &Table<K, V>,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<V>, Stop> {
        table.expect_all(self.state, keys)
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

    /// Loads together what will be read from several tables.
    pub(crate) fn prefetch(&mut self, keys: impl IntoIterator<Item = Vec<u8>>) -> Result<(), Stop> {
        let keys: Vec<Vec<u8>> = keys.into_iter().collect();
        Ok(self.state.prefetch(&keys)?)
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
}
