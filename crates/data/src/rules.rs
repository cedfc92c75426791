//! What to read, and how much of it.

use std::path::PathBuf;

use crate::Want;

/// The most bytes of text that are read into memory, after unpacking.
pub const BYTES_MAX: u64 = 4 << 30;

/// The longest text of a line or a row, if nothing else is said: what a model scores in one go.
pub const RECORD_BYTES_MAX: u64 = 16 << 20;

/// What to read, and within which limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The longest document: one on this machine that is longer is an error.
    pub document_bytes_max: u64,
    /// The longest text of a line or a row: a longer one is left out and counted. However long a line is, no
    /// more of it is in memory than such a text can take.
    pub record_bytes_max: u64,
    /// Whether a file that is one text comes as one document, or as several.
    pub plain: Plain,
    /// All documents together: more of them is an error.
    pub bytes_max: u64,
    /// Enough: nothing is read after the document with which all together reach this.
    pub take_bytes: Option<u64>,
    /// What is wanted of records.
    pub want: Want,
    /// Whether a text that came before, byte for byte, is left out: of those that [`SEEN_MAX`] remembers.
    ///
    /// [`SEEN_MAX`]: crate::SEEN_MAX
    pub unique: bool,
    /// What the run writes, files or folders: not read where it lies among the data.
    pub outputs: Vec<PathBuf>,
}

/// How a file that is one text becomes documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plain {
    /// As one, in memory whole.
    #[default]
    Whole,
    /// In parts of about a mebibyte, each of them whole [`pieces`]: however long it is, one part is in
    /// memory. Standard input, which cannot be taken up again within, comes whole.
    ///
    /// [`pieces`]: crate::pieces()
    Parts,
}

impl Default for Rules {
    /// As much as fits into memory, by [`BYTES_MAX`].
    fn default() -> Self {
        Self {
            document_bytes_max: BYTES_MAX,
            record_bytes_max: RECORD_BYTES_MAX,
            plain: Plain::default(),
            bytes_max: BYTES_MAX,
            take_bytes: None,
            want: Want::default(),
            unique: false,
            outputs: Vec::new(),
        }
    }
}
