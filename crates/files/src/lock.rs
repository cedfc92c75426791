//! A folder or a file for one process at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use soma_types::text::printable;

use crate::{At as _, FileError};

/// The file whose lock is the folder's. It stays: removing it would let two processes lock two files of one
/// name.
const FILE_NAME: &str = "lock";

/// A lock, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it, or another part of this one.
    #[error("{} is in use by another process", printable(&.0.to_string_lossy()))]
    Held(PathBuf),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Lock {
    /// Locks `folder`, which is made if needed.
    ///
    /// # Errors
    /// If it is held, or the disk refuses.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        fs::create_dir_all(folder).at("create", folder)?;
        let locked = Self::of_file(&folder.join(FILE_NAME))?;
        locked.ok_or_else(|| LockError::Held(folder.to_owned()))
    }

    /// Locks the file `path`, which is made if needed; none where it is held. Who removes the file does so
    /// while they have it, and only for good.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn of_file(path: &Path) -> Result<Option<Self>, FileError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .at("open", path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).at("lock", path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("made");
        let held = Lock::acquire(&inner).unwrap();
        assert!(matches!(Lock::acquire(&inner), Err(LockError::Held(path)) if path == inner));
        drop(held);
        Lock::acquire(&inner).unwrap();
    }
}
