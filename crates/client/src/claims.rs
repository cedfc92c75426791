//! Who goes on with a submission: of several processes under one key, and accounts in one, each with its own.
//!
//! A claim is a lock on a file beside the journal's entry. It is taken before the entry is written, and held
//! until the submission is over or the account is dropped, however its process ends. Then whoever starts next
//! takes it up.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use soma_files::{FileError, Lock};
use soma_types::Commitment;

/// What an account and its clones have claimed. All methods block on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(Arc<Mutex<BTreeMap<Commitment, Lock>>>);

impl Claims {
    /// Claims a submission by its file; whether this account has it now.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn take(&self, commitment: Commitment, path: &Path) -> Result<bool, FileError> {
        let mut held = self.held();
        if held.contains_key(&commitment) {
            return Ok(true);
        }
        let lock = Lock::of_file(path)?;
        Ok(lock.is_some_and(|lock| held.insert(commitment, lock).is_none()))
    }

    /// Whether this account or another has claimed a submission.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn is_taken(&self, commitment: &Commitment, path: &Path) -> Result<bool, FileError> {
        Ok(self.held().contains_key(commitment) || Lock::of_file(path)?.is_none())
    }

    /// Gives a claim up, once what is returned is dropped. Its file is removed while that is held, and after
    /// the entry.
    pub(crate) fn release(&self, commitment: &Commitment) -> Option<Lock> {
        self.held().remove(commitment)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Commitment, Lock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
