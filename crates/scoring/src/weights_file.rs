//! A weights file that is served while others may write it: which weights it holds now, by their BLAKE3.
//!
//! Upon each request the file is looked at, not read: while its identity, length and times are those of the
//! last reading, so are its bytes. Otherwise it is read again and hashed. What is loaded is hashed on its way
//! in, and refused if it is anything but the weights that were asked for: old and new bytes are never mixed.
//!
//! Times are no finer than the system's clock ticks, so a file that was written just before it was read is
//! read again at the next request, until it has been left alone for [`SETTLED_AFTER`].

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use soma_blobs::verified::{Hashing, verified};
use soma_model::{Model, WeightsError, residency::memory_bytes_max};
use soma_types::{Architecture, ContentHash};

/// After this long without a change, a file's times tell a later change.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Why a file's weights cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileTrouble {
    /// It cannot be read.
    #[error("its file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A folder, a pipe or a device.
    #[error("it is no file")]
    NoFile,
    /// It was written meanwhile.
    #[error("its file is being written: ask again")]
    Moving,
    /// It holds no weights of the architecture.
    #[error("its file holds no weights of this architecture: {0}")]
    Unsound(WeightsError),
}

/// What tells one content of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Result<Self, FileTrouble> {
        if !metadata.is_file() {
            return Err(FileTrouble::NoFile);
        }
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether any change after the time `now` shows in it.
    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let last = self.modified.max(self.changed).0;
        let last = Duration::from_secs(u64::try_from(last).unwrap_or_default());
        // A time in the future is of another clock: nothing follows from it.
        now.checked_sub(last).is_some_and(|passed| passed > SETTLED_AFTER)
    }
}

/// The weights that a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// BLAKE3 of the whole file.
    pub weights: ContentHash,
    /// The most memory that they can take.
    pub size_bytes_max: u64,
}

/// What a reading found.
#[derive(Clone, Copy, Debug)]
struct Reading {
    stamp: Stamp,
    /// Whether the stamp was settled when the reading began: then it stands for what was read.
    is_settled: bool,
    weights: ContentHash,
}

/// A file, and what was last seen in it.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    architecture: Architecture,
    last: Mutex<Option<Reading>>,
}

impl WeightsFile {
    /// The file at `path`, for weights of `architecture`. Nothing is read yet.
    #[must_use]
    pub fn new(path: PathBuf, architecture: Architecture) -> Self {
        Self {
            path,
            architecture,
            last: Mutex::new(None),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The weights that were last seen in it.
    #[must_use]
    pub fn last(&self) -> Option<ContentHash> {
        self.lock().map(|reading| reading.weights)
    }

    /// Nothing panics while it is locked, and nothing is read.
    fn lock(&self) -> MutexGuard<'_, Option<Reading>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The weights that it holds now. Reads it only if it may have changed. Blocks.
    ///
    /// # Errors
    /// If it cannot be read, or is being written.
    pub fn look(&self) -> Result<Seen, FileTrouble> {
        let now = Stamp::of(&std::fs::metadata(&self.path)?)?;
        let last = *self.lock();
        let reading = match last {
            Some(last) if last.is_settled && last.stamp == now => last,
            _ => self.read()?,
        };
        *self.lock() = Some(reading);
        Ok(Seen {
            weights: reading.weights,
            size_bytes_max: memory_bytes_max(&self.architecture, reading.stamp.size_bytes),
        })
    }

    fn read(&self) -> Result<Reading, FileTrouble> {
        let file = File::open(&self.path)?;
        let stamp = Stamp::of(&file.metadata()?)?;
        let is_settled = stamp.is_settled(SystemTime::now());
        let weights = Hashing::new(&file).finish()?;
        if Stamp::of(&file.metadata()?)? != stamp {
            return Err(FileTrouble::Moving);
        }
        Ok(Reading {
            stamp,
            is_settled,
            weights,
        })
    }

    /// Loads the weights named `weights`. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read, holds others by now, or none of the architecture.
    pub fn load(&self, weights: ContentHash) -> Result<Model, FileTrouble> {
        let file = File::open(&self.path)?;
        let size_bytes = Stamp::of(&file.metadata()?)?.size_bytes;
        let read = |source: &mut Hashing<_>| Model::read(source, size_bytes, &self.architecture);
        let model = verified(&file, &weights, read)?.ok_or(FileTrouble::Moving)?;
        model.map_err(FileTrouble::Unsound)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::Path};

    use super::*;

    fn write(path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).unwrap();
    }

    /// Whatever is done to a file, what is told of it is what it holds.
    #[test]
    fn changes_are_seen_however_they_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"one");
        let file = WeightsFile::new(path.clone(), Architecture::NANO);
        let sees = |bytes: &[u8]| {
            assert_eq!(file.look().unwrap().weights, ContentHash::of(bytes));
            assert_eq!(file.last(), Some(ContentHash::of(bytes)));
        };
        sees(b"one");
        // In place, of the same length, within a tick of the clock.
        for round in 0..50_u8 {
            let bytes = [b'x', b'y', round];
            write(&path, &bytes);
            sees(&bytes);
        }
        // By rename, with the times of the old one.
        let times = fs::metadata(&path).unwrap().modified().unwrap();
        let other = folder.path().join("b");
        write(&other, b"two");
        File::options()
            .write(true)
            .open(&other)
            .unwrap()
            .set_modified(times)
            .unwrap();
        fs::rename(&other, &path).unwrap();
        sees(b"two");
        let mut appended = File::options().append(true).open(&path).unwrap();
        appended.write_all(b" more").unwrap();
        sees(b"two more");
        fs::remove_file(&path).unwrap();
        assert!(matches!(file.look(), Err(FileTrouble::Io(_))));
        fs::create_dir(&path).unwrap();
        assert!(matches!(file.look(), Err(FileTrouble::NoFile)));
    }

    /// A change in the very tick of the first writing shows later too, when the times look old.
    #[test]
    fn a_change_within_a_tick_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<WeightsFile> = (0..50)
            .map(|index| WeightsFile::new(folder.path().join(index.to_string()), Architecture::NANO))
            .collect();
        for file in &files {
            write(file.path(), b"one");
            assert_eq!(file.look().unwrap().weights, ContentHash::of(b"one"));
            write(file.path(), b"two");
        }
        std::thread::sleep(SETTLED_AFTER + Duration::from_millis(1_100));
        for file in &files {
            assert_eq!(file.look().unwrap().weights, ContentHash::of(b"two"));
            // From now on its times tell.
            assert!(file.lock().unwrap().is_settled);
        }
    }

    /// A file whose times are old is not read again, and one whose times are of now or of the future is.
    #[test]
    fn only_a_settled_stamp_is_trusted() {
        let stamp = |seconds| Stamp {
            device: 1,
            inode: 1,
            size_bytes: 1,
            modified: (seconds - 100, 0),
            changed: (seconds, 0),
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        assert!(stamp(900).is_settled(now));
        assert!(stamp(997).is_settled(now));
        assert!(!stamp(998).is_settled(now));
        assert!(!stamp(1_000).is_settled(now));
        assert!(!stamp(5_000).is_settled(now));
    }

    #[test]
    fn other_weights_than_those_asked_for_are_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"rubbish");
        let file = WeightsFile::new(path.clone(), Architecture::NANO);
        let seen = file.look().unwrap();
        assert!(matches!(file.load(seen.weights), Err(FileTrouble::Unsound(_))));
        write(&path, b"rubbish of another kind");
        assert!(matches!(file.load(seen.weights), Err(FileTrouble::Moving)));
    }
}
