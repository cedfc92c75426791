//! Bytes in hand: received or made, with their hash.
//!
//! Short ones are in memory. A model's weights may be larger than memory, so what is longer than
//! [`MEMORY_BYTES_MAX`] goes to a file without a name ([`soma_files::Scratch`]): nobody else can open it, so
//! what was verified stays so.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use bytes::Bytes;
use soma_files::{FileError, Scratch};
use soma_types::ContentHash;

/// Longest that is kept in memory, in bytes.
pub const MEMORY_BYTES_MAX: usize = 1 << 20;
/// Bytes copied at a time.
const PIECE_BYTES: usize = 1 << 18;

/// What the ledger says bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expected {
    /// BLAKE3 of the bytes.
    pub hash: ContentHash,
    /// Their number.
    pub size_bytes: u64,
}

impl Expected {
    /// What `bytes` themselves are.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            hash: ContentHash::of(bytes),
            size_bytes: bytes.len() as u64,
        }
    }
}

/// Bytes are not those that were expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// They are others.
    #[error("the bytes hash to {found}, not to {expected}")]
    Hash {
        /// The hash expected.
        expected: ContentHash,
        /// The hash they have.
        found: ContentHash,
    },
    /// They have the hash that was expected, so nothing has the size.
    #[error("the bytes named {hash} are {found_bytes}, not {expected_bytes}")]
    Size {
        /// Their hash.
        hash: ContentHash,
        /// The number expected.
        expected_bytes: u64,
        /// Their number.
        found_bytes: u64,
    },
}

/// Bytes with their hash, which nobody can change. Clones share them.
#[derive(Clone)]
pub struct Blob {
    place: Place,
    is: Expected,
}

#[derive(Clone)]
enum Place {
    Memory(Bytes),
    Disk(Arc<File>),
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Memory(_) => "memory",
            Place::Disk(_) => "disk",
        };
        write!(
            f,
            "Blob({}, {} bytes in {place})",
            self.is.hash, self.is.size_bytes
        )
    }
}

impl From<Vec<u8>> for Blob {
    /// They stay in memory, however many.
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            is: Expected::of(&bytes),
            place: Place::Memory(bytes.into()),
        }
    }
}

impl Blob {
    /// What `write` writes, and what it returns.
    ///
    /// # Errors
    /// If `write` does.
    pub fn written<T, E>(write: impl FnOnce(&mut BlobWriter) -> Result<T, E>) -> Result<(Self, T), E> {
        let mut writer = BlobWriter::new(None);
        let done = write(&mut writer)?;
        let blob = writer
            .finish()
            .expect("where nothing is expected, anything is right");
        Ok((blob, done))
    }

    /// All that `source` gives.
    ///
    /// # Errors
    /// If it cannot be read, or not be kept.
    pub fn copy(source: &mut impl Read) -> io::Result<Self> {
        let (blob, _) = Self::written(|writer| copy(source, writer))?;
        Ok(blob)
    }

    /// Their hash and their number.
    #[must_use]
    pub const fn identity(&self) -> Expected {
        self.is
    }

    /// BLAKE3 of the bytes.
    #[must_use]
    pub const fn hash(&self) -> ContentHash {
        self.is.hash
    }

    /// Their number.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.is.size_bytes
    }

    /// All of them, in memory.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn bytes(&self) -> io::Result<Bytes> {
        match &self.place {
            Place::Memory(bytes) => Ok(bytes.clone()),
            Place::Disk(_) => {
                let mut bytes = Vec::with_capacity(self.is.size_bytes as usize);
                self.reader().read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
        }
    }

    /// Reads them from the first on. Readers do not disturb each other.
    #[must_use]
    pub fn reader(&self) -> BlobReader {
        BlobReader {
            place: self.place.clone(),
            at: 0,
        }
    }

    /// The bytes, or else the file that they are in.
    pub(crate) const fn content(&self) -> Result<&Bytes, &Arc<File>> {
        match &self.place {
            Place::Memory(bytes) => Ok(bytes),
            Place::Disk(file) => Err(file),
        }
    }
}

/// Reads a [`Blob`].
pub struct BlobReader {
    place: Place,
    at: u64,
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobReader(at {})", self.at)
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.place {
            // Never past the end, which fits memory.
            Place::Memory(bytes) => (&bytes[self.at as usize..]).read(buffer)?,
            Place::Disk(file) => file.read_at(buffer, self.at)?,
        };
        self.at += count as u64;
        Ok(count)
    }
}

/// A [`Blob`] on its way: counted and hashed as it is written.
pub struct BlobWriter {
    expected: Option<Expected>,
    hasher: blake3::Hasher,
    written_bytes: u64,
    /// None once there are more bytes than expected: they are counted and hashed, not kept.
    room: Option<Room>,
}

enum Room {
    Memory(Vec<u8>),
    Disk(Scratch),
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobWriter({} bytes)", self.written_bytes)
    }
}

