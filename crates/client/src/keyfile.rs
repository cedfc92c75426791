//! One wallet's file: JSON, the secret bare or encrypted with a password.
//!
//! Encryption: Argon2id (64 MiB, 3 passes; RFC 9106's second recommendation with one lane) turns password
//! and salt into a key; XChaCha20-Poly1305 seals the secret, with version and address as associated data, so
//! that a secret cannot be moved under another's address.
//!
//! # Bounds
//!
//! The file's parameters are obeyed within [`MEMORY_KIB_MAX`] and [`PASSES_MAX`]: a prepared file cannot
//! exhaust the machine that opens it.

mod bounds;
mod error;
mod sealed;
mod secret;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use soma_types::{Address, Keypair};
use zeroize::Zeroizing;

use self::{
    error::malformed,
    sealed::{Sealed, composed, decrypt_in_any_form, encrypt},
    secret::Bare,
};
use crate::mnemonic::Mnemonic;

pub use self::{
    bounds::{LENGTH_BYTES_MAX, MEMORY_KIB_MAX, PASSES_MAX, PASSWORD_LENGTH_BYTES_MAX, VERSION},
    error::KeyFileError,
    sealed::check_password,
    secret::Secret,
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Contents {
    Bare(Bare),
    Encrypted(Sealed),
}

/// A wallet's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    version: u32,
    address: Address,
    secret: Contents,
}

impl KeyFile {
    /// Prepares `secret` for storage; with a password, encrypted.
    ///
    /// # Errors
    /// When the password is none, or the operating system gives no random bytes.
    pub fn seal(secret: &Secret, password: Option<&str>) -> Result<Self, KeyFileError> {
        let address = secret.keys.address();
        let bare = Bare {
            secret_key: secret.secret_key().to_string(),
            mnemonic: secret.mnemonic().map(|mnemonic| mnemonic.words().to_string()),
        };
        let secret = match password {
            None => Contents::Bare(bare),
            Some(password) => {
                check_password(password)?;
                Contents::Encrypted(encrypt(&bare, &composed(password), &address)?)
            }
        };
        Ok(Self {
            version: VERSION,
            address,
            secret,
        })
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// When the bytes are no key file, or one of a later version.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeyFileError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let versioned: Versioned = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        if versioned.version != VERSION {
            return Err(KeyFileError::UnsupportedVersion {
                found: versioned.version,
            });
        }
        serde_json::from_slice(bytes).map_err(|error| malformed(&error))
    }

    /// The file's bytes.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings and numbers always encode");
        bytes.push(b'\n');
        Zeroizing::new(bytes)
    }

    /// The account.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Whether a password is needed.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.secret, Contents::Encrypted(_))
    }

    /// The secret, checked against the address.
    ///
    /// # Errors
    /// When a password is needed and missing, is wrong, or the file was changed.
    pub fn open(&self, password: Option<&str>) -> Result<Secret, KeyFileError> {
        let decrypted;
        let bare = match (&self.secret, password) {
            (Contents::Bare(bare), _) => bare,
            (Contents::Encrypted(_), None) => return Err(KeyFileError::PasswordNeeded),
            (Contents::Encrypted(sealed), Some(password)) => {
                decrypted = decrypt_in_any_form(sealed, password, &self.address)?;
                &decrypted
            }
        };
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(
            bare.secret_key.strip_prefix("0x").unwrap_or_default(),
            key.as_mut(),
        )
        .map_err(|error| malformed(&error))?;
        let keys = Keypair::from_secret_bytes(*key);
        if keys.address() != self.address {
            return Err(KeyFileError::WrongAddress {
                expected: self.address,
                found: keys.address(),
            });
        }
        let mnemonic = bare
            .mnemonic
            .as_deref()
            .map(Mnemonic::parse)
            .transpose()
            .map_err(|error| malformed(&error))?;
        Ok(Secret { keys, mnemonic })
    }
}
