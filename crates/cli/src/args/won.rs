//! `soma data`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// `soma data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Download all data that has won since an epoch, each document checked against its hash.
    ///
    /// What is there already is checked and kept, so the same command goes on where it was stopped, and
    /// brings what is new.
    ///
    /// Each line is a JSON object, or each row of Parquet the same in columns: what the ledger says of the
    /// document, what its submitter says of where it comes from (`licence`, `source`, `url`, `id`), and the
    /// document itself as `text`, or as `base64` where it is not UTF-8.
    Sync {
        /// The first epoch.
        #[arg(long, value_name = "EPOCH")]
        since: u64,
        /// A folder, for a file `epoch-N` of each epoch; or a file that ends in `.jsonl` or `.parquet`, for
        /// all.
        #[arg(long, value_name = "DIR|FILE")]
        out: PathBuf,
        /// What files are written; if left out, as the name of FILE ends, and lines in a folder.
        #[arg(long)]
        format: Option<WonFormat>,
    },
}

/// How documents that won are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WonFormat {
    /// JSON lines.
    Jsonl,
    /// Parquet, packed with zstd.
    Parquet,
}
