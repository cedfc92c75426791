//! The sample corpora of `data/`, carried in the binary so that the demo needs nothing else.

use std::{fs, path::Path};

use include_dir::{Dir, include_dir};
use soma_files::{At as _, FileError, replace};

static DATA: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../data");

/// Writes the bundled corpora to `folder`, one sub-folder per domain.
///
/// # Errors
/// When the folder cannot be written.
pub fn unpack(folder: &Path) -> Result<(), FileError> {
    for domain in DATA.dirs() {
        let inner = folder.join(domain.path());
        fs::create_dir_all(&inner).at("create", &inner)?;
        for file in domain.files() {
            replace(&folder.join(file.path()), file.contents())?;
        }
    }
    Ok(())
}
