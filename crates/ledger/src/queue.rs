//! Lists in the state, which has no range scans: a length, and what lies at each index.

use borsh::{BorshDeserialize, BorshSerialize};

#[cfg(any(test, feature = "test-support"))]
use crate::state::MemoryState;
use crate::{
    error::{OrBroken, Stop},
    state::State,
    table::Table,
};

/// An index of a queue. Both kinds are on the disk already.
pub(crate) trait Index: Copy + Ord + Default + BorshSerialize + BorshDeserialize {
    /// The one after it.
    fn next(self) -> Option<Self>;
    /// The one before it.
    fn previous(self) -> Option<Self>;
}

impl Index for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

impl Index for u64 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

/// For each key a list that grows at its end: how long it is, and what lies at each index.
pub(crate) struct Queue<K, I, V> {
    pub(crate) lengths: Table<K, I>,
    pub(crate) entries: Table<(K, I), V>,
}

impl<K, I, V> Queue<K, I, V>
where
    K: Clone + BorshSerialize,
    I: Index,
    V: BorshSerialize + BorshDeserialize,
{
    /// The key of the length of `key`'s list.
    pub(crate) fn length_key(&self, key: &K) -> Vec<u8> {
        self.lengths.key(key)
    }

    /// All entries in a state.
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) fn all<'s>(&self, state: &'s MemoryState) -> impl Iterator<Item = V> + use<'s, K, I, V> {
        self.entries.all(state)
    }

    /// The key of an entry.
    pub(crate) fn entry_key(&self, key: &K, index: I) -> Vec<u8> {
        self.entries.key(&(key.clone(), index))
    }

    pub(crate) fn len(&self, state: &mut dyn State, key: &K) -> Result<I, Stop> {
        Ok(self.lengths.get(state, key)?.unwrap_or_default())
    }

    pub(crate) fn push(&self, state: &mut dyn State, key: &K, value: &V) -> Result<(), Stop> {
        let end = self.len(state, key)?;
        let length = end.next().or_broken("a queue is full")?;
        self.entries.set(state, &(key.clone(), end), value);
        self.lengths.set(state, key, &length);
        Ok(())
    }

    /// What lies at `index`, which must be there.
    pub(crate) fn at(&self, state: &mut dyn State, key: &K, index: I) -> Result<V, Stop> {
        self.entries.expect(state, &(key.clone(), index))
    }

    /// What lies at `indices`, all of which must be there, loaded together.
    pub(crate) fn at_all(
        &self,
        state: &mut dyn State,
        key: &K,
        indices: impl IntoIterator<Item = I>,
    ) -> Result<Vec<V>, Stop> {
        let keys = indices.into_iter().map(|index| (key.clone(), index));
        self.entries.expect_all(state, keys)
    }

    /// Takes what lies at `index`. Past the end there is nothing more, and the list is forgotten: so
    /// whoever walks a list from its beginning leaves nothing behind.
    pub(crate) fn take(&self, state: &mut dyn State, key: &K, index: I) -> Result<Option<V>, Stop> {
        let length = self.len(state, key)?;
        if index >= length {
            if length > I::default() {
                self.lengths.remove(state, key);
            }
            return Ok(None);
        }
        let value = self.at(state, key, index)?;
        self.entries.remove(state, &(key.clone(), index));
        Ok(Some(value))
    }

    /// Takes `index` out of the list, whose last entry gets its place: returns that, if it is another.
    pub(crate) fn swap_remove(&self, state: &mut dyn State, key: &K, index: I) -> Result<Option<V>, Stop> {
        let last = self.len(state, key)?.previous().or_broken("an empty list")?;
        let moved = self.at(state, key, last)?;
        self.entries.remove(state, &(key.clone(), last));
        if last == I::default() {
            self.lengths.remove(state, key);
        } else {
            self.lengths.set(state, key, &last);
        }
        if last == index {
            return Ok(None);
        }
        self.entries.set(state, &(key.clone(), index), &moved);
        Ok(Some(moved))
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{Address, Height, ModelId, TargetId, transaction::PoolId};

    use super::*;
    use crate::tables::{SETTLEMENTS, STAKES};

    #[test]
    fn a_queue_that_was_walked_leaves_nothing() {
        let (mut state, at) = (MemoryState::new(), Height(7));
        let ids = [1, 2, 3].map(|byte| TargetId([byte; 32]));
        for id in &ids {
            SETTLEMENTS.push(&mut state, &at, id).unwrap();
        }
        SETTLEMENTS.push(&mut state, &Height(8), &ids[0]).unwrap();
        assert_eq!(SETTLEMENTS.len(&mut state, &at), Ok(3));
        assert_eq!(SETTLEMENTS.at(&mut state, &at, 1), Ok(ids[1]));
        for (index, id) in (0..).zip(&ids) {
            assert_eq!(SETTLEMENTS.take(&mut state, &at, index), Ok(Some(*id)));
        }
        assert_eq!(SETTLEMENTS.take(&mut state, &at, 3), Ok(None));
        assert_eq!(state.iter().count(), 2, "the other height's length and entry");
        assert_eq!(SETTLEMENTS.take(&mut state, &at, 0), Ok(None));
    }

    #[test]
    fn what_is_taken_out_of_a_list_leaves_no_gap() {
        let (mut state, owner) = (MemoryState::new(), Address([1; 32]));
        let pools = [1, 2, 3].map(|byte| PoolId::Model(ModelId([byte; 32])));
        for pool in &pools {
            STAKES.push(&mut state, &owner, pool).unwrap();
        }
        assert_eq!(STAKES.swap_remove(&mut state, &owner, 0), Ok(Some(pools[2])));
        assert_eq!(
            STAKES.at_all(&mut state, &owner, 0..2),
            Ok(vec![pools[2], pools[1]])
        );
        assert_eq!(STAKES.swap_remove(&mut state, &owner, 1), Ok(None));
        assert_eq!(STAKES.swap_remove(&mut state, &owner, 0), Ok(None));
        assert_eq!(state.iter().count(), 0);
        assert!(STAKES.swap_remove(&mut state, &owner, 0).is_err());
    }
}
