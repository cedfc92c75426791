//! The maps from names to records, and what is measured.

use std::collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry};

use soma_types::{
    Address, Epoch, TransactionHash,
    api::{Percentiles, UnbondingView},
    event::Event,
    upgrade::{PROTOCOL_VERSION, ProtocolVersion},
};

use super::{
    generations::Generations,
    record::{Record, Tip},
};
use crate::consensus::Digest;

/// Blocks whose speed is remembered.
const MEASURED_BLOCKS_MAX: usize = 4_096;

/// What the records say, and how fast blocks came.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) transactions: HashMap<TransactionHash, (u64, u32)>,
    pub(super) accounts: HashMap<Address, Vec<TransactionHash>>,
    /// Withdrawn stake that waits, in the order of release.
    pub(super) unbonding: HashMap<Address, Vec<UnbondingView>>,
    pub(super) generations: Generations,
    pub(super) recorded: u64,
    pub(super) tip: Option<Tip>,
    /// When the tip became final here, or else the node started, by its steady clock.
    pub(super) final_ms: u64,
    pub(super) seen_ms: BTreeMap<(u64, Digest), u64>,
    /// Scheduled rules that this node does not implement, and their first epoch.
    pub(super) unsupported: Option<(ProtocolVersion, Epoch)>,
    pub(super) finality_ms: VecDeque<(u64, u64)>,
    pub(super) block_ms: VecDeque<u64>,
}

impl Memory {
    pub(super) fn learn(&mut self, record: &Record) {
        for receipt in &record.receipts {
            let hash = receipt.transaction;
            self.transactions.insert(hash, (record.height.0, receipt.index));
            let mut touched = vec![receipt.sender];
            touched.extend(receipt.events.iter().filter_map(|event| match event {
                Event::Paid { to, .. } => Some(*to),
                _ => None,
            }));
            touched.sort_unstable();
            touched.dedup();
            for account in touched {
                self.accounts.entry(account).or_default().push(hash);
            }
        }
        for event in &record.events {
            match event {
                Event::UpgradeScheduled {
                    version, activation, ..
                } if *version > PROTOCOL_VERSION => self.unsupported = Some((*version, *activation)),
                Event::Unbonded { staker, .. } => self.released(staker),
                _ => {}
            }
        }
        for event in record.receipts.iter().flat_map(|receipt| &receipt.events) {
            if let Event::StakeWithdrawn {
                pool,
                staker,
                unbonding,
                release,
                ..
            } = *event
                && !unbonding.is_zero()
            {
                let waiting = self.unbonding.entry(staker).or_default();
                let place = waiting.partition_point(|other| other.release <= release);
                let view = UnbondingView {
                    pool,
                    amount: unbonding,
                    release,
                };
                waiting.insert(place, view);
            }
        }
        self.generations.learn(record);
        self.recorded = record.height.0;
    }

    /// The first that waits is released first.
    fn released(&mut self, staker: &Address) {
        if let Entry::Occupied(mut waiting) = self.unbonding.entry(*staker) {
            waiting.get_mut().remove(0);
            if waiting.get().is_empty() {
                waiting.remove();
            }
        }
    }
}

pub(super) fn bounded<T>(queue: &mut VecDeque<T>, value: T) {
    if queue.len() == MEASURED_BLOCKS_MAX {
        queue.pop_front();
    }
    queue.push_back(value);
}

pub(super) fn percentiles(values: impl Iterator<Item = u64>) -> Percentiles {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    let at = |percent: usize| {
        values
            .get(values.len().saturating_sub(1) * percent / 100)
            .copied()
            .unwrap_or(0)
    };
    Percentiles {
        p50: at(50),
        p95: at(95),
    }
}
