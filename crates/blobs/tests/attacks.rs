//! Attacks on commitments to encrypted weights, with the real container. The table is docs/attacks.md.

use soma_blobs::{ContainerError, DecryptionKey, container::HEADER_LENGTH_BYTES, decrypt, encrypt};
use soma_types::ContentHash;

const HONEST: &[u8] = b"the weights that were committed to";
const BETTER: &[u8] = b"weights trained after the commit..";

/// Attack: weights swapped after the commit
/// Does: commits to one encrypted file, and once they know more serves another, whole or in parts, at the
/// same place.
/// Outcome: every other file has another hash: whoever fetches it against the committed one refuses it and
/// reports it. Not a bit can be changed.
#[test]
fn weights_swapped_after_the_commit() {
    let (committed, _) = encrypt(HONEST).unwrap();
    let hash = ContentHash::of(&committed);
    let (swapped, _) = encrypt(BETTER).unwrap();
    assert_eq!(committed.len(), swapped.len());
    assert_ne!(ContentHash::of(&swapped), hash);
    for bit in 0..8 * committed.len() {
        let mut changed = committed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(ContentHash::of(&changed), hash);
    }
}

/// Attack: key swapped after the commit
/// Does: reveals another key than the file was made with: AES-CTR decrypts any bytes with any key, so they
/// prepare two sets of weights for one file.
/// Outcome: the header commits to the key, and the hash to the header: the file opens with its own key only.
/// To open with a second one its header would have to be another, and then its hash is.
#[test]
fn key_swapped_after_the_commit() {
    let (committed, key) = encrypt(HONEST).unwrap();
    assert_eq!(decrypt(&committed, &key).unwrap(), HONEST);
    for bit in 0..256 {
        let mut other = *key.as_bytes();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(
            decrypt(&committed, &DecryptionKey::from_bytes(other)),
            Err(ContainerError::WrongKey)
        ));
    }
    // A file whose body decrypts to the better weights under a second key: its header cannot name both keys.
    let (second, other) = encrypt(BETTER).unwrap();
    let mut forged = committed.clone();
    forged[..HEADER_LENGTH_BYTES].copy_from_slice(&second[..HEADER_LENGTH_BYTES]);
    assert!(decrypt(&forged, &key).is_err());
    assert!(decrypt(&forged, &other).is_ok_and(|weights| weights != HONEST));
    assert_ne!(ContentHash::of(&forged), ContentHash::of(&committed));
}
