//! What a Parquet file says of itself, and what of that is believed.
//!
//! A footer or a page's header is a claim. Sizes are held against the file and against limits before anything
//! is made room for; rows are counted as they come.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use parquet::{
    errors::{ParquetError, Result},
    file::{
        metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader},
        reader::{ChunkReader, Length},
    },
};
use soma_data::Object;

/// The longest footer. FineWeb's have some hundred KiB.
const FOOTER_BYTES_MAX: u64 = 64 << 20;
/// The longest page, packed or not. Writers aim at 1 MiB.
const PAGE_BYTES_MAX: i64 = 256 << 20;
/// The most values of a page.
const PAGE_VALUES_MAX: i64 = 1 << 24;
/// The most values of a dictionary, each of which takes memory.
const DICTIONARY_VALUES_MAX: i64 = 1 << 22;
/// Bytes that are read of a header at a time.
const HEADER_BYTES: usize = 4096;
/// At the end of the file: the footer's length, and `PAR1`.
const TAIL_BYTES: u64 = 8;

/// An object as Parquet reads it.
pub struct Chunks {
    source: Arc<Source>,
    size_bytes: u64,
}

/// An object, and how it failed: the decoder passes on no more than words.
struct Source {
    object: Box<dyn Object>,
    failed: Mutex<Option<io::Error>>,
}

impl Source {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.object.read_at(offset, buffer).map_err(|error| {
            let kind = error.kind();
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            kind.into()
        })
    }
}

impl Chunks {
    /// How the object failed, if it did.
    pub fn failed(&self) -> Option<io::Error> {
        self.source
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// An object of which nothing is known yet.
    ///
    /// # Errors
    /// If its size cannot be had.
    pub fn new(object: Box<dyn Object>) -> io::Result<Self> {
        let size_bytes = match object.size_bytes() {
            Some(size_bytes) => size_bytes,
            // A server that does not tell may send all of it.
            None => io::copy(&mut object.stream(0)?, &mut io::sink())?,
        };
        Ok(Self {
            source: Arc::new(Source {
                object,
                failed: Mutex::default(),
            }),
            size_bytes,
        })
    }
}

/// Reads the footer.
///
/// # Errors
/// If there is none, or it does not fit the file.
pub fn footer(chunks: &Chunks) -> Result<ParquetMetaData> {
    let size_bytes = chunks.size_bytes;
    let general = |text: String| ParquetError::General(text);
    if size_bytes < TAIL_BYTES + 4 {
        return Err(general(format!("{size_bytes} bytes are less than any has")));
    }
    let tail = chunks.get_bytes(size_bytes - TAIL_BYTES, TAIL_BYTES as usize)?;
    let (length, magic) = tail.split_at(4);
    match magic {
        b"PAR1" => {}
        b"PARE" => return Err(general("it is encrypted, which is not read".into())),
        _ => return Err(general("it does not end as Parquet does".into())),
    }
    let length = u64::from(u32::from_le_bytes([length[0], length[1], length[2], length[3]]));
    if length > FOOTER_BYTES_MAX || length + TAIL_BYTES > size_bytes {
        return Err(general(format!(
            "its footer is said to have {length} bytes, of {size_bytes} in all and at most {FOOTER_BYTES_MAX}"
        )));
    }
    let footer = chunks.get_bytes(size_bytes - TAIL_BYTES - length, length as usize)?;
    ParquetMetaDataReader::decode_metadata(&footer)
}

/// Whether a column's bytes lie within the file.
///
/// # Errors
/// If they do not.
pub fn check(column: &ColumnChunkMetaData, size_bytes: u64) -> Result<()> {
    let start = column
        .dictionary_page_offset()
        .unwrap_or(column.data_page_offset());
    let start = start.min(column.data_page_offset());
    let ends = u64::try_from(start)
        .ok()
        .zip(u64::try_from(column.compressed_size()).ok())
        .and_then(|(start, length)| start.checked_add(length));
    match ends {
        Some(end) if end <= size_bytes && column.file_path().is_none() => Ok(()),
        _ => Err(ParquetError::General(format!(
            "column `{}` is said to lie outside of the file",
            column.column_path()
        ))),
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size_bytes
    }
}

impl ChunkReader for Chunks {
    type T = HeaderRead;

