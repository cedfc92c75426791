//! One account's transactions that were handed in and whose end is not known yet.
//!
//! A lost answer is no failure: the transaction may have been taken up. So the signed bytes are on disk
//! before they are sent, and stay until a receipt shows how it ended or it is certain that it never happens.
//! Whoever asks for the same deed again gets these bytes, which cannot happen twice, and not new ones, which
//! could.
//!
//! Processes of one machine take turns ([`Outbox::turn`]), so that each builds on the nonces of those before.
//!
//! # Layout
//!
//! `CHAIN/account-ADDRESS/` in the journal's folder. `EXPIRES-KIND-HASH.bin` is a signed transaction: its
//! last epoch, the first 16 hex digits of its kind's BLAKE3, its name. It is locked for as long as someone
//! waits for its end; one that nobody has locked was left behind ([`Turn::left`]). `lock` is the turn's,
//! `last` names the transaction that was handed in last.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use soma_files::{At, FileError, Lock, LockError};
use soma_types::{
    ContentHash, Epoch, SignedTransaction, TransactionHash, TransactionKind,
    transaction::TRANSACTION_BYTES_MAX,
};

const LAST: &str = "last";
const EXTENSION: &str = "bin";

/// The folder of one account's transactions. All methods block on the disk.
#[derive(Clone, Debug)]
pub struct Outbox {
    folder: PathBuf,
}

/// The right to hand in transactions of an account, held until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: Lock,
    outbox: Outbox,
}

/// A transaction on disk, claimed by whoever waits for its end. Dropped, it stays on disk, to be taken up by
/// others.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    transaction: SignedTransaction,
    /// Its lock is the claim.
    _file: File,
}

impl Kept {
    /// The transaction.
    pub fn transaction(&self) -> &SignedTransaction {
        &self.transaction
    }

    /// Forgets it: its end is known.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn forget(&self) -> Result<(), FileError> {
        soma_files::remove(&self.path).map(drop)
    }
}

impl Outbox {
    /// The outbox in `folder`, which is made when needed.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Takes the account's turn, unless another has it.
    ///
    /// # Errors
    /// When another process has it ([`LockError::Held`]), or the disk fails.
    pub fn turn(&self) -> Result<Turn, LockError> {
        soma_files::create_private_directory(&self.folder)?;
        Ok(Turn {
            _lock: Lock::acquire(&self.folder)?,
            outbox: self.clone(),
        })
    }

