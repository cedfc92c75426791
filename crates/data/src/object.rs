//! A file's bytes, wherever it lies: what every decoder reads from.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Bytes in one place that stay what they are while they are read, or the reading fails.
pub trait Object: Send + Sync {
    /// How many there are; none where that is not known before reading.
    fn size_bytes(&self) -> Option<u64>;

    /// What changes whenever the bytes do: a time, an entity tag, a hash. None where nothing tells.
    fn tag(&self) -> Option<String>;

    /// The bytes from `offset` on, as they come: no more is read ahead than a few pieces.
    ///
    /// # Errors
    /// If they cannot be had.
    fn stream(&self, offset: u64) -> io::Result<Box<dyn Read + Send>>;

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// # Errors
    /// If they cannot be had, or there are fewer.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// What an object's errors wrap when it is no longer what it was.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it has changed while it was read")]
pub struct Changed;

/// A file of this machine.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    /// For reading at any place; none where that is impossible, as with a pipe.
    file: Option<File>,
    size_bytes: Option<u64>,
    tag: Option<String>,
}

impl LocalFile {
    /// The file at `path`. What is no regular file is opened once, when it is read.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut local = Self {
            path: path.to_owned(),
            file: None,
            size_bytes: None,
            tag: None,
        };
        if std::fs::metadata(path)?.is_file() {
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
            local.tag = modified.ok().map(|since| since.as_nanos().to_string());
            local.size_bytes = Some(metadata.len());
            local.file = Some(file);
        }
        Ok(local)
    }
}

impl Object for LocalFile {
    fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    fn tag(&self) -> Option<String> {
        self.tag.clone()
    }

    fn stream(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path)?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok(Box::new(file))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.file {
            Some(file) => file.read_exact_at(buffer, offset),
            None => Err(io::Error::other(
                "it can only be read from its start to its end, as a pipe: write it to a file first",
            )),
        }
    }
}

/// What comes in.
#[derive(Debug)]
pub struct StandardInput;

impl Object for StandardInput {
    fn size_bytes(&self) -> Option<u64> {
        None
    }

    fn tag(&self) -> Option<String> {
        None
    }

    fn stream(&self, _: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::stdin()))
    }

    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other(
            "standard input can only be read from its start to its end",
        ))
    }
}
