//! Whether a disk takes anything.

use std::{io::Write as _, path::Path};

use soma_files::{At as _, FileError};

/// How much is written: what a validator's journals take at a time, and some more.
const PROBE_BYTES: usize = 1 << 20;

/// Writes and removes [`PROBE_BYTES`] in `directory`.
///
/// # Errors
/// Why its disk does not take them.
pub fn probe(directory: &Path) -> Result<(), FileError> {
    let write = || {
        // Without a name, so that it is in nobody's way and gone when it is closed.
        let mut file = tempfile::tempfile_in(directory)?;
        file.write_all(&vec![1; PROBE_BYTES])?;
        file.sync_all()
    };
    write().at("write a file in", directory)
}
