//! Places among the documents of sources.

use serde::{Deserialize, Serialize};
use soma_data::Cursor;
use soma_types::ContentHash;

/// A place among documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// All before this one were tried.
    pub(super) position: u64,
    /// So many of them are of the text that comes first behind the cursor.
    pub(super) documents: u64,
    /// The last of those: where it is another, so is the text.
    pub(super) last: Option<ContentHash>,
    /// Where that text begins in the sources; none at their beginning.
    pub(super) cursor: Option<Cursor>,
}

/// Where a text begins among the documents.
#[derive(Debug)]
pub(super) struct Mark {
    /// Its first document.
    pub(super) number: u64,
    /// The place in the sources before it; none at their beginning, and in standard input.
    pub(super) cursor: Option<Cursor>,
}
