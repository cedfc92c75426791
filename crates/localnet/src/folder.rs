//! A localnet's folder: genesis, the committee, and every validator's secrets.
//!
//! ```text
//! DIR/lock                         held by the running localnet
//! DIR/version                      written first, and kept: what else has these names is the localnet's own
//! DIR/genesis.json                 written last: a folder without it is no network yet
//! DIR/committee.json               the public polynomial and the members' identities
//! DIR/faucet.json                  the faucet's secret                         (mode 600)
//! DIR/validator-N/secrets.json     identity, threshold share, account          (mode 600)
//! DIR/validator-N/storage/         everything the validator remembers
//! DIR/validator-N/storage/chain    of which network
//! DIR/blobs/                       content that the network's nodes keep
//! DIR/auditors/                    what the validators' auditors have sent
//! ```
//!
//! A folder may hold other things besides. They are never changed and never deleted: see
//! [`erase`](crate::erase).

mod error;
mod layout;
mod making;
mod reading;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use rand_core::CryptoRng;
use soma_files::{Lock, LockError, replace};
use soma_types::{Keypair, genesis::Genesis, params::COMMITTEE_SIZE_MAX, text::printable};

use self::{
    error::{damaged, io_error},
    making::create,
    reading::{Network, check_version, holds_anything, load, read_json, version},
};
use crate::dealer::Dealt;

pub use self::{error::FolderError, layout::VERSION, making::Blueprint};

/// How much [`Folder::probe`] writes: what a validator's journals take at a time, and some more.
const PROBE_BYTES: usize = 1 << 20;

/// What to do with the network that a folder holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Go on with it.
    Keep,
    /// Delete it, and make a new one.
    Delete,
}

impl Existing {
    /// Refuses to delete a folder's content that is not a localnet. Changes nothing.
    ///
    /// # Errors
    /// If it is something else, or cannot be read.
    pub fn check(self, directory: &Path) -> Result<(), FolderError> {
        if self == Self::Delete && version(directory)?.is_none() && holds_anything(directory)? {
            return Err(FolderError::Foreign(directory.to_owned()));
        }
        Ok(())
    }
}

/// A localnet folder, locked. Dropping it releases the lock.
pub struct Place {
    directory: PathBuf,
    _lock: Lock,
}

impl Place {
    /// Locks `directory`, which is made if needed. Nothing else in it changes.
    ///
    /// # Errors
    /// If it is in use, cannot be read or written, or holds something that is not a localnet and should be
    /// deleted.
    pub fn lock(directory: &Path, existing: Existing) -> Result<Self, FolderError> {
        existing.check(directory)?;
        let lock = Lock::acquire(directory).map_err(|error| match error {
            LockError::Held(_) => FolderError::Locked(directory.to_owned()),
            LockError::File(error) => error.into(),
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// How many validators the network has that [`Self::open`] will find or make.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub fn validators(&self, blueprint: &Blueprint, existing: Existing) -> Result<usize, FolderError> {
        let genesis = self.directory.join("genesis.json");
        if existing == Existing::Delete || !genesis.exists() {
            return match blueprint.validators {
                count @ 1..=COMMITTEE_SIZE_MAX => Ok(count as usize),
                count => Err(FolderError::Validators(count)),
            };
        }
        check_version(&self.directory)?;
        Ok(read_json::<Genesis>(&genesis)?.validators.len())
    }

    /// Opens the network, or makes a new one after `blueprint` with secrets from `rng`. `now_ms` becomes a
    /// new network's starting time.
    ///
    /// # Errors
    /// If the folder cannot be read or written, is damaged, or holds what a new network would write over.
    pub fn open(
        self,
        blueprint: &Blueprint,
        existing: Existing,
        rng: impl CryptoRng,
        now_ms: u64,
    ) -> Result<Folder, FolderError> {
        if existing == Existing::Delete || !self.directory.join("genesis.json").exists() {
            create(&self.directory, blueprint, rng, now_ms)?;
        }
        check_version(&self.directory)?;
        let Network {
            genesis,
            dealt,
            accounts,
            faucet,
        } = load(&self.directory)?;
        let folder = Folder {
            place: self,
            genesis,
            dealt,
            accounts,
            faucet,
        };
        for index in 0..folder.dealt.members.len() {
            folder.claim_storage(index)?;
        }
        Ok(folder)
    }
}

/// A locked localnet folder with its network loaded. Dropping it releases the lock.
pub struct Folder {
    place: Place,
    /// The genesis.
    pub genesis: Genesis,
    /// The committee with its secrets.
    pub dealt: Dealt,
    /// The validators' accounts, in the order of the committee.
    pub accounts: Vec<Keypair>,
    /// The faucet's account.
    pub faucet: Keypair,
}

impl Folder {
    /// Whether the folder is still there, and its disk takes anything: writes and removes [`PROBE_BYTES`].
    ///
    /// # Errors
    /// Why it does not.
    pub fn probe(&self) -> Result<(), FolderError> {
        let directory = &self.place.directory;
        let genesis = directory.join("genesis.json");
        fs::metadata(&genesis).map_err(io_error("find", &genesis))?;
        let write = || {
            // Without a name, so that it is in nobody's way and gone when it is closed.
            let mut file = tempfile::tempfile_in(directory)?;
            file.write_all(&vec![1; PROBE_BYTES])?;
            file.sync_all()
        };
        write().map_err(io_error("write a file in", directory))
    }

    /// Whether the storage of validator `index` is this network's; new storage becomes so.
    fn claim_storage(&self, index: usize) -> Result<(), FolderError> {
        let storage = self.storage(index);
        let path = storage.join("chain");
        let chain = self.genesis.chain_id().to_string();
        fs::create_dir_all(&storage).map_err(io_error("create", &storage))?;
        match fs::read_to_string(&path) {
            Ok(found) if found.trim() == chain => Ok(()),
            Ok(found) => {
                let found = printable(found.trim()).into_owned();
                let reason =
                    format!("this is storage of the network {found}, and genesis.json makes {chain}");
                Err(damaged(&storage, reason))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let entries = fs::read_dir(&storage).map_err(io_error("read", &storage))?;
                // The engine's files are in folders.
                if entries.flatten().any(|entry| entry.path().is_dir()) {
                    return Err(damaged(
                        &storage,
                        "'chain' is missing, so it may be any network's",
                    ));
                }
                Ok(replace(&path, format!("{chain}\n").as_bytes())?)
            }
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Where validator `index` keeps its state.
    #[must_use]
    pub fn storage(&self, index: usize) -> PathBuf {
        self.place
            .directory
            .join(format!("validator-{index}"))
            .join("storage")
    }

    /// Where content is kept.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        blobs_of(&self.place.directory)
    }
}

/// Where the network in `directory` keeps its content.
#[must_use]
pub fn blobs_of(directory: &Path) -> PathBuf {
    directory.join("blobs")
}
