//! The header: length and nonce, and the tag of the key.

use std::cmp::Ordering;

use aes::{Aes256, cipher::KeyIvInit};
use zeroize::Zeroize;

use super::{
    error::ContainerError,
    key::DecryptionKey,
    layout::{HEADER_LENGTH_BYTES, KEY_TAG_CONTEXT, MAGIC, NONCE_LENGTH_BYTES, VERSION},
};

pub(super) type Cipher = ctr::Ctr128BE<Aes256>;

/// The part of the header that the key tag covers.
pub(super) struct Preamble {
    pub(super) version: u16,
    pub(super) length_bytes: u64,
    pub(super) nonce: [u8; NONCE_LENGTH_BYTES],
}

impl Preamble {
    /// One with a fresh nonce, for a plaintext of this length.
    pub(super) fn fresh(length_bytes: u64) -> Result<Self, ContainerError> {
        let mut nonce = [0; NONCE_LENGTH_BYTES];
        getrandom::fill(&mut nonce).map_err(ContainerError::Randomness)?;
        Ok(Self {
            version: VERSION,
            length_bytes,
            nonce,
        })
    }

    fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..6].copy_from_slice(&MAGIC);
        bytes[6..8].copy_from_slice(&self.version.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length_bytes.to_le_bytes());
        bytes[16..].copy_from_slice(&self.nonce);
        bytes
    }

    pub(super) fn key_tag(&self, key: &DecryptionKey) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_derive_key(KEY_TAG_CONTEXT);
        hasher.update(&key.0).update(&self.encode());
        let tag = hasher.finalize();
        hasher.zeroize();
        tag
    }

    pub(super) fn header(&self, key: &DecryptionKey) -> [u8; HEADER_LENGTH_BYTES] {
        let mut header = [0; HEADER_LENGTH_BYTES];
        header[..32].copy_from_slice(&self.encode());
        header[32..].copy_from_slice(self.key_tag(key).as_bytes());
        header
    }

    /// Reads a header.
    pub(super) fn read(header: &[u8; HEADER_LENGTH_BYTES]) -> Result<Self, ContainerError> {
        let magic: [u8; 6] = array(&header[..6]);
        if magic != MAGIC {
            return Err(ContainerError::BadMagic { found: magic });
        }
        let version = u16::from_le_bytes(array(&header[6..8]));
        if version != VERSION {
            return Err(ContainerError::UnsupportedVersion { found: version });
        }
        Ok(Self {
            version,
            length_bytes: u64::from_le_bytes(array(&header[8..16])),
            nonce: array(&header[16..32]),
        })
    }

    /// Reads a header and checks that `key` is the one it commits to.
    pub(super) fn open(
        header: &[u8; HEADER_LENGTH_BYTES],
        key: &DecryptionKey,
    ) -> Result<Self, ContainerError> {
        let preamble = Self::read(header)?;
        if preamble.key_tag(key) != blake3::Hash::from_bytes(array(&header[32..])) {
            return Err(ContainerError::WrongKey);
        }
        Ok(preamble)
    }

    /// Checks that the body has the length that the header says.
    pub(super) fn check_length(&self, found: u64) -> Result<(), ContainerError> {
        let expected = self.length_bytes;
        match found.cmp(&expected) {
            Ordering::Less => Err(ContainerError::Truncated { expected, found }),
            Ordering::Greater => Err(ContainerError::TrailingBytes { expected }),
            Ordering::Equal => Ok(()),
        }
    }

    pub(super) fn cipher(&self, key: &DecryptionKey) -> Cipher {
        Cipher::new(&key.0.into(), &self.nonce.into())
    }
}

/// `bytes` as an array; the callers slice exactly `N` bytes.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("sliced to the array's length")
}
