//! The bridge between asynchronous, authenticated storage and the ledger, which is pure and synchronous.
//!
//! The ledger reads and writes raw keys through [`WorkingSet`]. When it needs a key that is not in memory it
//! stops with [`Missing`], leaving behind only steps it has completed; the bridge loads the key and calls
//! it again. What is loaded stays for the whole block, so little runs twice.
//!
//! Determinism: the writes of a block depend only on the state and the block, never on what happened to be
//! loaded. Therefore every key that was set is written, even with the value it had.

use std::{
    borrow::BorrowMut,
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::pin,
    sync::Arc,
};

use commonware_glue::stateful::db::{DatabaseSet, Shared};
use commonware_parallel::Sequential;
use commonware_storage::{
    mmr,
    qmdb::{Error as StorageError, current::ordered::variable},
    translator::EightCap,
};
use commonware_utils::sync::Notify;
use futures::future::{pending, select};
use soma_ledger::{Error, Missing, State};
use soma_light::state::CHUNK_BYTES;

use crate::{
    consensus::{Digest, Hasher},
    runtime::Runtime,
};

pub use soma_light::state::{STATE_VALUE_BYTES_MAX, StateValue, state_key};

/// Authenticated storage: BLAKE3 of a ledger key to the raw value, with proofs of what is current.
pub type Database<E> =
    variable::Db<mmr::Family, E, Digest, StateValue, Hasher, EightCap, CHUNK_BYTES, Sequential>;
/// The databases of a node (one).
pub type Databases<E> = Shared<Database<E>>;
/// Uncommitted changes on top of some block's state.
pub type Batch<E> = <Databases<E> as DatabaseSet<E>>::Unmerkleized;
/// Changes with a known root.
pub type Sealed<E> = <Databases<E> as DatabaseSet<E>>::Merkleized;

/// Where state comes from.
pub trait Source: Sync {
    /// The values of `keys`, in their order.
    ///
    /// # Panics
    /// If storage fails: a node that cannot read its state must stop.
    fn load(&self, keys: &[Digest]) -> impl Future<Output = Vec<Option<Vec<u8>>>> + Send;
}

impl<S: Source> Source for &S {
    async fn load(&self, keys: &[Digest]) -> Vec<Option<Vec<u8>>> {
        S::load(self, keys).await
    }
}

/// A state held in memory (tests, genesis tools).
impl Source for BTreeMap<Digest, Vec<u8>> {
    async fn load(&self, keys: &[Digest]) -> Vec<Option<Vec<u8>>> {
        keys.iter().map(|key| self.get(key).cloned()).collect()
    }
}

/// Reads on top of an unfinished block.
pub struct BatchSource<'a, E: Runtime>(pub &'a Batch<E>);

impl<E: Runtime> Source for BatchSource<'_, E> {
    async fn load(&self, keys: &[Digest]) -> Vec<Option<Vec<u8>>> {
        let keys: Vec<&Digest> = keys.iter().collect();
        read(self.0.get_many(&keys).await)
    }
}

/// Reads on top of a block that may lose to another. Then nobody wants what was read, and it is never
/// answered.
pub struct SpeculativeSource<E: Runtime> {
    batch: Batch<E>,
    lost: Notify,
}

impl<E: Runtime> SpeculativeSource<E> {
    /// On top of the block that `batch` begins from.
    pub fn new(batch: Batch<E>) -> Self {
        Self {
            batch,
            lost: Notify::new(),
        }
    }

    /// Does `work`, which reads from here, unless the block loses.
    pub async fn unless_lost(&self, work: impl Future<Output = ()> + Send) {
        select(pin!(work), pin!(self.lost.notified())).await;
    }
}

impl<E: Runtime> Source for SpeculativeSource<E> {
    async fn load(&self, keys: &[Digest]) -> Vec<Option<Vec<u8>>> {
        let keys: Vec<&Digest> = keys.iter().collect();
        match self.batch.get_many(&keys).await {
            Err(StorageError::StaleRead) => {
                self.lost.notify_one();
                pending().await
            }
            answer => read(answer),
        }
    }
}

/// Reads of the state last applied.
pub struct DatabaseSource<'a, E: Runtime>(pub &'a Database<E>);

impl<E: Runtime> Source for DatabaseSource<'_, E> {
    async fn load(&self, keys: &[Digest]) -> Vec<Option<Vec<u8>>> {
        let keys: Vec<&Digest> = keys.iter().collect();
        read(self.0.get_many(&keys).await)
    }
}

/// What the database answered, as bytes.
fn read<E: std::fmt::Display>(answer: Result<Vec<Option<StateValue>>, E>) -> Vec<Option<Vec<u8>>> {
    let values = answer.unwrap_or_else(|error| panic!("cannot read the state: {error}"));
    let bytes = values
        .into_iter()
        .map(|value| value.map(|StateValue(bytes)| bytes));
    bytes.collect()
}

/// State in memory: what is loaded, and what the block changed.
#[derive(Debug, Default)]
pub struct WorkingSet {
    /// What was loaded and changed before, by the beginning that several blocks share.
    below: Option<Arc<Self>>,
    loaded: HashMap<Vec<u8>, Option<Vec<u8>>>,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    missing: Vec<Vec<u8>>,
}

impl WorkingSet {
    /// Goes on from `below`, which stays as it is.
    #[must_use]
    pub fn on(below: Arc<Self>) -> Self {
        Self {
            below: Some(below),
            ..Self::default()
        }
    }

