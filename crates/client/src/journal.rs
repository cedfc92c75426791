//! What must outlive a crash between commit and reveal.
//!
//! A commit binds its sender to secrets that only the sender has: the decryption key of the weights, the
//! salt and body of a submission. Lost, they cost the stake or the deposit. So they are on disk before the
//! commit is sent, and stay until the reveal is final or can no longer happen. Submitted data stays until its
//! race is over and, if it has won, it was handed over: until then nobody else has it.
//!
//! # Layout
//!
//! `CHAIN/model-HASH.json` by the BLAKE3 of the encrypted weights, `CHAIN/submission-COMMITMENT.json` and the
//! submitted data in `CHAIN/data-HASH.bin`; `CHAIN/claim-COMMITMENT.lock` is locked by whoever is at a
//! submission. CHAIN is the first 16 hex digits of the network's id. Files are
//! mode 600 and not encrypted: the secrets are published by the reveal anyway, within an epoch. Transactions
//! whose end is not known are kept beside them ([`crate::outbox`]).
//!
//! # Failures
//!
//! A file that does not read back is reported by name; the others are still returned.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use soma_files::{self as files, At as _, FileError};
use soma_types::{
    Address, ChainId, Commitment, ContentHash, DecryptionKey, Embedding, Epoch, ModelId, Salt, SubmissionId,
    TargetId, TransactionKind, transaction::SubmissionReveal,
};

use crate::outbox::Outbox;

/// Longest entry that is read, in bytes.
const LENGTH_BYTES_MAX: u64 = 1 << 20;
/// Longest data that is read, in bytes: above any network's largest.
const DATA_LENGTH_BYTES_MAX: u64 = 1 << 30;

const OUTBOX_PREFIX: &str = "account-";

/// Weights committed and not yet revealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingModel {
    /// The network.
    pub chain: ChainId,
    /// Who committed and must reveal.
    pub owner: Address,
    /// The model.
    pub model: ModelId,
    /// BLAKE3 of the encrypted weights, as committed.
    pub hash: ContentHash,
    /// BLAKE3 of the weights themselves: who brings them again goes on with this commit. None where only
    /// their encrypted form was given.
    #[serde(default)]
    pub weights: Option<ContentHash>,
    /// Opens them.
    pub key: DecryptionKey,
    /// Where the model specialises, to be revealed with the key; may also be given at the reveal.
    pub embedding: Option<Embedding>,
    /// After this epoch the commit can no longer happen, nor wait for its reveal.
    pub keep_until: Epoch,
}

/// A submission that is not over: committed, in its race, or won with its data still to be handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingSubmission {
    /// The network.
    pub chain: ChainId,
    /// Who committed and must reveal.
    pub submitter: Address,
    /// The target.
    pub target: TargetId,
    /// Hides the commitment.
    pub salt: Salt,
    /// What was committed to.
    pub reveal: SubmissionReveal,
    /// The submission's name, once its commit has happened.
    pub submission: Option<SubmissionId>,
    /// After this epoch the commit can no longer happen.
    pub keep_until: Epoch,
    /// Whether it has been revealed.
    #[serde(default)]
    pub revealed: bool,
    /// The folder from which the participant's own host serves its data once it has won; the node gets it
    /// where there is none.
    #[serde(default)]
    pub folder: Option<PathBuf>,
}

impl PendingSubmission {
    /// What commits to it.
    pub fn commit(&self) -> TransactionKind {
        TransactionKind::CommitSubmission {
            target: self.target,
            commitment: self.commitment(),
        }
    }

    /// The commitment that salt and reveal open.
    pub fn commitment(&self) -> Commitment {
        self.reveal.commitment(&self.submitter, &self.salt)
    }
}

/// Entries of one kind, and the files that could not be read as one.
#[derive(Debug)]
pub struct Entries<T> {
    /// The entries, in the order of their names.
    pub entries: Vec<T>,
    /// Files that are damaged, with what is wrong.
    pub damaged: Vec<FileError>,
}

/// A folder of pending secrets. All methods block on the disk.
#[derive(Clone, Debug)]
pub struct Journal {
    directory: PathBuf,
}

impl Journal {
    /// The journal in `directory`, which is made when needed.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The transactions of an account whose end is not known yet.
    pub fn outbox(&self, chain: &ChainId, address: &Address) -> Outbox {
        let name = format!("{OUTBOX_PREFIX}{}", hex::encode(address.as_bytes()));
        Outbox::new(self.folder(chain).join(name))
    }

