//! A file's form, told by its name, and its bytes, unpacked within a limit.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::{DataError, error::unreadable};

/// How documents lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One document.
    Plain,
    /// One document for each line.
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// What a name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// This is read.
    Read {
        layout: Layout,
        compression: Compression,
    },
    /// This is not.
    Packed {
        kind: &'static str,
        remedy: &'static str,
    },
}

const TAR: (&str, &str) = (
    "a tar archive",
    "unpack it with `tar -xf FILE`, and name the folder",
);
/// Endings of what is not read, what it is, and what to do.
const PACKED: [(&str, (&str, &str)); 13] = [
    (".tar", TAR),
    (".tgz", TAR),
    (".tbz2", TAR),
    (".txz", TAR),
    (
        ".zip",
        (
            "a zip archive",
            "unpack it with `unzip FILE`, and name the folder",
        ),
    ),
    (
        ".7z",
        ("a 7z archive", "unpack it with `7z x FILE`, and name the folder"),
    ),
    (
        ".rar",
        (
            "a rar archive",
            "unpack it with `unrar x FILE`, and name the folder",
        ),
    ),
    (".bz2", ("bzip2", "unpack it with `bunzip2 -k FILE`")),
    (".xz", ("xz", "unpack it with `unxz -k FILE`")),
    (".lz4", ("lz4", "unpack it with `unlz4 -k FILE`")),
    (".parquet", ("Parquet", "write its column of text as JSONL")),
    (".arrow", ("Arrow", "write its column of text as JSONL")),
    (".feather", ("Feather", "write its column of text as JSONL")),
];

/// The form of the file at `path`.
pub fn form(path: &Path) -> Form {
    let name = path.file_name().unwrap_or_default();
    let name = name.to_string_lossy().to_lowercase();
    let (stem, compression) = match name.rsplit_once('.') {
        Some((stem, "gz")) => (stem, Compression::Gzip),
        Some((stem, "zst")) => (stem, Compression::Zstd),
        _ => (name.as_str(), Compression::None),
    };
    if let Some((_, (kind, remedy))) = PACKED.iter().find(|(ending, _)| stem.ends_with(ending)) {
        return Form::Packed { kind, remedy };
    }
    let layout = if stem.ends_with(".jsonl") || stem.ends_with(".ndjson") {
        Layout::Jsonl
    } else {
        Layout::Plain
    };
    Form::Read { layout, compression }
}

/// The file's bytes; none if there are more than `limit_bytes` of them. Reads at most one byte beyond.
///
/// # Errors
/// If the operating system refuses, or the compressed data is not sound.
pub fn bytes(path: &Path, compression: Compression, limit_bytes: u64) -> Result<Option<Vec<u8>>, DataError> {
    let unreadable = |error| unreadable(path, error);
    let damaged = |format| {
        move |error: io::Error| DataError::Damaged {
            path: path.to_owned(),
            format,
            error,
        }
    };
    let file = File::open(path).map_err(unreadable)?;
    match compression {
        Compression::None => bounded(file, limit_bytes).map_err(unreadable),
        Compression::Gzip => {
            bounded(flate2::read::MultiGzDecoder::new(file), limit_bytes).map_err(damaged("gzip"))
        }
        Compression::Zstd => zstd::stream::read::Decoder::new(file)
            .and_then(|decoder| bounded(decoder, limit_bytes))
            .map_err(damaged("zstd")),
    }
}

/// What comes out of `source`; none if it is more than `limit_bytes`.
pub fn bounded(source: impl Read, limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut data = Vec::new();
    source
        .take(limit_bytes.saturating_add(1))
        .read_to_end(&mut data)?;
    Ok((data.len() as u64 <= limit_bytes).then_some(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_form() {
        let read = |layout, compression| Form::Read { layout, compression };
        for (name, expected) in [
            ("a", read(Layout::Plain, Compression::None)),
            ("a.txt", read(Layout::Plain, Compression::None)),
            ("a.json", read(Layout::Plain, Compression::None)),
            ("A.TXT.GZ", read(Layout::Plain, Compression::Gzip)),
            ("a.jsonl", read(Layout::Jsonl, Compression::None)),
            ("a.ndjson.gz", read(Layout::Jsonl, Compression::Gzip)),
            ("a.JSONL.zst", read(Layout::Jsonl, Compression::Zstd)),
            ("gz", read(Layout::Plain, Compression::None)),
        ] {
            assert_eq!(form(Path::new(name)), expected, "{name}");
        }
        for name in [
            "a.parquet",
            "a.tar",
            "a.tar.gz",
            "a.tgz",
            "x.ZIP",
            "a.txt.xz",
            "t.tar.zst",
        ] {
            assert!(matches!(form(Path::new(name)), Form::Packed { .. }), "{name}");
        }
    }

    #[test]
    fn no_more_than_the_limit_is_taken() {
        assert_eq!(bounded(&b"abc"[..], 3).unwrap().unwrap(), b"abc");
        assert_eq!(bounded(&b"abcd"[..], 3).unwrap(), None);
        assert_eq!(bounded(io::repeat(7), 1000).unwrap(), None);
    }
}
