//! An encrypted container from a stranger, under any key: what opens is as long as it should be, and no two
//! keys open one container.
#![no_main]

use libfuzzer_sys::fuzz_target;
use soma_blobs::{
    DecryptionKey,
    container::{HEADER_LENGTH_BYTES, KEY_TAG_CONTEXT, decrypt},
};

fn open(container: &[u8], key: &DecryptionKey) -> Option<Vec<u8>> {
    let plaintext = decrypt(container, key).ok()?;
    assert_eq!(container.len(), plaintext.len() + HEADER_LENGTH_BYTES);
    Some(plaintext)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((key, container)) = bytes.split_first_chunk::<32>() else {
        return;
    };
    let key = DecryptionKey::from_bytes(*key);
    open(container, &key);
    // With a good tag, so that lengths and bodies are met.
    let mut tagged = container.to_vec();
    if tagged.len() >= HEADER_LENGTH_BYTES {
        let mut hasher = blake3::Hasher::new_derive_key(KEY_TAG_CONTEXT);
        hasher.update(key.as_bytes()).update(&tagged[..32]);
        tagged[32..64].copy_from_slice(hasher.finalize().as_bytes());
        if open(&tagged, &key).is_some() {
            let mut other = *key.as_bytes();
            other[0] ^= 1;
            assert_eq!(open(&tagged, &DecryptionKey::from_bytes(other)), None);
        }
    }
});
