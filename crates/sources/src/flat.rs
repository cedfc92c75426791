//! Flat objects as rows of Parquet, written and read back: what other programs load as a table.
//!
//! Every column may lack a value, and a field without a column is refused rather than lost. Rows are written
//! a group at a time ([`GROUP_ROWS_MAX`], [`GROUP_BYTES_MAX`]), so a file may be longer than memory. What is
//! read is checked as every table is ([`crate::footer`]).

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, Int64Type},
    errors::ParquetError,
    file::{
        metadata::ParquetMetaData,
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::parser::parse_message_type,
};
use serde_json::{Map, Value};
use soma_data::{DataError, LocalFile};

use crate::{
    column::{Cell, Column, is_readable},
    footer::{Chunks, footer},
    table::{explained, failed, guarded},
};

/// Most rows of a group.
const GROUP_ROWS_MAX: usize = 1 << 14;
/// Most bytes of text in a group, but for one row that has more.
const GROUP_BYTES_MAX: usize = 16 << 20;

/// A row: fields by name, each a string or a whole number.
pub type Flat = Map<String, Value>;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text in UTF-8.
    Text,
    /// Whole numbers below 2^63.
    Number,
}

/// A column's name, of letters and underscores, and what it holds.
pub type NamedColumn = (&'static str, ColumnKind);

/// Writes objects as Parquet, packed with zstd.
///
/// # Errors
/// If `to` refuses, an object is an error, or one has a field that fits no column.
pub fn write_flat(
    to: &mut dyn Write,
    columns: &[NamedColumn],
    objects: &mut dyn Iterator<Item = io::Result<Flat>>,
) -> io::Result<()> {
    let schema = Arc::new(parse_message_type(&schema(columns)).map_err(io::Error::other)?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).map_err(io::Error::other)?;
    loop {
        let rows = group(columns, objects)?;
        if rows.is_empty() {
            break;
        }
        let mut part = writer.next_row_group().map_err(io::Error::other)?;
        for (name, kind) in columns {
            let next = part.next_column().map_err(io::Error::other)?;
            let mut column = next.expect("the schema has these columns");
            let cells = rows.iter().map(|row| row.get(*name));
            fill(&mut column, *kind, cells).map_err(io::Error::other)?;
            column.close().map_err(io::Error::other)?;
        }
        part.close().map_err(io::Error::other)?;
        to.write_all(&std::mem::take(writer.inner_mut()))?;
    }
    to.write_all(&writer.into_inner().map_err(io::Error::other)?)
}

fn schema(columns: &[NamedColumn]) -> String {
    let of = |(name, kind): &NamedColumn| match kind {
        ColumnKind::Text => format!("optional binary {name} (UTF8);"),
        ColumnKind::Number => format!("optional int64 {name};"),
    };
    format!(
        "message rows {{ {} }}",
        columns.iter().map(of).collect::<String>()
    )
}

/// The next rows, as many as are written together; none at the end.
fn group(
    columns: &[NamedColumn],
    objects: &mut dyn Iterator<Item = io::Result<Flat>>,
) -> io::Result<Vec<Flat>> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while rows.len() < GROUP_ROWS_MAX && bytes < GROUP_BYTES_MAX {
        let Some(object) = objects.next().transpose()? else {
            break;
        };
        for (name, value) in &object {
            let kind = columns
                .iter()
                .find(|(column, _)| column == name)
                .map(|(_, kind)| kind);
            bytes += match (kind, value) {
                (Some(ColumnKind::Text), Value::String(text)) => text.len(),
                (Some(ColumnKind::Number), value) if value.as_i64().is_some() => size_of::<i64>(),
                _ => return Err(io::Error::other(format!("no column holds the field `{name}`"))),
            };
        }
        rows.push(object);
    }
    Ok(rows)
}

