//! Small files and private folders.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use crate::{At as _, FileError, place::folder_of, put::sync_directory};

/// Creates `directory` for its owner alone, with the folders above it.
///
/// # Errors
/// If the disk refuses.
pub fn create_private_directory(directory: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).at("create", directory)
}

/// Removes `path` for good; whether it was there.
///
/// # Errors
/// If the disk refuses.
pub fn remove(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(folder_of(path)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("remove", path),
    }
}

/// The file's bytes, `None` if there is no such file.
///
/// # Errors
/// If it is longer than `length_bytes_max`, is no regular file, or the disk refuses.
pub fn read_bounded(path: &Path, length_bytes_max: u64) -> Result<Option<Vec<u8>>, FileError> {
    // Before it is opened: that would wait for whoever writes to a pipe.
    let opened = fs::metadata(path).and_then(|found| {
        if found.is_dir() {
            Err(io::ErrorKind::IsADirectory.into())
        } else if found.is_file() {
            File::open(path)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no regular file",
            ))
        }
    });
    let file = match opened {
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
