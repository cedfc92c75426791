//! `soma transaction`.

use clap::Subcommand;
use soma_types::TransactionHash;

/// `soma transaction`.
#[derive(Debug, Subcommand)]
pub enum TransactionCommand {
    /// Show what became of a transaction.
    Show {
        /// Its hash.
        transaction: TransactionHash,
    },
    /// List what was handed in from here and no command told how it ended: answers were lost, or the command
    /// was stopped.
    List,
    /// Hand the same bytes in again, which cannot happen twice, and wait for the end.
    Resend {
        /// Its hash.
        transaction: TransactionHash,
        /// How long to wait, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        wait: u64,
    },
}
