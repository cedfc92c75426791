//! Content that a node's operator has taken down: bytes that must go, by their hash, and why.
//!
//! The ledger keeps what it says of them: hash, audit and verdict are no bytes. Whoever asks is told the
//! operator's reason, and nobody's upload or download brings them back to this store.
//!
//! Persistence: one file in a folder of its own within the store's, written as a whole. A store that is open
//! [takes it up](crate::Store::refresh_withdrawn) when it has changed, so whoever writes it needs no node.
//! Failures: a file that cannot be read keeps a store from opening, and from being told otherwise while it is
//! open: what must go does not come back by a damaged list.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use soma_files::{At as _, FileError, Lock, LockError, read_bounded, replace};
use soma_types::{ContentHash, text::printable};

/// Most characters of a reason.
pub const REASON_CHARACTERS_MAX: usize = 300;
/// Longest list that is read, in bytes.
const LIST_BYTES_MAX: u64 = 256 << 20;
const FOLDER: &str = "withdrawn";
const LIST: &str = "list.json";

/// Why something was taken down, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// The operator's words, for whoever asks.
    pub reason: String,
    /// Milliseconds since 1970.
    pub since_ms: u64,
    /// Whether it may come back. Until it has, it is told as what was taken down: a node that only lacks it
    /// would say that its owner does not give it.
    #[serde(default)]
    pub restored: bool,
}

/// Why the list could not be used.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawnError {
    /// The reason is none, or too long.
    #[error("a reason has 1 to {REASON_CHARACTERS_MAX} characters, not {characters}")]
    Reason {
        /// Its length.
        characters: usize,
    },
    /// The file is damaged.
    #[error("{} is no list of content that was taken down ({reason}): restore it from a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process is changing it, and does not come to an end.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What was taken down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Withdrawn(BTreeMap<ContentHash, Withdrawal>);

impl Withdrawn {
    /// The list of the store in `directory`; empty if nothing was ever taken down.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn read(directory: &Path) -> Result<Self, WithdrawnError> {
        let path = list(directory);
        let Some(bytes) = read_bounded(&path, LIST_BYTES_MAX)? else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&bytes).map_err(|error| WithdrawnError::Damaged {
            path,
            reason: error.to_string(),
        })
    }

    /// Takes content down in the store in `directory`, open or not, from now on; whether it was up. What was
    /// taken down before is so for the new reason.
    ///
    /// # Errors
    /// When the reason is none, or the list cannot be read or written.
    pub fn add(
        directory: &Path,
        hash: ContentHash,
        reason: &str,
        since_ms: u64,
    ) -> Result<bool, WithdrawnError> {
        let reason = printable(reason.trim()).into_owned();
        let characters = reason.chars().count();
        if characters == 0 || characters > REASON_CHARACTERS_MAX {
            return Err(WithdrawnError::Reason { characters });
        }
        change(directory, |all| {
            let withdrawal = Withdrawal {
                reason,
                since_ms,
                restored: false,
            };
            all.insert(hash, withdrawal).is_none_or(|before| before.restored)
        })
    }

    /// Lets content be stored and served again; whether it was down.
    ///
    /// # Errors
    /// When the list cannot be read or written.
    pub fn restore(directory: &Path, hash: &ContentHash) -> Result<bool, WithdrawnError> {
        change(directory, |all| match all.get_mut(hash) {
            Some(withdrawal) => !std::mem::replace(&mut withdrawal.restored, true),
            None => false,
        })
    }

    /// Why content was taken down, if it was, and whether it may come back.
    #[must_use]
    pub fn get(&self, hash: &ContentHash) -> Option<&Withdrawal> {
        self.0.get(hash)
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = (&ContentHash, &Withdrawal)> {
        self.0.iter()
    }

    /// Whether nothing was taken down.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn list(directory: &Path) -> PathBuf {
    directory.join(FOLDER).join(LIST)
}

fn change<T>(
    directory: &Path,
    change: impl FnOnce(&mut BTreeMap<ContentHash, Withdrawal>) -> T,
) -> Result<T, WithdrawnError> {
    let folder = directory.join(FOLDER);
    fs::create_dir_all(&folder).at("create", &folder)?;
    // Of those who change it. A store that is open only reads.
    let _turn = Lock::acquire(&folder)?;
    let mut all = Withdrawn::read(directory)?;
    let changed = change(&mut all.0);
    let bytes = serde_json::to_vec_pretty(&all).expect("plain data with string keys is JSON");
    replace(&list(directory), &bytes)?;
    Ok(changed)
}

/// What tells one state of the list from another without reading it: a file that is replaced is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    inode: u64,
    length_bytes: u64,
    modified: (i64, i64),
}

