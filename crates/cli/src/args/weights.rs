//! `soma weights`, and what commands take that publish encrypted weights.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use soma_types::Url;

/// `soma weights`.
#[derive(Debug, Subcommand)]
pub enum WeightsCommand {
    /// Encrypt weights under a fresh key, to be uploaded to one's own storage.
    Encrypt {
        /// The weights.
        weights: PathBuf,
        /// Where to write the encrypted file: what is uploaded and committed to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Where to write the key, which only you can read then. Without it nobody can reveal the weights.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Decrypt weights with their key.
    Decrypt {
        /// The encrypted file.
        encrypted: PathBuf,
        /// Where to write the weights.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The key's file.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}

/// One's own storage.
#[derive(Debug, Args)]
pub struct OwnStorage {
    /// Where you serve the encrypted file yourself. WEIGHTS is then that file, as `soma weights encrypt` made
    /// it; the node hosts it otherwise.
    #[arg(long, requires = "key")]
    pub url: Option<Url>,
    /// The key of that file.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub key: Option<PathBuf>,
}

impl OwnStorage {
    /// URL and key, which are given together.
    pub fn both(&self) -> Option<(&Url, &PathBuf)> {
        self.url.as_ref().zip(self.key.as_ref())
    }
}

/// What a reveal is compared with before it is sent.
#[derive(Debug, Args)]
pub struct CommittedTo {
    /// The URL that was committed; nothing is revealed if it was another.
    #[arg(long)]
    pub url: Option<Url>,
    /// The encrypted file that was committed; nothing is revealed if it was another.
    #[arg(long, value_name = "FILE")]
    pub encrypted: Option<PathBuf>,
    /// Its key, where the commit came from another machine; nothing is revealed if it opens another file.
    #[arg(long, value_name = "FILE", requires = "encrypted")]
    pub key: Option<PathBuf>,
}
