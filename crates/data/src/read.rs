//! From files to documents.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    DataError, Dataset, Document, LeftOut, Note, Origin, Report,
    decode::{Compression, Form, Layout, bounded, bytes, form},
    error::{is_absent, shown, unreadable},
    find::{Found, files},
    jsonl,
    text::{Kind, kind},
};

/// The most bytes of text that are read into memory, after unpacking.
pub const BYTES_MAX: u64 = 4 << 30;
/// The most documents that are kept.
pub const DOCUMENTS_MAX: usize = 1 << 24;
/// Bytes at either end of a found file that tell whether it is text.
const SAMPLE_BYTES: u64 = 1 << 15;

/// Within which limits to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The longest document.
    pub document_bytes_max: u64,
    /// All documents together.
    pub bytes_max: u64,
    /// What the run writes, files or folders: not read where it lies among the data.
    pub outputs: Vec<PathBuf>,
}

impl Default for Rules {
    /// As much as fits into memory, by [`BYTES_MAX`].
    fn default() -> Self {
        Self {
            document_bytes_max: BYTES_MAX,
            bytes_max: BYTES_MAX,
            outputs: Vec::new(),
        }
    }
}

/// What sources give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The documents.
    pub dataset: Dataset,
    /// What was taken and left out.
    pub report: Report,
}

/// Reads sources: files, folders (all text in them, recursively, in the order of paths), globs, or `-` for
/// standard input. A source that exists is no glob, whatever its name.
///
/// # Errors
/// Every way in which a source can be bad has its own error, which names the file.
pub fn read<P: AsRef<Path>>(sources: &[P], rules: &Rules) -> Result<Reading, DataError> {
    let mut report = Report::default();
    let found = files(sources, &rules.outputs, &mut report)?;
    let found = within_limits(found, rules, &mut report)?;
    let mut intake = Intake {
        rules,
        report,
        documents: Vec::new(),
        rest_bytes: rules.bytes_max,
    };
    for file in &found {
        intake.file(file)?;
    }
    let Intake {
        documents, report, ..
    } = intake;
    let names: Vec<_> = sources.iter().map(|source| source.as_ref().to_owned()).collect();
    if documents.is_empty() && !report.left_out.is_empty() {
        return Err(DataError::AllLeftOut {
            source_path: names.into_iter().next().unwrap_or_default(),
            left_out: report.left_out_words(),
        });
    }
    let names: Vec<_> = names.iter().map(|name| shown(name)).collect();
    Ok(Reading {
        dataset: Dataset::new(&names.join(", "), documents)?,
        report,
    })
}

/// The files that are to be read, once none is known to be of a kind or size that is not.
fn within_limits(found: Vec<Found>, rules: &Rules, report: &mut Report) -> Result<Vec<Found>, DataError> {
    let (mut kept, mut total) = (Vec::with_capacity(found.len()), 0_u64);
    for file in found {
        let Form::Read { layout, compression } = form_of(&file) else {
            if file.named {
                return Err(unsupported(&file.path));
            }
            report.leave_out(LeftOut::Packed, &file.path);
            continue;
        };
        let plain = compression == Compression::None;
        if let Some(size) = file.size_bytes.filter(|_| plain) {
            if !file.named && layout == Layout::Plain && size > 2 * SAMPLE_BYTES {
                match sample(&file.path) {
                    Ok(Kind::Binary) => {
                        report.leave_out(LeftOut::NotText, &file.path);
                        continue;
                    }
                    Ok(_) => {}
                    Err(error) if is_absent(&error) => {
                        report.leave_out(LeftOut::Gone, &file.path);
                        continue;
                    }
                    Err(error) => return Err(unreadable(&file.path, error)),
                }
            }
            if layout == Layout::Plain && size > rules.document_bytes_max.min(rules.bytes_max) {
                return Err(too_long(&file.path, Some(size), rules));
            }
            total = total.saturating_add(size);
            if total > rules.bytes_max {
                return Err(DataError::TooLarge {
                    path: (size > rules.bytes_max).then(|| file.path.clone()),
                    found_bytes: Some(total),
                    limit_bytes: rules.bytes_max,
                });
            }
        }
        kept.push(file);
    }
    Ok(kept)
}

/// Names tell nothing of what comes in.
fn form_of(file: &Found) -> Form {
    if file.is_standard_input() {
        Form::Read {
            layout: Layout::Plain,
            compression: Compression::None,
        }
    } else {
        form(&file.path)
    }
}

fn unsupported(path: &Path) -> DataError {
    let (kind, remedy) = match form(path) {
        Form::Packed { kind, remedy } => (kind, remedy),
        Form::Read { .. } => ("of an unknown form", "write it as text"),
    };
    DataError::Unsupported {
        path: path.to_owned(),
        kind,
        remedy,
    }
}