impl BlobWriter {
    /// For the bytes `expected`, or for any where none are. Of more bytes than expected, none are kept.
    #[must_use]
    pub fn new(expected: Option<Expected>) -> Self {
        Self {
            expected,
            hasher: blake3::Hasher::new(),
            written_bytes: 0,
            room: Some(Room::Memory(Vec::new())),
        }
    }

    /// Appends `bytes`. Blocks on the disk once there are many.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.hasher.update(bytes);
        self.written_bytes = self.written_bytes.saturating_add(bytes.len() as u64);
        if self
            .expected
            .is_some_and(|expected| self.written_bytes > expected.size_bytes)
        {
            self.room = None;
        }
        match &mut self.room {
            None => Ok(()),
            Some(Room::Disk(scratch)) => scratch.write(bytes),
            Some(Room::Memory(kept)) if kept.len() + bytes.len() <= MEMORY_BYTES_MAX => {
                kept.extend_from_slice(bytes);
                Ok(())
            }
            Some(Room::Memory(kept)) => {
                let mut scratch = Scratch::new()?;
                scratch.write(kept)?;
                scratch.write(bytes)?;
                self.room = Some(Room::Disk(scratch));
                Ok(())
            }
        }
    }

    /// The blob.
    ///
    /// # Errors
    /// If others were expected.
    pub fn finish(self) -> Result<Blob, Mismatch> {
        let found = Expected {
            hash: ContentHash(*self.hasher.finalize().as_bytes()),
            size_bytes: self.written_bytes,
        };
        let expected = self.expected.unwrap_or(found);
        match self.room {
            _ if found.hash != expected.hash => Err(Mismatch::Hash {
                expected: expected.hash,
                found: found.hash,
            }),
            Some(room) if found.size_bytes == expected.size_bytes => Ok(Blob {
                place: match room {
                    Room::Memory(bytes) => Place::Memory(bytes.into()),
                    Room::Disk(scratch) => Place::Disk(Arc::new(scratch.into_file())),
                },
                is: found,
            }),
            _ => Err(Mismatch::Size {
                hash: found.hash,
                expected_bytes: expected.size_bytes,
                found_bytes: found.size_bytes,
            }),
        }
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => Err(io::Error::new(error.source.kind(), error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies to the end of `source`, in pieces large enough to be hashed fast.
pub(crate) fn copy(source: &mut (impl Read + ?Sized), destination: &mut impl Write) -> io::Result<u64> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut copied = 0;
    loop {
        match source.read(&mut piece) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                destination.write_all(&piece[..count])?;
                copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(pieces: &[&[u8]], expected: Option<Expected>) -> Result<Blob, Mismatch> {
        let mut writer = BlobWriter::new(expected);
        for piece in pieces {
            writer.write_all(piece).unwrap();
        }
        writer.finish()
    }

    #[test]
    fn what_is_long_goes_to_disk() {
        for (size, on_disk) in [
            (0, false),
            (MEMORY_BYTES_MAX, false),
            (MEMORY_BYTES_MAX + 1, true),
            (3 * MEMORY_BYTES_MAX, true),
        ] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * at % 251) as u8).collect();
            let blob = write(
                &bytes.chunks(70_001).collect::<Vec<_>>(),
                Some(Expected::of(&bytes)),
            )
            .unwrap();
            assert_eq!(blob.content().is_err(), on_disk, "{size}");
            assert_eq!(
                (blob.hash(), blob.size_bytes()),
                (ContentHash::of(&bytes), size as u64)
            );
            assert!(blob.bytes().unwrap() == bytes);
            // Two readers, in turns.
            let (mut one, mut other) = (blob.reader(), blob.reader());
            let mut half = vec![0; size / 2];
            one.read_exact(&mut half).unwrap();
            assert!(Blob::copy(&mut other).unwrap().bytes().unwrap() == bytes);
            assert!(half == bytes[..size / 2]);
        }
    }

    /// A stranger's announcement can be of a size that its hash does not have: that is told from other bytes,
    /// and costs no room.
    #[test]
    fn an_excess_is_not_kept_and_is_told_from_other_bytes() {
        let bytes = vec![7; 3 * MEMORY_BYTES_MAX];
        for size_bytes in [0, 10, bytes.len() as u64 - 1, bytes.len() as u64 + 1] {
            let expected = Expected {
                size_bytes,
                ..Expected::of(&bytes)
            };
            let mut writer = BlobWriter::new(Some(expected));
            writer.write_all(&bytes).unwrap();
            assert_eq!(writer.room.is_none(), size_bytes < bytes.len() as u64);
            assert!(
                matches!(writer.finish(), Err(Mismatch::Size { .. })),
                "{size_bytes}"
            );
        }
        for expected in [Expected::of(b"other"), Expected::of(b"longer than it")] {
            let found = write(&[b"some bytes"], Some(expected));
            assert!(matches!(found, Err(Mismatch::Hash { .. })));
        }
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..9)) {
            let borrowed: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let blob = write(&borrowed, None).unwrap();
            let whole = pieces.concat();
            prop_assert_eq!(blob.hash(), ContentHash::of(&whole));
            prop_assert_eq!(blob.bytes().unwrap(), whole);
        }
    }
}
