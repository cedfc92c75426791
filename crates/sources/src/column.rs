//! One column of a table, one record at a time.
//!
//! A record at a time costs little beside its text, and bounds what a record can take: an encoding that
//! builds each value from the one before would make of a page as much as there are values in a batch.

use std::sync::Arc;

use parquet::{
    basic::{ConvertedType, Type},
    column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader},
    data_type::{ByteArray, DataType},
    errors::{ParquetError, Result},
    file::{
        metadata::ParquetMetaData,
        reader::{Length as _, SerializedPageReader},
    },
    schema::types::ColumnDescPtr,
};
use soma_data::Scalar;

use crate::footer::{Chunks, check};

/// What one record holds in a column.
#[derive(Clone, Debug)]
pub enum Cell {
    Bytes(ByteArray),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// Several texts, joined.
    List(String),
}

impl Cell {
    /// As a filter sees it; none of bytes that are no text.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        Some(match self {
            Self::Bytes(bytes) => Scalar::Text(std::str::from_utf8(bytes.data()).ok()?),
            Self::Int(number) => Scalar::Int(*number),
            Self::Float(number) => Scalar::Float(*number),
            Self::Bool(truth) => Scalar::Bool(*truth),
            Self::List(text) => Scalar::Text(text),
        })
    }

    /// As provenance keeps it, if it is no longer than this.
    pub fn kept(&self, bytes_max: usize) -> Option<String> {
        let text = match self.scalar()? {
            Scalar::Text(text) => text.to_owned(),
            Scalar::Int(number) => number.to_string(),
            Scalar::Float(_) | Scalar::Bool(_) => return None,
        };
        (!text.is_empty() && text.len() <= bytes_max).then_some(text)
    }
}

/// A column of one row group.
pub struct Column {
    /// Which of the file's.
    pub leaf: usize,
    reader: ColumnReader,
    descriptor: ColumnDescPtr,
    /// Records before the one that is due, which were not read.
    behind: usize,
    /// What was read of the record in hand.
    cell: Option<Option<Cell>>,
}

impl Column {
    /// A column of a row group, from a record on.
    ///
    /// # Errors
    /// If it lies outside of the file, or is packed in a way that is not read.
    pub fn open(
        chunks: &Arc<Chunks>,
        metadata: &ParquetMetaData,
        group: usize,
        leaf: usize,
        record: usize,
    ) -> Result<Self> {
        let group = metadata.row_group(group);
        let rows = usize::try_from(group.num_rows()).unwrap_or(usize::MAX);
        let column = group.column(leaf);
        check(column, chunks.len())?;
        let pages = SerializedPageReader::new(Arc::clone(chunks), column, rows, None)?;
        let descriptor = column.column_descr_ptr();
        Ok(Self {
            leaf,
            reader: get_column_reader(Arc::clone(&descriptor), Box::new(pages)),
            descriptor,
            behind: record,
            cell: None,
        })
    }

    /// What the record in hand holds; none if that is null.
    ///
    /// # Errors
    /// If it cannot be read, or there are no more.
    pub fn cell(&mut self) -> Result<Option<&Cell>> {
        if self.cell.is_none() {
            let cell = self.read()?;
            self.cell = Some(cell);
        }
        Ok(self.cell.as_ref().and_then(Option::as_ref))
    }

    /// Goes on to the next record.
    pub fn pass(&mut self) {
        if self.cell.take().is_none() {
            self.behind += 1;
        }
    }

    fn read(&mut self) -> Result<Option<Cell>> {
        let behind = std::mem::take(&mut self.behind);
        let unsigned = is_unsigned(&self.descriptor);
        let name = self.descriptor.path().string();
        match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => Ok(one(reader, behind, &name)?.pop().map(Cell::Bool)),
            ColumnReader::Int32ColumnReader(reader) => Ok(one(reader, behind, &name)?.pop().map(|number| {
                Cell::Int(if unsigned {
                    i64::from(number as u32)
                } else {
                    i64::from(number)
                })
            })),
            ColumnReader::Int64ColumnReader(reader) => Ok(one(reader, behind, &name)?.pop().map(|number| {
                if unsigned && number < 0 {
                    Cell::Float(number as u64 as f64)
                } else {
                    Cell::Int(number)
                }
            })),
            ColumnReader::FloatColumnReader(reader) => Ok(one(reader, behind, &name)?
                .pop()
                .map(|number| Cell::Float(number.into()))),
            ColumnReader::DoubleColumnReader(reader) => {
                Ok(one(reader, behind, &name)?.pop().map(Cell::Float))
            }
            ColumnReader::ByteArrayColumnReader(reader) => {
                let mut values = one(reader, behind, &name)?;
                if self.descriptor.max_rep_level() == 0 {
                    return Ok(values.pop().map(Cell::Bytes));
                }
                let texts: Vec<_> = values
                    .iter()
                    .filter_map(|value| std::str::from_utf8(value.data()).ok())
                    .collect();
                Ok((!texts.is_empty()).then(|| Cell::List(texts.join(", "))))
            }
            _ => Err(ParquetError::General(format!(
                "column `{name}` is of a type that is not read"
            ))),
        }
    }
}

/// Whether a column can be read as a cell.
pub fn is_readable(descriptor: &ColumnDescPtr) -> bool {
    let is_text = descriptor.physical_type() == Type::BYTE_ARRAY;
    let is_plain = !matches!(
        descriptor.physical_type(),
        Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY
    );
    is_plain && (descriptor.max_rep_level() == 0 || (is_text && descriptor.max_rep_level() == 1))
}

fn is_unsigned(descriptor: &ColumnDescPtr) -> bool {
    matches!(
        descriptor.converted_type(),
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
    )
}

/// The values of the record after `behind` others.
fn one<T: DataType>(reader: &mut ColumnReaderImpl<T>, behind: usize, name: &str) -> Result<Vec<T::T>> {
    let short = || {
        ParquetError::EOF(format!(
            "column `{name}` has fewer rows than its row group is said to have"
        ))
    };
    if behind > 0 && reader.skip_records(behind)? < behind {
        return Err(short());
    }
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (records, ..) =
        reader.read_records(1, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
    if records == 0 {
        return Err(short());
    }
    Ok(values)
}
