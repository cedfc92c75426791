//! Everything the ledger stores and answers: bytes that decode are the one encoding of what they decode to.
#![no_main]

use borsh::{BorshDeserialize, BorshSerialize};
use libfuzzer_sys::fuzz_target;
use soma_types::{
    Receipt, Rejection,
    event::Event,
    genesis::Genesis,
    objects::{
        Account, AuditOutcome, AuditVote, Committee, DataClaim, Duty, EpochRecord, EpochState, Model, Pool,
        PoolPrice, Position, Submission, SupplyBreakdown, Target, Unbonding, Validator,
    },
    params::Params,
    transaction::PoolId,
    upgrade::Proposal,
};

fn canonical<T: BorshSerialize + BorshDeserialize>(bytes: &[u8]) {
    if let Ok(value) = borsh::from_slice::<T>(bytes) {
        assert_eq!(borsh::to_vec(&value).unwrap(), bytes);
    }
}

const DECODERS: &[fn(&[u8])] = &[
    canonical::<Account>,
    canonical::<AuditOutcome>,
    canonical::<AuditVote>,
    canonical::<Committee>,
    canonical::<DataClaim>,
    canonical::<EpochRecord>,
    canonical::<EpochState>,
    canonical::<Event>,
    canonical::<Genesis>,
    canonical::<Model>,
    canonical::<Params>,
    canonical::<Pool>,
    canonical::<Position>,
    canonical::<Receipt>,
    canonical::<Rejection>,
    canonical::<Submission>,
    canonical::<SupplyBreakdown>,
    canonical::<Target>,
    canonical::<Unbonding>,
    canonical::<Validator>,
    canonical::<Duty>,
    canonical::<PoolId>,
    canonical::<PoolPrice>,
    canonical::<Proposal>,
];

fuzz_target!(|bytes: &[u8]| {
    if let Some((which, bytes)) = bytes.split_first() {
        DECODERS[*which as usize % DECODERS.len()](bytes);
    }
});
