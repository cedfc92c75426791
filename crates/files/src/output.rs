//! Where a result goes: checked first, written last.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use same_file::is_same_file;
use tempfile::{Builder, NamedTempFile};

use crate::{At as _, FileError};

/// Links followed to find what an output names; as many as Linux follows.
const LINKS_MAX: usize = 40;

/// A place for a result, found fit before the work whose result it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// As it was named.
    named: PathBuf,
    /// What that is once links are followed.
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A regular file, or none yet: replaced by renaming.
    File(PathBuf),
    /// A device or a pipe: written to.
    Stream(PathBuf),
}

/// Whose a file is to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// As the file that is replaced, or as the process makes files.
    AsBefore,
    /// Its owner's alone.
    Owner,
}

impl Output {
    /// Checks that a result can be written at `path`, and changes nothing there. A folder that takes no file is found
    /// by making one and removing it.
    ///
    /// # Errors
    /// Why it cannot: the folder is missing or takes no file, or `path` is a folder or a file that may not be written.
    pub fn check(path: &Path) -> Result<Self, FileError> {
        let followed = follow(path).at("write", path)?;
        let place = match fs::metadata(&followed) {
            Ok(found) if found.is_dir() => {
                return Err(io::Error::from(io::ErrorKind::IsADirectory)).at("write", path);
            }
            Ok(found) if found.is_file() => {
                // What its owner made read-only is not replaced behind their back.
                OpenOptions::new()
                    .append(true)
                    .open(&followed)
                    .at("write", path)?;
                Place::File(followed)
            }
            Ok(_) => Place::Stream(followed),
            Err(_) if followed.file_name().is_none() => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))
                    .at("write", path);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::File(followed),
            Err(error) => return Err(error).at("write", path),
        };
        if let Place::File(file) = &place {
            temporary(file, Readers::Owner).at("write", path)?;
        }
        Ok(Self {
            named: path.to_owned(),
            place,
        })
    }

    /// The same, if it is none of `inputs`, by whatever name.
    ///
    /// # Errors
    /// If writing it would destroy one.
    pub fn apart_from<'a>(self, inputs: impl IntoIterator<Item = &'a Path>) -> Result<Self, FileError> {
        let Place::File(file) = &self.place else {
            return Ok(self);
        };
        // What cannot be compared does not exist, on one side or the other.
        if inputs
            .into_iter()
            .any(|input| is_same_file(file, input).unwrap_or(false))
        {
            let reason = "it is also an input, and would be destroyed";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason)).at("write", &self.named);
        }
        Ok(self)
    }

    /// Where it goes, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.named
    }

    /// Writes `bytes`: all of them or, where a regular file was or comes to be, none.
    ///
    /// # Errors
    /// If the disk refuses. Nothing under a temporary name is left then.
    pub fn write(&self, bytes: &[u8]) -> Result<(), FileError> {
        match &self.place {
            Place::File(file) => put(file, bytes, Readers::AsBefore),
            Place::Stream(stream) => OpenOptions::new()
                .write(true)
                .open(stream)
                .and_then(|mut stream| stream.write_all(bytes)),
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

/// Writes `bytes` to the regular file `path`, which only its owner can read from then on.
///
/// # Errors
/// If it cannot be written.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    follow(path)
        .and_then(|file| put(&file, bytes, Readers::Owner))
        .at("write", path)
}

/// What `path` names once links are followed; the last need not exist.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            // No link: something else, or nothing yet.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links"))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file of its own beside `path`, hidden until it takes its name.
fn temporary(path: &Path, readers: Readers) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    builder.prefix(".soma-").suffix(".tmp");
    #[cfg(unix)]
    if readers == Readers::AsBefore {
        // Less what the process's mask takes away.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    }
    #[cfg(not(unix))]
    let _ = readers;
    builder.tempfile_in(folder_of(path))
}

fn put(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let mut file = temporary(path, readers)?;
    if readers == Readers::AsBefore
        && let Some(permissions) = permissions(path)
    {
        file.as_file().set_permissions(permissions)?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync(folder_of(path))
}

/// Those of a file that exists.
fn permissions(path: &Path) -> Option<Permissions> {
    fs::metadata(path).ok().map(|found| found.permissions())
}

fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// Makes a change of names in `directory` last.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), FileError> {
    sync(directory).at("flush", directory)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink},
        thread,
    };

    use super::*;

    fn names(folder: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_check_changes_nothing_and_finds_what_will_fail() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        Output::check(&file).unwrap();
        assert!(names(folder.path()).is_empty());
        for unfit in [
            folder.path().to_owned(),
            folder.path().join("missing/out"),
            PathBuf::new(),
        ] {
            let error = Output::check(&unfit).unwrap_err();
            assert_eq!(error.path, unfit);
        }
        fs::write(&file, "file").unwrap();
        assert!(Output::check(&file.join("below")).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"file");
    }

    #[test]
    fn parallel_writers_leave_one_whole_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // What a shared temporary name would be: somebody's own.
        fs::write(folder.path().join("out.tmp"), "mine").unwrap();
        let file = folder.path().join("out.bin");
        thread::scope(|scope| {
            for writer in 0..8_u8 {
                let file = &file;
                scope.spawn(move || {
                    for _ in 0..20 {
                        replace(file, &[writer; 5000]).unwrap();
                    }
                });
            }
        });
        let found = fs::read(&file).unwrap();
        assert_eq!(found, vec![found[0]; 5000]);
        assert_eq!(
            names(folder.path()),
            ["out.bin", "out.tmp"].map(str::to_owned).into()
        );
        assert_eq!(fs::read(folder.path().join("out.tmp")).unwrap(), b"mine");
    }

    #[test]
    fn permissions_are_kept_and_secrets_are_their_owners() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (kept, secret) = (folder.path().join("kept"), folder.path().join("secret"));
        for bits in [0o600, 0o640, 0o755] {
            fs::write(&kept, "before").unwrap();
            fs::set_permissions(&kept, Permissions::from_mode(bits)).unwrap();
            replace(&kept, b"after").unwrap();
            assert_eq!(mode(&kept), bits);
        }
        fs::write(&secret, "before").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
        replace_private(&secret, b"after").unwrap();
        assert_eq!(mode(&secret), 0o600);
    }

    #[test]
    fn links_are_followed_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let (first, second) = (folder.path().join("first"), inner.join("second"));
        symlink("inner/second", &first).unwrap();
        symlink("file", &second).unwrap();
        // Dangling at first, then to a file that exists.
        for content in ["one", "two"] {
            replace(&first, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(inner.join("file")).unwrap(), content);
            assert_eq!(fs::read_link(&first).unwrap(), Path::new("inner/second"));
            assert!(second.is_symlink());
        }
        let turning = folder.path().join("turning");
        symlink("turning", &turning).unwrap();
        assert!(Output::check(&turning).is_err());
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() {
        replace(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        assert!(replace(Path::new("/dev/full"), b"never").is_err());
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/dev/null", &link).unwrap();
        replace(&link, b"gone").unwrap();
        assert!(link.is_symlink());
    }

    #[test]
    fn an_input_by_any_name_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let [input, hard, soft, other] =
            ["input", "hard", "soft", "other"].map(|name| folder.path().join(name));
        fs::write(&input, "input").unwrap();
        fs::hard_link(&input, &hard).unwrap();
        symlink("input", &soft).unwrap();
        for same in [&input, &hard, &soft, &folder.path().join("./input")] {
            assert!(
                Output::check(same)
                    .unwrap()
                    .apart_from([input.as_path()])
                    .is_err()
            );
        }
        Output::check(&other)
            .unwrap()
            .apart_from([input.as_path()])
            .unwrap();
    }
}
