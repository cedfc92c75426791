//! What people type: amounts, ids, pools, URLs and locations. What parses is written as it parses again.
#![no_main]

use std::{fmt::Display, str::FromStr};

use libfuzzer_sys::fuzz_target;
use soma_blobs::Location;
use soma_types::{
    Address, ContentHash, Epoch, Height, ModelId, PublicKey, Seed, Shannons, Signature, SubmissionId,
    TargetId, TransactionHash, Transcript, Url, amount::MAX_SUPPLY, bounded::URL_MAX_BYTES, objects::Shares,
    transaction::PoolId,
};

fn round_trip<T: FromStr + Display + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let again = value.to_string().parse::<T>().ok();
        assert_eq!(again.as_ref(), Some(&value));
    }
}

fuzz_target!(|text: &str| {
    round_trip::<Address>(text);
    round_trip::<ContentHash>(text);
    round_trip::<Epoch>(text);
    round_trip::<Height>(text);
    round_trip::<ModelId>(text);
    round_trip::<PublicKey>(text);
    round_trip::<Seed>(text);
    round_trip::<Shannons>(text);
    round_trip::<Shares>(text);
    round_trip::<Signature>(text);
    round_trip::<SubmissionId>(text);
    round_trip::<TargetId>(text);
    round_trip::<TransactionHash>(text);
    round_trip::<Transcript>(text);
    round_trip::<Url>(text);
    if let Ok(pool) = text.parse::<PoolId>() {
        assert_eq!(pool.to_string().parse::<PoolId>().unwrap(), pool);
    }
    if let Ok(amount) = text.parse::<Shannons>() {
        assert!(amount <= MAX_SUPPLY);
    }
    if let Ok(location) = Location::parse_public(text) {
        assert!(text.len() <= URL_MAX_BYTES);
        assert!(!matches!(location, Location::File(_)));
    }
    // A parser may write a URL longer than it was, so only short ones must parse again.
    if let Ok(location) = text.parse::<Location>() {
        let written = location.to_string();
        if written.len() <= URL_MAX_BYTES {
            assert_eq!(written.parse::<Location>().unwrap(), location);
        }
    }
});
