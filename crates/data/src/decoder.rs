//! From an open file to its records: the whole of it, its parts, its lines, or its rows.

use std::io;

use crate::{
    BYTES_MAX, DataError, Found, LeftOut, Note, Object, Place, Plain, Provenance, Record, Rules, Store, Want,
    decode::{Compression, Layout, bounded, explained, unpacked},
    error::{is_absent, shown},
    jsonl,
    lines::{LineError, Lines},
    parts::Parts,
    plan::{Planned, too_long},
    store::Rows,
    text::{Kind, kind},
};

/// A character of text takes at most six bytes of JSON, and a line has other fields.
const JSON_BYTES_FOR_ONE: u64 = 6;
const OTHER_FIELDS_BYTES_MAX: u64 = 1 << 20;
/// A line that is longer than any record is passed over up to here: one that goes on is no line.
const SKIPPED_BYTES_MAX: u64 = BYTES_MAX;

/// What gives a file's records.
pub enum Decoder {
    /// One document, until it was given.
    Whole(Option<Vec<u8>>),
    /// Parts of one document.
    Parts(Parts),
    /// A record for each line.
    Lines {
        lines: Lines,
        want: Want,
        line_bytes_max: u64,
    },
    /// A record for each row.
    Rows(Box<dyn Rows>),
}

/// What a decoder gives.
pub struct Piece {
    /// The line or row, counted from 1; none of a text or a part of it.
    pub number: Option<u64>,
    /// The first byte, of a part.
    pub offset: Option<u64>,
    pub record: Record,
    /// The place behind it.
    pub next: Place,
}

/// Why a file gives nothing.
pub enum Unopened {
    LeftOut(LeftOut),
    Failed(DataError),
}

impl From<DataError> for Unopened {
    fn from(error: DataError) -> Self {
        Self::Failed(error)
    }
}

impl Decoder {
    /// The records of a file from `place` on. `rest_bytes` is what may still be read of all files.
    pub fn open(
        file: &Planned,
        object: Box<dyn Object>,
        place: Place,
        rules: &Rules,
        rest_bytes: u64,
        store: Option<&dyn Store>,
    ) -> Result<Self, Unopened> {
        let found = &file.found;
        match file.layout {
            Layout::Plain if rules.plain == Plain::Parts && !found.is_standard_input() => {
                let byte = match place {
                    Place::Part { byte } => byte,
                    Place::Start | Place::Line { .. } | Place::Row { .. } | Place::End => 0,
                };
                let reader = unpacked(&*object, file.compression, byte);
                let reader = reader.map_err(|error| unread(file, error))?;
                Ok(Self::Parts(Parts::new(reader, byte)))
            }
            Layout::Plain => whole(file, &*object, rules, rest_bytes).map(|data| Self::Whole(Some(data))),
            Layout::Jsonl => {
                let text_bytes_max = rules.document_bytes_max.min(rules.record_bytes_max);
                let line_bytes_max = text_bytes_max
                    .saturating_mul(JSON_BYTES_FOR_ONE)
                    .saturating_add(OTHER_FIELDS_BYTES_MAX);
                Ok(Self::Lines {
                    lines: lines(found, &*object, file.compression, place)?,
                    want: want(rules, found),
                    line_bytes_max: line_bytes_max.min(rules.bytes_max),
                })
            }
            Layout::Parquet if object.size_bytes() == Some(0) => Err(match found.named {
                true => DataError::Empty(found.path.clone()).into(),
                false => Unopened::LeftOut(LeftOut::Empty),
            }),
            Layout::Parquet => {
                let store = store.ok_or_else(|| DataError::Unsupported {
                    path: found.path.clone(),
                    kind: "Parquet",
                    remedy: "write its column of text as JSONL",
                })?;
                Ok(Self::Rows(store.rows(
                    found,
                    object,
                    &want(rules, found),
                    place,
                )?))
            }
        }
    }

    /// The next record; none at the end.
    pub fn next_piece(&mut self, file: &Planned, rules: &Rules) -> Result<Option<Piece>, DataError> {
        match self {
            Self::Whole(data) => Ok(data.take().map(|data| Piece {
                number: None,
                offset: None,
                record: Record::Text(data, Provenance::default()),
                next: Place::End,
            })),
            Self::Parts(parts) => {
                let part = parts.next_part();
                let part = part.map_err(|error| explained(&file.found.path, file.compression, error))?;
                Ok(part.map(|part| Piece {
                    number: None,
                    offset: part.offset,
                    record: Record::Text(part.data, Provenance::default()),
                    next: part.next,
                }))
            }
            Self::Lines {
                lines,
                want,
                line_bytes_max,
            } => next_line(lines, want, *line_bytes_max, file, rules),
            Self::Rows(rows) => Ok(rows.next_row()?.map(|row| Piece {
                number: Some(row.number),
                offset: None,
                record: row.record,
                next: row.next,
            })),
        }
    }

    /// Whether the file turned out to have no bytes.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Lines { lines, .. } => lines.byte == 0,
            Self::Parts(parts) => parts.byte() == 0,
            Self::Whole(_) | Self::Rows(_) => false,
        }
    }
}

/// What is wanted of a file's records: what was asked for, or what its data set is known to hold.
fn want(rules: &Rules, found: &Found) -> Want {
    let known = found.remote.as_ref().and_then(|remote| remote.column);
    match (&rules.want.column, known) {
        (None, Some((column, by_id))) => Want {
            column: Some(column.into()),
            by_id,
            ..rules.want.clone()
        },
        _ => rules.want.clone(),
    }
}

