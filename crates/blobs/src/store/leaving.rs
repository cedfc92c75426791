//! How blobs leave a store, and stay in it.
//!
//! Whoever decides what is no longer needed looks at a world that goes on meanwhile. So a blob leaves in two
//! steps: it is *set aside*, and nobody gets it any more; then its owner looks again whether anybody came to
//! need it before that, and what is [stored or touched](Store::touch) again meanwhile is back; only what is
//! still aside is removed. After a crash nothing is aside. A blob's age is the time since it was last stored
//! or touched.

use std::{
    fs::{self, File},
    io,
    time::SystemTime,
};

use soma_files::At as _;
use soma_types::ContentHash;

use super::{Store, accounts::Accounts, error::StoreError};

impl Store {
    /// Removes a blob; whether it was there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.remove_locked(&mut self.accounts(), hash)
    }

    pub(super) fn remove_locked(
        &self,
        accounts: &mut Accounts,
        hash: &ContentHash,
    ) -> Result<bool, StoreError> {
        let Some(length_bytes) = accounts.blobs.remove(hash) else {
            return Ok(false);
        };
        accounts.aside.remove(hash);
        accounts.guests.forget(hash);
        accounts.stored_bytes -= length_bytes;
        let path = self.blob_path(hash);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It is still there, so it still counts.
                accounts.blobs.insert(*hash, length_bytes);
                accounts.stored_bytes += length_bytes;
                Err(error).at("remove", &path)?
            }
            _ => Ok(true),
        }
    }

    /// Makes a blob as young as one stored just now, and takes it back if it was set aside; whether it is
    /// there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn touch(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let mut accounts = self.accounts();
        accounts.admit(hash)?;
        if !accounts.blobs.contains_key(hash) {
            return Ok(false);
        }
        let path = self.blob_path(hash);
        match File::options().write(true).open(&path) {
            Ok(file) => file.set_modified(SystemTime::now()).at("touch", &path)?,
            // It vanished behind our back.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.remove_locked(&mut accounts, hash)?;
                return Ok(false);
            }
            Err(error) => Err(error).at("open", &path)?,
        }
        accounts.aside.remove(hash);
        Ok(true)
    }

    /// [`Store::touch`] by whoever knows that it is needed: from then on it is no guest's.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn need(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let is_there = self.touch(hash)?;
        let mut accounts = self.accounts();
        if is_there && accounts.blobs.contains_key(hash) {
            accounts.guests.need(*hash);
        }
        Ok(is_there)
    }

    /// Length in bytes of a blob that is there and known to be needed.
    pub fn needed_bytes(&self, hash: &ContentHash) -> Option<u64> {
        let accounts = self.accounts();
        let length_bytes = accounts.length_bytes(hash);
        length_bytes.filter(|_| accounts.guests.is_needed(hash))
    }

    /// Sets a blob aside, which is needed no more; whether it is there. One that was stored or touched since
    /// `unless_since` stays.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn set_aside(
        &self,
        hash: &ContentHash,
        unless_since: Option<SystemTime>,
    ) -> Result<bool, StoreError> {
        // Under the lock, so that nobody is told that a blob is there just before it goes.
        let mut accounts = self.accounts();
        if accounts.length_bytes(hash).is_none() {
            return Ok(false);
        }
        accounts.guests.need_no_more(hash);
        let path = self.blob_path(hash);
        if let Some(time) = unless_since {
            let modified = match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                modified => modified.at("inspect", &path)?,
            };
            if modified >= time {
                return Ok(false);
            }
        }
        accounts.aside.insert(*hash);
        Ok(true)
    }

    /// Takes everything back that was set aside.
    pub fn take_back(&self) {
        self.accounts().aside.clear();
    }

    /// Removes a blob that is still aside; whether it was.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove_aside(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let mut accounts = self.accounts();
        if !accounts.aside.contains(hash) {
            return Ok(false);
        }
        self.remove_locked(&mut accounts, hash)
    }
}
