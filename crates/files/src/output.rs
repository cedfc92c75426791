//! Where a result goes: checked first, written last.

use std::{
    fs::{self, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use crate::{
    At as _, FileError,
    place::{Place, folder_of},
    put::{Readers, put},
    space::free_bytes,
};

/// A place for a result, found fit before the work whose result it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// As it was named. What that is once links are followed is found again when it is written: it may have
    /// changed.
    named: PathBuf,
}

impl Output {
    /// Checks that a result can be written at `path`, and changes nothing there. A folder that takes no file
    /// is found by making one and removing it.
    ///
    /// # Errors
    /// Why it cannot: the folder is missing or takes no file, or `path` is a folder or a file that may not be
    /// written.
    pub fn check(path: &Path) -> Result<Self, FileError> {
        fit(path).at("write", path)?;
        Ok(Self {
            named: path.to_owned(),
        })
    }

    /// The same, if it is none of `inputs`, by whatever name.
    ///
    /// # Errors
    /// If writing it would destroy one.
    pub fn apart_from<'a>(self, inputs: impl IntoIterator<Item = &'a Path>) -> Result<Self, FileError> {
        let identity = |found: &Metadata| (found.dev(), found.ino());
        // A device may be both: reading from a terminal does not keep one from writing to it.
        let Some(own) = fs::metadata(&self.named).ok().filter(Metadata::is_file) else {
            return Ok(self);
        };
        // What cannot be looked at does not exist any more.
        let is_own = |input: &Path| fs::metadata(input).is_ok_and(|found| identity(&found) == identity(&own));
        if inputs.into_iter().any(is_own) {
            return Err(refused("it is also an input, and would be destroyed")).at("write", &self.named);
        }
        Ok(self)
    }

    /// The same, if its disk has room for `length_bytes` now.
    ///
    /// # Errors
    /// If it has not.
    pub fn with_room(self, length_bytes: u64) -> Result<Self, FileError> {
        if let Ok(Place::File(file)) = Place::of(&self.named)
            && let Ok(free_bytes) = free_bytes(folder_of(&file))
            && free_bytes < length_bytes
        {
            let reason = format!("it needs {length_bytes} bytes, and its disk has {free_bytes} free");
            return Err(io::Error::new(io::ErrorKind::StorageFull, reason)).at("write", &self.named);
        }
        Ok(self)
    }

    /// Where it goes, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.named
    }

    /// Whether a file is there or comes to be, and not something that is written to, such as a pipe.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(Place::of(&self.named), Ok(Place::File(_)))
    }

    /// Whether it is this process's standard output, on which nothing else may be printed then.
    #[must_use]
    pub fn is_standard_output(&self) -> bool {
        matches!(Place::of(&self.named), Ok(Place::StandardOutput))
    }

    /// Writes `bytes`: all of them or, where a file is replaced, none.
    ///
    /// # Errors
    /// If the disk refuses. Nothing under a temporary name is left then.
    pub fn write(&self, bytes: &[u8]) -> Result<(), FileError> {
        self.write_with(|writer| writer.write_all(bytes))
    }

    /// The same of what `write` writes, for results that are not in memory as one.
    ///
    /// # Errors
    /// If `write` or the disk refuses.
    pub fn write_with(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), FileError> {
        match Place::of(&self.named) {
            Ok(Place::File(file)) => put(&file, Readers::AsBefore, write),
            Ok(Place::StandardOutput) => {
                let mut output = io::stdout().lock();
                write(&mut output).and_then(|()| output.flush())
            }
            Ok(Place::Stream(stream)) => OpenOptions::new()
                .write(true)
                .open(stream)
                .and_then(|mut stream| write(&mut stream)),
            Ok(Place::Descriptor(descriptor)) => OpenOptions::new()
                .append(true)
                .open(descriptor)
                .and_then(|mut descriptor| write(&mut descriptor)),
            Err(error) => Err(error),
        }
        .at("write", &self.named)
    }
}

/// Writes `bytes` to `path` as [`Output`] does.
///
/// # Errors
/// If it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    Output::check(path)?.write(bytes)
}

/// Writes `bytes` to the regular file `path`, which only its owner can read from then on. It is replaced or
/// stays as it was, whatever happens.
///
/// # Errors
/// If it cannot be written, or is no regular file.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    match Place::of(path) {
        Ok(Place::File(file)) => put(&file, Readers::Owner, |writer| writer.write_all(bytes)),
        Ok(_) => Err(refused("it is no regular file")),
        Err(error) => Err(error),
    }
    .at("write", path)
}

fn fit(path: &Path) -> io::Result<()> {
    match Place::of(path)? {
        Place::StandardOutput => Ok(()),
        Place::Stream(other) | Place::Descriptor(other) => Ok(access(&other, Access::WRITE_OK)?),
        Place::File(file) => {
            // What its owner made read-only is not replaced behind their back.
            let opened = match OpenOptions::new().append(true).open(&file) {
                Ok(_) => true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(error),
            };
            match crate::put::temporary(&file, Readers::Owner) {
                Ok(_) => Ok(()),
                // Then it is written in place.
                Err(_) if opened => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let folder =
                        soma_types::text::printable(&folder_of(&file).to_string_lossy()).into_owned();
                    Err(io::Error::new(
                        error.kind(),
                        format!("the folder {folder} does not exist"),
                    ))
                }
                Err(error) => Err(error),
            }
        }
    }
}

fn refused(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
