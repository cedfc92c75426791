//! `soma wallet`.

use clap::Subcommand;

/// `soma wallet`.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Make a new key and show its recovery words once.
    New {
        /// Its name.
        #[arg(default_value = "default")]
        name: String,
    },
    /// Take over a key from recovery words or a secret key: typed unseen at a terminal, else read from
    /// standard input.
    ///
    /// Also read are what `soma wallet export` and `soma wallet new` print, with --json or without, and a
    /// bare wallet's file.
    Import {
        /// Its name.
        name: String,
        /// What was typed in a place where others see it.
        #[arg(hide = true)]
        exposed: Vec<String>,
    },
    /// Show a wallet's secret key.
    Export {
        /// Its name; the one in use if left out.
        name: Option<String>,
    },
    /// List the wallets.
    List,
    /// Choose the wallet that commands use.
    Use {
        /// Its name.
        name: String,
    },
}
