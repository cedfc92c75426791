//! Why a wallet's file cannot be used.

use std::{fmt, path::PathBuf};

use soma_types::{
    Address,
    secrecy::without_keys,
    text::{excerpt, printable},
};

use super::bounds::{MEMORY_KIB_MAX, PASSES_MAX, VERSION};

/// Why a wallet's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not a wallet's file.
    #[error(
        "the file is no wallet, or damaged ({reason}); restore it from its words or a backup, or move it elsewhere"
    )]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// Written by a later release.
    #[error("the file has version {found}, this program knows {VERSION}; update it")]
    UnsupportedVersion {
        /// The file's version.
        found: u32,
    },
    /// Encrypted, and no password given.
    #[error("a password is needed")]
    PasswordNeeded,
    /// The password does not open it.
    #[error("the password is wrong, or the file is damaged")]
    WrongPassword,
    /// No password to encrypt with: who cannot see what is in it cannot type it again.
    #[error("that cannot be a password: it {reason}")]
    BadPassword {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Parameters that would take too much memory or time.
    #[error(
        "the file asks for {memory_kib} KiB and {passes} passes; more than {MEMORY_KIB_MAX} KiB or {PASSES_MAX} passes are refused"
    )]
    TooCostly {
        /// Argon2's memory.
        memory_kib: u32,
        /// Argon2's passes.
        passes: u32,
    },
    /// The secret belongs to another address than the file says.
    #[error(
        "the file is for {expected} but its secret is for {found}; restore it from its words or a backup"
    )]
    WrongAddress {
        /// The file's address.
        expected: Address,
        /// The secret's.
        found: Address,
    },
    /// Others on this machine can read a bare key.
    #[error(
        "others on this machine can read its key (mode {mode:o}); run `chmod 600 '{}'`, and move the funds if they may have",
        printable(&path.to_string_lossy())
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system: {0}")]
    Randomness(getrandom::Error),
}

/// The reason may repeat what stands in the file.
pub(super) fn malformed(reason: &dyn fmt::Display) -> KeyFileError {
    KeyFileError::Malformed {
        reason: excerpt(&without_keys(&reason.to_string()), 200).into_owned(),
    }
}
