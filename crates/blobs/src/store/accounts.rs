//! How much room a store has given away.

use std::{collections::HashMap, fs, path::Path};

use soma_files::At as _;
use soma_types::ContentHash;

use super::error::StoreError;

/// What is there, and what is promised.
#[derive(Default)]
pub(super) struct Accounts {
    /// Length of every blob in place, in bytes.
    pub(super) blobs: HashMap<ContentHash, u64>,
    /// Their sum.
    pub(super) stored_bytes: u64,
    /// Reserved by writers under way.
    pub(super) reserved_bytes: u64,
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
