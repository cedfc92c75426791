//! What is kept of a block's beginning, on a state that answers one read at a time.

mod attacks;

use std::{
    collections::BTreeMap,
    future::Future as _,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use commonware_cryptography::{Signer as _, ed25519};
use commonware_runtime::utils::reschedule;
use futures::executor::block_on;
use soma_types::{
    PublicKey,
    genesis::{Genesis, GenesisValidator},
    params::Params,
    transaction::BasisPoints,
};

use super::*;
use crate::{
    consensus::Digest,
    execution::state_key,
    mempool::{Limits, Mempool},
};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A state whose every read takes a while, and is counted.
#[derive(Default)]
struct Slow {
    state: BTreeMap<Digest, Vec<u8>>,
    reads: AtomicUsize,
}

impl Source for Slow {
    async fn load(&self, keys: &[Digest]) -> Vec<Option<Vec<u8>>> {
        reschedule().await;
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.state.load(keys).await
    }
}

impl Slow {
    fn apply(&mut self, changes: Changes) {
        for (key, value) in changes {
            match value {
                Some(value) => self.state.insert(state_key(&key), value),
                None => self.state.remove(&state_key(&key)),
            };
        }
    }
}

fn machine() -> LedgerMachine {
    let params = Params::local();
    let identity = ed25519::PrivateKey::from_seed(7).public_key();
    let genesis = Arc::new(Genesis {
        network: "slow".into(),
        timestamp_ms: 0,
        accounts: Vec::new(),
        validators: vec![GenesisValidator {
            address: Address([200; 32]),
            network_key: PublicKey(identity.as_ref().try_into().expect("32 bytes")),
            commission: BasisPoints::default(),
            stake: params.validator_stake_min,
        }],
        params,
        weights: None,
    });
    let mempool = Mempool::new(genesis.chain_id(), Limits::default());
    LedgerMachine::new(genesis, mempool)
}

/// The block at `height`, as the `leader`-th leader makes it.
fn block(height: u64, leader: u8) -> BlockContext {
    BlockContext {
        parent: Digest::from([height as u8; 32]),
        height,
        timestamp_ms: 250 * height + u64::from(leader),
        seed: [leader; 32],
        proposer: ed25519::PrivateKey::from_seed(u64::from(leader)).public_key(),
    }
}

/// Executes a block; gives up once it has waited `patience` times.
fn execute(
    machine: &LedgerMachine,
    state: &Slow,
    block: &BlockContext,
    patience: usize,
) -> Option<(Changes, BlockOutcome)> {
    let mut bridge = Bridge::new(state);
    let outcome = {
        let mut work = pin!(machine.execute(&mut bridge, block, Vec::new(), Inadmissible::Reject));
        let mut waiting = Context::from_waker(Waker::noop());
        (0..patience).find_map(|_| match work.as_mut().poll(&mut waiting) {
            Poll::Ready(executed) => Some(executed.unwrap().outcome),
            Poll::Pending => None,
        })?
    };
    Some((bridge.into_changes(), outcome))
}

/// A ledger before its first boundary, and the height of that.
fn before_a_boundary() -> (LedgerMachine, Slow, u64) {
    let (machine, mut state) = (machine(), Slow::default());
    let mut height = 1;
    loop {
        let (changes, outcome) = execute(&machine, &state, &block(height, 1), usize::MAX).unwrap();
        state.apply(changes);
        height += 1;
        if machine.is_worth_preparing(&outcome) {
            return (machine, state, height);
        }
    }
}

#[test]
fn what_is_prepared_is_not_read_again() {
    let (machine, state, boundary) = before_a_boundary();
    let whole = execute(&self::machine(), &state, &block(boundary, 2), usize::MAX).unwrap();
    let parent = block(boundary, 2).parent;
    block_on(machine.prepare(boundary, parent, &state));
    state.reads.store(0, Ordering::Relaxed);
    for leader in [1, 2] {
        let executed = execute(&machine, &state, &block(boundary, leader), usize::MAX).unwrap();
        assert_eq!(executed == whole, leader == 2, "each has its own seed");
    }
    let reads = state.reads.load(Ordering::Relaxed);
    assert!(
        reads <= 2 * 6,
        "{reads} reads by two leaders of a prepared boundary"
    );
}

#[test]
fn another_parent_is_another_beginning() {
    let (machine, state, boundary) = before_a_boundary();
    let other = Slow {
        state: state.state.clone(),
        ..Slow::default()
    };
    let whole = execute(&machine, &state, &block(boundary, 1), usize::MAX).unwrap();
    let sibling = BlockContext {
        parent: Digest::from([99; 32]),
        ..block(boundary, 1)
    };
    assert_eq!(execute(&machine, &other, &sibling, usize::MAX), Some(whole));
    assert!(
        other.reads.load(Ordering::Relaxed) > 6,
        "it is read from its own state"
    );
}
