//! How much room a store has given away.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};

use soma_files::At as _;
use soma_types::ContentHash;

use super::{error::StoreError, guests::Guests};
use crate::withdrawn::{Mark, Withdrawn};

/// What is there, and what is promised.
#[derive(Default)]
pub(super) struct Accounts {
    /// Length of every blob in place, in bytes.
    pub(super) blobs: HashMap<ContentHash, u64>,
    /// Those of them that are set aside.
    pub(super) aside: HashSet<ContentHash>,
    /// Bytes of all blobs, of those aside too.
    pub(super) stored_bytes: u64,
    /// What is never there.
    pub(super) withdrawn: Withdrawn,
    /// The state of its list.
    pub(super) withdrawn_mark: Option<Mark>,
    /// What strangers brought.
    pub(super) guests: Guests,
    /// Reserved by writers under way.
    pub(super) reserved_bytes: u64,
}

impl Accounts {
    /// Length of a blob that is there for others.
    pub(super) fn length_bytes(&self, hash: &ContentHash) -> Option<u64> {
        let length_bytes = self.blobs.get(hash).copied()?;
        (!self.aside.contains(hash)).then_some(length_bytes)
    }

    /// Fails where the operator has taken a blob down.
    pub(super) fn admit(&self, hash: &ContentHash) -> Result<(), StoreError> {
        match self.withdrawn.get(hash) {
            Some(withdrawal) if !withdrawal.restored => self.explain_absence(hash),
            _ => Ok(()),
        }
    }

    /// Fails where a blob that is not there was taken down, though it may come back.
    pub(super) fn explain_absence(&self, hash: &ContentHash) -> Result<(), StoreError> {
        self.withdrawn.get(hash).map_or(Ok(()), |withdrawal| {
            Err(StoreError::Withdrawn {
                hash: *hash,
                reason: withdrawal.reason.clone(),
            })
        })
    }
}

/// Counts the blobs under `directory`. Files whose names are no hashes are not the store's and stay.
pub(super) fn count(directory: &Path) -> Result<Accounts, StoreError> {
    let mut accounts = Accounts::default();
    for shard in fs::read_dir(directory).at("list", directory)? {
        let shard = shard.at("list", directory)?.path();
        let is_shard = shard
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.len() == 2);
        if !is_shard || !shard.is_dir() {
            continue;
        }
        for blob in fs::read_dir(&shard).at("list", &shard)? {
            let blob = blob.at("list", &shard)?;
            let mut hash = [0; 32];
            let name = blob.file_name();
            if name
                .to_str()
                .is_none_or(|name| hex::decode_to_slice(name, &mut hash).is_err())
            {
                continue;
            }
            let length_bytes = blob.metadata().at("inspect", &blob.path())?.len();
            accounts.stored_bytes += length_bytes;
            accounts.blobs.insert(ContentHash(hash), length_bytes);
        }
    }
    Ok(accounts)
}
