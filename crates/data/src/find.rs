//! From sources to files: what is named, and what is found in folders and by globs.

use std::{
    collections::HashSet,
    fs::{self, FileType},
    path::{Path, PathBuf},
};

use crate::{
    DataError, Found, LeftOut, Report, Store,
    error::{is_absent, unreadable},
    folder::entries,
    pattern::{expand, is_pattern},
};

/// The most files of all sources.
pub const FILES_MAX: usize = 1 << 21;

/// The files of `sources`, in their order; each folder's in the order of paths.
///
/// # Errors
/// A source that does not exist or cannot be listed, or more than [`FILES_MAX`] files.
pub fn files<P: AsRef<Path>>(
    sources: &[P],
    outputs: &[PathBuf],
    store: Option<&dyn Store>,
    report: &mut Report,
) -> Result<Vec<Found>, DataError> {
    let mut search = Search {
        outputs: outputs
            .iter()
            .filter_map(|path| path.canonicalize().ok())
            .collect(),
        store,
        report,
        out: Vec::new(),
    };
    for source in sources {
        search.source(source.as_ref())?;
    }
    Ok(search.out)
}

struct Search<'a> {
    /// What the run writes, as it is really called.
    outputs: HashSet<PathBuf>,
    store: Option<&'a dyn Store>,
    report: &'a mut Report,
    out: Vec<Found>,
}

impl Search<'_> {
    fn source(&mut self, source: &Path) -> Result<(), DataError> {
        if source == Path::new("-") {
            return self.standard_input();
        }
        match fs::metadata(source) {
            Ok(metadata) if metadata.is_dir() => self.folder(source),
            Ok(metadata) => self.add(Found::local(
                source.to_owned(),
                true,
                metadata.is_file().then_some(metadata.len()),
            )),
            Err(error) if is_absent(&error) => self.absent(source),
            Err(error) => Err(unreadable(source, error)),
        }
    }

    fn standard_input(&mut self) -> Result<(), DataError> {
        if self.out.iter().any(Found::is_standard_input) {
            return Err(DataError::StandardInputTwice);
        }
        self.add(Found::local("-".into(), true, None))
    }

    /// Nothing is called `source`: it may be an address, or a glob.
    fn absent(&mut self, source: &Path) -> Result<(), DataError> {
        if fs::symlink_metadata(source).is_ok() {
            return Err(DataError::DanglingLink(source.to_owned()));
        }
        if let (Some(store), Some(text)) = (self.store, source.to_str())
            && let Some(listed) = store.list(text)?
        {
            return listed.into_iter().try_for_each(|found| self.add(found));
        }
        match source.to_str() {
            Some(text) if text.contains("://") => Err(DataError::Unsupported {
                path: source.to_owned(),
                kind: "an address",
                remedy: "give an address that begins with https, http, s3, gs or hf, or download it and name the file",
            }),
            Some(text) if is_pattern(text) => self.glob(source, text),
            _ => Err(DataError::Missing(source.to_owned())),
        }
    }

    fn glob(&mut self, source: &Path, pattern: &str) -> Result<(), DataError> {
        let matches = expand(pattern)?;
        if matches.is_empty() {
            return Err(DataError::NoMatch(source.to_owned()));
        }
        for path in matches {
            match fs::metadata(&path) {
                // `**` goes into folders by itself.
                Ok(metadata) if metadata.is_dir() => {
                    if !pattern.contains("**") {
                        self.report.leave_out(LeftOut::Folder, &path);
                    }
                }
                Ok(metadata) if !metadata.is_file() => self.report.leave_out(LeftOut::NoFile, &path),
                Ok(metadata) => {
                    let real = || path.canonicalize().unwrap_or_else(|_| path.clone());
                    if !self.outputs.is_empty()
                        && self.outputs.iter().any(|output| real().starts_with(output))
                    {
                        self.report.leave_out(LeftOut::Output, &path);
                    } else {
                        self.add(Found::local(path, false, Some(metadata.len())))?;
                    }
                }
                Err(_) => self.report.leave_out(LeftOut::Gone, &path),
            }
        }
        Ok(())
    }

    /// All that is text below `folder`. Links are not followed, neither to folders nor to files: a corpus
    /// from elsewhere could lead to what is private, and what they name inside of it is read anyway.
    fn folder(&mut self, folder: &Path) -> Result<(), DataError> {
        let real = folder.canonicalize().map_err(|error| unreadable(folder, error))?;
        // What remains to be looked at, last first: where it is, and where it really is.
        let mut rest = below(folder, &real)?;
        while let Some((path, real)) = rest.pop() {
            match fs::symlink_metadata(&path) {
                Ok(metadata) if self.leaves_out(&path, &real, metadata.file_type()) => {}
                Ok(metadata) if metadata.is_dir() => rest.append(&mut below(&path, &real)?),
                Ok(metadata) => self.add(Found::local(path, false, Some(metadata.len())))?,
                Err(error) if is_absent(&error) => self.report.leave_out(LeftOut::Gone, &path),
                Err(error) => return Err(unreadable(&path, error)),
            }
        }
        Ok(())
    }

    /// Whether an entry of a folder is left out for what it is.
    fn leaves_out(&mut self, path: &Path, real: &Path, kind: FileType) -> bool {
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let reason = if hidden {
            LeftOut::Hidden
        } else if kind.is_symlink() {
            LeftOut::Link
        } else if self.outputs.contains(real) {
            LeftOut::Output
        } else if !kind.is_dir() && !kind.is_file() {
            LeftOut::NoFile
        } else {
            return false;
        };
        self.report.leave_out(reason, path);
        true
    }

    fn add(&mut self, found: Found) -> Result<(), DataError> {
        if self.out.len() == FILES_MAX {
            return Err(DataError::TooMany {
                what: "files",
                limit: FILES_MAX,
                remedy: "join them, for example as the lines of one JSONL file",
            });
        }
        self.out.push(found);
        Ok(())
    }
}

/// What is in a folder, last first, by its name and by its real name.
fn below(folder: &Path, real: &Path) -> Result<Vec<(PathBuf, PathBuf)>, DataError> {
    let entries = entries(folder)?;
    let names = entries.into_iter().rev().map(|entry| entry.file_name());
    Ok(names.map(|name| (folder.join(&name), real.join(&name))).collect())
}
