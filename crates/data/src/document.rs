//! Documents, and where they come from.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use soma_types::provenance::Provenance;

use crate::{DataError, PIECE_BYTES_MAX, pieces};

/// Where a document comes from. Shown as `FILE`, `FILE:LINE` or `FILE#OFFSET`, with the file's name as it is:
/// escape it before it meets a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file or its address; `-` for standard input.
    pub file: Arc<Path>,
    /// The line of JSONL or the row of Parquet, counted from 1.
    pub line: Option<usize>,
    /// The first byte, of a part of a longer text.
    pub offset: Option<usize>,
    /// What its source says of it; none if that is nothing.
    pub provenance: Option<Arc<Provenance>>,
}

impl Origin {
    /// A whole file.
    #[must_use]
    pub const fn file(file: Arc<Path>) -> Self {
        Self {
            file,
            line: None,
            offset: None,
            provenance: None,
        }
    }

    /// The part of this text that begins at its byte `offset`.
    #[must_use]
    pub fn part(&self, offset: usize) -> Self {
        Self {
            offset: Some(self.offset.unwrap_or_default() + offset),
            ..self.clone()
        }
    }
}

impl<T: Into<PathBuf>> From<T> for Origin {
    fn from(file: T) -> Self {
        Self::file(file.into().into())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, "#{offset}")?;
        }
        Ok(())
    }
}

/// One text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it comes from.
    pub origin: Origin,
    /// Its bytes; never empty in a [`Dataset`].
    pub data: Vec<u8>,
}

impl Document {
    /// Its [`pieces`], each with where it comes from; the whole where that is short.
    pub fn pieces(&self) -> impl Iterator<Item = (Origin, &[u8])> {
        let is_whole = self.origin.offset.is_none() && self.data.len() <= PIECE_BYTES_MAX;
        let whole = is_whole.then(|| (self.origin.clone(), &self.data[..]));
        let mut at = 0;
        let parts = pieces(if is_whole { b"" } else { &self.data }).map(move |piece| {
            let origin = self.origin.part(at);
            at += piece.len();
            (origin, piece)
        });
        whole.into_iter().chain(parts)
    }
}

/// Texts in a fixed order; never without text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    documents: Vec<Document>,
}

impl Dataset {
    /// A data set of these documents; those without bytes are dropped.
    ///
    /// # Errors
    /// [`DataError::NoText`], with `name`, if none has text.
    pub fn new(name: &str, documents: impl IntoIterator<Item = Document>) -> Result<Self, DataError> {
        let documents: Vec<_> = documents.into_iter().filter(|d| !d.data.is_empty()).collect();
        if documents.is_empty() {
            Err(DataError::NoText(name.to_owned()))
        } else {
            Ok(Self { documents })
        }
    }

    /// The documents in their order.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// All bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.documents.iter().map(|d| d.data.len() as u64).sum()
    }

    /// These data sets, one after the other.
    #[must_use]
    pub fn joined<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let documents: Vec<_> = sets
            .into_iter()
            .flat_map(|set| set.documents.iter().cloned())
            .collect();
        (!documents.is_empty()).then_some(Self { documents })
    }
}
