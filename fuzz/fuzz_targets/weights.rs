//! A weights file from a stranger: it is refused, or a model whose own file holds the same values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soma_fuzz::small_architecture;
use soma_model::Model;

fuzz_target!(|bytes: &[u8]| {
    let architecture = small_architecture();
    if let Ok(model) = Model::from_bytes(bytes, &architecture) {
        let again = Model::from_bytes(&model.to_bytes(), &architecture).unwrap();
        assert_eq!(model.to_bytes(), again.to_bytes());
    }
});
