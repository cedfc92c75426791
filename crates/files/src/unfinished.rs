//! The files that this process is writing under temporary names. Their writers remove them; whatever ends the
//! process without asking them does it for them ([`abandon`]).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io, mem,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::{Builder, NamedTempFile};

static ALL: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn all() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file under a temporary name, which goes with this unless it is given its own.
pub(crate) struct Unfinished {
    /// Removed before it is forgotten.
    file: NamedTempFile,
    known: Known,
}

/// A name that is known while this lives.
struct Known(PathBuf);

impl Drop for Known {
    fn drop(&mut self) {
        all().remove(&self.0);
    }
}

impl Unfinished {
    /// An empty one in `folder`, named as `builder` says.
    pub(crate) fn new(builder: &Builder<'_, '_>, folder: &Path) -> io::Result<Self> {
        // There is no moment at which it is there and not known.
        let mut all = all();
        let file = builder.tempfile_in(folder)?;
        all.insert(file.path().to_owned());
        drop(all);
        let known = Known(file.path().to_owned());
        Ok(Self { file, known })
    }

    pub(crate) fn as_file(&self) -> &File {
        self.file.as_file()
    }

    pub(crate) fn as_file_mut(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives it the name `path`; where that cannot be, what it holds, without any name, and why.
    pub(crate) fn persist(self, path: &Path) -> Result<(), (File, io::Error)> {
        let Self { file, known } = self;
        let named = file.persist(path);
        drop(known);
        match named {
            Ok(_) => Ok(()),
            Err(failed) => Err((failed.file.into_file(), failed.error)),
        }
    }
}

/// Removes every file that this process is writing under a temporary name; best effort. For the moment before
/// the process ends at once: no writer begins or ends a file after it.
pub fn abandon() {
    let all = all();
    for file in &*all {
        // Its writer may have been faster.
        let _ = fs::remove_file(file);
    }
    mem::forget(all);
}
