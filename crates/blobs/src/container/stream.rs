//! Containers that are too large for memory: encrypted and decrypted as they flow.

use std::{
    fmt,
    io::{self, Read, Write},
};

use aes::cipher::StreamCipher;
use zeroize::Zeroize;

use super::{
    error::ContainerError,
    key::DecryptionKey,
    layout::{HEADER_LENGTH_BYTES, MAGIC},
    preamble::{Cipher, Preamble},
};

/// Bytes the streaming forms hold in memory.
const CHUNK_LENGTH_BYTES: usize = 1 << 16;

/// Decrypts a container as it is read: what comes out is the plaintext.
pub struct Decrypting<R> {
    source: R,
    cipher: Cipher,
    plaintext_bytes: u64,
    left_bytes: u64,
}

impl<R> fmt::Debug for Decrypting<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Decrypting({} of {} bytes left)",
            self.left_bytes, self.plaintext_bytes
        )
    }
}

impl<R: Read> Decrypting<R> {
    /// Reads the header of the container of `container_bytes` that `source` gives.
    ///
    /// # Errors
    /// When the key is another, the bytes are not exactly one container, or the source cannot be read.
    pub fn new(mut source: R, container_bytes: u64, key: &DecryptionKey) -> Result<Self, ContainerError> {
        let (header, body_bytes) = header(&mut source, container_bytes)?;
        let preamble = Preamble::open(&header, key)?;
        preamble.check_length(body_bytes)?;
        Ok(Self {
            source,
            cipher: preamble.cipher(key),
            plaintext_bytes: body_bytes,
            left_bytes: body_bytes,
        })
    }

    /// Length of the whole plaintext in bytes.
    pub const fn plaintext_bytes(&self) -> u64 {
        self.plaintext_bytes
    }
}

impl<R: Read> Read for Decrypting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left_bytes).unwrap_or(usize::MAX));
        let count = self.source.read(&mut buffer[..wanted])?;
        self.cipher.apply_keystream(&mut buffer[..count]);
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

/// Whether `container` is one, as far as can be told without its key.
///
/// # Errors
/// When it is none, or not exactly one.
pub fn check(container: &[u8]) -> Result<(), ContainerError> {
    let (header, body_bytes) = header(&mut &container[..], container.len() as u64)?;
    Preamble::read(&header)?.check_length(body_bytes)
}

/// The header of a container of so many bytes, and how many come after it.
fn header(
    source: &mut impl Read,
    container_bytes: u64,
) -> Result<([u8; HEADER_LENGTH_BYTES], u64), ContainerError> {
    let mut header = [0; HEADER_LENGTH_BYTES];
    let Some(body_bytes) = container_bytes.checked_sub(HEADER_LENGTH_BYTES as u64) else {
        let there = &mut header[..container_bytes as usize];
        source.read_exact(there)?;
        // A short file that is no container at all is better called that.
        return Err(match there.first_chunk::<6>() {
            Some(magic) if *magic != MAGIC => ContainerError::BadMagic { found: *magic },
            _ => ContainerError::TruncatedHeader {
                found: container_bytes,
            },
        });
    };
    source.read_exact(&mut header)?;
    Ok((header, body_bytes))
}

/// [`encrypt`](super::encrypt) for weights too large for memory: reads exactly `length_bytes` from `source`.
///
/// What was written is worthless if an error is returned.
///
/// # Errors
/// When `source` does not hold exactly `length_bytes`, or reading or writing fails.
pub fn encrypt_stream(
    source: &mut impl Read,
    length_bytes: u64,
    destination: &mut impl Write,
) -> Result<DecryptionKey, ContainerError> {
    let key = DecryptionKey::generate()?;
    let preamble = Preamble::fresh(length_bytes)?;
    destination.write_all(&preamble.header(&key))?;
    let copied = copy_through(source, length_bytes, destination, &mut preamble.cipher(&key))?;
    if copied != length_bytes {
        return Err(ContainerError::SourceLength {
            expected: length_bytes,
            found: copied,
        });
    }
    if !at_end(source)? {
        return Err(ContainerError::SourceLength {
            expected: length_bytes,
            found: length_bytes + 1,
        });
    }
    Ok(key)
}

/// Copies up to `length_bytes` through the cipher; how many there were.
fn copy_through(
    source: &mut impl Read,
    length_bytes: u64,
    destination: &mut impl Write,
    cipher: &mut Cipher,
) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK_LENGTH_BYTES];
    let mut copied = 0u64;
    while copied < length_bytes {
        let wanted = (length_bytes - copied).min(CHUNK_LENGTH_BYTES as u64) as usize;
        let count = match source.read(&mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        cipher.apply_keystream(&mut buffer[..count]);
        destination.write_all(&buffer[..count])?;
        copied += count as u64;
    }
    buffer.zeroize();
    Ok(copied)
}

fn at_end(source: &mut impl Read) -> io::Result<bool> {
    let mut byte = [0];
    loop {
        match source.read(&mut byte) {
            Ok(count) => return Ok(count == 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
