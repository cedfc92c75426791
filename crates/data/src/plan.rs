//! Which of the files that were found are read: none that is known to be of a kind or size that is not.

use std::path::Path;

use crate::{
    DataError, Found, LeftOut, Plain, Report, Rules,
    decode::{Compression, Form, Layout, form},
    error::{is_absent, shown, unreadable},
    text::{Kind, kind},
};

/// Bytes at either end of a found file that tell whether it is text.
const SAMPLE_BYTES: u64 = 1 << 15;

/// A file that is to be read, and how.
#[derive(Debug)]
pub struct Planned {
    pub found: Found,
    pub layout: Layout,
    pub compression: Compression,
}

/// The files that are to be read.
///
/// # Errors
/// A named file that is not read, one that is too long, or more than all may be together.
pub fn plan(
    found: Vec<Found>,
    rules: &Rules,
    reads_tables: bool,
    report: &mut Report,
) -> Result<Vec<Planned>, DataError> {
    let (mut kept, mut total, mut remote) = (Vec::with_capacity(found.len()), 0_u64, 0_u64);
    for file in found {
        let (layout, compression) = match form_of(&file, reads_tables) {
            Form::Read { layout, compression } => (layout, compression),
            Form::Packed { kind, remedy } if file.named => {
                return Err(DataError::Unsupported {
                    path: file.path,
                    kind,
                    remedy,
                });
            }
            Form::Packed { .. } => {
                report.leave_out(LeftOut::Packed, &file.path);
                continue;
            }
        };
        if let Some(size) = file.size_bytes {
            if let Some(reason) = looks(&file, layout, compression, size)? {
                report.leave_out(reason, &file.path);
                continue;
            }
            let plain = compression == Compression::None && layout != Layout::Parquet;
            let whole = plain && layout == Layout::Plain && rules.plain == Plain::Whole;
            if whole && size > rules.document_bytes_max.min(rules.bytes_max) {
                if file.remote.is_some() && !file.named {
                    report.leave_out(LeftOut::TooLong, &file.path);
                    continue;
                }
                return Err(too_long(&file.path, Some(size), rules));
            }
            if plain {
                total = total.saturating_add(size);
            }
            if file.remote.is_some() {
                remote = remote.saturating_add(size);
            }
            // What lies elsewhere is not fetched by gigabytes to find that it does not fit; what is selected
            // of it may.
            let all = if rules.want.filters.is_empty() {
                remote.max(total)
            } else {
                total
            };
            if all > rules.bytes_max && rules.take_bytes.is_none() {
                return Err(DataError::TooLarge {
                    path: (size > rules.bytes_max || file.remote.is_some()).then_some(file.path),
                    found_bytes: Some(all),
                    limit_bytes: rules.bytes_max,
                });
            }
        }
        kept.push(Planned {
            found: file,
            layout,
            compression,
        });
    }
    Ok(kept)
}

/// Why a long file that was found is left out, by its ends.
fn looks(
    file: &Found,
    layout: Layout,
    compression: Compression,
    size_bytes: u64,
) -> Result<Option<LeftOut>, DataError> {
    let is_long_text =
        compression == Compression::None && layout == Layout::Plain && size_bytes > 2 * SAMPLE_BYTES;
    if file.named || !is_long_text {
        return Ok(None);
    }
    let sample = || {
        let object = file.open()?;
        let mut ends = vec![0; 2 * SAMPLE_BYTES as usize];
        let (first, last) = ends.split_at_mut(SAMPLE_BYTES as usize);
        object.read_at(0, first)?;
        object.read_at(size_bytes - SAMPLE_BYTES, last)?;
        Ok(kind(&ends))
    };
    match sample() {
        Ok(Kind::Binary) => Ok(Some(LeftOut::NotText)),
        Ok(_) => Ok(None),
        Err(error) if is_absent(&error) => Ok(Some(LeftOut::Gone)),
        Err(error) => Err(unreadable(&file.path, error)),
    }
}

/// A file's form by its name, which tells nothing of what comes in.
fn form_of(file: &Found, reads_tables: bool) -> Form {
    if file.is_standard_input() {
        return Form::Read {
            layout: Layout::Plain,
            compression: Compression::None,
        };
    }
    let path = file.path.to_string_lossy();
    let path = if path.starts_with("http") && file.remote.is_some() {
        // The name in an address ends before its query.
        path.split(['?', '#']).next().unwrap_or_default()
    } else {
        &path
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    match form(name) {
        Form::Read {
            layout: Layout::Parquet,
            ..
        } if !reads_tables => Form::Packed {
            kind: "Parquet",
            remedy: "write its column of text as JSONL",
        },
        form => form,
    }
}

/// One plain file is more than a document may have, or more than is read at all.
pub fn too_long(path: &Path, found_bytes: Option<u64>, rules: &Rules) -> DataError {
    if rules.document_bytes_max < rules.bytes_max {
        DataError::TooLong {
            document: shown(path),
            found_bytes,
            limit_bytes: rules.document_bytes_max,
        }
    } else {
        DataError::TooLarge {
            path: Some(path.to_owned()),
            found_bytes,
            limit_bytes: rules.bytes_max,
        }
    }
}
