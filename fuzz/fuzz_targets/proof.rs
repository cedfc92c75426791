//! What a node, which need not be honest, sends as a proof: bytes that decode are the one encoding of what
//! they decode to, and what they claim is checked without a panic, and never believed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use soma_light::{key::NetworkKey, proof::Proof};

/// A key with which nobody has signed anything: the curve's generator.
static KEY: LazyLock<NetworkKey> = LazyLock::new(|| {
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        .parse()
        .expect("a point of the group")
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = Proof::decode(bytes) {
        assert_eq!(proof.encoded(), bytes);
        assert!(proof.verify(&KEY).is_err());
    }
});
