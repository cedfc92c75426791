//! A place where nothing is yet: what somebody made is not written over.

use std::path::Path;

use soma_files::Output;

use super::scoring::shown;
use crate::error::{CliError, CliResult};

/// Where a result will go, if no file is there.
///
/// # Errors
/// If one is, or none can be written.
pub fn vacant(path: &Path) -> CliResult<Output> {
    let place = Output::check(path)?;
    if place.is_file() && path.exists() {
        return Err(
            CliError::new(format!("{} exists already", shown(path))).hint("name another file, or remove it")
        );
    }
    Ok(place)
}
