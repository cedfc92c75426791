//! How a step of the ledger ends early.

use soma_types::{
    Epoch, Rejection,
    genesis::GenesisError,
    upgrade::{PROTOCOL_VERSION, ProtocolVersion},
};

use crate::state::Missing;

/// The state contradicts itself: a bug or a corrupt store. The node must stop, not guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger's state is inconsistent ({0}): stop the node and restore its state from a sound copy")]
pub struct Broken(pub &'static str);

/// Why a block, or a read, could not be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value is not in memory yet. Load it and call again.
    #[error("a value of the state is not loaded yet")]
    Missing(Missing),
    /// The block contains a transaction that must not be included.
    #[error("transaction {index} must not be in the block: {rejection}")]
    Refused {
        /// Its position in the block.
        index: u32,
        /// The ledger's reason.
        rejection: Rejection,
    },
    /// The block does not follow the state's.
    #[error("block {given} does not follow block {last}")]
    OutOfOrder {
        /// The block's height.
        given: u64,
        /// The state's.
        last: u64,
    },
    /// The block begins an epoch whose rules this code does not implement.
    #[error(
        "protocol version {version} is in force from epoch {epoch} on, and this software implements versions up to {PROTOCOL_VERSION}: install a newer release"
    )]
    Unsupported {
        /// The version.
        version: ProtocolVersion,
        /// From when it is in force.
        epoch: Epoch,
    },
    /// The genesis is refused.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The state contradicts itself.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

/// Why a step stopped. `?` carries it out of anywhere in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A read was not loaded.
    Missing(Missing),
    /// The rules say no.
    Rejected(Box<Rejection>),
    /// The state contradicts itself.
    Broken(Broken),
    /// Rules that this code does not implement.
    Unsupported { version: ProtocolVersion, epoch: Epoch },
}

impl From<Missing> for Stop {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(Box::new(rejection))
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Stop {
    /// The error of a step in which nothing can be rejected.
    pub(crate) fn expect_no_rejection(self) -> Error {
        match self {
            Self::Missing(missing) => Error::Missing(missing),
            Self::Broken(broken) => Error::Broken(broken),
            Self::Unsupported { version, epoch } => Error::Unsupported { version, epoch },
            Self::Rejected(_) => Error::Broken(Broken("a rejection outside of a transaction")),
        }
    }
}

/// Turns an overflow, which parameter bounds exclude, into [`Broken`].
pub(crate) trait OrBroken<T> {
    fn or_broken(self, what: &'static str) -> Result<T, Broken>;
}

impl<T> OrBroken<T> for Option<T> {
    fn or_broken(self, what: &'static str) -> Result<T, Broken> {
        self.ok_or(Broken(what))
    }
}
