//! The key of one container.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{error::ContainerError, layout::KEY_LENGTH_BYTES};

/// The key of one container. Never printed, wiped from memory when dropped.
///
/// A key is used for one container only: [`encrypt`](super::encrypt) makes a fresh one each time. Once
/// revealed it is a [`soma_types::DecryptionKey`], which is public and printable.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DecryptionKey(pub(super) [u8; KEY_LENGTH_BYTES]);

impl DecryptionKey {
    /// A fresh key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, ContainerError> {
        let mut key = Self([0; KEY_LENGTH_BYTES]);
        getrandom::fill(&mut key.0).map_err(ContainerError::Randomness)?;
        Ok(key)
    }

    /// The key with these bytes, as revealed on chain.
    pub const fn from_bytes(bytes: [u8; KEY_LENGTH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key's bytes. Whoever has them can read the weights.
    pub const fn as_bytes(&self) -> &[u8; KEY_LENGTH_BYTES] {
        &self.0
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptionKey(redacted)")
    }
}

/// As a reveal publishes it.
impl From<&DecryptionKey> for soma_types::DecryptionKey {
    fn from(key: &DecryptionKey) -> Self {
        Self(key.0)
    }
}

/// As a reveal published it.
impl From<soma_types::DecryptionKey> for DecryptionKey {
    fn from(key: soma_types::DecryptionKey) -> Self {
        Self(key.0)
    }
}

impl PartialEq for DecryptionKey {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }
}

impl Eq for DecryptionKey {}
