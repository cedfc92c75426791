//! An architecture from a file: a valid one has a layout whose sizes add up without overflow.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soma_types::Architecture;

fuzz_target!(|bytes: &[u8]| {
    let Ok(architecture) = serde_json::from_slice::<Architecture>(bytes) else {
        return;
    };
    if architecture.validate().is_ok() {
        let specs = soma_model::layout(&architecture);
        let values: u128 = specs.iter().map(|spec| spec.len() as u128).sum();
        assert!(values > 0 && 4 * values <= u128::from(u64::MAX));
        let json = serde_json::to_vec(&architecture).unwrap();
        assert_eq!(
            serde_json::from_slice::<Architecture>(&json).unwrap(),
            architecture
        );
    }
});
