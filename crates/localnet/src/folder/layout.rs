//! How a folder is laid out: its version, and what stands in its files.

use serde::{Deserialize, Serialize};

/// How this software lays out a folder and the storage in it. Another number is another, unreadable layout.
pub const VERSION: u32 = 3;
/// A folder without a version was laid out before there were any.
pub(super) const VERSION_BEFORE: &str = "1";
/// What stands before the number, so that nobody's own file of this name is taken for the localnet's.
pub(super) const VERSION_PREFIX: &str = "soma localnet ";

/// `faucet.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaucetFile {
    pub account: String,
}
