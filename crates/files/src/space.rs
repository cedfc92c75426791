//! Room on a disk.

use std::path::Path;

use rustix::fs::statvfs;

use crate::{At as _, FileError};

/// Bytes that the disk of `folder` has left for whoever asks.
///
/// # Errors
/// If the system does not say.
pub fn free_bytes(folder: &Path) -> Result<u64, FileError> {
    let disk = statvfs(folder)
        .map_err(std::io::Error::from)
        .at("look at the disk of", folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
