//! Why the wallets' folder did not do as asked.

use std::path::PathBuf;

use soma_files::FileError;
use soma_types::text::printable;

use crate::{keyfile::KeyFileError, mnemonic::MnemonicError};

/// Longest wallet name, in bytes.
pub const NAME_LENGTH_BYTES_MAX: usize = 64;
/// Environment variable that names another folder than `~/.soma`.
pub const DIRECTORY_VARIABLE: &str = "SOMA_HOME";

/// Why the wallets' folder did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// Neither `SOMA_HOME` nor a home folder.
    #[error("there is no home folder to keep wallets in; set {DIRECTORY_VARIABLE} to a folder")]
    NoHome,
    /// A name that cannot be a file's.
    #[error("'{name}' cannot name a wallet: use 1 to {NAME_LENGTH_BYTES_MAX} of a-z, A-Z, 0-9, - and _")]
    BadName {
        /// The name given, as it may be repeated.
        name: String,
    },
    /// A name that commands would take for something else.
    #[error("'{name}' cannot name a wallet: it would be taken for {what}")]
    Misleading {
        /// The name given, as it may be repeated.
        name: String,
        /// What it looks like.
        what: &'static str,
    },
    /// The name is taken.
    #[error("there is already a wallet '{name}'; choose another name")]
    Exists {
        /// The name of the wallet there is.
        name: String,
    },
    /// The wallets' folder is none.
    #[error("{} is no folder: move it elsewhere, or name another with {DIRECTORY_VARIABLE}", printable(&.0.to_string_lossy()))]
    NoFolder(PathBuf),
    /// No such wallet.
    #[error("there is no wallet '{name}'; `soma wallet list` shows those there are")]
    Missing {
        /// The name.
        name: String,
    },
    /// No wallet was chosen, or there is none.
    #[error("no wallet is in use; make one with `soma wallet new`, or choose one with `soma wallet use`")]
    NoneInUse,
    /// The file has a problem.
    #[error("wallet '{name}': {source}")]
    KeyFile {
        /// The wallet.
        name: String,
        /// Its problem.
        source: KeyFileError,
    },
    /// The words have a problem.
    #[error(transparent)]
    Mnemonic(#[from] MnemonicError),
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),
}
