//! A blob on its way into the store.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use soma_files::At as _;
use soma_types::ContentHash;

use super::{INCOMING, Store, error::StoreError, guests::Guest};

/// What a guest's blob counts at least: many small files fill a disk, too.
const GUEST_BYTES_MIN: u64 = 4_096;

impl Store {
    /// Starts writing a blob of unknown name, piece by piece, reserving `expected_bytes` of room at once.
    ///
    /// # Errors
    /// When there is no room within the limit, or the disk fails.
    pub fn writer(&self, expected_bytes: u64) -> Result<StoreWriter, StoreError> {
        self.write_for(None, expected_bytes)
    }

    /// Starts writing what a guest brings. There must be room for what they announce, but it reserves none:
    /// room is taken as it comes.
    ///
    /// # Errors
    /// When there is no room within the limit or the guest's share, or the disk fails.
    pub fn guest_writer(&self, guest: Guest, announced_bytes: u64) -> Result<StoreWriter, StoreError> {
        self.reserve(Some(guest), announced_bytes)?;
        self.release(Some(guest), announced_bytes);
        self.write_for(Some(guest), GUEST_BYTES_MIN)
    }

    fn write_for(&self, guest: Option<Guest>, expected_bytes: u64) -> Result<StoreWriter, StoreError> {
        self.reserve(guest, expected_bytes)?;
        let number = self.inner.writes.fetch_add(1, Ordering::Relaxed);
        let path = self.inner.directory.join(INCOMING).join(number.to_string());
        let mut writer = StoreWriter {
            store: self.clone(),
            guest,
            file: None,
            path,
            hasher: blake3::Hasher::new(),
            written_bytes: 0,
            reserved_bytes: expected_bytes,
        };
        writer.file = Some(File::create_new(&writer.path).at("create", &writer.path)?);
        Ok(writer)
    }
}

/// A blob being written. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct StoreWriter {
    store: Store,
    /// Whose it is, if nobody needs it.
    guest: Option<Guest>,
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
            self.store.reserve(self.guest, end_bytes - self.reserved_bytes)?;
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
            accounts.admit(&hash)?;
            fs::rename(&self.path, &destination).at("rename into place", &self.path)?;
            // From here on nothing fails: the file is in place, and its reservation becomes an entry.
            accounts.reserved_bytes -= self.reserved_bytes;
            if let Some(guest) = self.guest {
                accounts.guests.settle(hash, guest, self.reserved_bytes);
            }
            self.reserved_bytes = 0;
            if accounts.blobs.insert(hash, self.written_bytes).is_none() {
                accounts.stored_bytes += self.written_bytes;
            }
            accounts.aside.remove(&hash);
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
            self.store.release(self.guest, self.reserved_bytes);
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
