//! What a name names, as far as writing is concerned.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// Links followed to find what an output names; as many as Linux follows.
const LINKS_MAX: usize = 40;

/// What a name names once links are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A regular file, or none yet.
    File(PathBuf),
    /// A device or a pipe: written to.
    Stream(PathBuf),
    /// This process's standard output, whatever that is: written to through the one handle that knows how far
    /// it is.
    StandardOutput,
    /// Something that this process has open (`/dev/fd/3`): written to, at its end if it has one.
    Descriptor(PathBuf),
}

impl Place {
    /// What `path` names now.
    ///
    /// # Errors
    /// If it names no file, names a folder, or cannot be looked at.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        // `new/` would become a file `new`: a path forgets its last slash.
        if matches!(last(path), b"" | b"." | b"..") {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it names no file"));
        }
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            // Such links need not lead to a name: `/proc/self/fd/1` may read `pipe:[7]`.
            if let Some(process) = descriptors_of(&path) {
                return if is_folder(&path)? {
                    Err(io::ErrorKind::IsADirectory.into())
                } else if process.is_own() && last(&path) == b"1" {
                    Ok(Self::StandardOutput)
                } else {
                    Ok(Self::Descriptor(path))
                };
            }
            match fs::read_link(&path) {
                Ok(target) => path = folder_of(&path).join(target),
                // No link: something else, or nothing yet.
                Err(_) => return Self::of_followed(path),
            }
        }
        Err(io::Error::other("too many links"))
    }

    fn of_followed(path: PathBuf) -> io::Result<Self> {
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if found.is_file() => Ok(Self::File(path)),
            Ok(_) => Ok(Self::Stream(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::File(path)),
            Err(error) => Err(error),
        }
    }
}

/// The folder that `path` is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What stands behind the last slash.
fn last(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_bytes();
    bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes)
}

fn is_folder(path: &Path) -> io::Result<bool> {
    fs::metadata(path).map(|found| found.is_dir())
}

/// Whose descriptors a folder shows.
struct Process(PathBuf);

impl Process {
    fn is_own(&self) -> bool {
        self.0.starts_with(format!("/proc/{}", std::process::id())) || self.0.starts_with("/dev")
    }
}

/// Whose descriptors `path` is in the folder of, if it is in such a one.
fn descriptors_of(path: &Path) -> Option<Process> {
    let folder = fs::canonicalize(folder_of(path)).ok()?;
    let shows = folder == Path::new("/dev/fd")
        || folder.starts_with("/proc") && folder.file_name() == Some(OsStr::new("fd"));
    shows.then_some(Process(folder))
}
