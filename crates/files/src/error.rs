//! How the operating system refuses.

use std::{
    io,
    path::{Path, PathBuf},
};

use soma_types::text::printable;

/// An operation on a file that could not be done.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", printable(&path.to_string_lossy()))]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Attaches what was tried, and on what, to an I/O error.
pub trait At<T> {
    /// `self`, with its error named.
    ///
    /// # Errors
    /// If `self` is one.
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
