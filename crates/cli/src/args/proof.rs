//! Proofs for light clients.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use soma_light::key::NetworkKey;
use soma_types::TransactionHash;

use super::WholeArgs;
use crate::reference::Reference;

/// What is to be proved.
#[derive(Debug, Subcommand)]
pub enum ProveCommand {
    /// An account as it is now, or that there is none.
    Account {
        /// Its address, or a wallet; the wallet in use if left out.
        account: Option<String>,
    },
    /// A model as it is now, or that there is none.
    Model {
        /// The model.
        model: Reference,
    },
    /// A target as it is now, or that there is none.
    Target {
        /// The target.
        target: Reference,
    },
    /// The receipt of a transaction, or that a block has none of it.
    Receipt {
        /// The transaction's hash.
        transaction: TransactionHash,
        /// The block; that which it is in, if left out.
        #[arg(long, value_name = "HEIGHT")]
        height: Option<u64>,
    },
}

/// Options of `soma verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// What `soma prove` has printed, or an answer of `POST /v1/completions` of `soma serve`, as JSON; `-`
    /// for standard input.
    pub file: PathBuf,
    /// Of a proof: the network's key, 48 bytes in hex, from whom you trust.
    #[arg(long, value_name = "KEY", conflicts_with_all = ["weights", "folder"])]
    pub network_key: Option<NetworkKey>,
    /// Of an answer: the models, in any order, and others beside them.
    #[command(flatten)]
    pub models: WholeArgs,
}
