//! Files without a name, for what is too large for memory.

use std::{
    env,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{At as _, FileError};

/// A file without a name: nobody else can open it, and its room is free again once it is closed, however the
/// process ends.
#[derive(Debug)]
pub struct Scratch {
    file: File,
    folder: PathBuf,
}

impl Scratch {
    /// An empty one, in `TMPDIR`, or else where systems want large temporary files: `/tmp` may be memory.
    ///
    /// # Errors
    /// If the folder takes no file.
    pub fn new() -> Result<Self, FileError> {
        let folder = folder();
        let file = tempfile::tempfile_in(&folder).at("make a temporary file in", &folder)?;
        Ok(Self { file, folder })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// If the disk refuses, most often because it is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file
            .write_all(bytes)
            .at("write a temporary file in", &self.folder)
    }

    /// The file, to be read.
    #[must_use]
    pub fn into_file(self) -> File {
        self.file
    }
}

fn folder() -> PathBuf {
    let large = Path::new("/var/tmp");
    match env::var_os("TMPDIR") {
        Some(named) if !named.is_empty() => named.into(),
        _ if large.is_dir() => large.to_owned(),
        _ => env::temp_dir(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::*;

    #[test]
    fn it_has_no_name_and_keeps_what_is_written() {
        let mut scratch = Scratch::new().unwrap();
        scratch.write(b"too large ").unwrap();
        scratch.write(b"for memory").unwrap();
        let file = scratch.into_file();
        let mut bytes = [0; 20];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"too large for memory");
        assert_eq!(file.metadata().unwrap().nlink(), 0);
    }
}
