//! `soma global`.

use std::path::PathBuf;

use clap::Subcommand;

/// `soma global`.
#[derive(Debug, Subcommand)]
pub enum GlobalCommand {
    /// Show the global model: the models that compete in this epoch, with their stakes.
    Show,
    /// Download the global model: all its weights, decrypted and verified, and a manifest. Stopped in
    /// between, the same command goes on where it was.
    Fetch {
        /// The folder to keep it in.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}
