//! Proofs for light clients.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use soma_light::{
    key::NetworkKey,
    subject::{Held, Subject},
};
use soma_types::{Address, Height, ModelId, TargetId, TransactionHash};

/// What is to be proved.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ProveCommand {
    /// An account as it is now, or that there is none.
    Account {
        /// Its address.
        address: Address,
    },
    /// A model as it is now, or that there is none.
    Model {
        /// Its whole id.
        id: ModelId,
    },
    /// A target as it is now, or that there is none.
    Target {
        /// Its whole id.
        id: TargetId,
    },
    /// The receipt of a transaction, or that a block has none of it.
    Receipt {
        /// The transaction's whole hash.
        transaction: TransactionHash,
        /// The block; that which it is in, if left out.
        #[arg(long, value_name = "HEIGHT")]
        height: Option<u64>,
    },
}

impl ProveCommand {
    /// What it is about, and in which block.
    pub fn subject(self) -> (Subject, Option<Height>) {
        match self {
            Self::Account { address } => (Subject::Held(Held::Account(address)), None),
            Self::Model { id } => (Subject::Held(Held::Model(id)), None),
            Self::Target { id } => (Subject::Held(Held::Target(id)), None),
            Self::Receipt { transaction, height } => (Subject::Receipt(transaction), height.map(Height)),
        }
    }
}

/// Options of `soma verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// What `soma prove` has printed; `-` for standard input.
    pub file: PathBuf,
    /// The network's key, 48 bytes in hex, from whom you trust.
    #[arg(long, value_name = "KEY")]
    pub network_key: NetworkKey,
}
