//! How documents that won are kept in a file.

use std::{
    collections::HashSet,
    fmt::Debug,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write},
    path::Path,
};

use soma_client::WonDocument;

/// Longest line that is read: the longest document that parameters allow, escaped, is far shorter.
const LINE_BYTES_MAX: u64 = 1 << 30;

/// What a file holds: a document, or none where it is damaged. It ends after the first error.
pub type Records = Box<dyn Iterator<Item = io::Result<Option<WonDocument>>>>;

/// A way to keep documents in a file.
pub trait Format: Debug + Send + Sync + 'static {
    /// How names of its files end, without the dot.
    fn ending(&self) -> &'static str;

    /// What the file at `path` holds.
    ///
    /// # Errors
    /// If there is no such file ([`io::ErrorKind::NotFound`]), or the disk refuses.
    fn read(&self, path: &Path) -> io::Result<Records>;

    /// Writes a whole file.
    ///
    /// # Errors
    /// If `file` refuses, or a document is an error.
    fn write(
        &self,
        file: &mut dyn Write,
        documents: &mut dyn Iterator<Item = io::Result<WonDocument>>,
    ) -> io::Result<()>;
}

/// A JSON object a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLines;

impl Format for JsonLines {
    fn ending(&self) -> &'static str {
        "jsonl"
    }

    fn read(&self, path: &Path) -> io::Result<Records> {
        let mut reader = BufReader::new(File::open(path)?);
        Ok(Box::new(std::iter::from_fn(move || {
            let mut line = Vec::new();
            match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Ok(0) => None,
                Ok(_) => {
                    let text = std::str::from_utf8(&line).unwrap_or_default();
                    Some(Ok(WonDocument::of_line(text.trim_end_matches(['\n', '\r'])).ok()))
                }
                Err(error) => Some(Err(error)),
            }
        })))
    }

    fn write(
        &self,
        file: &mut dyn Write,
        documents: &mut dyn Iterator<Item = io::Result<WonDocument>>,
    ) -> io::Result<()> {
        for document in documents {
            writeln!(file, "{}", document?.to_line())?;
        }
        Ok(())
    }
}

/// The documents of a file, of each submission the first; damaged ones and repetitions are none. A file that
/// is not there holds nothing.
pub(super) fn records(format: &dyn Format, path: &Path) -> io::Result<Records> {
    let records: Records = match format.read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Box::new(std::iter::empty()),
        records => records?,
    };
    let mut seen = HashSet::new();
    let mut is_new = move |document: &WonDocument| seen.insert(document.facts.submission);
    let first = move |record: io::Result<Option<WonDocument>>| -> io::Result<Option<WonDocument>> {
        Ok(record?.filter(|document| is_new(document)))
    };
    Ok(Box::new(records.map(first)))
}
