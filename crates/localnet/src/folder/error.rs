//! Why a localnet's folder cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use soma_files::FileError;
use soma_operator::{SecretsError, storage::StorageError};
use soma_types::{genesis::GenesisError, params::COMMITTEE_SIZE_MAX};

use super::layout::VERSION;

/// Why a localnet's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process runs it.
    #[error("another localnet is running in '{0}': stop it, or use another folder with --dir")]
    Locked(PathBuf),
    /// A network of other software.
    #[error(
        "the network in '{path}' was made by another version of soma: its folder has layout {found}, this one \
         reads and writes {VERSION}"
    )]
    OtherVersion {
        /// The folder.
        path: PathBuf,
        /// Its layout.
        found: String,
    },
    /// Someone's own file has a name that a localnet needs.
    #[error("'{0}' is not a localnet's, and is in the way of one")]
    InTheWay(PathBuf),
    /// What should be deleted is no localnet.
    #[error("{0} holds other things than a localnet")]
    Foreign(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {action} '{path}': {reason}")]
    Io {
        /// Reading, writing, ...
        action: &'static str,
        /// What was read or written.
        path: PathBuf,
        /// In words, with what to do.
        reason: String,
    },
    /// A file holds something else.
    #[error("'{path}' is damaged ({reason}): restore it from a copy, or make a new network with --force")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A validator's keys.
    #[error(transparent)]
    Keys(#[from] SecretsError),
    /// A validator's storage.
    #[error(transparent)]
    Storage(StorageError),
    /// The network asked for makes no sense.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Too few or too many validators.
    #[error("a localnet has 1 to {COMMITTEE_SIZE_MAX} validators, not {0}")]
    Validators(u32),
}

impl From<FileError> for FolderError {
    fn from(FileError { action, path, source }: FileError) -> Self {
        let reason = match source.kind() {
            io::ErrorKind::StorageFull => "the disk is full: free some space".to_owned(),
            io::ErrorKind::ReadOnlyFilesystem => {
                "the disk is read-only: use a folder that can be written".to_owned()
            }
            io::ErrorKind::PermissionDenied => "permission denied: use a folder you own".to_owned(),
            _ => source.to_string(),
        };
        Self::Io { action, path, reason }
    }
}

impl From<StorageError> for FolderError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::File(error) => error.into(),
            error => Self::Storage(error),
        }
    }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |source| {
        FolderError::from(FileError {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

pub(super) fn damaged(path: &Path, reason: impl std::fmt::Display) -> FolderError {
    FolderError::Damaged {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
