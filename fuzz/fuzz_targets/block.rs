//! What a peer sends as a block, and what a node reads back from its own disk: bytes that decode are the one
//! encoding of what they decode to, within the limits, and a block's digest depends on nothing else.
#![no_main]

use borsh::{BorshDeserialize, BorshSerialize};
use commonware_codec::{DecodeExt, Encode, EncodeSize};
use commonware_consensus::BoundedBlock;
use commonware_cryptography::Digestible;
use libfuzzer_sys::fuzz_target;
use soma_node::{
    block::{BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, Block, TIMESTAMP_STEP_MS_MAX, timestamp_follows},
    execution::{STATE_VALUE_BYTES_MAX, StateValue},
    index::Record,
};
use soma_types::{SignedTransaction, transaction::TRANSACTION_BYTES_MAX};

fn block(bytes: &[u8]) {
    let Ok(block) = Block::decode(bytes.to_vec()) else {
        return;
    };
    assert_eq!(block.encode(), bytes);
    assert_eq!(block.encode_size(), bytes.len());
    assert!(bytes.len() <= Block::max_encode_size(&()));
    let (header, transactions) = (block.header(), block.transactions());
    assert!(transactions.len() <= BLOCK_TRANSACTIONS_MAX);
    assert!(transactions.iter().map(|one| one.len()).sum::<usize>() <= BLOCK_BYTES_MAX);
    assert!(transactions.iter().all(|one| one.len() <= TRANSACTION_BYTES_MAX));
    // Its digest is a function of its bytes, and of all of them.
    let digest = block.digest();
    assert_eq!(Block::decode(block.encode()).unwrap().digest(), digest);
    let mut other = header.clone();
    other.timestamp_ms ^= 1;
    assert_ne!(Block::new(other, transactions.to_vec()).digest(), digest);
    let mut others = transactions.to_vec();
    if let Some(first) = others.first_mut() {
        *first = [&first[..], &[0]].concat().into();
        assert_ne!(Block::new(header.clone(), others).digest(), digest);
    }
    // No timestamp is beyond arithmetic, and no block follows itself.
    assert!(!timestamp_follows(header, header));
    let mut next = header.clone();
    next.timestamp_ms = header.timestamp_ms.wrapping_add(TIMESTAMP_STEP_MS_MAX);
    assert_eq!(
        timestamp_follows(&next, header),
        next.timestamp_ms > header.timestamp_ms
    );
    let _ = header.seed_round();
    for transaction in transactions {
        if let Ok(signed) = SignedTransaction::decode(transaction) {
            assert_eq!(signed.encode(), *transaction);
        }
    }
}

fn canonical<T: BorshSerialize + BorshDeserialize>(bytes: &[u8]) -> Option<T> {
    let value = borsh::from_slice::<T>(bytes).ok()?;
    assert_eq!(borsh::to_vec(&value).unwrap(), bytes);
    Some(value)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else {
        return;
    };
    match which % 3 {
        0 => block(bytes),
        1 => {
            if let Some(record) = canonical::<Record>(bytes) {
                let within: usize = record.receipts.iter().map(|receipt| receipt.events.len()).sum();
                assert_eq!(record.event_views().len(), record.events.len() + within);
            }
        }
        _ => {
            if let Ok(value) = StateValue::decode(bytes.to_vec()) {
                assert_eq!(value.encode(), bytes);
                assert!(value.0.len() <= STATE_VALUE_BYTES_MAX);
            }
        }
    }
});
