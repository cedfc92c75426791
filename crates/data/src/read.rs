//! From sources to documents in memory.

use std::{path::Path, sync::Arc};

use crate::{DataError, Dataset, Documents, Report, Rules, Store, error::shown};

/// The most documents that are kept.
pub const DOCUMENTS_MAX: usize = 1 << 24;

/// What sources give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The documents.
    pub dataset: Dataset,
    /// What was taken and left out.
    pub report: Report,
}

/// Reads sources of this machine into memory: files, folders (all text in them, recursively, in the order of
/// paths), globs, or `-` for standard input. A source that exists is no glob, whatever its name.
///
/// # Errors
/// Every way in which a source can be bad has its own error, which names the file.
pub fn read<P: AsRef<Path>>(sources: &[P], rules: &Rules) -> Result<Reading, DataError> {
    read_from(sources, rules, None)
}

/// As [`read`], with the addresses and tables that `store` adds.
///
/// # Errors
/// As [`read`].
pub fn read_from<P: AsRef<Path>>(
    sources: &[P],
    rules: &Rules,
    store: Option<Arc<dyn Store>>,
) -> Result<Reading, DataError> {
    let mut reading = Documents::open(sources, rules, store)?;
    let mut documents = Vec::new();
    for document in &mut reading {
        let document = document?;
        if documents.len() == DOCUMENTS_MAX {
            return Err(DataError::TooMany {
                what: "documents",
                limit: DOCUMENTS_MAX,
                remedy: "join short ones, or take a part with `--take 1GiB`",
            });
        }
        documents.push(document);
    }
    let report = reading.report().clone();
    if documents.is_empty() {
        return Err(no_text(sources, &report));
    }
    Ok(Reading {
        dataset: Dataset::new(&names(sources), documents)?,
        report,
    })
}

/// Why sources that can be read gave no document.
pub fn no_text<P: AsRef<Path>>(sources: &[P], report: &Report) -> DataError {
    if report.left_out.is_empty() {
        return DataError::NoText(names(sources));
    }
    let first = sources.first().map(|source| source.as_ref().to_owned());
    DataError::AllLeftOut {
        source_path: first.unwrap_or_default(),
        left_out: report.left_out_words(),
    }
}

fn names<P: AsRef<Path>>(sources: &[P]) -> String {
    let names: Vec<_> = sources.iter().map(|source| shown(source.as_ref())).collect();
    names.join(", ")
}