impl Mark {
    /// Of the list of the store in `directory`; `None` while there is none.
    pub(crate) fn of(directory: &Path) -> Result<Option<Self>, FileError> {
        let path = list(directory);
        let of = |metadata: Metadata| Self {
            inode: metadata.ino(),
            length_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(of(metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("inspect", &path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, StoreError};

    const BYTES: &[u8] = b"must go";

    fn is_down<T>(result: &Result<T, StoreError>) -> bool {
        matches!(result, Err(StoreError::Withdrawn { reason, .. }) if reason == "a court says so")
    }

    /// Nothing gets it out of the store or into it again, in any way, before and after a restart.
    #[test]
    fn what_is_taken_down_stays_down() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(folder.path(), 1_000).unwrap();
        let store = open();
        let (hash, other) = (store.put(BYTES).unwrap(), store.put(b"may stay").unwrap());
        let mut begun = store.writer(0).unwrap();
        begun.write(BYTES).unwrap();
        assert_eq!(store.refresh_withdrawn().unwrap(), 0);
        assert!(Withdrawn::add(folder.path(), hash, " a court says so ", 7).unwrap());
        assert_eq!(store.refresh_withdrawn().unwrap(), 1);
        assert_eq!(store.refresh_withdrawn().unwrap(), 0, "it is gone");
        assert!(is_down(&begun.finish_as(hash)), "a write that was under way");
        let all_ways = |store: &Store| {
            assert!(!store.contains(&hash) && store.length_bytes(&hash).is_none());
            assert!(is_down(&store.get(&hash)) && is_down(&store.body(&hash)));
            assert!(is_down(&store.read(&hash, |_, _| ())) && is_down(&store.touch(&hash)));
            assert!(is_down(&store.put(BYTES)));
            let mut writer = store.writer(0).unwrap();
            writer.write(BYTES).unwrap();
            assert!(is_down(&writer.finish()), "under whatever name");
            assert_eq!(store.hashes(), [other]);
            assert_eq!(store.get(&other).unwrap().unwrap(), b"may stay");
        };
        all_ways(&store);
        drop(store);
        all_ways(&open());
        // The list alone is enough: bytes that a crash, or a copy, left there go at the next opening.
        let name = hex::encode(hash.as_bytes());
        let place = folder.path().join(&name[..2]).join(&name);
        fs::write(&place, BYTES).unwrap();
        all_ways(&open());
        assert!(!place.exists());

        let store = open();
        assert!(Withdrawn::restore(folder.path(), &hash).unwrap());
        assert!(!Withdrawn::restore(folder.path(), &hash).unwrap());
        store.refresh_withdrawn().unwrap();
        // Until it is back, it is not merely missing.
        assert!(is_down(&store.get(&hash)) && is_down(&store.explain_absence(&hash)));
        assert!(!store.touch(&hash).unwrap());
        assert_eq!(store.put(BYTES).unwrap(), hash);
        assert_eq!(store.get(&hash).unwrap().unwrap(), BYTES);
        assert!(Withdrawn::add(folder.path(), hash, "a court says so", 8).unwrap());
        assert_eq!(store.refresh_withdrawn().unwrap(), 1);
        all_ways(&store);
    }

    #[test]
    fn reasons_are_words_and_a_damaged_list_brings_nothing_back() {
        let folder = tempfile::tempdir().unwrap();
        let hash = ContentHash::of(BYTES);
        for bad in ["", "  \n", &"x".repeat(REASON_CHARACTERS_MAX + 1)] {
            let error = Withdrawn::add(folder.path(), hash, bad, 0).unwrap_err();
            assert!(matches!(error, WithdrawnError::Reason { .. }), "{bad}: {error}");
        }
        assert!(Withdrawn::read(folder.path()).unwrap().is_empty());
        assert!(Withdrawn::add(folder.path(), hash, "a court\u{1b}[2J says so", 1).unwrap());
        assert!(!Withdrawn::add(folder.path(), hash, "a court says so", 2).unwrap());
        let store = Store::open(folder.path(), 1_000).unwrap();
        fs::write(list(folder.path()), "{").unwrap();
        assert!(store.refresh_withdrawn().is_err());
        assert!(is_down(&store.put(BYTES)), "what was known stands");
        drop(store);
        let error = Store::open(folder.path(), 1_000).unwrap_err().to_string();
        assert!(
            error.contains("list.json") && error.contains("restore it"),
            "{error}"
        );
        assert!(matches!(
            Withdrawn::add(folder.path(), hash, "again", 3),
            Err(WithdrawnError::Damaged { .. })
        ));
    }
}
