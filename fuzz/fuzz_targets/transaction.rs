//! Bytes from the network as a transaction: whatever decodes is the one encoding of what it decodes to,
//! and nothing unsigned is taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soma_types::{SignedTransaction, TransactionKind};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(signed) = SignedTransaction::decode(bytes) {
        assert_eq!(signed.encode(), bytes);
        // Only bytes made with a key have a good signature.
        assert!(signed.verify().is_err());
    }
    // Without the parts around it, so that the kinds are met more often; and as JSON, as clients send it.
    if let Ok(kind) = borsh::from_slice::<TransactionKind>(bytes) {
        assert_eq!(borsh::to_vec(&kind).unwrap(), bytes);
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(serde_json::from_str::<TransactionKind>(&json).unwrap(), kind);
    }
    if let Ok(kind) = serde_json::from_slice::<TransactionKind>(bytes) {
        let encoded = borsh::to_vec(&kind).unwrap();
        assert_eq!(borsh::from_slice::<TransactionKind>(&encoded).unwrap(), kind);
    }
});
