//! An operator's genesis file. One that is valid starts a network whose money adds up over several epochs,
//! whatever its parameters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soma_ledger::{BlockInfo, MemoryState, RoutingCache, execute_block, initialize, view};
use soma_types::{Height, Seed, amount::MAX_SUPPLY, genesis::Genesis};

/// Enough for several of the shortest epochs.
const BLOCKS: u64 = 40;

fuzz_target!(|bytes: &[u8]| {
    let Ok(genesis) = serde_json::from_slice::<Genesis>(bytes) else {
        return;
    };
    let json = serde_json::to_vec(&genesis).unwrap();
    assert_eq!(serde_json::from_slice::<Genesis>(&json).unwrap(), genesis);
    let mut state = MemoryState::new();
    if initialize(&mut state, &genesis).is_err() {
        return;
    }
    let mut cache = RoutingCache::new();
    for height in 1..=BLOCKS {
        let block = BlockInfo {
            height: Height(height),
            seed: Seed([7; 32]).derive("block", height),
            timestamp_ms: genesis.timestamp_ms.saturating_add(height),
            proposer: genesis.validators.first().map(|one| one.address),
        };
        execute_block(&mut state, &mut cache, block, &[]).unwrap();
    }
    let supply = view::supply(&mut state).unwrap().unwrap();
    assert_eq!(supply.total(), Some(MAX_SUPPLY));
});
