//! `soma data`.

use std::path::PathBuf;

use clap::Subcommand;

/// `soma data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Download all data that has won since an epoch, each document checked against its hash.
    ///
    /// What is there already is checked and kept, so the same command goes on where it was stopped, and
    /// brings what is new.
    ///
    /// Each line is a JSON object: what the ledger says of the document, and the document itself as `text`,
    /// or as `base64` where it is not UTF-8.
    Sync {
        /// The first epoch.
        #[arg(long, value_name = "EPOCH")]
        since: u64,
        /// A folder, for a file `epoch-N.jsonl` of each epoch; or a file that ends in `.jsonl`, for all.
        #[arg(long, value_name = "DIR|FILE")]
        out: PathBuf,
    },
}
