//! The bridge between asynchronous, authenticated storage and a pure, synchronous state machine.
//!
//! A machine executes a block as a series of *steps* (a transaction, a phase of the block). A step
//! reads and writes raw keys through [`Overlay`], synchronously. When it needs a key that is not in
//! memory, it stops with [`Missing`]; the bridge discards the step's writes, loads the key, and runs the
//! step again. What one step loaded stays for the whole block, so few steps run twice.
//!
//! Determinism: the writes of a block depend only on the state and the block, never on what happened to
//! be loaded. Therefore every key a finished step has set is written, even with the value it had.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
};

use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, Write};
use commonware_glue::stateful::db::{DatabaseSet, Shared};
use commonware_parallel::Sequential;
use commonware_runtime::BufMut;
use commonware_storage::{mmr, qmdb::any::unordered::variable, translator::EightCap};

use crate::{
    consensus::{Digest, Hasher},
    runtime::Runtime,
};

/// Longest value of the state, in bytes.
pub const STATE_VALUE_BYTES_MAX: usize = 128 * 1024;

/// A value of the state: bytes with a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateValue(pub Vec<u8>);

impl Write for StateValue {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl EncodeSize for StateValue {
    fn encode_size(&self) -> usize {
        self.0.encode_size()
    }
}

impl Read for StateValue {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &Self::Cfg) -> Result<Self, CodecError> {
        Vec::read_cfg(buf, &((0..=STATE_VALUE_BYTES_MAX).into(), ())).map(Self)
    }
}

/// Authenticated storage: BLAKE3 of a ledger key to the raw value.
pub type Database<E> = variable::Db<mmr::Family, E, Digest, StateValue, Hasher, EightCap, Sequential>;
/// The databases of a node (one).
pub type Databases<E> = Shared<Database<E>>;
/// Uncommitted changes on top of some block's state.
pub type Batch<E> = <Databases<E> as DatabaseSet<E>>::Unmerkleized;
/// Changes with a known root.
pub type Sealed<E> = <Databases<E> as DatabaseSet<E>>::Merkleized;

/// The storage key of a ledger key. Hashing spreads keys evenly and hides their length.
#[must_use]
pub fn state_key(key: &[u8]) -> Digest {
    Digest::from(
        *blake3::Hasher::new_derive_key("soma 2026 state key")
            .update(key)
            .finalize()
            .as_bytes(),
    )
}

/// A key was needed that is not in memory. The step that met it must return at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a state key is not loaded yet")]
pub struct Missing;

/// Where state comes from.
pub trait Source: Sync {
    /// The values of `keys`, in their order.
    ///
    /// # Panics
    /// If storage fails: a node that cannot read its state must stop.
    fn load(&self, keys: &[Digest]) -> impl Future<Output = Vec<Option<Vec<u8>>>> + Send;
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
        let values = self.0.get_many(&keys).await;
        let values = values.unwrap_or_else(|error| panic!("cannot read the state: {error}"));
        values
            .into_iter()
            .map(|value| value.map(|StateValue(bytes)| bytes))
            .collect()
    }
}

/// Reads of the state last applied.
pub struct DatabaseSource<'a, E: Runtime>(pub &'a Database<E>);

impl<E: Runtime> Source for DatabaseSource<'_, E> {
    async fn load(&self, keys: &[Digest]) -> Vec<Option<Vec<u8>>> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let value = self
                .0
                .get(key)
                .await
                .unwrap_or_else(|error| panic!("cannot read the state: {error}"));
            values.push(value.map(|StateValue(bytes)| bytes));
        }
        values
    }
}

/// State in memory: what is loaded, what finished steps changed, what the running step changed.
#[derive(Debug, Default)]
pub struct Overlay {
    loaded: HashMap<Vec<u8>, Option<Vec<u8>>>,
    block: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    step: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    missing: Vec<Vec<u8>>,
}

impl Overlay {
    /// The value of `key`, or [`Missing`] if it must be loaded first.
    ///
    /// # Errors
    /// [`Missing`]; return it at once.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, Missing> {
        let value = self
            .step
            .get(key)
            .or_else(|| self.block.get(key))
            .or_else(|| self.loaded.get(key));
        match value {
            Some(value) => Ok(value.as_deref()),
            None => {
                self.missing.push(key.to_vec());
                Err(Missing)
            }
        }
    }

    /// Sets or, with `None`, removes `key`.
    pub fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.step.insert(key, value);
    }
}

/// Runs steps over a [`Source`].
pub struct Bridge<S> {
    source: S,
    overlay: Overlay,
}

impl<S: Source> Bridge<S> {
    /// A bridge with nothing loaded.
    pub fn new(source: S) -> Self {
        Self {
            source,
            overlay: Overlay::default(),
        }
    }

    /// Loads `keys` in one read, ahead of steps that will need them.
    pub async fn prefetch(&mut self, keys: impl IntoIterator<Item = Vec<u8>>) {
        let overlay = &mut self.overlay;
        overlay.missing.extend(keys);
        overlay.missing.sort_unstable();
        overlay.missing.dedup();
        let (loaded, block) = (&overlay.loaded, &overlay.block);
        overlay
            .missing
            .retain(|key| !loaded.contains_key(key) && !block.contains_key(key));
        if overlay.missing.is_empty() {
            return;
        }
        let keys = std::mem::take(&mut overlay.missing);
        let hashed: Vec<Digest> = keys.iter().map(|key| state_key(key)).collect();
        let values = self.source.load(&hashed).await;
        assert_eq!(values.len(), keys.len(), "a source answers every key");
        self.overlay.loaded.extend(keys.into_iter().zip(values));
    }

    /// Runs `step` until it needs nothing more, then keeps its writes. `step` must be a pure function of
    /// the overlay.
    pub async fn step<T>(&mut self, step: impl FnMut(&mut Overlay) -> Result<T, Missing>) -> T {
        self.attempt(step, |_| true).await
    }

    /// Like [`Self::step`], but keeps the writes only if `keep` approves the result.
    pub async fn attempt<T>(
        &mut self,
        mut step: impl FnMut(&mut Overlay) -> Result<T, Missing>,
        keep: impl Fn(&T) -> bool,
    ) -> T {
        loop {
            let result = step(&mut self.overlay);
            let mut changes = std::mem::take(&mut self.overlay.step);
            match result {
                Ok(value) => {
                    if keep(&value) {
                        self.overlay.block.append(&mut changes);
                    }
                    self.overlay.missing.clear();
                    return value;
                }
                Err(Missing) => {
                    assert!(
                        !self.overlay.missing.is_empty(),
                        "a step reports the key it misses"
                    );
                    self.prefetch([]).await;
                }
            }
        }
    }

    /// Every change of the finished steps, in key order.
    ///
    /// # Panics
    /// If a value is longer than [`STATE_VALUE_BYTES_MAX`]: the ledger bounds what it stores.
    pub fn into_changes(self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        for (key, value) in &self.overlay.block {
            let length = value.as_ref().map_or(0, Vec::len);
            assert!(
                length <= STATE_VALUE_BYTES_MAX,
                "the value of state key 0x{} has {length} bytes, more than {STATE_VALUE_BYTES_MAX}",
                hex::encode(key)
            );
        }
        self.overlay.block
    }
}
