//! Ed25519 keys and signatures. Every signature names its purpose through a namespace, so what was
//! signed for one use verifies for no other.

use std::{fmt, str::FromStr};

use borsh::{BorshDeserialize, BorshSerialize};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_cryptography::{Signer as _, Verifier as _, ed25519};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{hash::domain_hash, id::Address};

/// Namespace of transaction signatures.
pub const TRANSACTION_NAMESPACE: &[u8] = b"soma 2026 transaction";

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

    /// Whether `signature` is this key's over `message` under `namespace`. A malformed key or
    /// signature verifies nothing.
    #[must_use]
    pub fn verify(&self, namespace: &[u8], message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = ed25519::PublicKey::decode(self.0.to_vec()) else {
            return false;
        };
        let Ok(signature) = ed25519::Signature::decode(signature.0.to_vec()) else {
            return false;
        };
        key.verify(namespace, message, &signature)
    }
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

    #[test]
    fn secrets_stay_out_of_debug_and_round_trip() {
        let keys = Keypair::from_secret_bytes([3; 32]);
        assert!(!format!("{keys:?}").contains("0303"));
        assert_eq!(keys.to_secret_bytes(), [3; 32]);
    }
}
