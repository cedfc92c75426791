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
//! is used, and a write that would pass the limit fails with nothing kept. What is old can be removed by its
//! age: the time at which it was last stored or touched.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use soma_files::{At as _, FileError, Lock, LockError};
use soma_types::ContentHash;

use crate::{
    body::Body,
    verified::{Hashing, verified},
};

const INCOMING: &str = "incoming";
/// Most that is allocated ahead on the word of a file's size.
const PREALLOCATION_BYTES_MAX: u64 = 1 << 26;

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

#[derive(Default)]
struct Accounts {
    /// Length of every blob in place, in bytes.
    blobs: HashMap<ContentHash, u64>,
    /// Their sum.
    stored_bytes: u64,
    /// Reserved by writers under way.
    reserved_bytes: u64,
}

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
        Ok(Self {
            inner: Arc::new(inner),
        })
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

    /// Starts writing a blob of unknown name, piece by piece, reserving `expected_bytes` of room at once.
    ///
    /// # Errors
    /// When there is no room within the limit, or the disk fails.
    pub fn writer(&self, expected_bytes: u64) -> Result<StoreWriter, StoreError> {
        self.reserve(expected_bytes)?;
        let number = self.inner.writes.fetch_add(1, Ordering::Relaxed);
        let path = self.inner.directory.join(INCOMING).join(number.to_string());
        let mut writer = StoreWriter {
            store: self.clone(),
            file: None,
            path,
            hasher: blake3::Hasher::new(),
            written_bytes: 0,
            reserved_bytes: expected_bytes,
        };
        writer.file = Some(File::create_new(&writer.path).at("create", &writer.path)?);
        Ok(writer)
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
        self.accounts().blobs.contains_key(hash)
    }

    /// Length of the blob in bytes, if it is there.
    pub fn length_bytes(&self, hash: &ContentHash) -> Option<u64> {
        self.accounts().blobs.get(hash).copied()
    }

    /// Removes a blob; whether it was there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.remove_locked(&mut self.accounts(), hash)
    }

    fn remove_locked(&self, accounts: &mut Accounts, hash: &ContentHash) -> Result<bool, StoreError> {
        let Some(length_bytes) = accounts.blobs.remove(hash) else {
            return Ok(false);
        };
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

    /// Makes a blob as young as one stored just now; whether it is there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn touch(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let mut accounts = self.accounts();
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
        Ok(true)
    }

    /// Removes a blob that was last stored or touched before `time`; whether it did.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove_older(&self, hash: &ContentHash, time: SystemTime) -> Result<bool, StoreError> {
        // Under the lock, so that nobody is told that a blob is there just before it goes.
        let mut accounts = self.accounts();
        let path = self.blob_path(hash);
        let modified = match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            modified => modified.at("inspect", &path)?,
        };
        if modified >= time {
            return Ok(false);
        }
        self.remove_locked(&mut accounts, hash)
    }

    /// The names of all blobs, sorted.
    pub fn hashes(&self) -> Vec<ContentHash> {
        let mut hashes: Vec<_> = self.accounts().blobs.keys().copied().collect();
        hashes.sort_unstable();
        hashes
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

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        // Each update is complete before anything in it can panic.
        self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, needed_bytes: u64) -> Result<(), StoreError> {
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
        accounts.reserved_bytes += needed_bytes;
        Ok(())
    }

    fn blob_path(&self, hash: &ContentHash) -> PathBuf {
        let name = hex::encode(hash.as_bytes());
        self.inner.directory.join(&name[..2]).join(name)
    }

    /// Opens a blob's file, with its length in bytes; `None` if the store lacks it, also where the file
    /// vanished behind its back.
    fn open_blob(&self, hash: &ContentHash) -> Result<Option<(File, u64)>, StoreError> {
        let Some(size_bytes) = self.length_bytes(hash) else {
            return Ok(None);
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

/// Counts the blobs under `directory`. Files whose names are no hashes are not the store's and stay.
fn count(directory: &Path) -> Result<Accounts, StoreError> {
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

/// A blob being written. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct StoreWriter {
    store: Store,
    /// `None` only before creation and after the end.
    file: Option<File>,
    path: PathBuf,
    hasher: blake3::Hasher,
    written_bytes: u64,
    reserved_bytes: u64,
}

impl StoreWriter {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// When it outgrows the room within the limit, or the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let end_bytes = self.written_bytes.saturating_add(bytes.len() as u64);
        if end_bytes > self.reserved_bytes {
            self.store.reserve(end_bytes - self.reserved_bytes)?;
            self.reserved_bytes = end_bytes;
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes).at("write", &self.path)?;
        }
        self.hasher.update(bytes);
        self.written_bytes = end_bytes;
        Ok(())
    }

    /// Bytes written so far.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Puts the blob in place under whatever it hashes to.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn finish(mut self) -> Result<ContentHash, StoreError> {
        let hash = ContentHash(*self.hasher.finalize().as_bytes());
        let Some(file) = self.file.take() else {
            return Ok(hash);
        };
        file.sync_all().at("flush", &self.path)?;
        drop(file);
        let destination = self.store.blob_path(&hash);
        let root = &self.store.inner.directory;
        let shard = destination.parent().unwrap_or(root);
        if !shard.is_dir() {
            fs::create_dir_all(shard).at("create", shard)?;
            sync_directory(root)?;
        }
        {
            // Under the lock, so that a removal never falls between the rename and the account.
            let mut accounts = self.store.accounts();
            fs::rename(&self.path, &destination).at("rename into place", &self.path)?;
            // From here on nothing fails: the file is in place, and its reservation becomes an entry.
            accounts.reserved_bytes -= self.reserved_bytes;
            self.reserved_bytes = 0;
            if accounts.blobs.insert(hash, self.written_bytes).is_none() {
                accounts.stored_bytes += self.written_bytes;
            }
        }
        sync_directory(shard)?;
        Ok(hash)
    }

    /// [`StoreWriter::finish`], provided that the bytes hash to `expected`.
    ///
    /// # Errors
    /// When they hash to something else, or the disk fails.
    pub fn finish_as(self, expected: ContentHash) -> Result<ContentHash, StoreError> {
        let found = ContentHash(*self.hasher.finalize().as_bytes());
        if found != expected {
            return Err(StoreError::WrongHash { expected, found });
        }
        self.finish()
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        if self.reserved_bytes > 0 {
            self.store.accounts().reserved_bytes -= self.reserved_bytes;
        }
        // After a successful rename this name is free; otherwise it is ours to clean up, and what cannot be
        // removed now goes at the next opening.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes renames and new names in `path` durable.
fn sync_directory(path: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        File::open(path)
            .and_then(|directory| directory.sync_all())
            .at("flush", path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use http_body::Body as _;
    use proptest::prelude::*;

    use super::*;

    fn open(limit_bytes: u64) -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), limit_bytes).unwrap();
        (directory, store)
    }

    #[test]
    fn blobs_come_back_also_after_reopening() {
        let (directory, store) = open(1000);
        let hash = store.put(b"weights").unwrap();
        assert_eq!(hash, ContentHash::of(b"weights"));
        assert_eq!(store.put(b"weights").unwrap(), hash);
        assert_eq!(store.used_bytes(), 7);
        drop(store);
        let store = Store::open(directory.path(), 1000).unwrap();
        assert_eq!(store.get(&hash).unwrap().unwrap(), b"weights");
        let first = |reader: &mut dyn Read, size_bytes| {
            let mut first = [0];
            reader.read_exact(&mut first).unwrap();
            (first, size_bytes)
        };
        assert_eq!(store.read(&hash, first).unwrap(), Some(([b'w'], 7)));
        assert_eq!(store.body(&hash).unwrap().unwrap().size_hint().exact(), Some(7));
        assert_eq!((store.used_bytes(), store.hashes()), (7, vec![hash]));
        assert!(store.remove(&hash).unwrap());
        assert!(!store.remove(&hash).unwrap());
        assert_eq!((store.used_bytes(), store.get(&hash).unwrap()), (0, None));
    }

    #[test]
    fn old_blobs_go_unless_they_are_touched() {
        let (_directory, store) = open(1000);
        let (old, young) = (store.put(b"old").unwrap(), store.put(b"young").unwrap());
        let past = SystemTime::now() - std::time::Duration::from_secs(3600);
        for hash in [&old, &young] {
            let file = File::options().write(true).open(store.blob_path(hash)).unwrap();
            file.set_modified(past).unwrap();
        }
        assert!(!store.remove_older(&old, past).unwrap(), "not before its time");
        // Storing what is there makes it young again.
        store.put(b"young").unwrap();
        let now = past + std::time::Duration::from_secs(1800);
        assert!(store.remove_older(&old, now).unwrap());
        assert!(!store.remove_older(&young, now).unwrap());
        assert_eq!((store.hashes(), store.used_bytes()), (vec![young], 5));
        assert!(!store.touch(&old).unwrap() && !store.remove_older(&old, now).unwrap());
        fs::remove_file(store.blob_path(&young)).unwrap();
        assert!(!store.touch(&young).unwrap(), "it vanished");
        assert_eq!(store.used_bytes(), 0);
    }

    #[test]
    fn the_limit_holds_and_a_refused_write_leaves_nothing() {
        let (directory, store) = open(10);
        store.put(b"1234567").unwrap();
        assert!(matches!(
            store.put(b"89abc"),
            Err(StoreError::Full {
                used_bytes: 7,
                needed_bytes: 5,
                limit_bytes: 10
            })
        ));
        let mut writer = store.writer(0).unwrap();
        writer.write(b"89").unwrap();
        assert_eq!(store.used_bytes(), 9);
        assert!(matches!(writer.write(b"ab"), Err(StoreError::Full { .. })));
        drop(writer);
        assert_eq!(store.used_bytes(), 7);
        assert_eq!(fs::read_dir(directory.path().join(INCOMING)).unwrap().count(), 0);
        store.put(b"89a").unwrap();
        assert!(matches!(store.writer(u64::MAX), Err(StoreError::Full { .. })));
    }

    #[test]
    fn damage_is_found_reported_and_healed() {
        let (_directory, store) = open(1000);
        let hash = store.put(b"weights").unwrap();
        for damage in [&b"wEights"[..], b"weigh", b"", b"weights and more"] {
            store.put(b"weights").unwrap();
            fs::write(store.blob_path(&hash), damage).unwrap();
            assert!(matches!(store.get(&hash), Err(StoreError::Damaged { .. })));
            assert_eq!((store.get(&hash).unwrap(), store.used_bytes()), (None, 0));
            store.put(b"weights").unwrap();
            fs::write(store.blob_path(&hash), damage).unwrap();
            let nothing = |_: &mut dyn Read, _| ();
            assert!(matches!(
                store.read(&hash, nothing),
                Err(StoreError::Damaged { .. })
            ));
            assert_eq!(store.read(&hash, nothing).unwrap(), None);
            store.put(b"weights").unwrap();
            fs::write(store.blob_path(&hash), damage).unwrap();
            assert!(matches!(store.body(&hash), Err(StoreError::Damaged { .. })));
        }
        store.put(b"weights").unwrap();
        fs::remove_file(store.blob_path(&hash)).unwrap();
        assert_eq!((store.get(&hash).unwrap(), store.used_bytes()), (None, 0));
    }

    /// Whoever writes to the file while it is read changes nothing of what is believed.
    #[test]
    fn a_change_between_two_reads_is_damage() {
        let (_directory, store) = open(1 << 20);
        let bytes = vec![7; 1 << 19];
        let hash = store.put(&bytes).unwrap();
        let meddled = store.read(&hash, |reader, _| {
            reader.read_exact(&mut vec![0; 1000]).unwrap();
            let file = File::options().write(true).open(store.blob_path(&hash)).unwrap();
            file.write_all_at(b"meddled", 1 << 18).unwrap();
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            rest
        });
        assert!(matches!(meddled, Err(StoreError::Damaged { .. })), "{meddled:?}");
        assert_eq!(store.get(&hash).unwrap(), None);
    }

    #[test]
    fn what_a_crash_left_is_cleared_and_strangers_stay() {
        let (directory, store) = open(1000);
        store.put(b"weights").unwrap();
        // A process that is killed drops nothing: forget the writer, as a kill would.
        let mut writer = store.writer(5).unwrap();
        writer.write(b"half").unwrap();
        std::mem::forget(writer);
        fs::write(directory.path().join(INCOMING).join("77"), b"half").unwrap();
        fs::write(directory.path().join("note.txt"), b"mine").unwrap();
        // The forgotten writer holds a clone, so open a copy of the folder.
        let copy = tempfile::tempdir().unwrap();
        copy_folder(directory.path(), copy.path());
        let store = Store::open(copy.path(), 1000).unwrap();
        assert_eq!(store.used_bytes(), 7);
        assert_eq!(fs::read_dir(copy.path().join(INCOMING)).unwrap().count(), 0);
        assert!(copy.path().join("note.txt").exists());
    }

    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let destination = to.join(path.file_name().unwrap());
            if path.is_dir() {
                copy_folder(&path, &destination);
            } else {
                fs::copy(&path, &destination).unwrap();
            }
        }
    }

    #[test]
    fn one_process_at_a_time() {
        let (directory, store) = open(1000);
        assert!(matches!(
            Store::open(directory.path(), 1000),
            Err(StoreError::InUse { .. })
        ));
        drop(store);
        Store::open(directory.path(), 1000).unwrap();
    }

    #[test]
    fn a_wrong_announcement_is_refused() {
        let (_directory, store) = open(1000);
        let mut writer = store.writer(4).unwrap();
        writer.write(b"data").unwrap();
        let expected = ContentHash::of(b"other");
        assert!(matches!(
            writer.finish_as(expected),
            Err(StoreError::WrongHash { .. })
        ));
        assert_eq!((store.used_bytes(), store.hashes().len()), (0, 0));
    }

    #[test]
    fn threads_share_it() {
        let (_directory, store) = open(1 << 20);
        std::thread::scope(|scope| {
            for thread in 0..8u32 {
                let store = store.clone();
                scope.spawn(move || {
                    for round in 0..40u32 {
                        // Half of the blobs are everybody's, so that writers, readers and removers meet.
                        let owner = if round % 2 == 0 { 99 } else { thread };
                        let bytes = [owner.to_le_bytes(), (round / 4).to_le_bytes()].concat();
                        let hash = store.put(&bytes).unwrap();
                        if let Some(found) = store.get(&hash).unwrap() {
                            assert_eq!(found, bytes);
                        }
                        if round % 3 == 0 {
                            store.remove(&hash).unwrap();
                        }
                    }
                });
            }
        });
        let total: u64 = store
            .hashes()
            .iter()
            .map(|hash| store.length_bytes(hash).unwrap())
            .sum();
        assert_eq!(store.used_bytes(), total);
        for hash in store.hashes() {
            assert!(store.get(&hash).unwrap().is_some());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever is put and removed, the account equals the folder, and never passes the limit.
        #[test]
        fn the_account_equals_the_folder(steps in proptest::collection::vec((0u8..12, any::<bool>()), 0..60)) {
            let (directory, store) = open(300);
            for (step, remove) in steps {
                let bytes = vec![step; usize::from(step) * 8];
                if remove {
                    store.remove(&ContentHash::of(&bytes)).unwrap();
                } else {
                    match store.put(&bytes) {
                        Ok(_) | Err(StoreError::Full { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                prop_assert!(store.used_bytes() <= 300);
                prop_assert_eq!(count(directory.path()).unwrap().stored_bytes, store.used_bytes());
            }
        }
    }
}
