//! Where a reading stands, to go on from there in another process.
//!
//! A cursor names the file that it stands in, and what that file looked like then, so that a source that has
//! changed since is noticed instead of read on in the middle of something else. It is one line of JSON, the
//! same for the same place.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{DataError, Want};

/// The form of cursors that this version writes and reads.
const FORM: u32 = 1;
/// The longest text that may be a cursor.
const TEXT_BYTES_MAX: usize = 1 << 16;

/// A place in a file, between two documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Before its first document.
    #[default]
    Start,
    /// At a part of a long text.
    Part {
        /// Its first byte, in the unpacked file.
        byte: u64,
    },
    /// At a line of JSONL.
    Line {
        /// Its first byte, in the unpacked file.
        byte: u64,
        /// Lines before it.
        lines: u64,
    },
    /// At a row of Parquet.
    Row {
        /// The row group, counted from 0.
        group: u64,
        /// Rows of that group before it.
        row: u64,
    },
    /// Behind its last document.
    End,
}

/// Where a reading stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    form: u32,
    /// A hash of sources, columns and filters: a cursor fits those that it was made with.
    what: String,
    /// The file that it stands in.
    pub file: String,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// What changes when its bytes do.
    pub tag: Option<String>,
    /// Where in it.
    pub place: Place,
}

impl Cursor {
    pub(crate) fn new(
        what: &str,
        file: String,
        size_bytes: Option<u64>,
        tag: Option<String>,
        place: Place,
    ) -> Self {
        Self {
            form: FORM,
            what: what.to_owned(),
            file,
            size_bytes,
            tag,
            place,
        }
    }

    /// Whether it was made with these sources.
    pub(crate) fn fits(&self, what: &str) -> bool {
        self.what == what
    }

    /// Whether a file that looks so is the one that it stands in, unchanged. What is not known is not held
    /// against it.
    pub(crate) fn is_same(&self, size_bytes: Option<u64>, tag: Option<&str>) -> bool {
        let differ = |size: u64| size_bytes.is_some_and(|now| now != size);
        let tag_differs = |then: &str| tag.is_some_and(|now| now != then);
        !self.size_bytes.is_some_and(differ) && !self.tag.as_deref().is_some_and(tag_differs)
    }
}

/// What a cursor is bound to.
pub(crate) fn what(sources: &[String], want: &Want) -> String {
    let bytes = serde_json::to_vec(&(sources, want)).unwrap_or_default();
    blake3::hash(&bytes).to_hex()[..16].to_owned()
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Cursor {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let problem = |problem: String| DataError::NoCursor { problem };
        if text.len() > TEXT_BYTES_MAX {
            return Err(problem(format!(
                "it has {} bytes, at most {TEXT_BYTES_MAX}",
                text.len()
            )));
        }
        let cursor: Self = serde_json::from_str(text).map_err(|error| problem(error.to_string()))?;
        if cursor.form != FORM {
            return Err(problem(format!(
                "its form is {}, this version reads {FORM}",
                cursor.form
            )));
        }
        Ok(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_is_stable() {
        let place = Place::Row { group: 3, row: 17 };
        let cursor = Cursor::new(
            "00ff",
            "s3://b/k.parquet".into(),
            Some(9),
            Some("\"e\"".into()),
            place,
        );
        let text = r#"{"form":1,"what":"00ff","file":"s3://b/k.parquet","size_bytes":9,"tag":"\"e\"","place":{"row":{"group":3,"row":17}}}"#;
        assert_eq!(cursor.to_string(), text);
        assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
        assert!(cursor.is_same(Some(9), Some("\"e\"")) && cursor.is_same(None, None));
        assert!(!cursor.is_same(Some(8), None) && !cursor.is_same(None, Some("\"f\"")));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let newer = r#"{"form":2,"what":"","file":"","size_bytes":null,"tag":null,"place":"end"}"#;
        for text in ["", "{}", "null", &long, newer, "{\"form\":1}"] {
            assert!(
                matches!(text.parse::<Cursor>(), Err(DataError::NoCursor { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn it_is_bound_to_sources_and_filters() {
        let sources = ["a".to_owned(), "b".to_owned()];
        let with = |column: &str| Want {
            column: Some(column.into()),
            ..Want::default()
        };
        let first = what(&sources, &Want::default());
        assert_eq!(first, what(&sources, &Want::default()));
        assert_ne!(first, what(&["ab".to_owned()], &Want::default()));
        assert_ne!(first, what(&sources, &with("text")));
    }
}
