//! A file's form, told by its name, and its bytes, unpacked within a limit.

use std::{
    io::{self, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

use crate::{DataError, Object, error::unreadable};

/// Packed bytes that are held for a decoder.
const PACKED_BYTES: usize = 1 << 16;

/// How documents lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One document.
    Plain,
    /// One document for each line.
    Jsonl,
    /// One document for each row.
    Parquet,
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
const PACKED: [(&str, (&str, &str)); 12] = [
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
    (".arrow", ("Arrow", "write its column of text as JSONL")),
    (".feather", ("Feather", "write its column of text as JSONL")),
];

/// The form of a file of this name.
pub fn form(name: &str) -> Form {
    let name = name.to_lowercase();
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
    } else if stem.ends_with(".parquet") {
        if compression != Compression::None {
            return Form::Packed {
                kind: "packed Parquet",
                remedy: "unpack it with `gunzip` or `unzstd`: Parquet is read at any place",
            };
        }
        Layout::Parquet
    } else {
        Layout::Plain
    };
    Form::Read { layout, compression }
}

/// What the object holds, unpacked, from the unpacked byte `from` on. What has to be unpacked is unpacked
/// from its start.
///
/// # Errors
/// If it cannot be had.
pub fn unpacked(
    object: &dyn Object,
    compression: Compression,
    from: u64,
) -> io::Result<Box<dyn Read + Send>> {
    let packed = |reader| BufReader::with_capacity(PACKED_BYTES, FromSource(reader));
    let mut reader: Box<dyn Read + Send> = match compression {
        Compression::None => return Ok(Box::new(FromSource(object.stream(from)?))),
        Compression::Gzip => Box::new(MultiGzDecoder::new(packed(object.stream(0)?))),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed(
            object.stream(0)?,
        ))?),
    };
    io::copy(&mut reader.by_ref().take(from), &mut io::sink())?;
    Ok(reader)
}

/// What a failure to read `path` means: its source fails, or what it gives cannot be unpacked.
pub fn explained(path: &Path, compression: Compression, error: io::Error) -> DataError {
    let kind = error.kind();
    let format = match compression {
        Compression::None => None,
        Compression::Gzip => Some("gzip"),
        Compression::Zstd => Some("zstd"),
    };
    match (error.downcast::<Below>(), format) {
        (Ok(Below(error)), _) | (Err(error), None) => unreadable(path, error),
        (Err(error), Some(format)) => DataError::Damaged {
            path: path.to_owned(),
            format,
            error: if error.get_ref().is_none() && error.raw_os_error().is_none() {
                kind.into()
            } else {
                error
            },
        },
    }
}

/// A reader whose errors are known from those of what unpacks it.
struct FromSource<R>(R);

impl<R: Read> Read for FromSource<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            kind => io::Error::new(kind, Below(error)),
        })
    }
}

/// An error of a source, below a decoder.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Below(io::Error);

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
            assert_eq!(form(name), expected, "{name}");
        }
        assert_eq!(form("A.Parquet"), read(Layout::Parquet, Compression::None));
        for name in [
            "a.parquet.gz",
            "a.tar",
            "a.tar.gz",
            "a.tgz",
            "x.ZIP",
            "a.txt.xz",
            "t.tar.zst",
        ] {
            assert!(matches!(form(name), Form::Packed { .. }), "{name}");
        }
    }

    #[test]
    fn no_more_than_the_limit_is_taken() {
        assert_eq!(bounded(&b"abc"[..], 3).unwrap().unwrap(), b"abc");
        assert_eq!(bounded(&b"abcd"[..], 3).unwrap(), None);
        assert_eq!(bounded(io::repeat(7), 1000).unwrap(), None);
    }
}