    /// All that is on disk, whether someone waits for it or not, by their last epochs. What does not read
    /// back is left out: it can be neither shown nor sent.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn all(&self) -> Result<Vec<SignedTransaction>, FileError> {
        let names = self.names()?;
        names
            .iter()
            .filter_map(|name| self.read(name).transpose())
            .collect()
    }

    /// The transaction called `hash`, claimed; `None` if it is not here or someone waits for it.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn claim(&self, hash: &TransactionHash) -> Result<Option<Kept>, FileError> {
        let end = format!("-{}.{EXTENSION}", hex::encode(hash.as_bytes()));
        self.claim_first(|name| name.ends_with(&end))
    }

    fn claim_first(&self, wanted: impl Fn(&str) -> bool) -> Result<Option<Kept>, FileError> {
        for name in self.names()?.into_iter().filter(|name| wanted(name)) {
            if let Some(kept) = self.claim_file(&name)? {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }

    /// The transaction in a file, claimed; `None` if it does not read back or someone waits for it.
    fn claim_file(&self, name: &str) -> Result<Option<Kept>, FileError> {
        let path = self.folder.join(name);
        let Ok(file) = File::open(&path) else {
            // Its end became known between the two.
            return Ok(None);
        };
        if !locked(&file, &path)? {
            return Ok(None);
        }
        Ok(self.read(name)?.map(|transaction| Kept {
            path,
            transaction,
            _file: file,
        }))
    }

    fn read(&self, name: &str) -> Result<Option<SignedTransaction>, FileError> {
        let path = self.folder.join(name);
        let bytes = soma_files::read_bounded(&path, TRANSACTION_BYTES_MAX as u64)?;
        let transaction = bytes.and_then(|bytes| SignedTransaction::decode(&bytes).ok());
        Ok(transaction.filter(|transaction| name_of(transaction) == name))
    }

    fn names(&self) -> Result<Vec<String>, FileError> {
        let mut names = Vec::new();
        if !self.folder.is_dir() {
            return Ok(names);
        }
        for entry in fs::read_dir(&self.folder).at("list", &self.folder)? {
            let name = entry.at("list", &self.folder)?.file_name();
            if let Some(name) = name.to_str()
                && expires_of(name).is_some()
            {
                names.push(name.to_owned());
            }
        }
        names.sort_by_key(|name| (expires_of(name), name.clone()));
        Ok(names)
    }
}

impl Turn {
    /// Writes a transaction to disk, before it is sent.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn keep(&self, transaction: SignedTransaction) -> Result<Kept, FileError> {
        let path = self.outbox.folder.join(name_of(&transaction));
        soma_files::replace_private(&path, &transaction.encode())?;
        let file = File::open(&path).at("open", &path)?;
        // Nobody else looks for it before the turn ends.
        locked(&file, &path)?;
        Ok(Kept {
            path,
            transaction,
            _file: file,
        })
    }

    /// A transaction of this kind that was left behind: its sender ended, or gave up, before its end was
    /// known.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn left(&self, kind: &TransactionKind) -> Result<Option<Kept>, FileError> {
        let middle = format!("-{}-", digest_of(kind));
        let found = self.outbox.claim_first(|name| name.contains(&middle))?;
        Ok(found.filter(|kept| kept.transaction.transaction.kind == *kind))
    }

    /// All that was left behind of the kinds that are `wanted`.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn all_left(&self, wanted: impl Fn(&TransactionKind) -> bool) -> Result<Vec<Kept>, FileError> {
        let mut left = Vec::new();
        for name in self.outbox.names()? {
            let kept = self.outbox.claim_file(&name)?;
            left.extend(kept.filter(|kept| wanted(&kept.transaction.transaction.kind)));
        }
        Ok(left)
    }

    /// Forgets what was left behind and can no longer happen, once nobody has asked for an epoch.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sweep(&self, now: Epoch) -> Result<(), FileError> {
        let over = |name: &str| expires_of(name).is_some_and(|expires| expires.next() < now);
        while let Some(kept) = self.outbox.claim_first(over)? {
            kept.forget()?;
        }
        Ok(())
    }

    /// The transaction that was handed in last, by any process.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn last(&self) -> Result<Option<TransactionHash>, FileError> {
        let bytes = soma_files::read_bounded(&self.outbox.folder.join(LAST), 128)?;
        Ok(bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse().ok()))
    }

    /// Tells others which transaction was handed in last.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn set_last(&self, hash: &TransactionHash) -> Result<(), FileError> {
        soma_files::replace_private(&self.outbox.folder.join(LAST), hash.to_string().as_bytes())
    }
}

fn locked(file: &File, path: &Path) -> Result<bool, FileError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).at("lock", path),
    }
}

fn name_of(transaction: &SignedTransaction) -> String {
    format!(
        "{}-{}-{}.{EXTENSION}",
        transaction.transaction.expires,
        digest_of(&transaction.transaction.kind),
        hex::encode(transaction.hash().as_bytes())
    )
}

fn expires_of(name: &str) -> Option<Epoch> {
    let (expires, rest) = name.split_once('-')?;
    rest.strip_suffix(EXTENSION)?;
    expires.parse().ok().map(Epoch)
}

fn digest_of(kind: &TransactionKind) -> String {
    let bytes = borsh::to_vec(kind).expect("encoding to memory does not fail");
    hex::encode(&ContentHash::of(&bytes).as_bytes()[..8])
}

