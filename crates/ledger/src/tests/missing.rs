//! A state that has nothing in memory until told to load it gives the same blocks.

use std::collections::{BTreeMap, BTreeSet};

use soma_types::VerifiedTransaction;

use super::world::{World, tiny};
use crate::{Block, BlockOutcome, Error, Executor, MemoryState, Missing, RoutingCache, State};

/// Knows only what was loaded; notes what it lacks.
struct LazyState {
    store: MemoryState,
    known: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    wanted: BTreeSet<Vec<u8>>,
    loads: usize,
}

impl LazyState {
    fn new(store: MemoryState) -> Self {
        Self {
            store,
            known: BTreeMap::new(),
            wanted: BTreeSet::new(),
            loads: 0,
        }
    }

    /// Loads what was asked for, as a node would from its database.
    fn load(&mut self) {
        assert!(!self.wanted.is_empty(), "missing, yet nothing was asked for");
        self.loads += 1;
        for key in std::mem::take(&mut self.wanted) {
            let value = self.store.get(&key).unwrap();
            self.known.insert(key, value);
        }
    }

    fn retry<T>(&mut self, mut part: impl FnMut(&mut Self) -> Result<T, Error>) -> T {
        loop {
            match part(self) {
                Ok(value) => return value,
                Err(Error::Missing(Missing)) => self.load(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn finish(mut self) -> MemoryState {
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
pub fn execute_lazily(
    before: MemoryState,
    block: Block,
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

#[test]
fn lazy_reads_change_nothing() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    world.win(8, &targets[0], 1, 0);
    // Now into the boundary, its audits and payouts, block by block, each from a cold state.
    world.lazily = true;
    for _ in 0..40 {
        let open = world.open_targets();
        let find = world.find(9, &open[0], world.height.0 as u8, 0);
        world.block(vec![(9, find.commit())]);
    }
}

#[test]
fn hints_cover_most_of_what_a_transaction_reads() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let kinds = [
        world.find(8, &target, 1, 0).commit(),
        World::commit_model_kind(models[0], 1),
    ];
    for kind in kinds {
        let mut lazy = LazyState::new(world.state.clone());
        let transaction = world.transaction(8, 0, kind);
        lazy.wanted.extend(crate::block_keys());
        lazy.wanted
            .extend(crate::transaction_keys(&transaction, world.epoch()));
        lazy.load();
        lazy.retry(|state| crate::simulate(state, &transaction).map(|result| assert!(result.is_ok())));
        assert!(lazy.loads <= 2, "{} loads", lazy.loads);
    }
}

#[test]
fn a_missing_read_leaves_nothing_behind() {
    let (world, _) = World::with_models(tiny(), 3);
    let mut lazy = LazyState::new(world.state.clone());
    let mut executor = Executor::new(world.next_block());
    let mut cache = RoutingCache::new();
    for _ in 0..1_000 {
        let before = lazy.known.clone();
        let step = format!("{executor:?}");
        match executor.begin(&mut lazy, &mut cache) {
            Ok(()) => return,
            Err(_) if format!("{executor:?}") == step => assert_eq!(lazy.known, before),
            Err(_) => {}
        }
        lazy.load();
    }
    panic!("the block never began");
}

#[test]
fn checks_and_simulations_change_nothing() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let find = world.find(8, &target, 1, 0);
    let transaction = world.transaction(8, 0, find.commit());
    let before = world.state.clone();
    let fee = crate::check(&mut world.state, &transaction).unwrap().unwrap();
    let receipt = crate::simulate(&mut world.state, &transaction).unwrap().unwrap();
    assert_eq!(receipt.fee, fee);
    assert!(receipt.applied());
    assert_eq!(world.state, before);
    let ahead = world.transaction(8, 3, find.commit());
    assert!(crate::check(&mut world.state, &ahead).unwrap().is_err());
}
