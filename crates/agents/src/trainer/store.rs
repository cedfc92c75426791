//! A trainer's folder: what it remembers, the weights it made, and data that won. One process has it at a
//! time. Every file is written whole or not at all, and named before the journal names it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use soma_blobs::Blob;
use soma_client::WonFacts;
use soma_files::{
    At as _, FileError, Lock, LockError, create_private_directory, read_bounded, remove, replace,
    replace_private, sweep,
};
use soma_types::{ContentHash, text::printable};

use super::{journal::Journal, settings::Settings};

/// Longest file of settings, memory or winners that is read, in bytes.
const LENGTH_BYTES_MAX: u64 = 64 << 20;
/// Longest data, in bytes: above any network's largest.
const DATA_LENGTH_BYTES_MAX: u64 = 1 << 30;
/// Winners that are remembered, the latest first.
const WINNERS_MAX: usize = 4_096;

const SETTINGS: &str = "settings.json";
const JOURNAL: &str = "journal.json";
const WINNERS: &str = "winners.json";
const CHOICE: &str = "choice.json";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another trainer has it, or the disk refuses.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// It was written by another version.
    #[error(
        "{} was written by another version of soma: go on with that one, or name another folder",
        printable(&.0.to_string_lossy())
    )]
    Version(PathBuf),
    /// Weights or data that the journal names are gone or damaged.
    #[error(
        "{} is missing or damaged, and the trainer needs it: put it back, or begin anew in another folder with --model \
         and --init",
        printable(&.0.to_string_lossy())
    )]
    Lost(PathBuf),
}

/// The folder, locked until the value is dropped.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Locks `folder`, which is made if needed.
    ///
    /// # Errors
    /// When another process has it, or the disk refuses.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        create_private_directory(folder)?;
        let lock = Lock::acquire(folder)?;
        let store = Self {
            folder: folder.to_owned(),
            _lock: lock,
        };
        for folder in [store.folder.clone(), store.weights_folder(), store.data_folder()] {
            create_private_directory(&folder)?;
            // What a process that was killed left behind.
            sweep(&folder);
        }
        Ok(store)
    }

    /// The settings of an earlier start.
    ///
    /// # Errors
    /// When the disk refuses, or they are damaged.
    pub fn settings(&self) -> Result<Option<Settings>, StoreError> {
        self.read(SETTINGS)
    }

    /// Keeps settings for later starts.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put_settings(&self, settings: &Settings) -> Result<(), StoreError> {
        self.put(SETTINGS, settings)
    }

    /// What was remembered.
    ///
    /// # Errors
    /// When the disk refuses, it is damaged, or another version wrote it.
    pub fn journal(&self) -> Result<Option<Journal>, StoreError> {
        let journal: Option<Journal> = self.read(JOURNAL)?;
        match journal {
            Some(journal) if !journal.is_known() => Err(StoreError::Version(self.folder.join(JOURNAL))),
            journal => Ok(journal),
        }
    }

    /// Remembers.
    ///
    /// # Errors
    /// When the disk refuses: then what was remembered before stands.
    pub fn put_journal(&self, journal: &Journal) -> Result<(), StoreError> {
        self.put(JOURNAL, journal)
    }

    /// Winners whose data is here, latest first.
    ///
    /// # Errors
    /// When the disk refuses, or the list is damaged.
    pub fn winners(&self) -> Result<Vec<WonFacts>, StoreError> {
        Ok(self.read(WINNERS)?.unwrap_or_default())
    }

    /// Replaces that list, of which the latest [`WINNERS_MAX`] are kept.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put_winners(&self, mut winners: Vec<WonFacts>) -> Result<(), StoreError> {
        winners.truncate(WINNERS_MAX);
        self.put(WINNERS, &winners)
    }

    /// The data chosen for the round under way.
    ///
    /// # Errors
    /// When the disk refuses, or the list is damaged.
    pub fn choice(&self) -> Result<Vec<ContentHash>, StoreError> {
        Ok(self.read(CHOICE)?.unwrap_or_default())
    }

    /// Chooses data for the round under way.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put_choice(&self, choice: &[ContentHash]) -> Result<(), StoreError> {
        self.put(CHOICE, &choice)
    }

    /// Keeps weights; their BLAKE3.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put_weights(&self, weights: &[u8]) -> Result<ContentHash, StoreError> {
        let hash = ContentHash::of(weights);
        replace(&self.weights_path(&hash), weights)?;
        Ok(hash)
    }

    /// Weights that were kept, verified.
    ///
    /// # Errors
    /// When they are gone or damaged.
    pub fn weights(&self, hash: &ContentHash) -> Result<Blob, StoreError> {
        let path = self.weights_path(hash);
        let lost = || StoreError::Lost(path.clone());
        let blob = match fs::File::open(&path) {
            Ok(mut file) => Blob::copy(&mut file).at("read", &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(lost()),
            Err(error) => return Err(error).at("open", &path)?,
        };
        if blob.hash() == *hash {
            Ok(blob)
        } else {
            Err(lost())
        }
    }

    /// Where weights are kept.
    #[must_use]
    pub fn weights_path(&self, hash: &ContentHash) -> PathBuf {
        let name = format!("{}.safetensors", hex(hash));
        self.weights_folder().join(name)
    }

    /// Keeps data.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn put_data(&self, data: &[u8]) -> Result<ContentHash, StoreError> {
        let hash = ContentHash::of(data);
        replace(&self.data_path(&hash), data)?;
        Ok(hash)
    }

    /// Data that was kept, verified; none where it is gone or damaged.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn data(&self, hash: &ContentHash) -> Result<Option<Vec<u8>>, StoreError> {
        let data = read_bounded(&self.data_path(hash), DATA_LENGTH_BYTES_MAX)?;
        Ok(data.filter(|data| ContentHash::of(data) == *hash))
    }

    /// Where a round's training keeps its progress.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoint")
    }

    /// Forgets the training under way.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove_checkpoints(&self) -> Result<(), StoreError> {
        let folder = self.checkpoints();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", &folder)?,
            _ => Ok(()),
        }
    }

    /// Removes weights and data that nothing names any more.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn tidy(
        &self,
        weights: &BTreeSet<ContentHash>,
        data: &BTreeSet<ContentHash>,
    ) -> Result<(), StoreError> {
        let kept: BTreeSet<PathBuf> = weights
            .iter()
            .map(|hash| self.weights_path(hash))
            .chain(data.iter().map(|hash| self.data_path(hash)))
            .collect();
        for folder in [self.weights_folder(), self.data_folder()] {
            for entry in fs::read_dir(&folder).at("list", &folder)? {
                let path = entry.at("list", &folder)?.path();
                if !kept.contains(&path) {
                    remove(&path)?;
                }
            }
        }
        Ok(())
    }

    fn weights_folder(&self) -> PathBuf {
        self.folder.join("weights")
    }

    fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn data_path(&self, hash: &ContentHash) -> PathBuf {
        self.data_folder().join(format!("{}.bin", hex(hash)))
    }

    fn put(&self, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        let bytes = serde_json::to_vec_pretty(value).expect("plain data with string keys is JSON");
        Ok(replace_private(&path, &bytes)?)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let path = self.folder.join(name);
        match read_bounded(&path, LENGTH_BYTES_MAX)? {
            None => Ok(None),
            Some(bytes) => Ok(serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(io::Error::other)
                .at("understand", &path)?),
        }
    }
}

