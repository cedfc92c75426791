//! A wallet's file and recovery words. (No password is tried: opening takes a second by design.)
#![no_main]

use libfuzzer_sys::fuzz_target;
use soma_client::{keyfile::KeyFile, mnemonic::Mnemonic};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = KeyFile::decode(bytes) {
        assert_eq!(KeyFile::decode(&file.encode()).unwrap().address(), file.address());
        if !file.is_encrypted()
            && let Ok(secret) = file.open(None)
        {
            assert_eq!(secret.keypair().address(), file.address());
        }
    }
    if let Ok(words) = std::str::from_utf8(bytes)
        && let Ok(mnemonic) = Mnemonic::parse(words)
    {
        let again = Mnemonic::parse(&mnemonic.words()).unwrap();
        assert_eq!(again.words(), mnemonic.words());
        assert!(mnemonic.keypair(0).is_ok());
    }
});
