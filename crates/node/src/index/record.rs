//! What is remembered of a block.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use soma_types::{Epoch, Height, Receipt, VerifiedTransaction, api::EventView, event::Event};

use crate::consensus::Digest;

/// What became of one block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Record {
    /// Its height.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// When it was proposed, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// Its transactions, encoded. They outlive their block.
    pub transactions: Vec<Bytes>,
    /// One for each transaction.
    pub receipts: Vec<Receipt>,
    /// What changed before the transactions.
    pub events: Vec<Event>,
}

impl Record {
    /// All its events, in order.
    #[must_use]
    pub fn event_views(&self) -> Vec<EventView> {
        let before = self.events.iter().map(|event| (None, event));
        let within = self.receipts.iter().flat_map(|receipt| {
            receipt
                .events
                .iter()
                .map(|event| (Some(receipt.transaction), event))
        });
        before
            .chain(within)
            .enumerate()
            .map(|(index, (transaction, event))| EventView {
                height: self.height,
                index: index as u32,
                transaction,
                event: event.clone(),
            })
            .collect()
    }
}

/// A block that has just become final: what is recorded of it, and its transactions as what they are.
#[derive(Clone, Debug)]
pub struct News {
    /// What became of it.
    pub record: Arc<Record>,
    /// Its transactions.
    pub transactions: Vec<VerifiedTransaction>,
}

/// The newest finalized block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u64,
    /// Its digest.
    pub digest: Digest,
    /// The state root after it.
    pub state_root: Digest,
    /// When it was proposed.
    pub timestamp_ms: u64,
}
