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
    path::{Path, PathBuf},
};

use rand_core::CryptoRng;
use soma_files::{Lock, LockError};
use soma_operator::storage::claim;
use soma_types::{Keypair, genesis::Genesis, params::COMMITTEE_SIZE_MAX};

use self::{
    error::io_error,
    making::create,
    reading::{Network, check_version, holds_anything, load, read_json, version},
};
use crate::dealer::Dealt;

pub use self::{error::FolderError, layout::VERSION, making::Blueprint};

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
            claim(&folder.storage(index), &folder.genesis.chain_id())?;
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
    /// Whether the folder is still there, and its disk takes anything: writes and removes a little.
    ///
    /// # Errors
    /// Why it does not.
    pub fn probe(&self) -> Result<(), FolderError> {
        let directory = &self.place.directory;
        let genesis = directory.join("genesis.json");
        fs::metadata(&genesis).map_err(io_error("find", &genesis))?;
        Ok(soma_operator::probe(directory)?)
    }

    /// The folder of validator `index`.
    #[must_use]
    pub fn validator(&self, index: usize) -> PathBuf {
        self.place.directory.join(format!("validator-{index}"))
    }

    /// Where validator `index` keeps its state.
    #[must_use]
    pub fn storage(&self, index: usize) -> PathBuf {
        self.validator(index).join("storage")
    }

    /// The file with the faucet's secret.
    #[must_use]
    pub fn faucet_file(&self) -> PathBuf {
        self.place.directory.join("faucet.json")
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
