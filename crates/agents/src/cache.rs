//! Encrypted weights on this machine's disk, within a budget: what was used last stays.
//!
//! Whoever needs many models in turn, more than memory holds, reads them from here again instead of from the
//! network. A file is what was committed to, whole, or not here: the store hashes what it reads.
//!
//! Failures: a disk that is full or broken loses nothing but time. What cannot be kept is used once and
//! fetched again.
//!
//! Bounds: the budget, for what is kept; besides it each download under way is on the disk once.

use std::{
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

use soma_blobs::{Blob, Store, StoreError};
use soma_types::ContentHash;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 18;

/// Files under way, and who waits for them.
type UnderWay = Vec<(ContentHash, Arc<Mutex<()>>)>;

/// A folder of encrypted weights. Clones share it.
#[derive(Clone, Debug)]
pub struct Cache {
    store: Store,
    under_way: Arc<std::sync::Mutex<UnderWay>>,
}

impl Cache {
    /// The cache in `directory`, which is made when needed, of at most `budget_bytes`. What is there beyond
    /// them goes.
    ///
    /// # Errors
    /// When another process has it ([`StoreError::InUse`]), or the disk refuses.
    pub fn open(directory: impl Into<PathBuf>, budget_bytes: u64) -> Result<Self, StoreError> {
        let cache = Self {
            store: Store::open(directory, budget_bytes)?,
            under_way: Arc::default(),
        };
        cache.make_room(0);
        Ok(cache)
    }

    /// What is on the disk, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.store.used_bytes()
    }

    /// Whether the file is here.
    #[must_use]
    pub fn contains(&self, hash: &ContentHash) -> bool {
        self.store.contains(hash)
    }

    /// The file's length in bytes, if it is here.
    #[must_use]
    pub fn size_bytes(&self, hash: &ContentHash) -> Option<u64> {
        self.store.length_bytes(hash)
    }

    /// What `read` makes of a file, given its length in bytes; `None` if it is not here, or damaged, and
    /// gone then.
    pub fn read<T>(&self, hash: &ContentHash, read: impl FnOnce(&mut dyn Read, u64) -> T) -> Option<T> {
        // Where its age cannot be noted it goes sooner.
        let _ = self.store.touch(hash);
        self.store.read(hash, read).ok().flatten()
    }

    /// Keeps a file; whether it could.
    pub fn keep(&self, file: &Blob) -> bool {
        let hash = file.hash();
        if self.store.contains(&hash) {
            return true;
        }
        self.make_room(file.size_bytes()) && self.write(file).is_ok()
    }

    fn write(&self, file: &Blob) -> Result<(), StoreError> {
        let mut writer = self.store.writer(file.size_bytes())?;
        let mut reader = file.reader();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => writer.write(&piece[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What is missing shows in the hash.
                Err(_) => break,
            }
        }
        writer.finish_as(file.hash()).map(drop)
    }

    /// Removes what was not used for longest, until there is room for so many bytes more; whether there is.
    fn make_room(&self, size_bytes: u64) -> bool {
        let has_room = || {
            let used = self.store.used_bytes().saturating_add(size_bytes);
            used <= self.store.limit_bytes()
        };
        if size_bytes > self.store.limit_bytes() {
            return false;
        }
        for hash in self.store.hashes_by_age() {
            if has_room() {
                break;
            }
            let _ = self.store.remove(&hash);
        }
        has_room()
    }

    /// The right to download a file. Who gets it after another finds the file here, as a rule.
    pub async fn turn(&self, hash: &ContentHash) -> OwnedMutexGuard<()> {
        let turn = {
            let mut under_way = match self.under_way.lock() {
                Ok(under_way) => under_way,
                Err(poisoned) => poisoned.into_inner(),
            };
            under_way.retain(|(_, turn)| Arc::strong_count(turn) > 1);
            match under_way.iter().find(|(other, _)| other == hash) {
                Some((_, turn)) => Arc::clone(turn),
                None => {
                    let turn = Arc::default();
                    under_way.push((*hash, Arc::clone(&turn)));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u8) -> Blob {
        vec![number; 1_000].into()
    }

    #[test]
    fn what_was_used_last_stays_within_the_budget() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 2_500).unwrap();
        assert!(cache.keep(&file(1)) && cache.keep(&file(2)));
        // Times of files are not finer than this everywhere.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let read = cache.read(&file(1).hash(), |reader, size_bytes| {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            assert_eq!(size_bytes, 1_000);
            bytes
        });
        assert_eq!(read.unwrap(), vec![1; 1_000]);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(cache.keep(&file(3)));
        let kept = |cache: &Cache| [1, 2, 3].map(|number| cache.contains(&file(number).hash()));
        assert_eq!(kept(&cache), [true, false, true]);
        assert!(cache.used_bytes() <= 2_500);
        // What can never fit makes nothing go.
        assert!(!cache.keep(&vec![4; 2_501].into()));
        assert_eq!(kept(&cache), [true, false, true]);
        drop(cache);
        // A smaller budget is kept to at once.
        let cache = Cache::open(folder.path(), 1_000).unwrap();
        assert_eq!(kept(&cache), [false, false, true]);
    }

    #[test]
    fn what_was_damaged_is_gone_and_what_cannot_be_written_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 10_000).unwrap();
        assert!(cache.keep(&file(1)));
        let name = hex::encode(file(1).hash().as_bytes());
        std::fs::write(folder.path().join(&name[..2]).join(&name), [9; 1_000]).unwrap();
        assert!(cache.read(&file(1).hash(), |_, _| ()).is_none());
        assert!(!cache.contains(&file(1).hash()));
        // As if the disk refused.
        std::fs::remove_dir_all(folder.path().join("incoming")).unwrap();
        assert!(!cache.keep(&file(2)));
        assert!(matches!(
            Cache::open(folder.path(), 1).map(drop),
            Err(StoreError::InUse { .. })
        ));
    }

    #[tokio::test]
    async fn one_downloads_and_the_others_wait() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 10_000).unwrap();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let cache = cache.clone();
                tokio::spawn(async move {
                    let _turn = cache.turn(&file(1).hash()).await;
                    let downloads = !cache.contains(&file(1).hash());
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    cache.keep(&file(1));
                    usize::from(downloads)
                })
            })
            .collect();
        let mut downloads = 0;
        for task in tasks {
            downloads += task.await.unwrap();
        }
        assert_eq!(downloads, 1);
    }
}
