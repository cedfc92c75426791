//! Bytes that are checked on their way to whoever reads them.
//!
//! A file can change between a check and a reading. So there is one reading: what passes is hashed, and what
//! was made of it counts only if the hash is right in the end.

use std::io::{self, Read};

use soma_types::ContentHash;

use crate::blob;

/// A reader that hashes what passes through.
#[derive(Debug)]
pub struct Hashing<R> {
    source: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

impl<R: Read> Hashing<R> {
    /// A reader of `source`, of which nothing has passed.
    pub fn new(source: R) -> Self {
        Self {
            source,
            hasher: blake3::Hasher::new(),
        }
    }

    /// The hash of all that the source gives, to its end.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn finish(mut self) -> io::Result<ContentHash> {
        blob::copy(&mut self, &mut io::sink())?;
        Ok(ContentHash(*self.hasher.finalize().as_bytes()))
    }
}

/// What `read` makes of the bytes that `source` gives, if they are those named `expected`; none otherwise,
/// whatever it made of them. `read` must bear any bytes.
///
/// # Errors
/// If the source cannot be read to its end.
pub fn verified<R: Read, T>(
    source: R,
    expected: &ContentHash,
    read: impl FnOnce(&mut Hashing<R>) -> T,
) -> io::Result<Option<T>> {
    let mut source = Hashing::new(source);
    let made = read(&mut source);
    Ok((source.finish()? == *expected).then_some(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where the reader stops early, or reads nothing at all.
    #[test]
    fn only_what_was_made_of_the_right_bytes_counts() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
        let name = ContentHash::of(&bytes);
        for length in [0, 1, 999_999, 1_000_000] {
            let first = |source: &mut Hashing<&[u8]>| {
                let mut first = vec![0; length];
                source.read_exact(&mut first).map(|()| first)
            };
            let found = verified(&bytes[..], &name, first).unwrap();
            assert!(found.unwrap().unwrap() == bytes[..length]);
            let mut changed = bytes.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(verified(&changed[..], &name, first).unwrap().is_none());
            let short = &bytes[..bytes.len() - 1];
            assert!(verified(short, &name, first).unwrap().is_none());
        }
    }
}
