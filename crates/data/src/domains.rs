//! Text that is divided by domain.

use std::path::Path;

use crate::{DataError, Dataset, Reading, Report, Rules, folder::entries, read};

/// A folder of a data set that is divided by domain.
#[derive(Clone, Debug)]
pub struct Domain {
    /// The folder's name.
    pub name: String,
    /// Its texts.
    pub dataset: Dataset,
    /// What was taken and left out.
    pub report: Report,
}

/// Reads a folder that holds one folder per domain, in the order of names; plain files beside them are
/// ignored.
///
/// # Errors
/// As [`read`]; [`DataError::NoDomains`] if there is no folder in it.
pub fn load_domains(folder: &Path) -> Result<Vec<Domain>, DataError> {
    if !folder.exists() {
        return Err(DataError::Missing(folder.to_owned()));
    }
    let mut domains = Vec::new();
    for entry in entries(folder)? {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if path.is_dir() && !name.starts_with('.') {
            let Reading { dataset, report } = read(&[path], &Rules::default())?;
            domains.push(Domain {
                name,
                dataset,
                report,
            });
        }
    }
    if domains.is_empty() {
        Err(DataError::NoDomains(folder.to_owned()))
    } else {
        Ok(domains)
    }
}
