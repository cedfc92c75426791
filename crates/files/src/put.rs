//! How a regular file is replaced.

use std::{
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{self, BufWriter, Seek as _, Write},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::Path,
    time::Duration,
};

use rustix::fs::{Mode, OFlags};
use tempfile::Builder;

use crate::{At as _, FileError, place::folder_of, unfinished::Unfinished};

/// How temporary names begin and end.
const PREFIX: &str = ".soma-";
const SUFFIX: &str = ".tmp";
/// What is younger may not be locked yet by whoever makes it.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);
/// Bytes written at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Whose a file is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// As the file that is replaced, or as the process makes files.
    AsBefore,
    /// Its owner's alone.
    Owner,
}

/// A file of its own beside `path`, hidden until it takes its name. It is locked as long as its writer lives.
pub(crate) fn temporary(path: &Path, readers: Readers) -> io::Result<Unfinished> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    if readers == Readers::AsBefore {
        // Less what the process's mask takes away.
        builder.permissions(Permissions::from_mode(0o666));
    }
    let file = Unfinished::new(&builder, folder_of(path))?;
    // Where files cannot be locked, they are young while they are written.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Replaces `path` by what `write` writes. A file that cannot be replaced by one like it (another's, or one
/// that is mounted by itself, or in a folder that takes none) is written to in place, unless it is its
/// owner's alone.
pub(crate) fn put(
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let before = fs::metadata(path).ok().filter(|_| readers == Readers::AsBefore);
    let mut file = match (temporary(path, readers), &before) {
        (Ok(file), None) => file,
        (Ok(file), Some(before)) if resemble(&file, before, path) => file,
        (Ok(_) | Err(_), Some(_)) => return overwrite(path, write),
        (Err(error), None) => return Err(error),
    };
    buffered(file.as_file_mut(), write)?;
    match file.persist(path) {
        Ok(()) => sync(folder_of(path)),
        Err((mut whole, _)) if before.is_some() => {
            whole.rewind()?;
            overwrite(path, |writer| io::copy(&mut whole, writer).map(|_| ()))
        }
        Err((_, error)) => Err(error),
    }
}

fn buffered(file: &mut File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, &mut *file);
    write(&mut writer)?;
    writer.flush()?;
    drop(writer);
    file.sync_all()
}

fn overwrite(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    buffered(
        &mut OpenOptions::new().write(true).truncate(true).open(path)?,
        write,
    )
}

/// Gives `file` the owner, the group and the permissions of the one before; whether it could.
fn resemble(file: &Unfinished, before: &Metadata, path: &Path) -> bool {
    let file = file.as_file();
    let same_owner = file
        .metadata()
        .is_ok_and(|found| (found.uid(), found.gid()) == (before.uid(), before.gid()));
    (same_owner || fchown(file, Some(before.uid()), Some(before.gid())).is_ok())
        && !has_access_list(path)
        && file
            .set_permissions(Permissions::from_mode(before.mode() & 0o777))
            .is_ok()
}

/// Whether more is said of who may read `path` than its mode can say.
fn has_access_list(path: &Path) -> bool {
    cfg!(any(target_os = "linux", target_os = "android"))
        && rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0_u8; 0][..])
            .is_ok_and(|length| length > 0)
}

/// Makes a change of names in `folder` last, where its disk can promise that.
fn sync(folder: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // The folder may be closed to readers, and some network disks flush no folders.
        Err(error) if matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Ok(()),
        done => done,
    }
}

/// Makes a change of names in `directory` last.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), FileError> {
    sync(directory).at("flush", directory)
}

/// Removes from `folder` what writers left that were killed while they wrote; best effort.
pub fn sweep(folder: &Path) {
    // A name without a folder has an empty one.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && is_abandoned(&entry.path()) {
            // Another may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    // Whatever it is: opening it neither waits nor leads elsewhere.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else {
        return false;
    };
    let is_old = |found: &Metadata| {
        found
            .modified()
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED_AFTER))
    };
    file.metadata()
        .is_ok_and(|found| found.is_file() && is_old(&found))
        && file.try_lock().is_ok()
}
