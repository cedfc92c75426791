//! Why a store could not do as asked.

use std::path::PathBuf;

use soma_files::{FileError, LockError};
use soma_types::ContentHash;

use crate::withdrawn::WithdrawnError;

/// Why a store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the folder.
    #[error("the store in {} is in use by another process; stop it or choose another folder", path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// The limit would be passed.
    #[error(
        "the store is full: {needed_bytes} more bytes on top of {used_bytes} pass its limit of {limit_bytes}; \
         raise the limit or remove blobs"
    )]
    Full {
        /// Bytes in the store and being written.
        used_bytes: u64,
        /// Bytes asked for.
        needed_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// A guest's share would be passed.
    #[error(
        "{needed_bytes} more bytes on top of {held_bytes} that you brought and nothing names yet pass your share \
         of {share_bytes}: have the ledger name them, wait until they have left, or host your content yourself"
    )]
    GuestFull {
        /// Bytes of the guest's.
        held_bytes: u64,
        /// Bytes more.
        needed_bytes: u64,
        /// The share in bytes.
        share_bytes: u64,
    },
    /// What was written is not what was announced.
    #[error("the bytes hash to {found}, not to {expected}")]
    WrongHash {
        /// The announced hash.
        expected: ContentHash,
        /// The hash of the bytes.
        found: ContentHash,
    },
    /// A blob was damaged at rest.
    #[error("blob {hash} was damaged on disk and has been removed; fetch it again")]
    Damaged {
        /// The blob's name.
        hash: ContentHash,
    },
    /// The store's operator has taken it down.
    #[error("the operator of this store has taken {hash} down: {reason}")]
    Withdrawn {
        /// The blob's name.
        hash: ContentHash,
        /// The operator's words.
        reason: String,
    },
    /// What was taken down is not known.
    #[error(transparent)]
    List(#[from] WithdrawnError),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<LockError> for StoreError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held(path) => Self::InUse { path },
            LockError::File(error) => Self::File(error),
        }
    }
}
