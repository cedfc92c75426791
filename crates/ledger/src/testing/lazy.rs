//! A state that has nothing in memory until it is told to load it, as a node's.

use std::collections::{BTreeMap, BTreeSet};

use soma_types::VerifiedTransaction;

use crate::{BlockInfo, BlockOutcome, Error, Executor, MemoryState, Missing, RoutingCache, State};

/// Knows only what was loaded; notes what it lacks.
#[derive(Debug)]
pub struct LazyState {
    store: MemoryState,
    /// What was loaded or written.
    pub known: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// What was asked for.
    pub wanted: BTreeSet<Vec<u8>>,
    /// How often it loaded.
    pub loads: usize,
}

impl LazyState {
    /// Nothing of `store` is in memory yet.
    #[must_use]
    pub fn new(store: MemoryState) -> Self {
        Self {
            store,
            known: BTreeMap::new(),
            wanted: BTreeSet::new(),
            loads: 0,
        }
    }

    /// Loads what was asked for, as a node would from its database.
    pub fn load(&mut self) {
        assert!(!self.wanted.is_empty(), "missing, yet nothing was asked for");
        self.loads += 1;
        for key in std::mem::take(&mut self.wanted) {
            let value = self.store.get(&key).unwrap();
            self.known.insert(key, value);
        }
    }

    /// Calls a part until it lacks nothing.
    pub fn retry<T>(&mut self, mut part: impl FnMut(&mut Self) -> Result<T, Error>) -> T {
        loop {
            match part(self) {
                Ok(value) => return value,
                Err(Error::Missing(Missing)) => self.load(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The store with what was written.
    #[must_use]
    pub fn finish(mut self) -> MemoryState {
        for (key, value) in self.known {
            self.store.set(&key, value);
        }
        self.store
    }
}

impl State for LazyState {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Missing> {
        if let Some(value) = self.known.get(key) {
            return Ok(value.clone());
        }
        self.wanted.insert(key.to_vec());
        Err(Missing)
    }

    fn set(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        self.known.insert(key.to_vec(), value);
    }

    fn prefetch(&mut self, keys: &[Vec<u8>]) -> Result<(), Missing> {
        let lacking: Vec<_> = keys
            .iter()
            .filter(|key| !self.known.contains_key(*key))
            .cloned()
            .collect();
        let complete = lacking.is_empty();
        self.wanted.extend(lacking);
        if complete { Ok(()) } else { Err(Missing) }
    }
}

/// Executes a block with nothing loaded and an empty cache.
#[must_use]
pub fn execute_lazily(
    before: MemoryState,
    block: BlockInfo,
    transactions: &[VerifiedTransaction],
) -> (BlockOutcome, MemoryState) {
    let mut lazy = LazyState::new(before);
    let mut executor = Executor::new(block);
    let mut cold = RoutingCache::new();
    lazy.retry(|state| executor.begin(state, &mut cold));
    for transaction in transactions {
        lazy.retry(|state| {
            executor
                .apply(state, transaction)
                .map(|result| assert!(result.is_ok()))
        });
    }
    let outcome = executor.end(&mut lazy).unwrap();
    assert!(lazy.loads > 0);
    (outcome, lazy.finish())
}
