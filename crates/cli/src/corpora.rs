//! The sample corpora of `data/`, carried in the binary so that the demo needs nothing else.

use std::{fs, io, path::Path};

use include_dir::{Dir, include_dir};

static DATA: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../data");

/// Writes the bundled corpora to `folder`, one sub-folder per domain.
///
/// # Errors
/// When the folder cannot be written.
pub fn unpack(folder: &Path) -> io::Result<()> {
    for domain in DATA.dirs() {
        fs::create_dir_all(folder.join(domain.path()))?;
        for file in domain.files() {
            fs::write(folder.join(file.path()), file.contents())?;
        }
    }
    Ok(())
}
