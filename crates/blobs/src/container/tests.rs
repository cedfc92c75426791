use std::io;

use proptest::prelude::*;

use super::{preamble::array, *};

fn fixed() -> (DecryptionKey, Preamble) {
    let key = DecryptionKey::from_bytes(std::array::from_fn(|i| i as u8));
    let nonce = std::array::from_fn(|i| 0xf0 + i as u8);
    (
        key,
        Preamble {
            version: VERSION,
            length_bytes: 20,
            nonce,
        },
    )
}

/// Pins the layout, the key tag's domain and the cipher. Regenerate only with a new `VERSION`.
#[test]
fn layout_is_pinned() {
    let (key, preamble) = fixed();
    let container = seal(b"weights of a model..", &key, &preamble);
    assert_eq!(
        hex::encode(&container),
        include_str!("../../tests/container_v1.hex").trim()
    );
    assert_eq!(decrypt(&container, &key).unwrap(), b"weights of a model..");
}

/// NIST SP 800-38A, F.5.5: AES-256-CTR, the first two blocks.
#[test]
fn cipher_is_aes_256_ctr() {
    let key = hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").unwrap();
    let preamble = Preamble {
        version: VERSION,
        length_bytes: 32,
        nonce: array(&hex::decode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").unwrap()),
    };
    let plaintext = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51").unwrap();
    let container = seal(&plaintext, &DecryptionKey::from_bytes(array(&key)), &preamble);
    assert_eq!(
        hex::encode(&container[HEADER_LENGTH_BYTES..]),
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    );
}

#[test]
fn every_refusal_is_named() {
    let (mut container, key) = encrypt(b"some weights").unwrap();
    let other = DecryptionKey::generate().unwrap();
    assert!(matches!(
        decrypt(&container, &other),
        Err(ContainerError::WrongKey)
    ));
    assert!(matches!(
        decrypt(&[], &key),
        Err(ContainerError::TruncatedHeader { found: 0 })
    ));
    assert!(matches!(
        decrypt(b"{\"a\":1}", &key),
        Err(ContainerError::BadMagic { .. })
    ));
    assert!(matches!(
        decrypt(&container[..container.len() - 1], &key),
        Err(ContainerError::Truncated {
            expected: 12,
            found: 11
        })
    ));
    assert!(check(&container).is_ok());
    assert!(matches!(
        check(&container[..container.len() - 1]),
        Err(ContainerError::Truncated {
            expected: 12,
            found: 11
        })
    ));
    assert!(matches!(check(&[7; 100]), Err(ContainerError::BadMagic { .. })));
    container.push(0);
    assert!(matches!(
        decrypt(&container, &key),
        Err(ContainerError::TrailingBytes { expected: 12 })
    ));
    container.pop();
    container[6] = 9;
    assert!(matches!(
        decrypt(&container, &key),
        Err(ContainerError::UnsupportedVersion { found: 9 })
    ));
    container[0] = b'X';
    assert!(matches!(
        decrypt(&container, &key),
        Err(ContainerError::BadMagic { .. })
    ));
}

/// The commitment is to key, nonce and length together: no bit of the header can move.
#[test]
fn no_bit_of_the_header_can_change() {
    let (container, key) = encrypt(b"some weights").unwrap();
    for bit in 0..HEADER_LENGTH_BYTES * 8 {
        let mut changed = container.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(decrypt(&changed, &key).is_err(), "bit {bit}");
    }
}

#[test]
fn keys_and_nonces_are_fresh_and_keys_stay_secret() {
    let (first, key) = encrypt(b"same").unwrap();
    let (second, other) = encrypt(b"same").unwrap();
    assert_ne!(key, other);
    assert_ne!(first[16..32], second[16..32]);
    assert_eq!(format!("{key:?}"), "DecryptionKey(redacted)");
}

/// Gives one byte per call, as a slow socket would.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(buffer.len()).min(1);
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn a_source_of_another_length_is_refused() {
    let mut sink = Vec::new();
    let error = encrypt_stream(&mut &b"abc"[..], 4, &mut sink).unwrap_err();
    assert!(matches!(
        error,
        ContainerError::SourceLength {
            expected: 4,
            found: 3
        }
    ));
    let error = encrypt_stream(&mut &b"abcde"[..], 4, &mut sink).unwrap_err();
    assert!(matches!(
        error,
        ContainerError::SourceLength {
            expected: 4,
            found: 5
        }
    ));
}

proptest! {
    #[test]
    fn streams_and_bytes_agree(plaintext in proptest::collection::vec(any::<u8>(), 0..300_000)) {
        let mut container = Vec::new();
        let key = encrypt_stream(&mut &plaintext[..], plaintext.len() as u64, &mut container).unwrap();
        prop_assert_eq!(container.len(), plaintext.len() + HEADER_LENGTH_BYTES);
        prop_assert!(decrypt(&container, &key).unwrap() == plaintext);
        let mut opened = Vec::new();
        let mut decrypting = Decrypting::new(Trickle(&container), container.len() as u64, &key).unwrap();
        prop_assert_eq!(decrypting.plaintext_bytes(), plaintext.len() as u64);
        decrypting.read_to_end(&mut opened).unwrap();
        prop_assert!(opened == plaintext);
    }

    /// Hostile bytes: an error or, only for real containers, a plaintext; the same at once and byte by
    /// byte.
    #[test]
    fn hostile_bytes_never_panic(
        cut in 0usize..200,
        flips in proptest::collection::vec((0usize..200, any::<u8>()), 0..4),
    ) {
        let (mut container, key) = encrypt(&[7; 100]).unwrap();
        for (at, mask) in flips {
            if let Some(byte) = container.get_mut(at) {
                *byte ^= mask;
            }
        }
        container.truncate(cut);
        let whole = decrypt(&container, &key);
        // Who has no key refuses nothing that opens, and says the same of what is cut.
        prop_assert!(whole.is_err() || check(&container).is_ok());
        if let Err(refused) = check(&container) {
            let told = whole.as_ref().map_err(ToString::to_string).map(|_| ());
            prop_assert!(told == Err(refused.to_string()) || matches!(whole, Err(ContainerError::WrongKey)));
        }
        let opened = Decrypting::new(Trickle(&container), container.len() as u64, &key);
        let opened = opened.map(|mut decrypting| {
            let mut plaintext = Vec::new();
            decrypting.read_to_end(&mut plaintext).unwrap();
            plaintext
        });
        prop_assert_eq!(whole.map_err(|error| error.to_string()), opened.map_err(|error| error.to_string()));
    }
}