fn fill<'a>(
    column: &mut SerializedColumnWriter<'_>,
    kind: ColumnKind,
    cells: impl Iterator<Item = Option<&'a Value>> + Clone,
) -> Result<(), ParquetError> {
    // One where there is a value.
    let levels: Vec<i16> = cells.clone().map(|cell| i16::from(cell.is_some())).collect();
    let values = cells.flatten();
    match kind {
        ColumnKind::Text => {
            let texts = values.filter_map(Value::as_str);
            let texts: Vec<ByteArray> = texts.map(|text| text.as_bytes().to_vec().into()).collect();
            column
                .typed::<ByteArrayType>()
                .write_batch(&texts, Some(&levels), None)?;
        }
        ColumnKind::Number => {
            let numbers: Vec<i64> = values.filter_map(Value::as_i64).collect();
            column
                .typed::<Int64Type>()
                .write_batch(&numbers, Some(&levels), None)?;
        }
    }
    Ok(())
}

/// The objects of a Parquet file, one after the other; it ends at its first error.
pub struct FlatRows {
    path: PathBuf,
    chunks: Arc<Chunks>,
    metadata: ParquetMetaData,
    /// Names of the columns that are read, by their place in the file.
    names: Vec<(usize, String)>,
    group: usize,
    /// Rows of this group that are left.
    rows: i64,
    columns: Vec<Column>,
    is_over: bool,
}

impl FlatRows {
    /// Opens a file of this machine. Columns that hold neither strings nor numbers are passed over.
    ///
    /// # Errors
    /// If it cannot be read ([`DataError::Unreadable`]), or is no sound Parquet file ([`DataError::Table`]).
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let object = LocalFile::open(path).and_then(|file| Chunks::new(Box::new(file)));
        let chunks = object.map_err(|error| failed(path, error))?;
        let metadata = guarded(|| footer(&chunks)).map_err(|error| explained(path, &chunks, &error))?;
        let schema = metadata
            .file_metadata()
            .schema_descr()
            .columns()
            .iter()
            .enumerate();
        let names = schema
            .filter(|(_, column)| is_readable(column) && column.max_rep_level() == 0)
            .map(|(leaf, column)| (leaf, column.path().string()))
            .collect::<Vec<_>>();
        // Without one, rows would be counted by what the file says of itself.
        if names.is_empty() {
            return Err(DataError::Table {
                path: path.to_owned(),
                problem: "it has no column of strings or numbers".into(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            chunks: Arc::new(chunks),
            metadata,
            names,
            group: 0,
            rows: 0,
            columns: Vec::new(),
            is_over: false,
        })
    }

    fn row(&mut self) -> Result<Option<Flat>, ParquetError> {
        while self.rows <= 0 {
            if self.group == self.metadata.num_row_groups() {
                return Ok(None);
            }
            self.rows = self.metadata.row_group(self.group).num_rows();
            let open = |(leaf, _): &(usize, String)| {
                Column::open(&self.chunks, &self.metadata, self.group, *leaf, 0)
            };
            self.columns = self.names.iter().map(open).collect::<Result<_, _>>()?;
            self.group += 1;
        }
        let mut object = Flat::new();
        for (column, (_, name)) in self.columns.iter_mut().zip(&self.names) {
            if let Some(value) = column.cell()?.and_then(value) {
                object.insert(name.clone(), value);
            }
            column.pass();
        }
        self.rows -= 1;
        Ok(Some(object))
    }
}

fn value(cell: &Cell) -> Option<Value> {
    match cell {
        Cell::Bytes(bytes) => std::str::from_utf8(bytes.data()).ok().map(Value::from),
        Cell::Int(number) => Some(Value::from(*number)),
        _ => None,
    }
}

impl Iterator for FlatRows {
    type Item = Result<Flat, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match guarded(|| self.row()) {
            Ok(row) => row.map(Ok),
            Err(error) => {
                self.is_over = true;
                Some(Err(explained(&self.path, &self.chunks, &error)))
            }
        }
    }
}
