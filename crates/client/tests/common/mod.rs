//! What the tests of the client share: a server, a small ledger behind it, and values to ask and answer with.
#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

mod ledger;
mod server;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use soma_client::{NodeOptions, Scores};
use soma_types::{
    Address, Architecture, BlockHash, ChainId, Embedding, Epoch, Height, Seed, Shannons, StateRoot,
    api::{EpochView, Percentiles, Status},
    objects::{Difficulty, EpochState},
    params::ONE_Q16,
    transaction::{BasisPoints, Payment, TransactionKind},
    upgrade::ProtocolVersion,
};

pub use self::{
    ledger::{Inner, Ledger, MODEL},
    server::{Answer, Request, missing, ok, problem, rejected, serve},
};

pub const CHAIN: ChainId = ChainId([3; 32]);

/// A shannon to someone.
pub fn payment() -> Vec<Payment> {
    vec![Payment {
        to: Address([4; 32]),
        amount: Shannons(1),
    }]
}

/// The deed of that [`payment`].
pub fn transfer() -> TransactionKind {
    TransactionKind::Transfer {
        payments: payment().try_into().unwrap(),
    }
}

/// Scores of a document against three models.
pub fn scores() -> Scores {
    Scores {
        losses_nano: vec![3, 2, 1],
        cross_entropy_nano: 1,
        embedding: embedding(),
    }
}

pub fn options() -> NodeOptions {
    NodeOptions {
        retry_window: Duration::from_millis(500),
        timeout: Duration::from_secs(5),
        ..NodeOptions::default()
    }
}

pub fn status(epoch: Epoch, height: Height) -> Status {
    Status {
        network: "test".into(),
        chain: CHAIN,
        version: "0.1.0".into(),
        network_key: "00".into(),
        height,
        block: BlockHash([1; 32]),
        state_root: StateRoot([2; 32]),
        timestamp_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis()
            .try_into()
            .unwrap(),
        epoch,
        epoch_first_height: Height(epoch.0 * 80),
        epoch_length_blocks: 80,
        validators: 4,
        network_identity: None,
        mempool_transactions: 0,
        finality_ms: Percentiles { p50: 1, p95: 2 },
        block_ms: Percentiles { p50: 1, p95: 2 },
        network_bytes_sent: 0,
        network_bytes_received: 0,
        protocol_version: ProtocolVersion::FIRST,
        protocol_version_supported: ProtocolVersion::FIRST,
        upgrade: None,
    }
}

pub fn epoch_view(epoch: Epoch) -> EpochView {
    let state = EpochState {
        epoch,
        first_height: Height(epoch.0 * 80),
        length_blocks: 80,
        protocol_version: ProtocolVersion::FIRST,
        architecture: Architecture::NANO,
        seed: Seed([5; 32]),
        started_ms: 0,
        fee_multiplier_q16: 2 * ONE_Q16 as u64,
        rent_per_mib_epoch: Shannons(1),
        difficulty: Difficulty {
            z_q16: 0,
            mean_hits_q16: 0,
            window: 0,
            window_hits: 0,
        },
        targets_opened: 0,
        submissions_committed: 0,
        submissions_revealed: 0,
        hits: 0,
        models: 0,
        committee: 4,
        transactions: 0,
        fees: Shannons(0),
        rent: Shannons(0),
        forfeits: Shannons(0),
        audit_rate: BasisPoints::default(),
        auditors: 0,
        unbonding_epochs: 1,
        bond_floor: Shannons::ZERO,
        challenge_seed: None,
    };
    EpochView {
        epoch,
        current: true,
        state,
        record: None,
    }
}

pub fn embedding() -> Embedding {
    Embedding::draw(&Seed([9; 32]), 128)
}
