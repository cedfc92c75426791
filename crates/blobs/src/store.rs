//! A folder of blobs, named by their BLAKE3.
//!
//! # Layout
//!
//! `DIR/ab/abcd..` holds the blob whose hash starts with the byte `ab`, `DIR/incoming/` what is still being
//! written, `DIR/lock` keeps a second process out ([`soma_files::Lock`]).
//!
//! # Persistence
//!
//! A blob is written to `incoming/`, flushed to the disk, then renamed into place: after a crash at any
//! point it is there whole or not at all. Opening empties `incoming/` and counts what is there.
//!
//! # Failures
//!
//! Reads hash what they return, in the one reading that there is: a change meanwhile is seen too. A damaged
//! blob (bad disk, meddling) is removed and reported, and the caller gets it elsewhere: a store is a cache of
//! what others hold too.
//!
//! # Bounds
//!
//! The blobs in place and those being written never exceed the limit together; space is reserved before it
//! is used, and a write that would pass the limit fails with nothing kept. What strangers bring has a share
//! of it, and takes room only as it comes ([`Guest`]).

mod accounts;
mod error;
mod guests;
mod leaving;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use soma_files::{At as _, FileError, Lock, free_bytes};
use soma_types::ContentHash;

use self::accounts::{Accounts, count};
use crate::{
    body::Body,
    verified::{Hashing, verified},
    withdrawn::{Mark, Withdrawn},
};

pub use self::{error::StoreError, guests::Guest, writer::StoreWriter};

const INCOMING: &str = "incoming";
/// Most that is allocated ahead on the word of a file's size.
const PREALLOCATION_BYTES_MAX: u64 = 1 << 26;

struct Inner {
    directory: PathBuf,
    limit_bytes: u64,
    accounts: Mutex<Accounts>,
    writes: AtomicU64,
    /// Held locked for as long as the store lives.
    _lock: Lock,
}

