//! The one reader of text, for training, embedding, scoring and submitting alike.
//!
//! A source is a file, a folder, a glob, or `-` for standard input; [`read`] makes documents of it, each with
//! where it comes from, and a [`Report`] of what was taken and what was left out. What a document is follows
//! from the name alone:
//!
//! | name | documents |
//! |---|---|
//! | `*.jsonl`, `*.ndjson` | one for each line: a string, or an object's `text` or `content` |
//! | `*.parquet`, where a [`Store`] reads it | one for each row, by the same names |
//! | anything else, and standard input | one: the bytes as they are |
//! | `*.gz`, `*.zst` | the same, once unpacked |
//!
//! What is *named* (or matches a glob) must be there and be read, or the run ends. What is *found* in a
//! folder is read if it is text; the rest (hidden, binary, archives, pipes, links) is left out and counted.
//! Nothing is read before the sizes of all files were found to be within the limits, and unpacking stops at
//! them.
//!
//! [`Documents`] gives the same one after the other, in bounded memory, and a [`Cursor`] to go on from.
//!
//! ```
//! use soma_data::{DataError, Rules, read};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! let lines = folder.path().join("two.jsonl");
//! std::fs::write(&lines, "\"one text\"\n{\"text\": \"and another\"}\n").unwrap();
//! let reading = read(&[lines], &Rules::default())?;
//! assert_eq!(reading.dataset.documents()[1].data, b"and another");
//! # Ok::<(), DataError>(())
//! ```
#![forbid(unsafe_code)]

mod cursor;
mod decode;
mod decoder;
mod document;
mod documents;
mod domains;
mod error;
mod find;
mod folder;
mod found;
mod jsonl;
mod lines;
mod object;
mod parts;
mod pattern;
mod pieces;
mod plan;
mod read;
mod report;
mod rules;
mod seen;
mod store;
mod text;
mod want;

pub use cursor::{Cursor, Place};
pub use document::{Dataset, Document, Origin};
pub use documents::Documents;
pub use domains::{Domain, load_domains};
pub use error::DataError;
pub use find::FILES_MAX;
pub use found::{Found, Remote, RemoteFile};
pub use jsonl::Record;
pub use object::{Changed, LocalFile, Object};
pub use pieces::{PIECE_BYTES_MAX, PIECE_BYTES_MIN, pieces};
pub use read::{DOCUMENTS_MAX, Reading, no_text, read, read_from};
pub use report::{LeftOut, Note, Report};
pub use rules::{BYTES_MAX, Plain, RECORD_BYTES_MAX, Rules};
pub use seen::SEEN_MAX;
pub use soma_types::provenance::Provenance;
pub use store::{Row, Rows, Store};
pub use want::{Filter, FilterError, ID_FIELDS, LICENCE_FIELDS, Scalar, TEXT_FIELDS, URL_FIELDS, Want};
