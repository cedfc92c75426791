//! A typed region of the state: what lies under each key, and how it is read and written.

use std::marker::PhantomData;

use borsh::{BorshDeserialize, BorshSerialize};

#[cfg(any(test, feature = "test-support"))]
use crate::state::MemoryState;
use crate::{
    error::{Broken, Stop},
    state::State,
};

/// Most keys are not longer: a prefix and one or two names.
const KEY_BYTES: usize = 66;

/// A typed region of the state.
pub(crate) struct Table<K, V> {
    prefix: u8,
    name: &'static str,
    types: PhantomData<(K, V)>,
}

impl<K: BorshSerialize, V: BorshSerialize + BorshDeserialize> Table<K, V> {
    pub(crate) const fn new(prefix: u8, name: &'static str) -> Self {
        Self {
            prefix,
            name,
            types: PhantomData,
        }
    }

    /// The bytes of a key.
    pub(crate) fn key(&self, key: &K) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(KEY_BYTES);
        bytes.push(self.prefix);
        key.serialize(&mut bytes)
            .expect("encoding to memory does not fail");
        bytes
    }

    fn read(&self, state: &mut dyn State, key: &[u8]) -> Result<Option<V>, Stop> {
        match state.get(key)? {
            None => Ok(None),
            Some(bytes) => borsh::from_slice(&bytes)
                .map(Some)
                .map_err(|_| Stop::Broken(Broken(self.name))),
        }
    }

    pub(crate) fn get(&self, state: &mut dyn State, key: &K) -> Result<Option<V>, Stop> {
        self.read(state, &self.key(key))
    }

    /// What lies under each of `keys`, loaded together.
    pub(crate) fn get_all(
        &self,
        state: &mut dyn State,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<V>>, Stop> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(|key| self.key(&key)).collect();
        state.prefetch(&keys)?;
        keys.iter().map(|key| self.read(state, key)).collect()
    }

    /// A value that must exist, or the state is broken.
    pub(crate) fn expect(&self, state: &mut dyn State, key: &K) -> Result<V, Stop> {
        self.get(state, key)?.ok_or(Stop::Broken(Broken(self.name)))
    }

    /// Values that must all exist, or the state is broken, loaded together.
    pub(crate) fn expect_all(
        &self,
        state: &mut dyn State,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<V>, Stop> {
        let values = self.get_all(state, keys)?.into_iter();
        values
            .map(|value| value.ok_or(Stop::Broken(Broken(self.name))))
            .collect()
    }

    pub(crate) fn set(&self, state: &mut dyn State, key: &K, value: &V) {
        // A state keeps the bytes, so they take no more memory than they need: half of them are accounts.
        let length = borsh::object_length(value).expect("encoding to memory does not fail");
        let mut bytes = Vec::with_capacity(length);
        value
            .serialize(&mut bytes)
            .expect("encoding to memory does not fail");
        state.set(&self.key(key), Some(bytes));
    }

    pub(crate) fn remove(&self, state: &mut dyn State, key: &K) {
        state.set(&self.key(key), None);
    }

    /// Moves a value that must exist to another table, as it is.
    pub(crate) fn relocate(&self, state: &mut dyn State, key: &K, to: &Self) -> Result<(), Stop> {
        let from = self.key(key);
        let bytes = state.get(&from)?.ok_or(Stop::Broken(Broken(self.name)))?;
        state.set(&from, None);
        state.set(&to.key(key), Some(bytes));
        Ok(())
    }

    /// All values in a state.
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) fn all<'s>(&self, state: &'s MemoryState) -> impl Iterator<Item = V> + use<'s, K, V> {
        let prefix = self.prefix;
        let mine = state.iter().filter(move |(key, _)| key[0] == prefix);
        mine.map(|(_, value)| borsh::from_slice(value).expect("the ledger wrote it"))
    }
}
