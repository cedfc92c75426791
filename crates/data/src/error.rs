//! Why a source gives no data. Commands in these texts name `FILE` and not the file: its name may be a
//! stranger's, and what is meant to be copied into a shell must not be theirs.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use soma_types::text::printable;

use crate::object::Changed;

/// Why a source gives no data set.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing at that path, or no file that matches the glob.
    #[error("data: `{}` does not exist", shown(.0))]
    Missing(PathBuf),
    /// A link that leads nowhere.
    #[error("data: `{}` is a link to something that does not exist", shown(.0))]
    DanglingLink(PathBuf),
    /// No file matches the glob, or only what a glob leaves out.
    #[error("data: no file matches `{}`", shown(.0))]
    NoMatch(PathBuf),
    /// The operating system refused.
    #[error("data: cannot read `{}`: {error}", shown(.path))]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A named file without bytes.
    #[error("data: `{}` is empty", shown(.0))]
    Empty(PathBuf),
    /// There are files, but no text in them; or no files. With what was left out, where something was.
    #[error("data: `{}` holds no text", printable(.0))]
    NoText(String),
    /// Nothing of what was found is read.
    #[error("data: `{}` holds no text; {left_out}", shown(.source_path))]
    AllLeftOut {
        /// The source.
        source_path: PathBuf,
        /// What there is instead.
        left_out: String,
    },
    /// A line that is not the JSON expected.
    #[error("data: `{}` line {line}: {problem}", shown(.path))]
    Jsonl {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// JSONL in an encoding that JSON does not have.
    #[error(
        "data: `{}` is UTF-16, JSONL is UTF-8: convert it with `iconv -f UTF-16 -t UTF-8 FILE > NEW.jsonl`",
        shown(.0)
    )]
    Utf16(PathBuf),
    /// A compressed file that cannot be unpacked.
    #[error("data: `{}` is damaged, cut short or no {format} file: {error}; check it with `{format} -t FILE`", shown(.path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its format, and the program for it.
        format: &'static str,
        /// The reason.
        error: io::Error,
    },
    /// More bytes than are read into memory.
    #[error(
        "data: {} holds {}more than the {} that are read at once: {}",
        sources(.path),
        at_least(*.found_bytes),
        ByteSize(*.limit_bytes),
        too_large(.path.as_deref())
    )]
    TooLarge {
        /// The file that is too large by itself; none if only all together are.
        path: Option<PathBuf>,
        /// How much there is, where that is known without reading it.
        found_bytes: Option<u64>,
        /// The limit.
        limit_bytes: u64,
    },
    /// One document is longer than what can be done with it.
    #[error(
        "data: `{document}` has {}, the limit of one document is {limit_bytes}: split it into documents",
        match .found_bytes { Some(bytes) => format!("{bytes} bytes"), None => "too many bytes".into() }
    )]
    TooLong {
        /// The document, fit to be shown.
        document: String,
        /// How much there is, where that is known without unpacking it.
        found_bytes: Option<u64>,
        /// The limit.
        limit_bytes: u64,
    },
    /// More files or documents than are kept.
    #[error("data: more than {limit} {what}: {remedy}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// What to do.
        remedy: &'static str,
    },
    /// A file of records without the field that was asked for.
    #[error("data: `{}` has no column `{}`, but `{columns}`: {remedy}", shown(.path), printable(.column))]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Those that it has, fit to be shown.
        columns: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A Parquet file that does not hold what it says.
    #[error("data: `{}` is damaged, or no sound Parquet file: {}; fetch it again, or leave it out", shown(.path), printable(.problem))]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A text that is no cursor.
    #[error("data: this is no place to go on from: {}; begin anew without it", printable(.problem))]
    NoCursor {
        /// What is wrong.
        problem: String,
    },
    /// A cursor of another reading.
    #[error(
        "data: the place to go on from is of other sources, --column or --where: give those it was made with, or begin \
         anew without it"
    )]
    OtherCursor,
    /// The file that a cursor stands in is no longer there.
    #[error("data: `{}`, where the reading stands, is no longer among the sources: begin anew", printable(.0))]
    CursorGone(String),
    /// A file is not what it was.
    #[error("data: `{}` has changed since it was read up to here: begin anew, or name the version that was read", shown(.0))]
    Changed(PathBuf),
    /// A kind of source that is not read.
    #[error("data: `{}` is {kind}, which is not read: {remedy}", shown(.path))]
    Unsupported {
        /// The source or file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A malformed glob.
    #[error("data: `{}` is not a valid glob: {problem}", shown(.pattern))]
    Glob {
        /// The pattern.
        pattern: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// `-` more than once.
    #[error("data: standard input (`-`) can be read once only")]
    StandardInputTwice,
    /// A folder that should have one folder per domain has none.
    #[error("data: `{}` has no folders; it needs one folder of text per domain", shown(.0))]
    NoDomains(PathBuf),
}

/// A path, fit for one line.
pub fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn sources(path: &Option<PathBuf>) -> String {
    path.as_deref()
        .map_or_else(|| "the data".into(), |path| format!("`{}`", shown(path)))
}

fn too_large(path: Option<&Path>) -> &'static str {
    match path {
        Some(path) if path.to_string_lossy().contains("://") => "take a part of it with `--take 1GiB`",
        Some(_) => "split it, or take a part with `--take 1GiB`",
        None => "name fewer files, or take a part with `--take 1GiB`",
    }
}

fn at_least(found_bytes: Option<u64>) -> String {
    found_bytes.map_or_else(String::new, |bytes| format!("{bytes} bytes, "))
}

/// Why a file or folder cannot be read, with its name.
pub(crate) fn unreadable(path: &Path, error: io::Error) -> DataError {
    if matches!(error.get_ref(), Some(inner) if inner.is::<Changed>()) {
        return DataError::Changed(path.to_owned());
    }
    DataError::Unreadable {
        path: path.to_owned(),
        error,
    }
}

/// Whether nothing is called that.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
