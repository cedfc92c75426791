//! The folder of one node.
//!
//! ```text
//! HOME/lock             held by the running node
//! HOME/node.toml        what its operator sets
//! HOME/secrets.json     its own keys, and its share of the network's key   (mode 600)
//! HOME/network.json     the network: the same file at every operator
//! HOME/storage/         everything it remembers
//! HOME/storage/chain    of which network
//! HOME/blobs/           content that it keeps
//! ```
//!
//! It may be the folder of the operator's wallets, too: no names meet.

use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use soma_files::{FileError, create_private_directory};

use crate::{
    config::Config,
    founding::{Entry, FoundingError, FoundingFolder},
    network::Network,
    secrets::{Secrets, SecretsError},
};

/// A node's folder.
#[derive(Clone, Debug)]
pub struct Home {
    path: PathBuf,
}

/// Why a home is not made, or does not join a network.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is a node already.
    #[error("'{0}' is there already: a node's keys are made once. Use another --home for another node")]
    Exists(PathBuf),
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its keys.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The network to be.
    #[error(transparent)]
    Founding(#[from] FoundingError),
}

impl Home {
    /// The home at `path`. Touches nothing.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path.join("node.toml")
    }

    /// Its secrets.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.path.join("secrets.json")
    }

    /// Its network.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        self.path.join("network.json")
    }

    /// What it remembers.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.path.join("storage")
    }

    /// Content that it keeps.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.path.join("blobs")
    }

    /// Makes keys and settings of a new node; its entry, which `enter` completes from them.
    ///
    /// # Errors
    /// If there is a node, or the disk refuses.
    pub fn create(
        &self,
        config: &Config,
        rng: impl CryptoRng,
        enter: impl FnOnce(&Secrets) -> Entry,
    ) -> Result<Entry, HomeError> {
        for path in [self.secrets(), self.config()] {
            if path.symlink_metadata().is_ok() {
                return Err(HomeError::Exists(path));
            }
        }
        create_private_directory(&self.path)?;
        let secrets = Secrets::generate(rng);
        let entry = enter(&secrets);
        config.write(&self.config())?;
        secrets.write(&self.secrets())?;
        Ok(entry)
    }

    /// Takes the node's share of what was dealt in `founding`, and the network that all of it makes.
    ///
    /// # Errors
    /// If the founding is not complete, the node takes no part in it, or the disk refuses.
    pub fn join(&self, founding: &FoundingFolder, rng: impl CryptoRng) -> Result<Network, HomeError> {
        let mut secrets = Secrets::read(&self.secrets())?;
        let (network, share) = founding.join(&secrets, rng)?;
        secrets.share = Some(share);
        secrets.write(&self.secrets())?;
        network.write(&self.network())?;
        Ok(network)
    }
}