/// The bytes of a file that is one document.
fn whole(file: &Planned, object: &dyn Object, rules: &Rules, rest_bytes: u64) -> Result<Vec<u8>, Unopened> {
    let (path, compression) = (&file.found.path, file.compression);
    let limit = rest_bytes.min(rules.document_bytes_max);
    let data = unpacked(object, compression, 0).and_then(|reader| bounded(reader, limit));
    let data = data.map_err(|error| unread(file, error))?;
    match data {
        Some(data) if data.is_empty() && file.found.named => Err(DataError::Empty(path.clone()).into()),
        Some(data) if data.is_empty() => Err(Unopened::LeftOut(LeftOut::Empty)),
        Some(data) => Ok(data),
        None if limit < rules.document_bytes_max => Err(too_large(file, rules, rest_bytes).into()),
        None if file.found.remote.is_some() && !file.found.named => Err(Unopened::LeftOut(LeftOut::TooLong)),
        None => Err(too_long(path, None, rules).into()),
    }
}

/// Why a file that is one text cannot be read.
fn unread(file: &Planned, error: io::Error) -> Unopened {
    if !file.found.named && is_absent(&error) {
        return Unopened::LeftOut(LeftOut::Gone);
    }
    explained(&file.found.path, file.compression, error).into()
}

/// All together are more than is read, `rest_bytes` of it unused; the file, if it is so alone.
pub fn too_large(file: &Planned, rules: &Rules, rest_bytes: u64) -> DataError {
    let alone = rest_bytes == rules.bytes_max || file.found.remote.is_some();
    DataError::TooLarge {
        path: alone.then(|| file.found.path.clone()),
        found_bytes: None,
        limit_bytes: rules.bytes_max,
    }
}

/// A file's lines from `place` on.
fn lines(
    found: &Found,
    object: &dyn Object,
    compression: Compression,
    place: Place,
) -> Result<Lines, DataError> {
    let failed = |error| explained(&found.path, compression, error);
    let (byte, count) = match place {
        Place::Line { byte, lines } => (byte, lines),
        Place::Start | Place::Part { .. } | Place::Row { .. } | Place::End => (0, 0),
    };
    let reader = unpacked(object, compression, byte).map_err(failed)?;
    let mut lines = Lines::new(reader, byte, count);
    if byte == 0 {
        let start = lines.peek().map_err(failed)?;
        // Two bytes for each character are told by pairs.
        if kind(&start[..start.len() & !1]) == Kind::Utf16 {
            return Err(DataError::Utf16(found.path.clone()));
        }
    }
    Ok(lines)
}

fn next_line(
    lines: &mut Lines,
    want: &Want,
    line_bytes_max: u64,
    file: &Planned,
    rules: &Rules,
) -> Result<Option<Piece>, DataError> {
    let path = &file.found.path;
    loop {
        let number = lines.count + 1;
        let line = match lines.next_line(line_bytes_max) {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(LineError::Io(error)) => return Err(explained(path, file.compression, error)),
            Err(LineError::TooLong) if line_bytes_max == rules.bytes_max => {
                return Err(too_large(file, rules, rules.bytes_max));
            }
            // Every document is wanted.
            Err(LineError::TooLong) if rules.document_bytes_max <= rules.record_bytes_max => {
                return Err(endless(file, number, rules.document_bytes_max));
            }
            Err(LineError::TooLong) => match lines.skip_line(SKIPPED_BYTES_MAX) {
                Ok(()) => return Ok(Some(of_line(lines, Record::TooLong))),
                Err(LineError::Io(error)) => return Err(explained(path, file.compression, error)),
                Err(LineError::TooLong) => return Err(endless(file, number, rules.record_bytes_max)),
            },
        };
        let record = jsonl::record(line, want).map_err(|problem| DataError::Jsonl {
            path: path.clone(),
            line: usize::try_from(number).unwrap_or(usize::MAX),
            problem,
        })?;
        // A blank line is no line.
        if let Some(record) = record {
            return Ok(Some(of_line(lines, record)));
        }
    }
}

/// The last line that was read, as a piece.
const fn of_line(lines: &Lines, record: Record) -> Piece {
    Piece {
        number: Some(lines.count),
        offset: None,
        record,
        next: Place::Line {
            byte: lines.byte,
            lines: lines.count,
        },
    }
}

/// A line is longer than any text within the limit can make it.
fn endless(file: &Planned, number: u64, limit_bytes: u64) -> DataError {
    DataError::TooLong {
        document: format!("{}:{number}", shown(&file.found.path)),
        found_bytes: None,
        limit_bytes,
    }
}

/// What is to be said of a text or a part of it, or why it is left out; nothing of records, which are text.
pub fn looks(found: &Found, data: &[u8]) -> Result<Option<Note>, LeftOut> {
    match kind(data) {
        Kind::Utf8 => Ok(None),
        Kind::OtherText => Ok(Some(Note::NotUtf8)),
        Kind::Utf16 if found.named => Ok(Some(Note::Utf16)),
        Kind::Binary if found.named => Ok(Some(Note::NotText)),
        Kind::Utf16 => Err(LeftOut::Utf16),
        Kind::Binary => Err(LeftOut::NotText),
    }
}