    /// The same for every account that has sent from here.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn outboxes(&self, chain: &ChainId) -> Result<Vec<Outbox>, FileError> {
        Ok(self
            .paths(chain, OUTBOX_PREFIX)?
            .into_iter()
            .map(Outbox::new)
            .collect())
    }

    /// Keeps an entry, replacing an earlier one for the same weights.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn put_model(&self, entry: &PendingModel) -> Result<(), FileError> {
        self.put(&entry.chain, &model_name(&entry.hash), entry)
    }

    /// The entry for committed weights, by the hash that the chain knows.
    ///
    /// # Errors
    /// When the disk cannot be read, or the entry is damaged.
    pub fn model(&self, chain: &ChainId, hash: &ContentHash) -> Result<Option<PendingModel>, FileError> {
        read(&self.path(chain, &model_name(hash)))
    }

    /// All weights waiting to be revealed on `chain`.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn models(&self, chain: &ChainId) -> Result<Entries<PendingModel>, FileError> {
        self.entries(chain, "model-")
    }

    /// Forgets weights; whether they were known.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn remove_model(&self, chain: &ChainId, hash: &ContentHash) -> Result<bool, FileError> {
        files::remove(&self.path(chain, &model_name(hash)))
    }

    /// Keeps an entry, replacing an earlier one for the same commitment.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn put_submission(&self, entry: &PendingSubmission) -> Result<(), FileError> {
        self.put(&entry.chain, &submission_name(&entry.commitment()), entry)
    }

    /// The entry for a commitment.
    ///
    /// # Errors
    /// When the disk cannot be read, or the entry is damaged.
    pub fn submission(
        &self,
        chain: &ChainId,
        commitment: &Commitment,
    ) -> Result<Option<PendingSubmission>, FileError> {
        read(&self.path(chain, &submission_name(commitment)))
    }

    /// All submissions on `chain` that are not over.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn submissions(&self, chain: &ChainId) -> Result<Entries<PendingSubmission>, FileError> {
        self.entries(chain, "submission-")
    }

    /// Forgets a submission; whether it was known.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn remove_submission(&self, chain: &ChainId, commitment: &Commitment) -> Result<bool, FileError> {
        files::remove(&self.path(chain, &submission_name(commitment)))
    }

    /// The file whose lock says that someone is at a submission.
    pub(crate) fn claim(&self, chain: &ChainId, commitment: &Commitment) -> PathBuf {
        self.path(
            chain,
            &format!("claim-{}.lock", hex::encode(commitment.as_bytes())),
        )
    }

    /// Keeps submitted data until its submission is over; its BLAKE3.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn put_data(&self, chain: &ChainId, data: &[u8]) -> Result<ContentHash, FileError> {
        let hash = ContentHash::of(data);
        files::create_private_directory(&self.folder(chain))?;
        files::replace_private(&self.path(chain, &data_name(&hash)), data)?;
        Ok(hash)
    }

    /// Data kept before; damaged data counts as none.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn data(&self, chain: &ChainId, hash: &ContentHash) -> Result<Option<Vec<u8>>, FileError> {
        let data = files::read_bounded(&self.path(chain, &data_name(hash)), DATA_LENGTH_BYTES_MAX)?;
        Ok(data.filter(|data| ContentHash::of(data) == *hash))
    }

    /// Forgets data; whether it was known.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn remove_data(&self, chain: &ChainId, hash: &ContentHash) -> Result<bool, FileError> {
        files::remove(&self.path(chain, &data_name(hash)))
    }

    fn folder(&self, chain: &ChainId) -> PathBuf {
        self.directory.join(hex::encode(&chain.as_bytes()[..8]))
    }

    fn path(&self, chain: &ChainId, name: &str) -> PathBuf {
        self.folder(chain).join(name)
    }

    fn put(&self, chain: &ChainId, name: &str, entry: &impl Serialize) -> Result<(), FileError> {
        files::create_private_directory(&self.folder(chain))?;
        let bytes = serde_json::to_vec(entry).expect("entries are plain data with string keys");
        files::replace_private(&self.path(chain, name), &bytes)
    }

    fn entries<T: DeserializeOwned>(&self, chain: &ChainId, prefix: &str) -> Result<Entries<T>, FileError> {
        let mut found = Entries {
            entries: Vec::new(),
            damaged: Vec::new(),
        };
        for path in self.paths(chain, prefix)? {
            match read(&path) {
                Ok(entry) => found.entries.extend(entry),
                Err(error) => found.damaged.push(error),
            }
        }
        Ok(found)
    }

    /// What is in a network's folder under names that begin so, in their order.
    fn paths(&self, chain: &ChainId, prefix: &str) -> Result<Vec<PathBuf>, FileError> {
        let (folder, mut paths) = (self.folder(chain), Vec::new());
        if !folder.is_dir() {
            return Ok(paths);
        }
        for entry in fs::read_dir(&folder).at("list", &folder)? {
            let entry = entry.at("list", &folder)?;
            if entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(prefix))
            {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }
}

