//! What was read, and what was not.

use std::{collections::BTreeMap, fmt, path::Path};

use bytesize::ByteSize;
use serde::Serialize;

use crate::error::shown;

/// Names given for each reason; the rest is counted.
const NAMES_MAX: usize = 3;

/// Why something that was found is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Its name begins with a dot.
    Hidden,
    /// Binary data.
    NotText,
    /// Text in two bytes for each character.
    Utf16,
    /// An archive, or a format that packs text.
    Packed,
    /// Nothing in it.
    Empty,
    /// A pipe, a device or a socket.
    NoFile,
    /// A link: it may lead out of the folder, or back into it.
    Link,
    /// A folder where files are meant.
    Folder,
    /// What this run writes itself.
    Output,
    /// It went away after the folder was listed.
    Gone,
    /// A line of JSONL whose text is null or empty.
    NoTextInLine,
    /// A record that `--where` leaves out.
    Filtered,
    /// A text that came before, byte for byte.
    Duplicate,
    /// Longer than a document may be, in a data set of others.
    TooLong,
    /// Not what its data set says it is, or no text that could be decoded.
    Unfit,
}

impl LeftOut {
    const fn words(self) -> &'static str {
        match self {
            Self::Hidden => "hidden",
            Self::NotText => "no text",
            Self::Utf16 => "UTF-16, which `iconv -f UTF-16 -t UTF-8 FILE > NEW` converts",
            Self::Packed => "packed, which is read once unpacked",
            Self::Empty => "empty",
            Self::NoFile => "pipes, devices or sockets",
            Self::Link => "links, which are read when named",
            Self::Folder => "folders, which are read when named, or by `**`",
            Self::Output => "written by this run",
            Self::Gone => "gone since the folder was listed",
            Self::NoTextInLine => "records without text",
            Self::Filtered => "not selected by --where",
            Self::Duplicate => "the same as a text before",
            Self::TooLong => "longer than a document may be",
            Self::Unfit => "contents that are gone, or in no encoding that is read",
        }
    }
}

/// What is read, but perhaps not what was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Named, and binary.
    NotText,
    /// Named, and text in two bytes for each character.
    Utf16,
    /// Text in an older encoding.
    NotUtf8,
}

impl Note {
    const fn words(self) -> &'static str {
        match self {
            Self::NotText => "no text, and taken byte for byte as named",
            Self::Utf16 => {
                "UTF-16, and taken byte for byte as named; for its text: `iconv -f UTF-16 -t UTF-8 FILE > NEW`"
            }
            Self::NotUtf8 => {
                "not UTF-8, and taken byte for byte; to convert: `iconv -f ENCODING -t UTF-8 FILE > NEW`, \
                 ENCODING such as LATIN1 or CP1251"
            }
        }
    }
}

/// How many there are, and the first of them, fit to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Named {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<String>,
}

impl Named {
    fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMES_MAX {
            self.first.push(name());
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dots = if self.count > self.first.len() as u64 {
            ", .."
        } else {
            ""
        };
        write!(f, "{}{dots}", self.first.join(", "))
    }
}

/// What a source gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files read, standard input among them.
    pub files: u64,
    /// Documents in them.
    pub documents: u64,
    /// Their bytes, unpacked.
    pub size_bytes: u64,
    /// What was found and is not read, by reason.
    pub left_out: BTreeMap<LeftOut, Named>,
    /// What is read but may not be what was meant.
    pub notes: BTreeMap<Note, Named>,
}

impl Report {
    pub(crate) fn leave_out(&mut self, reason: LeftOut, path: &Path) {
        self.left_out.entry(reason).or_default().add(|| shown(path));
    }

    pub(crate) fn leave_out_record(&mut self, reason: LeftOut, path: &Path, number: usize) {
        let named = self.left_out.entry(reason).or_default();
        named.add(|| format!("{}:{number}", shown(path)));
    }

    pub(crate) fn note(&mut self, note: Note, path: &Path) {
        self.notes.entry(note).or_default().add(|| shown(path));
    }

    /// What was left out, in words; empty if nothing was.
    #[must_use]
    pub fn left_out_words(&self) -> String {
        let words =
            |(reason, named): (&LeftOut, &Named)| format!("{} ({}: {named})", reason.words(), named.count);
        let all: Vec<_> = self.left_out.iter().map(words).collect();
        if all.is_empty() {
            String::new()
        } else {
            format!("left out: {}", all.join("; "))
        }
    }
}

/// One line of what was read and left out, and a line for each note.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        write!(
            f,
            "read {} document{}, {}, from {} file{}",
            self.documents,
            plural(self.documents),
            ByteSize(self.size_bytes),
            self.files,
            plural(self.files)
        )?;
        let left_out = self.left_out_words();
        if !left_out.is_empty() {
            write!(f, "; {left_out}")?;
        }
        for (note, named) in &self.notes {
            let verb = if named.count == 1 { "is" } else { "are" };
            write!(f, "\nnote: {named} {verb} {}", note.words())?;
        }
        Ok(())
    }
}