/// A content-addressed folder. Clones share it; every method may be called from any thread, and blocks on
/// the disk.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("directory", &self.inner.directory)
            .field("limit_bytes", &self.inner.limit_bytes)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `directory`, creating it if needed, with room for `limit_bytes`.
    ///
    /// A store that is already past the limit (because it was lowered) opens, and takes nothing new.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(directory: impl Into<PathBuf>, limit_bytes: u64) -> Result<Self, StoreError> {
        let directory = directory.into();
        let lock = Lock::acquire(&directory)?;
        let incoming = directory.join(INCOMING);
        fs::create_dir_all(&incoming).at("create", &incoming)?;
        for entry in fs::read_dir(&incoming).at("list", &incoming)? {
            let path = entry.at("list", &incoming)?.path();
            fs::remove_file(&path).at("remove", &path)?;
        }
        let accounts = Mutex::new(count(&directory)?);
        let inner = Inner {
            directory,
            limit_bytes,
            accounts,
            writes: AtomicU64::new(0),
            _lock: lock,
        };
        let store = Self {
            inner: Arc::new(inner),
        };
        store.refresh_withdrawn()?;
        Ok(store)
    }

    /// Its folder.
    pub(crate) fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// Takes up what was taken down since it was last asked, or may be stored again; how many blobs went.
    /// Costs a look at a file's times where nothing has changed.
    ///
    /// # Errors
    /// When the list is damaged, or the disk fails. What was down before is down.
    pub fn refresh_withdrawn(&self) -> Result<usize, StoreError> {
        let directory = &self.inner.directory;
        let mark = Mark::of(directory)?;
        if self.accounts().withdrawn_mark == mark {
            return Ok(0);
        }
        let withdrawn = Withdrawn::read(directory)?;
        let mut accounts = self.accounts();
        accounts.withdrawn = withdrawn;
        let there: Vec<_> = {
            let down = accounts.withdrawn.iter().filter(|(_, why)| !why.restored);
            let down = down.map(|(hash, _)| *hash);
            down.filter(|hash| accounts.blobs.contains_key(hash)).collect()
        };
        for hash in &there {
            self.remove_locked(&mut accounts, hash)?;
        }
        // Whatever failed is tried again.
        accounts.withdrawn_mark = mark;
        Ok(there.len())
    }

    /// Fails where a blob that is not there was taken down, also where it may come back.
    ///
    /// # Errors
    /// [`StoreError::Withdrawn`], with the reason.
    pub fn explain_absence(&self, hash: &ContentHash) -> Result<(), StoreError> {
        self.accounts().explain_absence(hash)
    }

    /// Fails where its operator has taken the blob down.
    ///
    /// # Errors
    /// [`StoreError::Withdrawn`], with the reason.
    pub fn admit(&self, hash: &ContentHash) -> Result<(), StoreError> {
        self.accounts().admit(hash)
    }

    /// Stores `bytes`; their name. Storing what is there already costs nothing.
    ///
    /// # Errors
    /// When there is no room within the limit, or the disk fails.
    pub fn put(&self, bytes: &[u8]) -> Result<ContentHash, StoreError> {
        let hash = ContentHash::of(bytes);
        if self.touch(&hash)? {
            return Ok(hash);
        }
        let mut writer = self.writer(bytes.len() as u64)?;
        writer.write(bytes)?;
        writer.finish_as(hash)
    }

    /// The blob named `hash`, verified, or `None` if the store lacks it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn get(&self, hash: &ContentHash) -> Result<Option<Vec<u8>>, StoreError> {
        let read = self.read(hash, |reader, size_bytes| {
            let mut bytes = Vec::with_capacity(size_bytes.min(PREALLOCATION_BYTES_MAX) as usize);
            reader.read_to_end(&mut bytes).map(|_| bytes)
        })?;
        Ok(read.transpose().at("read", &self.blob_path(hash))?)
    }

    /// What `read` makes of the blob named `hash`, given a reader of it and its length in bytes; `None` if
    /// the store lacks it. For blobs too large for memory. What was made of other bytes than the blob's is
    /// dropped: see [`verified`].
    ///
    /// # Errors
    /// When it was damaged, and is gone; when the disk fails.
    pub fn read<T>(
        &self,
        hash: &ContentHash,
        read: impl FnOnce(&mut dyn Read, u64) -> T,
    ) -> Result<Option<T>, StoreError> {
        let Some((file, size_bytes)) = self.open_blob(hash)? else {
            return Ok(None);
        };
        // One byte more than expected suffices to see that the file is not the blob.
        let bounded = file.take(size_bytes.saturating_add(1));
        match verified(bounded, hash, |reader| read(reader, size_bytes)) {
            Ok(Some(made)) => Ok(Some(made)),
            Ok(None) => Err(self.damaged(hash)),
            Err(error) => Err(error).at("read", &self.blob_path(hash))?,
        }
    }

    /// The blob named `hash`, verified just now, to be sent; `None` if the store lacks it. It is sent even if
    /// it is removed meanwhile. Who receives it checks it anyway, and sees what else became of it.
    ///
    /// # Errors
    /// When it was damaged, and is gone; when the disk fails.
    pub fn body(&self, hash: &ContentHash) -> Result<Option<Body>, StoreError> {
        let Some((file, size_bytes)) = self.open_blob(hash)? else {
            return Ok(None);
        };
        let found = Hashing::new(&file).finish().at("read", &self.blob_path(hash))?;
        if found != *hash {
            return Err(self.damaged(hash));
        }
        Ok(Some(Body::of_file(Arc::new(file), size_bytes)))
    }

    /// Whether the blob is there.
    pub fn contains(&self, hash: &ContentHash) -> bool {
        self.accounts().length_bytes(hash).is_some()
    }

    /// Length of the blob in bytes, if it is there.
    pub fn length_bytes(&self, hash: &ContentHash) -> Option<u64> {
        self.accounts().length_bytes(hash)
    }

    /// The names of all blobs that are not aside, sorted.
    pub fn hashes(&self) -> Vec<ContentHash> {
        let accounts = self.accounts();
        let there = accounts
            .blobs
            .keys()
            .filter(|hash| !accounts.aside.contains(hash));
        let mut hashes: Vec<_> = there.copied().collect();
        hashes.sort_unstable();
        hashes
    }

    /// The names of all blobs, those first that were stored or touched longest ago.
    pub fn hashes_by_age(&self) -> Vec<ContentHash> {
        let modified = |hash: &ContentHash| {
            let found = fs::metadata(self.blob_path(hash));
            found.and_then(|metadata| metadata.modified()).ok()
        };
        let mut aged: Vec<_> = self
            .hashes()
            .into_iter()
            .map(|hash| (modified(&hash), hash))
            .collect();
        aged.sort_unstable();
        aged.into_iter().map(|(_, hash)| hash).collect()
    }

    /// Bytes in the store, those being written included.
    pub fn used_bytes(&self) -> u64 {
        let accounts = self.accounts();
        accounts.stored_bytes + accounts.reserved_bytes
    }

    /// The limit in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.inner.limit_bytes
    }

    /// Bytes that its disk has left.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn free_bytes(&self) -> Result<u64, FileError> {
        free_bytes(&self.inner.directory)
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        // Each update is complete before anything in it can panic.
        self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, guest: Option<Guest>, needed_bytes: u64) -> Result<(), StoreError> {
        let mut accounts = self.accounts();
        let used_bytes = accounts.stored_bytes + accounts.reserved_bytes;
        let limit_bytes = self.inner.limit_bytes;
        if needed_bytes > limit_bytes.saturating_sub(used_bytes) {
            return Err(StoreError::Full {
                used_bytes,
                needed_bytes,
                limit_bytes,
            });
        }
        if let Some(guest) = guest {
            accounts.guests.take_in(guest, needed_bytes, limit_bytes)?;
        }
        accounts.reserved_bytes += needed_bytes;
        Ok(())
    }

    fn release(&self, guest: Option<Guest>, bytes: u64) {
        let mut accounts = self.accounts();
        accounts.reserved_bytes -= bytes;
        if let Some(guest) = guest {
            accounts.guests.let_go(guest, bytes);
        }
    }

    fn blob_path(&self, hash: &ContentHash) -> PathBuf {
        let name = hex::encode(hash.as_bytes());
        self.inner.directory.join(&name[..2]).join(name)
    }

    /// Opens a blob's file, with its length in bytes; `None` if the store lacks it, also where the file
    /// vanished behind its back.
    fn open_blob(&self, hash: &ContentHash) -> Result<Option<(File, u64)>, StoreError> {
        let Some(size_bytes) = self.length_bytes(hash) else {
            return self.explain_absence(hash).map(|()| None);
        };
        let path = self.blob_path(hash);
        match File::open(&path) {
            Ok(file) => Ok(Some((file, size_bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.remove(hash)?;
                Ok(None)
            }
            Err(error) => Err(error).at("open", &path)?,
        }
    }

    /// Removes a blob that is not what its name says.
    fn damaged(&self, hash: &ContentHash) -> StoreError {
        match self.remove(hash) {
            Ok(_) => StoreError::Damaged { hash: *hash },
            Err(error) => error,
        }
    }
}