fn model_name(hash: &ContentHash) -> String {
    format!("model-{}.json", hex::encode(hash.as_bytes()))
}

fn submission_name(commitment: &Commitment) -> String {
    format!("submission-{}.json", hex::encode(commitment.as_bytes()))
}

fn data_name(hash: &ContentHash) -> String {
    format!("data-{}.bin", hex::encode(hash.as_bytes()))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let Some(bytes) = files::read_bounded(path, LENGTH_BYTES_MAX)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(std::io::Error::other)
        .at("understand", path)
}

#[cfg(test)]
mod tests {
    use soma_types::list::List;

    use super::*;

    const CHAIN: ChainId = ChainId([3; 32]);

    fn embedding() -> Embedding {
        Embedding::from_direction(&(0..128).map(|i| i * 7 - 300).collect::<Vec<i64>>()).unwrap()
    }

    fn model(number: u8) -> PendingModel {
        PendingModel {
            chain: CHAIN,
            owner: Address([1; 32]),
            model: ModelId([2; 32]),
            hash: ContentHash([number; 32]),
            weights: Some(ContentHash([6; 32])),
            key: DecryptionKey([9; 32]),
            embedding: Some(embedding()),
            keep_until: Epoch(3),
        }
    }

    fn submission(salt: u8) -> PendingSubmission {
        PendingSubmission {
            chain: CHAIN,
            submitter: Address([1; 32]),
            target: TargetId([4; 32]),
            salt: Salt([salt; 32]),
            reveal: SubmissionReveal {
                data_url: "soma:0xab".parse().unwrap(),
                data_size_bytes: 100,
                data_hash: ContentHash([5; 32]),
                losses_nano: List::new(vec![1, u64::MAX]).unwrap(),
                cross_entropy_nano: 1,
                embedding: embedding(),
            },
            submission: None,
            keep_until: Epoch(3),
            revealed: false,
            folder: None,
        }
    }

    #[test]
    fn entries_outlive_the_process_and_can_be_found() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path().join("pending"));
        assert!(journal.models(&CHAIN).unwrap().entries.is_empty());
        for number in [2, 1] {
            journal.put_model(&model(number)).unwrap();
            journal.put_submission(&submission(number)).unwrap();
        }
        let journal = Journal::new(directory.path().join("pending"));
        assert_eq!(journal.models(&CHAIN).unwrap().entries, [model(1), model(2)]);
        assert_eq!(
            journal.model(&CHAIN, &ContentHash([2; 32])).unwrap(),
            Some(model(2))
        );
        assert_eq!(journal.submissions(&CHAIN).unwrap().entries.len(), 2);
        let mut named = submission(1);
        named.submission = Some(SubmissionId([8; 32]));
        journal.put_submission(&named).unwrap();
        assert_eq!(
            journal.submission(&CHAIN, &named.commitment()).unwrap(),
            Some(named.clone())
        );
        assert!(journal.remove_submission(&CHAIN, &named.commitment()).unwrap());
        assert!(!journal.remove_submission(&CHAIN, &named.commitment()).unwrap());
        assert!(journal.remove_model(&CHAIN, &ContentHash([1; 32])).unwrap());
        assert_eq!(journal.models(&CHAIN).unwrap().entries, [model(2)]);
        // Another network's entries are its own.
        assert!(journal.models(&ChainId([4; 32])).unwrap().entries.is_empty());
    }

    #[test]
    fn data_is_kept_whole() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        let hash = journal.put_data(&CHAIN, b"data").unwrap();
        assert_eq!(journal.data(&CHAIN, &hash).unwrap().unwrap(), b"data");
        fs::write(journal.path(&CHAIN, &data_name(&hash)), b"dat").unwrap();
        assert_eq!(journal.data(&CHAIN, &hash).unwrap(), None);
        assert!(journal.remove_data(&CHAIN, &hash).unwrap());
        assert!(journal.submissions(&CHAIN).unwrap().entries.is_empty());
    }

    #[test]
    fn one_damaged_file_hides_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::new(directory.path());
        journal.put_model(&model(1)).unwrap();
        journal.put_model(&model(2)).unwrap();
        fs::write(
            journal.path(&CHAIN, &model_name(&ContentHash([1; 32]))),
            b"{\"chain\":",
        )
        .unwrap();
        let found = journal.models(&CHAIN).unwrap();
        assert_eq!(found.entries, [model(2)]);
        assert_eq!(found.damaged.len(), 1);
        assert!(journal.model(&CHAIN, &ContentHash([1; 32])).is_err());
    }
}
