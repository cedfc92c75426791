//! Small private files, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// An operation on a file that the operating system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Attaches what was tried, and on what, to an I/O error.
pub(crate) trait At<T> {
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

/// Creates `directory` for its owner alone, with the folders above it.
pub(crate) fn create_private_directory(directory: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).at("create", directory)
}

/// Replaces `path` with `bytes`, readable by its owner alone: temporary name, flush, rename, flush.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let directory = path.parent().unwrap_or(Path::new("."));
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let temporary = directory.join(format!(".tmp-{}-{number}", std::process::id()));
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary).at("create", &temporary)?;
        file.write_all(bytes).at("write", &temporary)?;
        file.sync_all().at("flush", &temporary)?;
        fs::rename(&temporary, path).at("replace", path)?;
        sync_directory(directory)
    })();
    if written.is_err() {
        // Best effort: the error that matters is the first.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Removes `path` for good; whether it was there.
pub(crate) fn remove(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(path.parent().unwrap_or(Path::new("."))).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("remove", path),
    }
}

/// The file's bytes, `None` if there is no such file; one past `length_bytes_max` is an error.
pub(crate) fn read_bounded(path: &Path, length_bytes_max: u64) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at("open", path),
    };
    let mut bytes = Vec::new();
    file.take(length_bytes_max + 1)
        .read_to_end(&mut bytes)
        .at("read", path)?;
    if bytes.len() as u64 > length_bytes_max {
        let reason = format!("it is longer than {length_bytes_max} bytes, so it is something else");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason)).at("read", path);
    }
    Ok(Some(bytes))
}

fn sync_directory(directory: &Path) -> Result<(), FileError> {
    if cfg!(unix) {
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .at("flush", directory)?;
    }
    Ok(())
}
