//! Parquet: one document for each row, of the columns that are wanted and no others.
//!
//! Row groups are read in their order, rows in theirs. Filters are read first, and what they leave out is
//! passed over without being unpacked where whole pages of it are. What a file says of itself is checked
//! before it is believed ([`crate::footer`]).

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::{Compression, Type},
    errors::ParquetError,
    file::metadata::ParquetMetaData,
    schema::types::SchemaDescriptor,
};
use soma_data::{
    Changed, DataError, ID_FIELDS, LICENCE_FIELDS, Object, Place, Provenance, Record, Row, Rows, URL_FIELDS,
    Want,
};
use soma_types::text::printable;

use crate::{
    column::{Cell, Column, is_readable},
    footer::{Chunks, footer},
};

/// The longest licence, address or name of a record that is kept.
const KEPT_BYTES_MAX: usize = 4096;
/// Names of columns that an error gives.
const NAMES_MAX: usize = 40;

/// What to do with one that is packed otherwise.
const REPACK: &str =
    "pack it with zstd, for example by `duckdb -c \"COPY 'FILE' TO 'NEW.parquet' (COMPRESSION zstd)\"`";

/// Where in a file's columns things are.
#[derive(Clone, Debug, Default)]
struct Fields {
    text: usize,
    /// One for each filter.
    filters: Vec<usize>,
    licence: Option<usize>,
    url: Option<usize>,
    id: Option<usize>,
}

/// The rows of a Parquet file.
pub struct Table {
    path: PathBuf,
    chunks: Arc<Chunks>,
    metadata: ParquetMetaData,
    fields: Fields,
    want: Want,
    group: usize,
    /// Rows of this group that were read.
    row: u64,
    /// Rows of the groups before.
    before: u64,
    /// Those of this group, once it is begun.
    columns: Vec<Column>,
}

impl Table {
    /// The rows from `place` on.
    ///
    /// # Errors
    /// If it cannot be read, is no sound Parquet file, or has no such column.
    pub fn open(
        path: PathBuf,
        object: Box<dyn Object>,
        want: &Want,
        place: Place,
    ) -> Result<Self, DataError> {
        let chunks = Chunks::new(object).map_err(|error| failed(&path, error))?;
        let metadata = guarded(|| footer(&chunks)).map_err(|error| explained(&path, &chunks, &error))?;
        let fields = fields(metadata.file_metadata().schema_descr(), want, &path)?;
        let (group, row) = match place {
            Place::Row { group, row } => (usize::try_from(group).unwrap_or(usize::MAX), row),
            Place::Start | Place::Part { .. } | Place::Line { .. } => (0, 0),
            Place::End => (metadata.num_row_groups(), 0),
        };
        if group > metadata.num_row_groups() {
            return Err(DataError::Changed(path));
        }
        let mut table = Self {
            path,
            chunks: Arc::new(chunks),
            fields,
            want: want.clone(),
            group,
            row,
            before: 0,
            columns: Vec::new(),
            metadata,
        };
        for group in 0..group {
            table.before = table.before.saturating_add(table.rows_of(group)?);
        }
        Ok(table)
    }

    /// The rows that a group is said to have.
    fn rows_of(&self, group: usize) -> Result<u64, DataError> {
        let rows = self.metadata.row_group(group).num_rows();
        u64::try_from(rows)
            .map_err(|_| self.unsound(format!("row group {group} is said to have {rows} rows")))
    }

    fn unsound(&self, problem: String) -> DataError {
        DataError::Table {
            path: self.path.clone(),
            problem,
        }
    }

    fn begin(&mut self, rows: u64) -> Result<(), DataError> {
        if self.row > rows {
            return Err(DataError::Changed(self.path.clone()));
        }
        let fields = &self.fields;
        let mut leaves: Vec<usize> = fields.filters.clone();
        leaves.extend(
            [Some(fields.text), fields.licence, fields.url, fields.id]
                .into_iter()
                .flatten(),
        );
        leaves.sort_unstable();
        leaves.dedup();
        for leaf in &leaves {
            let packing = self.metadata.row_group(self.group).column(*leaf).compression();
            if let Some(kind) = unread(packing) {
                return Err(DataError::Unsupported {
                    path: self.path.clone(),
                    kind,
                    remedy: REPACK,
                });
            }
        }
        let record = usize::try_from(self.row).unwrap_or(usize::MAX);
        let open = |leaf| Column::open(&self.chunks, &self.metadata, self.group, leaf, record);
        let columns = guarded(|| leaves.into_iter().map(open).collect::<Result<Vec<_>, _>>());
        self.columns = columns.map_err(|error| explained(&self.path, &self.chunks, &error))?;
        Ok(())
    }

    fn column(&mut self, leaf: usize) -> Option<&mut Column> {
        self.columns.iter_mut().find(|column| column.leaf == leaf)
    }

