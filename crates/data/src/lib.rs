//! The one reader of text, for training, embedding, scoring and submitting alike.
//!
//! A source is a file, a folder, a glob, or `-` for standard input; [`read`] makes documents of it, each with
//! where it comes from, and a [`Report`] of what was taken and what was left out. What a document is follows
//! from the name alone:
//!
//! | name | documents |
//! |---|---|
//! | `*.jsonl`, `*.ndjson` | one for each line: a string, or an object's `text` or `content` |
//! | anything else, and standard input | one: the bytes as they are |
//! | `*.gz`, `*.zst` | the same, once unpacked |
//!
//! What is *named* (or matches a glob) must be there and be read, or the run ends. What is *found* in a
//! folder is read if it is text; the rest (hidden, binary, archives, pipes, links) is left out and counted.
//! Nothing is read before the sizes of all files were found to be within the limits, and unpacking stops at
//! them.
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

mod decode;
mod document;
mod domains;
mod error;
mod find;
mod folder;
mod jsonl;
mod pattern;
mod read;
mod report;
mod text;

pub use document::{Dataset, Document, Origin};
pub use domains::{Domain, load_domains};
pub use error::DataError;
pub use find::FILES_MAX;
pub use read::{BYTES_MAX, DOCUMENTS_MAX, Reading, Rules, read};
pub use report::{LeftOut, Note, Report};
