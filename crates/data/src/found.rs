//! A file that was found, and how its bytes are had.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Provenance,
    object::{LocalFile, Object, StandardInput},
};

/// A file to read.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is, or its address; `-` for standard input.
    pub path: PathBuf,
    /// Whether it must be read: it was named, and not found in a folder or by a glob.
    pub named: bool,
    /// Its size; none where that is not known before reading: pipes, devices, standard input.
    pub size_bytes: Option<u64>,
    /// How it is had, if it is not on this machine.
    pub remote: Option<Remote>,
}

/// A file that is not on this machine.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Gives its bytes.
    pub file: Arc<dyn RemoteFile>,
    /// The column of its text, and whether that holds ids, where its data set is known.
    pub column: Option<(&'static str, bool)>,
    /// What is known of all that is in it.
    pub provenance: Arc<Provenance>,
}

impl Found {
    /// A file of this machine.
    pub fn local(path: PathBuf, named: bool, size_bytes: Option<u64>) -> Self {
        Self {
            path,
            named,
            size_bytes,
            remote: None,
        }
    }

    /// Whether it is no file, but what comes in.
    pub fn is_standard_input(&self) -> bool {
        self.path == Path::new("-") && self.size_bytes.is_none() && self.remote.is_none()
    }

    /// Its bytes.
    ///
    /// # Errors
    /// If they cannot be had.
    pub fn open(&self) -> io::Result<Box<dyn Object>> {
        match &self.remote {
            Some(remote) => remote.file.open(),
            None if self.is_standard_input() => Ok(Box::new(StandardInput)),
            None => Ok(Box::new(LocalFile::open(&self.path)?)),
        }
    }
}

/// Gives the bytes of a file that is not on this machine.
pub trait RemoteFile: fmt::Debug + Send + Sync {
    /// Its bytes.
    ///
    /// # Errors
    /// If they cannot be had, in a sentence that says what to do.
    fn open(&self) -> io::Result<Box<dyn Object>>;
}