    /// What the row in hand holds.
    fn record(&mut self) -> Result<Record, ParquetError> {
        for index in 0..self.fields.filters.len() {
            let (leaf, filter) = (self.fields.filters[index], self.want.filters[index].clone());
            let cell = match self.column(leaf) {
                Some(column) => column.cell()?,
                None => None,
            };
            let holds = cell
                .and_then(Cell::scalar)
                .is_some_and(|value| filter.holds(&value));
            if !holds {
                return Ok(Record::Filtered);
            }
        }
        let text = match self.column(self.fields.text) {
            Some(column) => column.cell()?.and_then(|cell| match cell {
                Cell::Bytes(bytes) => Some(bytes.data().to_vec()),
                _ => None,
            }),
            None => None,
        };
        let Some(text) = text else {
            return Ok(Record::NoText);
        };
        if std::str::from_utf8(&text).is_err() {
            return Ok(Record::Unfit);
        }
        let fields = self.fields.clone();
        let provenance = Provenance {
            source: None,
            licence: self.kept(fields.licence)?,
            url: self.kept(fields.url)?,
            id: self.kept(fields.id)?,
        };
        Ok(Record::Text(text, provenance))
    }

    fn kept(&mut self, leaf: Option<usize>) -> Result<Option<String>, ParquetError> {
        match leaf.and_then(|leaf| self.column(leaf)) {
            Some(column) => Ok(column.cell()?.and_then(|cell| cell.kept(KEPT_BYTES_MAX))),
            None => Ok(None),
        }
    }
}

impl Rows for Table {
    fn next_row(&mut self) -> Result<Option<Row>, DataError> {
        loop {
            if self.group == self.metadata.num_row_groups() {
                return Ok(None);
            }
            let rows = self.rows_of(self.group)?;
            if self.columns.is_empty() {
                self.begin(rows)?;
            }
            if self.row == rows {
                self.before = self.before.saturating_add(rows);
                self.group += 1;
                self.row = 0;
                self.columns.clear();
                continue;
            }
            let record = guarded(|| self.record()).map_err(|error| {
                let place = self.before.saturating_add(self.row).saturating_add(1);
                at_row(explained(&self.path, &self.chunks, &error), place)
            })?;
            for column in &mut self.columns {
                column.pass();
            }
            self.row += 1;
            return Ok(Some(Row {
                number: self.before.saturating_add(self.row),
                record,
                next: Place::Row {
                    group: self.group as u64,
                    row: self.row,
                },
            }));
        }
    }
}

/// Where the wanted columns are.
fn fields(schema: &SchemaDescriptor, want: &Want, path: &Path) -> Result<Fields, DataError> {
    let find = |name: &str| {
        let columns = schema.columns().iter();
        let mut named = columns.enumerate().filter(|(_, column)| {
            column.path().string() == name || column.path().parts().first().is_some_and(|first| first == name)
        });
        // A name that stands for several columns stands for none.
        match (named.next(), named.next()) {
            (Some((leaf, column)), None) if is_readable(column) => Some(leaf),
            _ => None,
        }
    };
    let first = |names: &[&str]| names.iter().find_map(|name| find(name));
    let missing = |column: &str, remedy| {
        let names = schema.columns().iter().take(NAMES_MAX);
        let names = names.map(|column| printable(&column.path().string()).into_owned());
        DataError::NoColumn {
            path: path.to_owned(),
            column: column.into(),
            columns: names.collect::<Vec<_>>().join("`, `"),
            remedy,
        }
    };
    let texts = want.text_fields();
    let text = first(&texts).filter(|leaf| {
        let column = schema.column(*leaf);
        column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0
    });
    let filters = want.filters.iter().map(|filter| {
        find(&filter.field).ok_or_else(|| missing(&filter.field, "filter by one that there is, with --where"))
    });
    Ok(Fields {
        text: text.ok_or_else(|| missing(texts[0], "say which holds the text with --column"))?,
        filters: filters.collect::<Result<_, _>>()?,
        licence: first(&LICENCE_FIELDS),
        url: first(&URL_FIELDS),
        id: first(&ID_FIELDS),
    })
}

/// What a file is that is packed in a way for which there is no decoder here.
const fn unread(packing: Compression) -> Option<&'static str> {
    match packing {
        Compression::BROTLI(_) => Some("Parquet packed with Brotli"),
        Compression::LZO => Some("Parquet packed with LZO"),
        _ => None,
    }
}

/// What an error of the decoder means: its source fails, or the file is not what it says.
pub fn explained(path: &Path, chunks: &Chunks, error: &ParquetError) -> DataError {
    match chunks.failed() {
        Some(error) => failed(path, error),
        None => DataError::Table {
            path: path.to_owned(),
            problem: words(error),
        },
    }
}

/// What decoding comes to. The library asserts what some damaged files do not hold; such a file is damaged,
/// and nothing of the decoder is used after it.
pub fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err(ParquetError::General(
            "its decoder cannot make sense of it".into(),
        ))
    })
}

pub fn failed(path: &Path, error: io::Error) -> DataError {
    if matches!(error.get_ref(), Some(inner) if inner.is::<Changed>()) {
        return DataError::Changed(path.to_owned());
    }
    DataError::Unreadable {
        path: path.to_owned(),
        error,
    }
}

/// An error without the library's name for its kind.
fn words(error: &ParquetError) -> String {
    match error {
        ParquetError::General(text) | ParquetError::NYI(text) | ParquetError::EOF(text) => text.clone(),
        error => error.to_string(),
    }
}

fn at_row(error: DataError, row: u64) -> DataError {
    match error {
        DataError::Table { path, problem } => DataError::Table {
            path,
            problem: format!("row {row}: {problem}"),
        },
        error => error,
    }
}
