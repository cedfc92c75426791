//! The network's key.

use std::{fmt, str::FromStr};

use commonware_codec::{DecodeExt as _, Encode as _};

use crate::consensus::{Scheme, namespace};

/// Its length, in bytes.
pub const KEY_BYTES: usize = 48;

type Public = commonware_cryptography::bls12381::primitives::group::G1;

/// The key that verifies every certificate of a network, for ever.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NetworkKey(Public);

/// No network's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no network key: give its 48 bytes in hex, as soma status shows it")]
pub struct NoNetworkKey(String);

impl NetworkKey {
    /// What verifies certificates of the network `chain`.
    pub(crate) fn scheme(&self, chain: &[u8; 32]) -> Scheme {
        Scheme::certificate_verifier(&namespace(chain), self.0)
    }
}

impl From<Public> for NetworkKey {
    fn from(key: Public) -> Self {
        Self(key)
    }
}

impl FromStr for NetworkKey {
    type Err = NoNetworkKey;

    fn from_str(text: &str) -> Result<Self, NoNetworkKey> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::decode(digits).ok().filter(|bytes| bytes.len() == KEY_BYTES);
        let key = bytes.and_then(|bytes| Public::decode(bytes).ok());
        key.map(Self).ok_or_else(|| NoNetworkKey(text.to_owned()))
    }
}

impl fmt::Display for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0.encode()))
    }
}

impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
