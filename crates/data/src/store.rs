//! What may be plugged into the reader: files that are not on this machine, and tables.
//!
//! The reader itself knows files, folders and text. Whoever brings a [`Store`] adds addresses and Parquet, so
//! that programs which need neither do not carry the libraries for them.

use crate::{DataError, Found, Object, Place, Record, Want};

/// Files of other machines, and what is in tables.
pub trait Store: Send + Sync {
    /// The files of `source`; none if it is no address that this store knows.
    ///
    /// # Errors
    /// If they cannot be listed.
    fn list(&self, source: &str) -> Result<Option<Vec<Found>>, DataError>;

    /// The rows of a Parquet file from `place` on.
    ///
    /// # Errors
    /// If it cannot be read, is no Parquet file, or lacks a column that is wanted.
    fn rows(
        &self,
        found: &Found,
        object: Box<dyn Object>,
        want: &Want,
        place: Place,
    ) -> Result<Box<dyn Rows>, DataError>;
}

/// A table's rows, one after the other.
pub trait Rows: Send {
    /// The next row: its number in the file, counted from 1, what is in it, and the place behind it. None at
    /// the end.
    ///
    /// # Errors
    /// If the table cannot be read on, or is not what it says.
    fn next_row(&mut self) -> Result<Option<Row>, DataError>;
}

/// One row of a table.
#[derive(Debug)]
pub struct Row {
    /// Its number in the file, counted from 1.
    pub number: u64,
    /// What is in it.
    pub record: Record,
    /// The place behind it.
    pub next: Place,
}