/// What the ends of a long file look like.
fn sample(path: &Path) -> io::Result<Kind> {
    let mut file = File::open(path)?;
    let mut ends = Vec::new();
    file.by_ref().take(SAMPLE_BYTES).read_to_end(&mut ends)?;
    file.seek(SeekFrom::End(-(SAMPLE_BYTES as i64)))?;
    file.take(SAMPLE_BYTES).read_to_end(&mut ends)?;
    Ok(kind(&ends))
}

/// One plain file is more than a document may have, or more than is read at all.
fn too_long(path: &Path, found_bytes: Option<u64>, rules: &Rules) -> DataError {
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

struct Intake<'a> {
    rules: &'a Rules,
    report: Report,
    documents: Vec<Document>,
    rest_bytes: u64,
}

impl Intake<'_> {
    fn file(&mut self, file: &Found) -> Result<(), DataError> {
        let Form::Read { layout, compression } = form_of(file) else {
            return Err(unsupported(&file.path));
        };
        let limit = match layout {
            Layout::Plain => self.rest_bytes.min(self.rules.document_bytes_max),
            Layout::Jsonl => self.rest_bytes,
        };
        let data = if file.is_standard_input() {
            bounded(io::stdin().lock(), limit).map_err(|error| unreadable(&file.path, error))
        } else {
            bytes(&file.path, compression, limit)
        };
        let data = match data {
            Ok(Some(data)) => data,
            Ok(None) if limit == self.rules.document_bytes_max && layout == Layout::Plain => {
                return Err(too_long(&file.path, None, self.rules));
            }
            Ok(None) => {
                return Err(DataError::TooLarge {
                    path: (self.rest_bytes == self.rules.bytes_max).then(|| file.path.clone()),
                    found_bytes: None,
                    limit_bytes: self.rules.bytes_max,
                });
            }
            Err(DataError::Unreadable { error, .. }) if !file.named && is_absent(&error) => {
                self.report.leave_out(LeftOut::Gone, &file.path);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.rest_bytes -= data.len() as u64;
        if data.is_empty() {
            if file.named {
                return Err(DataError::Empty(file.path.clone()));
            }
            self.report.leave_out(LeftOut::Empty, &file.path);
            return Ok(());
        }
        let count = self.documents.len();
        match layout {
            Layout::Plain => self.plain(file, data)?,
            Layout::Jsonl => self.jsonl(file, &data)?,
        }
        if self.documents.len() > count {
            self.report.files += 1;
        }
        Ok(())
    }

    fn plain(&mut self, file: &Found, data: Vec<u8>) -> Result<(), DataError> {
        let note = match kind(&data) {
            Kind::Utf8 => None,
            Kind::OtherText => Some(Note::NotUtf8),
            Kind::Utf16 if file.named => Some(Note::Utf16),
            Kind::Binary if file.named => Some(Note::NotText),
            Kind::Utf16 => {
                self.report.leave_out(LeftOut::Utf16, &file.path);
                return Ok(());
            }
            Kind::Binary => {
                self.report.leave_out(LeftOut::NotText, &file.path);
                return Ok(());
            }
        };
        if let Some(note) = note {
            self.report.note(note, &file.path);
        }
        self.push(Origin::from(file.path.as_path()), data)
    }

    fn jsonl(&mut self, file: &Found, data: &[u8]) -> Result<(), DataError> {
        if kind(data) == Kind::Utf16 {
            return Err(DataError::Utf16(file.path.clone()));
        }
        let path: Arc<Path> = file.path.as_path().into();
        for (index, line) in data.split(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            let text = jsonl::text(line).map_err(|problem| DataError::Jsonl {
                path: file.path.clone(),
                line: number,
                problem,
            })?;
            match text {
                Some(text) if !text.is_empty() => {
                    let origin = Origin {
                        line: Some(number),
                        ..Origin::file(Arc::clone(&path))
                    };
                    self.push(origin, text)?;
                }
                // A blank line is no line.
                None if line.trim_ascii().is_empty() => {}
                _ => self.report.leave_out_line(&file.path, number),
            }
        }
        Ok(())
    }

    fn push(&mut self, origin: Origin, data: Vec<u8>) -> Result<(), DataError> {
        let size_bytes = data.len() as u64;
        if size_bytes > self.rules.document_bytes_max {
            return Err(DataError::TooLong {
                document: shown(Path::new(&origin.to_string())),
                found_bytes: Some(size_bytes),
                limit_bytes: self.rules.document_bytes_max,
            });
        }
        if self.documents.len() == DOCUMENTS_MAX {
            return Err(DataError::TooMany {
                what: "documents",
                limit: DOCUMENTS_MAX,
                remedy: "join short ones",
            });
        }
        self.report.documents += 1;
        self.report.size_bytes += size_bytes;
        self.documents.push(Document { origin, data });
        Ok(())
    }
}