    fn find(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        let here = self.changes.get(key).or_else(|| self.loaded.get(key));
        here.or_else(|| self.below.as_ref()?.find(key))
    }

    /// Every change, that below included.
    fn into_changes(self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let Some(below) = self.below else {
            return self.changes;
        };
        let mut changes = below.changes.clone();
        changes.extend(self.changes);
        changes
    }
}

impl State for WorkingSet {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Missing> {
        match self.find(key) {
            Some(value) => Ok(value.clone()),
            None => {
                self.missing.push(key.to_vec());
                Err(Missing)
            }
        }
    }

    fn set(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        self.changes.insert(key.to_vec(), value);
    }

    fn prefetch(&mut self, keys: &[Vec<u8>]) -> Result<(), Missing> {
        let before = self.missing.len();
        let missing: Vec<Vec<u8>> = keys
            .iter()
            .filter(|key| self.find(key).is_none())
            .cloned()
            .collect();
        self.missing.extend(missing);
        if self.missing.len() > before {
            Err(Missing)
        } else {
            Ok(())
        }
    }
}

/// Lets a step that only lacks a key be called again.
///
/// # Errors
/// [`Missing`]; every other error is passed through as a value.
pub fn retry<T>(result: Result<T, Error>) -> Result<Result<T, Error>, Missing> {
    match result {
        Err(Error::Missing(missing)) => Err(missing),
        other => Ok(other),
    }
}

/// Runs a synchronous machine over a [`Source`], in a working set of its own or in a lent one.
pub struct Bridge<S, W = WorkingSet> {
    source: S,
    working_set: W,
}

impl<S: Source> Bridge<S> {
    /// A bridge with nothing loaded.
    pub fn new(source: S) -> Self {
        Self::resume(source, WorkingSet::default())
    }

    /// Goes on from `below` instead of from nothing.
    ///
    /// # Panics
    /// If something was changed already: that would be lost.
    pub fn stand_on(&mut self, below: Arc<WorkingSet>) {
        assert!(
            self.working_set.changes.is_empty(),
            "a block stands on its beginning first"
        );
        self.working_set = WorkingSet::on(below);
    }

    /// Every change, in key order.
    ///
    /// # Panics
    /// If a value is longer than [`STATE_VALUE_BYTES_MAX`]: the ledger bounds what it stores.
    pub fn into_changes(self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let changes = self.working_set.into_changes();
        for (key, value) in &changes {
            let length = value.as_ref().map_or(0, Vec::len);
            assert!(
                length <= STATE_VALUE_BYTES_MAX,
                "the value of state key 0x{} has {length} bytes, more than {STATE_VALUE_BYTES_MAX}",
                hex::encode(key)
            );
        }
        changes
    }
}

impl<S: Source, W: BorrowMut<WorkingSet>> Bridge<S, W> {
    /// A bridge that knows what `working_set` holds.
    pub fn resume(source: S, working_set: W) -> Self {
        Self { source, working_set }
    }

    /// Where it reads what it does not know.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// Calls `step` until it misses nothing. After [`Missing`] its writes stay, so it must have written only
    /// what it will not do again.
    pub async fn run<T>(&mut self, mut step: impl FnMut(&mut WorkingSet) -> Result<T, Missing>) -> T {
        loop {
            match step(self.working_set.borrow_mut()) {
                Ok(value) => {
                    self.working_set.borrow_mut().missing.clear();
                    return value;
                }
                Err(Missing) => self.load().await,
            }
        }
    }

    async fn load(&mut self) {
        let mut keys = std::mem::take(&mut self.working_set.borrow_mut().missing);
        keys.sort_unstable();
        keys.dedup();
        assert!(!keys.is_empty(), "a step that misses a key has asked for it");
        let hashed: Vec<Digest> = keys.iter().map(|key| state_key(key)).collect();
        let values = self.source.load(&hashed).await;
        assert_eq!(values.len(), keys.len(), "a source answers every key");
        let loaded = &mut self.working_set.borrow_mut().loaded;
        loaded.extend(keys.into_iter().zip(values));
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    fn source() -> BTreeMap<Digest, Vec<u8>> {
        (0u8..10).map(|n| (state_key(&[n]), vec![n])).collect()
    }

    #[test]
    fn a_step_is_called_again_for_what_it_misses() {
        let mut bridge = Bridge::new(source());
        let mut calls = 0;
        let sum = block_on(bridge.run(|state| {
            calls += 1;
            let (a, b) = (state.get(&[3])?, state.get(&[4])?);
            assert_eq!(state.get(&[200])?, None);
            Ok(a.unwrap()[0] + b.unwrap()[0])
        }));
        assert_eq!((sum, calls), (7, 4));
        // What is loaded stays loaded; what is prefetched comes at once.
        let mut calls = 0;
        block_on(bridge.run(|state| {
            calls += 1;
            state.prefetch(&[vec![3], vec![5], vec![6]])?;
            Ok((state.get(&[5])?, state.get(&[6])?))
        }));
        assert_eq!(calls, 2);
    }

    #[test]
    fn every_key_set_is_a_change_even_to_its_own_value() {
        let mut bridge = Bridge::new(source());
        block_on(bridge.run(|state| {
            state.set(&[1], Some(vec![1]));
            state.set(&[2], Some(vec![9]));
            state.set(&[2], None);
            assert_eq!(state.get(&[2])?, None);
            Ok(())
        }));
        let changes = bridge.into_changes();
        assert_eq!(
            changes.into_iter().collect::<Vec<_>>(),
            vec![(vec![1], Some(vec![1])), (vec![2], None)]
        );
    }
}