    /// A page's header, which is read and checked only if it is asked for.
    fn get_read(&self, start: u64) -> Result<HeaderRead> {
        Ok(HeaderRead {
            source: Arc::clone(&self.source),
            start,
            end: self.size_bytes,
            bytes: Vec::new(),
            at: 0,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.size_bytes) {
            return Err(ParquetError::EOF(format!(
                "{length} bytes from {start} on are more than the {} that there are",
                self.size_bytes
            )));
        }
        let mut bytes = vec![0; length];
        self.source.read_at(start, &mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads a page's header, some thousand bytes at a time: statistics may make it long.
pub struct HeaderRead {
    source: Arc<Source>,
    /// Where the bytes that are not yet read start.
    start: u64,
    end: u64,
    bytes: Vec<u8>,
    at: usize,
}

impl Read for HeaderRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bytes.len() {
            let is_first = self.bytes.is_empty();
            let rest = self.end.saturating_sub(self.start);
            self.bytes.resize(rest.min(HEADER_BYTES as u64) as usize, 0);
            self.at = 0;
            self.source.read_at(self.start, &mut self.bytes)?;
            self.start += self.bytes.len() as u64;
            if is_first {
                check_page(&self.bytes).map_err(io::Error::other)?;
            }
        }
        let count = buffer.len().min(self.bytes.len() - self.at);
        buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Whether a page's header, of which these are the first bytes, claims no more than is made room for.
///
/// # Errors
/// With what it claims. What cannot be understood is left to its decoder.
fn check_page(bytes: &[u8]) -> std::result::Result<(), String> {
    let mut thrift = Thrift { bytes, field: 0 };
    let limit = |what: &str, found: i64, limit: i64| {
        if (0..=limit).contains(&found) {
            return Ok(());
        }
        Err(format!(
            "a page is said to have {found} {what}, at most {limit} are read"
        ))
    };
    let mut is_dictionary = false;
    while let Some((field, kind)) = thrift.next_field() {
        match (field, kind) {
            (1..=4, I32) => {
                let Some(value) = thrift.int() else { break };
                match field {
                    1 => is_dictionary = value == DICTIONARY_PAGE,
                    2 => limit("bytes unpacked", value, PAGE_BYTES_MAX)?,
                    3 => limit("bytes", value, PAGE_BYTES_MAX)?,
                    _ => {}
                }
            }
            // The headers of pages of data, of a dictionary, and of pages of data in their second version:
            // each begins with how many values there are.
            (5 | 7 | 8, STRUCT) => {
                thrift.field = 0;
                if let Some((1, I32)) = thrift.next_field()
                    && let Some(values) = thrift.int()
                {
                    let most = if is_dictionary {
                        DICTIONARY_VALUES_MAX
                    } else {
                        PAGE_VALUES_MAX
                    };
                    limit("values", values, most)?;
                    return Ok(());
                }
                break;
            }
            _ => break,
        }
    }
    Err("a page's header is not understood".into())
}

/// Thrift's compact protocol, as much of it as a page's sizes need.
struct Thrift<'a> {
    bytes: &'a [u8],
    field: i64,
}

const I32: u8 = 5;
const STRUCT: u8 = 12;
const DICTIONARY_PAGE: i64 = 2;

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// The next field's number and type.
    fn next_field(&mut self) -> Option<(i64, u8)> {
        let byte = self.byte()?;
        self.field = match i64::from(byte >> 4) {
            0 => self.int()?,
            step => self.field + step,
        };
        Some((self.field, byte & 0xf))
    }

    /// A whole number of at most 32 bits, zigzag.
    fn int(&mut self) -> Option<i64> {
        let mut value = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of a page of this type with these sizes, as Thrift writes it.
    fn header(kind: u64, unpacked: u64, packed: u64, values: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut int = |lead: u8, value: u64| {
            bytes.push(lead);
            let mut rest = value << 1;
            while rest > 0x7f {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        };
        int(0x15, kind);
        int(0x15, unpacked);
        int(0x15, packed);
        let step = if kind == 2 { 0x4c } else { 0x2c };
        bytes.push(step);
        bytes.extend([0x15]);
        let mut rest = values << 1;
        while rest > 0x7f {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    #[test]
    fn claims_of_pages_are_held_against_limits() {
        assert_eq!(check_page(&header(0, 1 << 20, 1 << 18, 20_000)), Ok(()));
        assert_eq!(check_page(&header(2, 1 << 20, 1 << 18, 1 << 22)), Ok(()));
        for (page, says) in [
            (header(0, (1 << 31) - 1, 10, 1), "bytes unpacked"),
            (header(0, 10, (1 << 31) - 1, 1), "2147483647 bytes,"),
            (header(0, 10, 10, (1 << 31) - 1), "values"),
            (header(2, 10, 10, (1 << 22) + 1), "at most 4194304"),
            (vec![], "not understood"),
            (vec![0xff; 64], "not understood"),
        ] {
            let problem = check_page(&page).unwrap_err();
            assert!(problem.contains(says), "{problem}");
        }
    }
}