#[cfg(test)]
mod tests {
    use soma_types::{ChainId, Keypair, Shannons, Transaction};

    use super::*;

    fn transaction(nonce: u64, expires: u64, kind: TransactionKind) -> SignedTransaction {
        let keys = Keypair::from_secret_bytes([1; 32]);
        let transaction = Transaction {
            chain: ChainId([3; 32]),
            sender: keys.public_key(),
            nonce,
            expires: Epoch(expires),
            max_fee: Shannons(1),
            kind,
        };
        transaction.sign(&keys)
    }

    #[test]
    fn what_is_left_behind_is_found_by_kind_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().join("account"));
        assert!(outbox.all().unwrap().is_empty());
        let turn = outbox.turn().unwrap();
        assert!(matches!(outbox.turn(), Err(LockError::Held(_))));
        let kind = TransactionKind::LeaveValidator;
        let sent = transaction(1, 5, kind.clone());
        let kept = turn.keep(sent.clone()).unwrap();
        // Someone waits for it.
        assert!(turn.left(&kind).unwrap().is_none());
        assert!(outbox.claim(&sent.hash()).unwrap().is_none());
        assert_eq!(outbox.all().unwrap(), std::slice::from_ref(&sent));
        drop(kept);
        assert_eq!(turn.left(&kind).unwrap().unwrap().transaction(), &sent);
        assert!(
            turn.left(&TransactionKind::SetRentVote {
                rent_per_mib_epoch: Shannons(1)
            })
            .unwrap()
            .is_none()
        );
        let kept = outbox.claim(&sent.hash()).unwrap().unwrap();
        kept.forget().unwrap();
        assert!(turn.left(&kind).unwrap().is_none());
        assert!(outbox.all().unwrap().is_empty());
    }

    #[test]
    fn what_can_no_longer_happen_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().to_owned());
        let turn = outbox.turn().unwrap();
        for (nonce, expires) in [(1, 4), (2, 5), (3, 10)] {
            turn.keep(transaction(nonce, expires, TransactionKind::LeaveValidator))
                .unwrap();
        }
        let held = turn
            .keep(transaction(4, 4, TransactionKind::LeaveValidator))
            .unwrap();
        turn.sweep(Epoch(6)).unwrap();
        let nonces = || {
            outbox
                .all()
                .unwrap()
                .iter()
                .map(|left| left.transaction.nonce)
                .collect::<Vec<_>>()
        };
        assert_eq!(nonces(), [4, 2, 3], "but not what someone waits for");
        drop(held);
        turn.sweep(Epoch(6)).unwrap();
        assert_eq!(nonces(), [2, 3]);
    }

    #[test]
    fn a_damaged_file_hides_no_other_and_is_never_sent() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().to_owned());
        let turn = outbox.turn().unwrap();
        let kind = TransactionKind::LeaveValidator;
        let damaged = name_of(&transaction(1, 5, kind.clone()));
        fs::write(
            folder.path().join(damaged),
            transaction(9, 5, kind.clone()).encode(),
        )
        .unwrap();
        fs::write(folder.path().join("notes-of-mine.bin"), "mine").unwrap();
        turn.keep(transaction(2, 5, kind.clone())).unwrap();
        assert_eq!(
            turn.left(&kind).unwrap().unwrap().transaction().transaction.nonce,
            2
        );
        assert_eq!(outbox.all().unwrap().len(), 1);
        turn.sweep(Epoch(50)).unwrap();
        assert_eq!(
            fs::read(folder.path().join("notes-of-mine.bin")).unwrap(),
            b"mine"
        );
    }

    #[test]
    fn who_was_last_is_known_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().to_owned());
        let turn = outbox.turn().unwrap();
        assert_eq!(turn.last().unwrap(), None);
        turn.set_last(&TransactionHash([7; 32])).unwrap();
        drop(turn);
        assert_eq!(
            outbox.turn().unwrap().last().unwrap(),
            Some(TransactionHash([7; 32]))
        );
    }
}
