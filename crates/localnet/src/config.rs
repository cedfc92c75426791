//! How to run a localnet, and why one does not start or stopped.

use std::path::PathBuf;

use soma_http::{CannotListen, descriptors::TooFew};
use soma_node::retention::Retention;
use soma_operator::check::Problem;

use crate::folder::{Blueprint, Existing, FolderError};

/// Where a localnet's validators run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosting {
    /// All in this process.
    Here,
    /// Each in a process of its own.
    Processes {
        /// The `soma` program.
        program: PathBuf,
    },
}

/// How to run a localnet.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its folder.
    pub directory: PathBuf,
    /// What to make if the folder holds no network yet.
    pub blueprint: Blueprint,
    /// What to do with the one that it holds.
    pub existing: Existing,
    /// Derives every secret of a new network, so that it can be made again; random where left out.
    pub seed: Option<u64>,
    /// The first validator's HTTP port; the others take the next ones. 0 is any row that is free.
    pub api_port: u16,
    /// The first validator's peer-to-peer port, likewise.
    pub p2p_port: u16,
    /// Upper bound of the content store, in bytes.
    pub blob_store_bytes_max: u64,
    /// How long content stays public once nothing needs it.
    pub retention: Retention,
    /// Where its validators run.
    pub hosting: Hosting,
}

impl Config {
    /// A network in `directory` with everything else at its default and any ports.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            blueprint: Blueprint::default(),
            existing: Existing::Keep,
            seed: None,
            api_port: 0,
            p2p_port: 0,
            blob_store_bytes_max: 16 << 30,
            retention: Retention::default(),
            hosting: Hosting::Here,
        }
    }
}

/// Why a localnet does not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum LocalnetError {
    /// Its folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A port.
    #[error(transparent)]
    Port(#[from] CannotListen),
    /// A validator's folder.
    #[error(transparent)]
    Home(#[from] Problem),
    /// Open files.
    #[error(
        "{validators} validators need {} open files, and this system allows {}", few.needed, few.limit
    )]
    Descriptors {
        /// Of as many validators.
        validators: usize,
        /// What they need, and have.
        few: TooFew,
    },
    /// The content store.
    #[error("cannot open the content store: {0}")]
    Blobs(String),
    /// A validator did not start.
    #[error("validator {index} does not start from its storage in '{}': {reason}", storage.display())]
    Storage {
        /// Which validator, from 0.
        index: usize,
        /// Where it is stored.
        storage: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A validator stopped by itself.
    #[error("validator {index} stopped: {reason}")]
    Stopped {
        /// Which validator, from 0.
        index: usize,
        /// Why not.
        reason: String,
    },
}
