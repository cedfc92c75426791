//! Whose a storage folder is: that of one network, for ever.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use soma_files::{At as _, FileError, replace};
use soma_types::{ChainId, text::printable};

/// How this software lays storage out. Another number is another, unreadable layout; none is the first.
const LAYOUT: &str = "layout 2";

/// Why a folder is not the storage that is looked for.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is another network's.
    #[error("'{path}' is storage of the network {found}, and this one is {chain}")]
    Other {
        /// The folder.
        path: PathBuf,
        /// What it says it is of.
        found: String,
        /// What it should be of.
        chain: ChainId,
    },
    /// It was written by other software.
    #[error(
        "'{path}' was written by another version of soma ({found}, and this one reads {LAYOUT}): move it away, and \
         the node starts anew from its peers"
    )]
    OtherLayout {
        /// The folder.
        path: PathBuf,
        /// What it says of its layout.
        found: String,
    },
    /// It may be anything's.
    #[error("'{0}' holds data, and its file 'chain', which names the network, is missing")]
    Unnamed(PathBuf),
}

/// Sees that `storage` is that of `chain`; new storage becomes so.
///
/// # Errors
/// If it is another's, or the disk refuses.
pub fn claim(storage: &Path, chain: &ChainId) -> Result<(), StorageError> {
    fs::create_dir_all(storage).at("create", storage)?;
    if !belongs(storage, chain)? {
        replace(&storage.join("chain"), format!("{chain} {LAYOUT}\n").as_bytes())?;
    }
    Ok(())
}

/// Whether `storage` is that of `chain`; false where it is nobody's yet.
///
/// # Errors
/// If it is another's, or the disk refuses.
pub fn belongs(storage: &Path, chain: &ChainId) -> Result<bool, StorageError> {
    let path = storage.join("chain");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let (found, layout) = text.trim().split_once(' ').unwrap_or((text.trim(), "layout 1"));
            let (path, shown) = (storage.to_owned(), |text| printable(text).into_owned());
            if found != chain.to_string() {
                let (found, chain) = (shown(found), *chain);
                return Err(StorageError::Other { path, found, chain });
            }
            if layout != LAYOUT {
                let found = shown(layout);
                return Err(StorageError::OtherLayout { path, found });
            }
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let entries = match fs::read_dir(storage) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                entries => entries.at("read", storage)?,
            };
            // The engine's files are in folders.
            if entries.flatten().any(|entry| entry.path().is_dir()) {
                return Err(StorageError::Unnamed(storage.to_owned()));
            }
            Ok(false)
        }
        Err(error) => Err(error).at("read", &path)?,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_one_networks_and_of_one_layout() {
        let disk = tempfile::tempdir().unwrap();
        let storage = disk.path().join("storage");
        let (ours, theirs) = (ChainId([1; 32]), ChainId([2; 32]));
        assert!(!belongs(&storage, &ours).unwrap());
        claim(&storage, &ours).unwrap();
        assert!(belongs(&storage, &ours).unwrap());
        claim(&storage, &ours).unwrap();
        assert!(matches!(
            claim(&storage, &theirs),
            Err(StorageError::Other { found, .. }) if found == ours.to_string()
        ));
        // As it was written before layouts had numbers, and as it may be one day.
        for (written, layout) in [
            (format!("{ours}\n"), "layout 1"),
            (format!("{ours} layout 3\n"), "layout 3"),
        ] {
            fs::write(storage.join("chain"), written).unwrap();
            for refused in [claim(&storage, &ours), belongs(&storage, &ours).map(|_| ())] {
                let Err(StorageError::OtherLayout { found, .. }) = refused else {
                    panic!("{refused:?}")
                };
                assert_eq!(found, layout);
            }
        }
    }
}
