//! `soma content`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use soma_types::ContentHash;

/// `soma content`.
#[derive(Debug, Subcommand)]
pub enum ContentCommand {
    /// Remove bytes by their hash, for good, and tell the reason to whoever asks for them (HTTP 451).
    ///
    /// Hash, audit and verdict stay in the ledger. A node that runs does it with its next block.
    Drop {
        /// BLAKE3 of the content: weights or data.
        hash: ContentHash,
        /// Why, for whoever asks.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Whose it is.
        #[command(flatten)]
        network: NetworkFolder,
    },
    /// Let content that was dropped be stored and served again. Its bytes have to be brought anew.
    Restore {
        /// BLAKE3 of the content.
        hash: ContentHash,
        /// Whose it is.
        #[command(flatten)]
        network: NetworkFolder,
    },
    /// List what was dropped, and why.
    List {
        /// Whose it is.
        #[command(flatten)]
        network: NetworkFolder,
    },
}

/// Whose content it is.
#[derive(Debug, Args)]
pub struct NetworkFolder {
    /// The folder of the localnet; `localnet` in the home folder if left out.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
