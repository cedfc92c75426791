//! What is in a folder.

use std::{fs, io, path::Path};

use crate::{DataError, error::unreadable};

/// A folder's entries in the order of their names.
pub fn entries(folder: &Path) -> Result<Vec<fs::DirEntry>, DataError> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = listed.map_err(|error| unreadable(folder, error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}
