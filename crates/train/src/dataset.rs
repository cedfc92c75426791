//! Reads data sets: a file, a folder or a glob of text or JSONL, plain or compressed (.gz, .zst).
//!
//! Everything is held in memory, within [`SOURCE_BYTES_MAX`]. Remote sources and Parquet are refused by name; they will be
//! further arms of [`load`].

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most bytes of text that one source may hold, after decompression.
pub const SOURCE_BYTES_MAX: u64 = 4 << 30;
/// Files looked at in one source.
pub const SOURCE_FILES_MAX: usize = 100_000;
/// A file is binary if it has a NUL byte, or more than one byte sequence in this many bytes is not UTF-8.
/// Prose in an 8-bit encoding stays below that, compressed or random data is far above.
const INVALID_EVERY: usize = 16;

/// One text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Where it comes from: a path, with a line number for JSONL.
    pub name: String,
    /// Its bytes; never empty.
    pub data: Vec<u8>,
}

/// Texts in a fixed order; never without text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    documents: Vec<Document>,
}

/// A folder of a data set that is divided by domain.
#[derive(Clone, Debug)]
pub struct Domain {
    /// The folder's name.
    pub name: String,
    /// Its texts.
    pub dataset: Dataset,
}

/// Why a source gives no data set.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Nothing at that path, or no file that matches the glob.
    #[error("data: `{0}` does not exist")]
    Missing(String),
    /// The operating system refused.
    #[error("data: cannot read `{path}`: {error}")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// The reason.
        error: std::io::Error,
    },
    /// There are files, but no text in them; or no files.
    #[error("data: `{0}` holds no text")]
    Empty(String),
    /// Not text.
    #[error("data: `{0}` is binary; only text (UTF-8) and JSONL, plain or as .gz or .zst, can be read")]
    Binary(String),
    /// A line that is not the JSON expected.
    #[error(
        "data: `{path}` line {line}: {problem}; each line must be a JSON string or an object with a string `text`"
    )]
    Jsonl {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// More than is read into memory.
    #[error("data: `{source_name}` holds more than {limit} {unit}; name fewer files")]
    TooLarge {
        /// The source as given.
        source_name: String,
        /// The limit.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// A kind of source that this version does not read.
    #[error("data: `{path}`: {kind} cannot be read yet; use local text or JSONL")]
    Unsupported {
        /// The source or file.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A malformed glob.
    #[error("data: `{pattern}` is not a valid glob: {problem}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
    /// A folder that should have one folder per domain has none.
    #[error("data: `{0}` has no folders; it needs one folder of text per domain")]
    NoDomains(String),
}

impl Dataset {
    /// A data set of these documents; those without bytes are dropped.
    ///
    /// # Errors
    /// [`DatasetError::Empty`], with `name`, if none has text.
    pub fn new(name: &str, documents: impl IntoIterator<Item = Document>) -> Result<Self, DatasetError> {
        let documents: Vec<_> = documents.into_iter().filter(|d| !d.data.is_empty()).collect();
        if documents.is_empty() {
            Err(DatasetError::Empty(name.to_owned()))
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

    /// This data set, then others.
    #[must_use]
    pub fn joined<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let documents: Vec<_> = sets
            .into_iter()
            .flat_map(|set| set.documents.iter().cloned())
            .collect();
        (!documents.is_empty()).then_some(Self { documents })
    }
}

/// Reads a source: a file, a folder (all files in it, recursively, in the order of their paths; hidden ones are skipped) or
/// a glob.
///
/// # Errors
/// Every way in which a source can be bad has its own error, which names the file.
pub fn load(source: &str) -> Result<Dataset, DatasetError> {
    if let Some((scheme, _)) = source.split_once("://") {
        let kind = match scheme {
            "http" | "https" => "a web address",
            "s3" | "gs" => "a bucket",
            "hf" => "a hub data set",
            _ => "an address of this scheme",
        };
        return Err(DatasetError::Unsupported {
            path: source.to_owned(),
            kind,
        });
    }
    let path = Path::new(source);
    let mut files = Vec::new();
    if path.exists() {
        collect(path, source, &mut files)?;
    } else if source.contains(['*', '?', '[']) {
        let matches = glob::glob(source).map_err(|e| DatasetError::Glob {
            pattern: source.to_owned(),
            problem: e.msg.to_owned(),
        })?;
        for found in matches {
            let found = found.map_err(|e| unreadable(e.path(), std::io::Error::other(e.to_string())))?;
            if found.is_file() {
                files.push(found);
            }
        }
        if files.is_empty() {
            return Err(DatasetError::Missing(source.to_owned()));
        }
    } else {
        return Err(DatasetError::Missing(source.to_owned()));
    }
    let (mut documents, mut size_bytes) = (Vec::new(), 0);
    for file in files {
        for document in read_file(&file, source)? {
            size_bytes += document.data.len() as u64;
            if size_bytes > SOURCE_BYTES_MAX {
                return Err(too_large(source));
            }
            documents.push(document);
        }
    }
    Dataset::new(source, documents)
}

/// Reads a folder that holds one folder per domain, in the order of names; plain files beside them are ignored.
///
/// # Errors
/// As [`load`]; [`DatasetError::NoDomains`] if there is no folder in it.
pub fn load_domains(folder: &Path) -> Result<Vec<Domain>, DatasetError> {
    let shown = folder.display().to_string();
    if !folder.exists() {
        return Err(DatasetError::Missing(shown));
    }
    let mut domains = Vec::new();
    for (name, path) in entries(folder)? {
        if path.is_dir() {
            let dataset = load(&path.display().to_string())?;
            domains.push(Domain { name, dataset });
        }
    }
    if domains.is_empty() {
        Err(DatasetError::NoDomains(shown))
    } else {
        Ok(domains)
    }
}

/// The visible entries of a folder, in the order of their names.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| unreadable(folder, e))? {
        let entry = entry.map_err(|e| unreadable(folder, e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            out.push((name, entry.path()));
        }
    }
    out.sort();
    Ok(out)
}

fn collect(path: &Path, source: &str, files: &mut Vec<PathBuf>) -> Result<(), DatasetError> {
    if path.is_dir() {
        for (_, entry) in entries(path)? {
            // A link to a folder may lead back here.
            if !(entry.is_symlink() && entry.is_dir()) {
                collect(&entry, source, files)?;
            }
        }
    } else {
        files.push(path.to_owned());
    }
    if files.len() > SOURCE_FILES_MAX {
        let (source_name, limit) = (source.to_owned(), SOURCE_FILES_MAX as u64);
        return Err(DatasetError::TooLarge {
            source_name,
            limit,
            unit: "files",
        });
    }
    Ok(())
}

/// The documents of one file.
fn read_file(path: &Path, source: &str) -> Result<Vec<Document>, DatasetError> {
    let shown = path.display().to_string();
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let (stem, compression) = match name.rsplit_once('.') {
        Some((stem, extension @ ("gz" | "zst"))) => (stem, extension),
        _ => (name.as_str(), ""),
    };
    if stem.ends_with(".parquet") {
        return Err(DatasetError::Unsupported {
            path: shown,
            kind: "Parquet",
        });
    }
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    let data = match compression {
        "gz" => read(flate2::read::MultiGzDecoder::new(file), path, source)?,
        "zst" => {
            let decoder = zstd::stream::read::Decoder::new(file).map_err(|e| unreadable(path, e))?;
            read(decoder, path, source)?
        }
        _ => read(file, path, source)?,
    };
    if is_binary(&data) {
        return Err(DatasetError::Binary(shown));
    }
    if stem.ends_with(".jsonl") || stem.ends_with(".ndjson") {
        return jsonl(&shown, &data);
    }
    Ok(vec![Document { name: shown, data }])
}

fn read(reader: impl Read, path: &Path, source: &str) -> Result<Vec<u8>, DatasetError> {
    let mut data = Vec::new();
    let size = reader
        .take(SOURCE_BYTES_MAX + 1)
        .read_to_end(&mut data)
        .map_err(|e| unreadable(path, e))?;
    if size as u64 > SOURCE_BYTES_MAX {
        Err(too_large(source))
    } else {
        Ok(data)
    }
}

fn is_binary(data: &[u8]) -> bool {
    let invalid = data
        .utf8_chunks()
        .filter(|chunk| !chunk.invalid().is_empty())
        .count();
    data.contains(&0) || invalid > data.len() / INVALID_EVERY
}

/// One document per line.
fn jsonl(path: &str, data: &[u8]) -> Result<Vec<Document>, DatasetError> {
    let mut documents = Vec::new();
    for (index, line) in data.split(|b| *b == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let bad = |problem: String| DatasetError::Jsonl {
            path: path.to_owned(),
            line: index + 1,
            problem,
        };
        let value: serde_json::Value = serde_json::from_slice(line).map_err(|e| bad(e.to_string()))?;
        let text = match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Object(mut fields) => {
                match fields.remove("text").or_else(|| fields.remove("content")) {
                    Some(serde_json::Value::String(text)) => text,
                    _ => return Err(bad("no string field `text` or `content`".into())),
                }
            }
            _ => return Err(bad("neither a string nor an object".into())),
        };
        documents.push(Document {
            name: format!("{path}:{}", index + 1),
            data: text.into_bytes(),
        });
    }
    Ok(documents)
}

fn unreadable(path: &Path, error: std::io::Error) -> DatasetError {
    DatasetError::Unreadable {
        path: path.display().to_string(),
        error,
    }
}

fn too_large(source: &str) -> DatasetError {
    DatasetError::TooLarge {
        source_name: source.to_owned(),
        limit: SOURCE_BYTES_MAX,
        unit: "bytes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, data) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, data).unwrap();
        }
        dir
    }

    fn load_in(dir: &tempfile::TempDir, name: &str) -> Result<Dataset, DatasetError> {
        load(&dir.path().join(name).display().to_string())
    }

    fn texts(set: &Dataset) -> Vec<&str> {
        set.documents()
            .iter()
            .map(|d| std::str::from_utf8(&d.data).unwrap())
            .collect()
    }

    #[test]
    fn folders_are_read_in_the_order_of_paths() {
        let dir = folder(&[
            ("b.txt", b"two"),
            ("a/z.txt", b"one"),
            (".hidden", b"no"),
            ("c.txt", b""),
        ]);
        let set = load_in(&dir, "").unwrap();
        assert_eq!(texts(&set), ["one", "two"]);
        assert_eq!(set.size_bytes(), 6);
        assert_eq!(texts(&load_in(&dir, "*.txt").unwrap()), ["two"]);
    }

    #[test]
    fn jsonl_and_compressed_files_are_read() {
        let lines = b"{\"text\":\"one\",\"id\":1}\n\n\"two\"\n{\"content\":\"three\"}\n";
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(lines).unwrap();
        let zst = zstd::encode_all(&lines[..], 1).unwrap();
        let dir = folder(&[
            ("a.jsonl", lines),
            ("b.jsonl.gz", &gz.finish().unwrap()),
            ("c.jsonl.zst", &zst),
        ]);
        for name in ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst"] {
            assert_eq!(
                texts(&load_in(&dir, name).unwrap()),
                ["one", "two", "three"],
                "{name}"
            );
        }
    }

    #[test]
    fn every_bad_source_has_its_own_sentence() {
        let noise: Vec<u8> = (0..500_u32).map(|i| (i * i * 31 % 255 + 1) as u8).collect();
        let dir = folder(&[
            ("empty.txt", b""),
            ("nul.txt", b"abc\0def"),
            ("noise.txt", &noise),
            ("bad.jsonl", b"{\"text\":\"fine\"}\n{\"text\":3}\n"),
            ("broken.txt.gz", b"not gzip"),
            ("t.parquet", b"PAR1"),
            ("blank/only.txt", b""),
        ]);
        let says = |name: &str, what: &str| {
            let error = load_in(&dir, name).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains(name), "{error}");
        };
        says("nowhere", "does not exist");
        says("*.md", "does not exist");
        says("empty.txt", "holds no text");
        says("blank", "holds no text");
        says("nul.txt", "is binary");
        says("noise.txt", "is binary");
        says("bad.jsonl", "line 2");
        says("broken.txt.gz", "cannot read");
        says("t.parquet", "Parquet");
        assert!(
            load("hf://datasets/x/y")
                .unwrap_err()
                .to_string()
                .contains("cannot be read yet")
        );
        assert!(matches!(
            load_domains(&dir.path().join("blank")),
            Err(DatasetError::NoDomains(_))
        ));
    }

    #[test]
    fn text_in_an_old_encoding_is_no_binary() {
        let dir = folder(&[(
            "latin.txt",
            b"Stra\xdfe und Gr\xfc\xdfe, sagte er, und ging weiter seines Weges nach Hause.",
        )]);
        assert!(load_in(&dir, "latin.txt").is_ok());
    }

    #[test]
    fn the_samples_of_this_repository_have_four_domains() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
        let domains = load_domains(&data).unwrap();
        let names: Vec<_> = domains.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["english", "rust", "spanish", "tables"]);
        for domain in domains {
            let size = domain.dataset.size_bytes();
            assert!(
                (300_000..=600_000).contains(&size),
                "{} has {size} bytes",
                domain.name
            );
            assert!(
                domain
                    .dataset
                    .documents()
                    .iter()
                    .all(|d| std::str::from_utf8(&d.data).is_ok())
            );
        }
    }
}
