//! What stands in the wallets' folder, without its secrets.

use std::path::PathBuf;

use soma_types::{Address, text::printable};

/// A wallet as listed: nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WalletInfo {
    /// Its name.
    pub name: String,
    /// Its account.
    pub address: Address,
    /// Whether a password is needed.
    pub encrypted: bool,
    /// Whether commands use it when none is named.
    pub current: bool,
}

/// What stands in the wallets' folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// The wallets, by name.
    pub wallets: Vec<WalletInfo>,
    /// Files that are none, or not to be used.
    pub unusable: Vec<Unusable>,
}

/// A file in the wallets' folder that is no wallet, or one not to be used.
#[derive(Debug, thiserror::Error)]
#[error("{} is left out: {reason}", printable(&path.to_string_lossy()))]
pub struct Unusable {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub reason: String,
}
