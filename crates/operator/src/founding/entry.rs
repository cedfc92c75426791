//! What a validator's operator gives the others: its public keys, where it listens, and its account.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use commonware_codec::Encode as _;
use commonware_cryptography::bls12381::dkg::golden;
use serde::{Deserialize, Serialize};
use soma_files::{FileError, read_bounded, replace};
use soma_node::consensus::{Identity, public_key};
use soma_types::{Address, PublicKey, transaction::BasisPoints};

use crate::text;

/// More than an entry takes.
const LENGTH_BYTES_MAX: u64 = 64 << 10;

/// A validator of a network to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "EntryFile", into = "EntryFile")]
pub struct Entry {
    /// Its name among its peers.
    pub identity: Identity,
    /// What others deal to.
    pub dealing: golden::PublicKey,
    /// Its account, which has its stake and signs its audits.
    pub account: Address,
    /// Where it listens for its peers, as they reach it.
    pub address: SocketAddr,
    /// Its share of its pool's rewards.
    pub commission: BasisPoints,
}

/// How it is written. Keys are hex.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    network_key: PublicKey,
    dealing_key: String,
    account: Address,
    address: SocketAddr,
    commission: BasisPoints,
}

impl From<Entry> for EntryFile {
    fn from(entry: Entry) -> Self {
        Self {
            network_key: public_key(&entry.identity),
            dealing_key: text::encode(&entry.dealing),
            account: entry.account,
            address: entry.address,
            commission: entry.commission,
        }
    }
}

impl TryFrom<EntryFile> for Entry {
    type Error = String;

    fn try_from(file: EntryFile) -> Result<Self, String> {
        Ok(Self {
            identity: text::decode(&file.network_key.to_string(), &())
                .map_err(|error| format!("network_key: {error}"))?,
            dealing: text::decode(&file.dealing_key, &()).map_err(|error| format!("dealing_key: {error}"))?,
            account: file.account,
            address: file.address,
            commission: file.commission,
        })
    }
}

/// Why an entry is refused.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is something else.
    #[error("'{path}' is no validator's entry: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Peers could not reach it.
    #[error("the validator {key} is entered with the address {address}, where nobody can reach it")]
    Address {
        /// Whose entry it is.
        key: PublicKey,
        /// What it says.
        address: SocketAddr,
    },
}

impl Entry {
    /// Its name in file names.
    #[must_use]
    pub fn file_name(&self) -> String {
        file_name(&self.identity)
    }

    /// Reads the one at `path`.
    ///
    /// # Errors
    /// If it is none, or nobody could reach it.
    pub fn read(path: &Path) -> Result<Self, EntryError> {
        let bytes = read_bounded(path, LENGTH_BYTES_MAX)?.unwrap_or_default();
        let entry: Self = serde_json::from_slice(&bytes).map_err(|error| EntryError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        if entry.address.port() == 0 || entry.address.ip().is_unspecified() {
            return Err(EntryError::Address {
                key: public_key(&entry.identity),
                address: entry.address,
            });
        }
        Ok(entry)
    }

    /// Writes it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let json = serde_json::to_vec_pretty(self).expect("plain data is JSON");
        replace(path, &json)
    }
}

/// The file of `identity` in a folder of all validators'.
pub(super) fn file_name(identity: &Identity) -> String {
    format!("{}.json", hex::encode(identity.encode()))
}
