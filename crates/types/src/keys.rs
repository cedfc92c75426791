//! Ed25519 keys and signatures. Every signature names its purpose through a namespace, so what was
//! signed for one use verifies for no other.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_cryptography::{BatchEntry, BatchVerifier as _, Signer as _, Verifier as _, ed25519};
use commonware_parallel::Sequential;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{hash::domain_hash, id::Address};

/// Namespace of transaction signatures.
pub const TRANSACTION_NAMESPACE: &[u8] = b"soma 2026 transaction";

/// The y coordinates, little-endian, of the points of small order: 0, 1, -1, the first two again
/// unreduced, and the two of order 8. Ed25519 as the engine checks it (ZIP 215) multiplies such a key away,
/// so that a signature of zeros is its own over every message.
const SMALL_ORDER_Y: [[u8; 32]; 7] = [
    [0; 32],
    near_zero(1),
    near_prime(0xec),
    near_prime(0xed),
    near_prime(0xee),
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
];

const fn near_zero(lowest: u8) -> [u8; 32] {
    let mut y = [0; 32];
    y[0] = lowest;
    y
}

/// The field's prime, 2^255 - 19, with another lowest byte than 0xed.
const fn near_prime(lowest: u8) -> [u8; 32] {
    let mut y = [0xff; 32];
    (y[0], y[31]) = (lowest, 0x7f);
    y
}

/// Why bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 32 hex-coded bytes.
    #[error("a key is 0x and 64 hex digits")]
    Encoding,
    /// Not 64 hex-coded bytes.
    #[error("a signature is 0x and 128 hex digits")]
    Signature,
}

/// A secret key. Its `Debug` form reveals nothing.
#[derive(Clone)]
pub struct Keypair {
    secret: ed25519::PrivateKey,
    public: PublicKey,
}

impl Keypair {
    /// The keypair of 32 secret bytes (any 32 bytes are a valid Ed25519 secret).
    ///
    /// # Panics
    /// Never: every 32-byte string decodes.
    #[must_use]
    pub fn from_secret_bytes(bytes: [u8; 32]) -> Self {
        let secret = ed25519::PrivateKey::decode(bytes.to_vec()).expect("any 32 bytes are an Ed25519 secret");
        let encoded = secret.public_key().encode();
        let public = PublicKey(
            encoded
                .as_ref()
                .try_into()
                .expect("an Ed25519 public key has 32 bytes"),
        );
        Self { secret, public }
    }

    /// The secret bytes, for storage only.
    ///
    /// # Panics
    /// Never: the encoding is 32 bytes long.
    #[must_use]
    pub fn to_secret_bytes(&self) -> [u8; 32] {
        self.secret
            .encode()
            .as_ref()
            .try_into()
            .expect("an Ed25519 secret has 32 bytes")
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The account this key controls.
    #[must_use]
    pub fn address(&self) -> Address {
        self.public.address()
    }

    /// Signs `message` under `namespace`.
    ///
    /// # Panics
    /// Never: the signature's encoding is 64 bytes long.
    #[must_use]
    pub fn sign(&self, namespace: &[u8], message: &[u8]) -> Signature {
        let signature = self.secret.sign(namespace, message).encode();
        Signature(
            signature
                .as_ref()
                .try_into()
                .expect("an Ed25519 signature has 64 bytes"),
        )
    }
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({})", self.address())
    }
}

/// An Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The account this key controls: BLAKE3 of the key, domain separated.
    #[must_use]
    pub fn address(&self) -> Address {
        Address(domain_hash("soma 2026 address", &[&self.0]))
    }

    /// Whether this is a point of small order: nobody's key, and anybody could sign for it.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        let mut y = self.0;
        y[31] &= 0x7f;
        SMALL_ORDER_Y.contains(&y)
    }

    /// Whether `signature` is this key's over `message` under `namespace`. A malformed or weak key or
    /// a malformed signature verifies nothing.
    #[must_use]
    pub fn verify(&self, namespace: &[u8], message: &[u8], signature: &Signature) -> bool {
        self.sound(signature)
            .is_some_and(|(key, signature)| key.verify(namespace, message, &signature))
    }

    /// Key and signature as the engine has them, unless one is malformed or the key weak.
    fn sound(&self, signature: &Signature) -> Option<(ed25519::PublicKey, ed25519::Signature)> {
        if self.is_weak() {
            return None;
        }
        let key = ed25519::PublicKey::decode(self.0.to_vec()).ok()?;
        let signature = ed25519::Signature::decode(signature.0.to_vec()).ok()?;
        Some((key, signature))
    }
}

/// Whether there are some in `signed` (key, message, signature) and all of them verify under `namespace`. One
/// sum with random factors tells, which ZIP215 allows with the verdict of one by one
/// ([`PublicKey::verify`]), in less than half of its time.
#[must_use]
pub fn verify_all(namespace: &[u8], signed: &[(&PublicKey, &[u8], &Signature)]) -> bool {
    let sound: Option<Vec<_>> = signed
        .iter()
        .map(|(key, message, signature)| Some((key.sound(signature)?, *message)))
        .collect();
    sound.is_some_and(|sound| {
        ed25519::PublicKey::verify_batch(
            &mut rand::rng(),
            &sound,
            |_, ((public_key, signature), message)| BatchEntry {
                namespace,
                message,
                public_key,
                signature,
            },
            &Sequential,
        )
    })
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        text.strip_prefix("0x")
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .ok_or(KeyError::Encoding)?;
        Ok(Self(bytes))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl FromStr for Signature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 64];
        text.strip_prefix("0x")
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .ok_or(KeyError::Signature)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature(0x{})", hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_bind_key_namespace_and_message() {
        let (keys, other) = (
            Keypair::from_secret_bytes([1; 32]),
            Keypair::from_secret_bytes([2; 32]),
        );
        let signature = keys.sign(b"one", b"message");
        assert!(keys.public_key().verify(b"one", b"message", &signature));
        assert!(!keys.public_key().verify(b"two", b"message", &signature));
        assert!(!keys.public_key().verify(b"one", b"massage", &signature));
        assert!(!other.public_key().verify(b"one", b"message", &signature));
        assert!(!PublicKey([0xff; 32]).verify(b"one", b"message", &signature));
        assert!(
            !keys
                .public_key()
                .verify(b"one", b"message", &Signature([0xff; 64]))
        );
    }

    /// Found by fuzzing: for these keys the engine's check takes a signature that nobody made.
    #[test]
    fn nobody_signs_for_weak_keys() {
        let zeros = ed25519::Signature::decode(vec![0; 64]).unwrap();
        let mut fooled = 0;
        for y in SMALL_ORDER_Y {
            for sign in [0, 0x80] {
                let mut weak = PublicKey(y);
                weak.0[31] |= sign;
                let engine = ed25519::PublicKey::decode(weak.0.to_vec());
                fooled += u32::from(engine.is_ok_and(|key| key.verify(b"any", b"message", &zeros)));
                assert!(weak.is_weak());
                assert!(!weak.verify(b"any", b"message", &Signature([0; 64])));
            }
        }
        assert!(
            fooled > 0,
            "the engine refuses them itself by now: this check can go"
        );
        assert!(!Keypair::from_secret_bytes([1; 32]).public_key().is_weak());
    }

    #[test]
    fn secrets_stay_out_of_debug_and_round_trip() {
        let keys = Keypair::from_secret_bytes([3; 32]);
        assert!(!format!("{keys:?}").contains("0303"));
        assert_eq!(keys.to_secret_bytes(), [3; 32]);
    }
}
