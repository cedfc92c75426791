//! The encrypted container: what a model's owner commits to before revealing the weights.
//!
//! Upon commit the chain learns the size and BLAKE3 of the container; upon reveal, the key. The two must
//! name one plaintext, so that nobody can commit first and choose the weights later. AES-CTR alone does not
//! give that: any key decrypts any bytes to something. So the header carries a *key tag*, a domain-separated
//! BLAKE3 of key, nonce and length. A second key that opens the same file would be a BLAKE3 collision.
//!
//! # Layout (all integers little-endian)
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 6 | magic, `SOMABX` |
//! | 6 | 2 | version, 1 |
//! | 8 | 8 | length of the plaintext in bytes |
//! | 16 | 16 | nonce: the initial counter block, big-endian counter, fresh for every container |
//! | 32 | 32 | key tag: BLAKE3-derive-key([`KEY_TAG_CONTEXT`], key, bytes 0..32 of this header) |
//! | 64 | length | plaintext XOR AES-256-CTR(key, nonce) |
//!
//! # Bounds
//!
//! The plaintext is as long as the body; no length in the header is believed before the body's own length
//! agrees with it, and nothing is allocated from it. Confidentiality ends with the reveal; integrity is the
//! content hash's matter, so there is no per-chunk authentication.

mod error;
mod key;
mod layout;
mod preamble;
mod stream;
#[cfg(test)]
mod tests;

use std::io::Read;

use aes::cipher::StreamCipher;

use self::preamble::Preamble;

pub use self::{
    error::ContainerError,
    key::DecryptionKey,
    layout::{HEADER_LENGTH_BYTES, KEY_TAG_CONTEXT, MAGIC, VERSION},
    stream::{Decrypting, check, encrypt_stream},
};

fn seal(plaintext: &[u8], key: &DecryptionKey, preamble: &Preamble) -> Vec<u8> {
    let mut container = Vec::with_capacity(HEADER_LENGTH_BYTES + plaintext.len());
    container.extend_from_slice(&preamble.header(key));
    container.extend_from_slice(plaintext);
    preamble
        .cipher(key)
        .apply_keystream(&mut container[HEADER_LENGTH_BYTES..]);
    container
}

/// Encrypts `plaintext` under a fresh key and nonce; the container and the key that opens it.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn encrypt(plaintext: &[u8]) -> Result<(Vec<u8>, DecryptionKey), ContainerError> {
    let key = DecryptionKey::generate()?;
    let preamble = Preamble::fresh(plaintext.len() as u64)?;
    Ok((seal(plaintext, &key, &preamble), key))
}

/// The plaintext of `container`.
///
/// # Errors
/// When the key is another, or the bytes are not exactly one container.
pub fn decrypt(container: &[u8], key: &DecryptionKey) -> Result<Vec<u8>, ContainerError> {
    let mut decrypting = Decrypting::new(container, container.len() as u64, key)?;
    let mut plaintext = Vec::with_capacity(container.len() - HEADER_LENGTH_BYTES);
    decrypting.read_to_end(&mut plaintext)?;
    Ok(plaintext)
}
