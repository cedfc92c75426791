//! Keys. Nothing here prints a secret unless it is asked for it by name.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use pyo3::{exceptions::PyTypeError, prelude::*, types::PyBytes};
use soma_client::{Mnemonic, generate_keypair, keyfile::Secret, paper::Paper};
use soma_types::{PublicKey, Signature, keys};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// What signs messages of people signs no transaction.
const MESSAGE_NAMESPACE: &[u8] = b"soma 2026 message";

/// An account's secret key.
#[pyclass(frozen, module = "soma_sdk")]
pub struct Keypair(keys::Keypair);

impl Keypair {
    /// The key.
    pub fn keys(&self) -> &keys::Keypair {
        &self.0
    }
}

#[pymethods]
impl Keypair {
    /// A fresh key from the operating system's randomness.
    #[staticmethod]
    fn generate() -> Result<Self, Failure> {
        generate_keypair().map(Self).map_err(Failure::argument)
    }

    /// The key that `soma wallet export` prints: 64 hex digits, with or without `0x`.
    #[staticmethod]
    fn from_secret_key(secret: &str) -> Result<Self, Failure> {
        let paper = Paper::read(secret.as_bytes()).map_err(Failure::argument)?;
        Ok(Self(paper.secret().keypair()))
    }

    /// The key of recovery words, as `soma wallet new` shows them.
    #[staticmethod]
    #[pyo3(signature = (mnemonic, account=0))]
    fn from_mnemonic(mnemonic: &str, account: u32) -> Result<Self, Failure> {
        let mnemonic = Mnemonic::parse(mnemonic).map_err(Failure::argument)?;
        mnemonic.keypair(account).map(Self).map_err(Failure::argument)
    }

    /// The account's address.
    fn address(&self) -> String {
        self.0.address().to_string()
    }

    /// The public key.
    fn public_key(&self) -> String {
        self.0.public_key().to_string()
    }

    /// Signs a message: 64 bytes, which `verify` checks, and which are no signature of a transaction.
    fn sign<'py>(&self, py: Python<'py>, message: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.sign(MESSAGE_NAMESPACE, message).0)
    }

    /// The secret key. Whoever has it has the account.
    fn to_secret_key(&self) -> String {
        let text: Zeroizing<String> = Secret::new(&self.0, None).secret_key();
        text.as_str().to_owned()
    }

    fn __repr__(&self) -> String {
        format!("Keypair({})", self.0.address())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| other.get().0.public_key() == self.0.public_key())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.public_key().0.hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a Keypair is not pickled, since that would write the secret key where you may not expect it: pass \
             to_secret_key()",
        ))
    }
}

/// Whether `signature` is the key's over `message`, as `Keypair.sign` makes it.
#[pyfunction]
pub fn verify(public_key: &str, message: &[u8], signature: &[u8]) -> Result<bool, Failure> {
    let key: PublicKey = public_key.parse().map_err(Failure::argument)?;
    let Ok(signature) = <[u8; 64]>::try_from(signature) else {
        return Ok(false);
    };
    Ok(key.verify(MESSAGE_NAMESPACE, message, &Signature(signature)))
}

/// Opens one encrypted container. Public once it is revealed, secret before.
#[pyclass(frozen, module = "soma_sdk")]
pub struct DecryptionKey(soma_blobs::DecryptionKey);

impl DecryptionKey {
    /// The key as Python has it.
    pub const fn of(key: soma_blobs::DecryptionKey) -> Self {
        Self(key)
    }

    /// The key.
    pub fn key(&self) -> &soma_blobs::DecryptionKey {
        &self.0
    }
}

#[pymethods]
impl DecryptionKey {
    /// The key that `to_hex` wrote.
    #[staticmethod]
    fn from_hex(text: &str) -> Result<Self, Failure> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim().trim_start_matches("0x"), &mut *bytes)
            .map_err(|_| Failure::argument("a decryption key is 64 hex digits, with or without 0x"))?;
        Ok(Self(soma_blobs::DecryptionKey::from_bytes(*bytes)))
    }

    /// The key as 64 hex digits, to be kept until the reveal.
    fn to_hex(&self) -> String {
        hex::encode(self.0.as_bytes())
    }

    fn __repr__(&self) -> &'static str {
        "DecryptionKey(..)"
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other
            .cast::<Self>()
            .is_ok_and(|other| other.get().0.as_bytes() == self.0.as_bytes())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.as_bytes().hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a DecryptionKey is not pickled: keep to_hex()",
        ))
    }
}