/// A hash as it stands in a file's name.
fn hex(hash: &ContentHash) -> String {
    hash.to_string().trim_start_matches("0x").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_trainer_at_a_time_and_keeps_what_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trainer");
        let store = Store::open(&path).unwrap();
        assert!(matches!(
            Store::open(&path),
            Err(StoreError::Lock(LockError::Held(_)))
        ));
        let [kept, gone] = [b"kept", b"gone"].map(|bytes| store.put_weights(bytes).unwrap());
        let [data, left] = [b"data", b"left"].map(|bytes| store.put_data(bytes).unwrap());
        store
            .tidy(&BTreeSet::from([kept]), &BTreeSet::from([data]))
            .unwrap();
        assert_eq!(store.weights(&kept).unwrap().bytes().unwrap(), &b"kept"[..]);
        assert!(matches!(store.weights(&gone), Err(StoreError::Lost(_))));
        assert_eq!(store.data(&data).unwrap().unwrap(), b"data");
        assert_eq!(store.data(&left).unwrap(), None);
        // Damage is found, not trained on.
        fs::write(store.weights_path(&kept), b"kepT").unwrap();
        assert!(matches!(store.weights(&kept), Err(StoreError::Lost(_))));
        fs::write(store.data_path(&data), b"datA").unwrap();
        assert_eq!(store.data(&data).unwrap(), None);
        drop(store);
        Store::open(&path).unwrap();
    }

    #[test]
    fn a_damaged_or_foreign_journal_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.journal().unwrap(), None);
        let journal = Journal::new(soma_types::ChainId([1; 32]), soma_types::Address([2; 32]), None);
        store.put_journal(&journal).unwrap();
        assert_eq!(store.journal().unwrap(), Some(journal));
        let path = folder.path().join(JOURNAL);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        assert!(matches!(store.journal(), Err(StoreError::Version(_))));
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        let error = store.journal().unwrap_err().to_string();
        assert!(error.starts_with("cannot understand"), "{error}");
    }
}
