//! What a wallet is for, and how it is written bare.

use std::fmt;

use serde::{Deserialize, Serialize};
use soma_types::Keypair;
use zeroize::Zeroizing;

use crate::mnemonic::Mnemonic;

/// What a wallet is for: a secret key, and the words it came from if any. `Debug` hides both.
#[derive(Clone)]
pub struct Secret {
    pub(super) keys: Keypair,
    pub(super) mnemonic: Option<Mnemonic>,
}

impl Secret {
    /// A secret to store.
    pub fn new(keys: &Keypair, mnemonic: Option<&Mnemonic>) -> Self {
        Self {
            keys: keys.clone(),
            mnemonic: mnemonic.cloned(),
        }
    }

    /// The keys.
    pub fn keypair(&self) -> Keypair {
        self.keys.clone()
    }

    /// The secret key as `0x` and 64 hex digits.
    pub fn secret_key(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(self.keys.to_secret_bytes());
        Zeroizing::new(format!("0x{}", hex::encode(bytes.as_ref())))
    }

    /// The words, if the wallet was made from words.
    pub fn mnemonic(&self) -> Option<&Mnemonic> {
        self.mnemonic.as_ref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.keys.address())
    }
}

/// The bare secret as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bare {
    pub(super) secret_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mnemonic: Option<String>,
}

impl Drop for Bare {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.secret_key.zeroize();
        self.mnemonic.zeroize();
    }
}
