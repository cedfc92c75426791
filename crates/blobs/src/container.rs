//! The encrypted container: what a model's owner commits to before revealing the weights.
//!
//! Upon commit the chain learns the size and BLAKE3 of the container; upon reveal, the key. The two must
//! name one plaintext, so that nobody can commit first and choose the weights later. AES-CTR alone does not
//! give that: any key decrypts any bytes to something. So the header carries a *key tag*, a domain-separated
//! BLAKE3 of key, nonce and length. A second key that opens the same file would be a BLAKE3 collision.
//!
//! # Layout (all integers little-endian)
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 6 | magic, `SOMABX` |
//! | 6 | 2 | version, 1 |
//! | 8 | 8 | length of the plaintext in bytes |
//! | 16 | 16 | nonce: the initial counter block, big-endian counter, fresh for every container |
//! | 32 | 32 | key tag: BLAKE3-derive-key([`KEY_TAG_CONTEXT`], key, bytes 0..32 of this header) |
//! | 64 | length | plaintext XOR AES-256-CTR(key, nonce) |
//!
//! # Bounds
//!
//! The plaintext is as long as the body; no length in the header is believed before the body's own length
//! agrees with it, and nothing is allocated from it. Confidentiality ends with the reveal; integrity is the
//! content hash's matter, so there is no per-chunk authentication.

use std::{
    cmp::Ordering,
    fmt,
    io::{self, Read, Write},
};

use aes::{
    Aes256,
    cipher::{KeyIvInit, StreamCipher},
};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// First bytes of every container.
pub const MAGIC: [u8; 6] = *b"SOMABX";
/// The one layout this release reads and writes.
pub const VERSION: u16 = 1;
/// Length of the header, and so how much longer a container is than its plaintext, in bytes.
pub const HEADER_LENGTH_BYTES: usize = 64;
/// Domain of the key tag. Changing it changes every container: it is pinned by a fixture.
pub const KEY_TAG_CONTEXT: &str = "soma 2026 blobs: container v1: key tag";

const KEY_LENGTH_BYTES: usize = 32;
const NONCE_LENGTH_BYTES: usize = 16;
/// Bytes the streaming forms hold in memory.
const CHUNK_LENGTH_BYTES: usize = 1 << 16;

// The tag covers everything before itself, and the table above must add up.
const _: () = assert!(MAGIC.len() + 2 + 8 + NONCE_LENGTH_BYTES == 32);
const _: () = assert!(32 + blake3::OUT_LEN == HEADER_LENGTH_BYTES);

type Cipher = ctr::Ctr128BE<Aes256>;

/// Why a container could not be written or opened.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The bytes end before the header does.
    #[error(
        "container of {found} bytes is shorter than its {HEADER_LENGTH_BYTES}-byte header; fetch it again"
    )]
    TruncatedHeader {
        /// Bytes there were.
        found: u64,
    },
    /// The bytes are no container at all.
    #[error(
        "not a SOMA container: it starts with {found:02x?}, not with `SOMABX`; encrypt the weights first"
    )]
    BadMagic {
        /// What stood in the magic's place.
        found: [u8; 6],
    },
    /// A layout this release does not know.
    #[error("container version {found} is not supported, only {VERSION} is; update this program")]
    UnsupportedVersion {
        /// Version in the header.
        found: u16,
    },
    /// The body is shorter than the header says.
    #[error("container is truncated: {found} of {expected} body bytes; fetch it again")]
    Truncated {
        /// Body bytes the header announces.
        expected: u64,
        /// Body bytes there were.
        found: u64,
    },
    /// The body goes on after the length in the header.
    #[error("container has bytes after its {expected}-byte body; they belong to no plaintext")]
    TrailingBytes {
        /// Body bytes the header announces.
        expected: u64,
    },
    /// The key is not the one the container was made with.
    #[error("wrong decryption key: the container's header commits to another one")]
    WrongKey,
    /// The source to encrypt was not as long as announced.
    #[error("the plaintext has {found} bytes, not the {expected} announced; it changed while being read")]
    SourceLength {
        /// Bytes announced.
        expected: u64,
        /// Bytes read, or one more than announced where it went on.
        found: u64,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system: {0}")]
    Randomness(getrandom::Error),
    /// Reading or writing failed.
    #[error("input or output failed while handling a container: {0}")]
    Io(#[from] io::Error),
}

/// The key of one container. Never printed, wiped from memory when dropped.
///
/// A key is used for one container only: [`encrypt`] makes a fresh one each time. Once revealed it is a
/// [`soma_types::DecryptionKey`], which is public and printable.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DecryptionKey([u8; KEY_LENGTH_BYTES]);

impl DecryptionKey {
    /// A fresh key from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, ContainerError> {
        let mut key = Self([0; KEY_LENGTH_BYTES]);
        getrandom::fill(&mut key.0).map_err(ContainerError::Randomness)?;
        Ok(key)
    }

    /// The key with these bytes, as revealed on chain.
    pub const fn from_bytes(bytes: [u8; KEY_LENGTH_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key's bytes. Whoever has them can read the weights.
    pub const fn as_bytes(&self) -> &[u8; KEY_LENGTH_BYTES] {
        &self.0
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptionKey(redacted)")
    }
}

/// As a reveal publishes it.
impl From<&DecryptionKey> for soma_types::DecryptionKey {
    fn from(key: &DecryptionKey) -> Self {
        Self(key.0)
    }
}

/// As a reveal published it.
impl From<soma_types::DecryptionKey> for DecryptionKey {
    fn from(key: soma_types::DecryptionKey) -> Self {
        Self(key.0)
    }
}

impl PartialEq for DecryptionKey {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }
}

impl Eq for DecryptionKey {}

/// The part of the header that the key tag covers.
struct Preamble {
    version: u16,
    length_bytes: u64,
    nonce: [u8; NONCE_LENGTH_BYTES],
}

impl Preamble {
    fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..6].copy_from_slice(&MAGIC);
        bytes[6..8].copy_from_slice(&self.version.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.length_bytes.to_le_bytes());
        bytes[16..].copy_from_slice(&self.nonce);
        bytes
    }

    fn key_tag(&self, key: &DecryptionKey) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_derive_key(KEY_TAG_CONTEXT);
        hasher.update(&key.0).update(&self.encode());
        let tag = hasher.finalize();
        hasher.zeroize();
        tag
    }

    fn header(&self, key: &DecryptionKey) -> [u8; HEADER_LENGTH_BYTES] {
        let mut header = [0; HEADER_LENGTH_BYTES];
        header[..32].copy_from_slice(&self.encode());
        header[32..].copy_from_slice(self.key_tag(key).as_bytes());
        header
    }

    /// Reads a header and checks that `key` is the one it commits to.
    fn open(header: &[u8; HEADER_LENGTH_BYTES], key: &DecryptionKey) -> Result<Self, ContainerError> {
        let magic: [u8; 6] = array(&header[..6]);
        if magic != MAGIC {
            return Err(ContainerError::BadMagic { found: magic });
        }
        let version = u16::from_le_bytes(array(&header[6..8]));
        if version != VERSION {
            return Err(ContainerError::UnsupportedVersion { found: version });
        }
        let preamble = Self {
            version,
            length_bytes: u64::from_le_bytes(array(&header[8..16])),
            nonce: array(&header[16..32]),
        };
        if preamble.key_tag(key) != blake3::Hash::from_bytes(array(&header[32..])) {
            return Err(ContainerError::WrongKey);
        }
        Ok(preamble)
    }

    fn cipher(&self, key: &DecryptionKey) -> Cipher {
        Cipher::new(&key.0.into(), &self.nonce.into())
    }
}

/// `bytes` as an array; the callers slice exactly `N` bytes.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("sliced to the array's length")
}

fn fresh_preamble(length_bytes: u64) -> Result<Preamble, ContainerError> {
    let mut nonce = [0; NONCE_LENGTH_BYTES];
    getrandom::fill(&mut nonce).map_err(ContainerError::Randomness)?;
    Ok(Preamble {
        version: VERSION,
        length_bytes,
        nonce,
    })
}

fn seal(plaintext: &[u8], key: &DecryptionKey, preamble: &Preamble) -> Vec<u8> {
    let mut container = Vec::with_capacity(HEADER_LENGTH_BYTES + plaintext.len());
    container.extend_from_slice(&preamble.header(key));
    container.extend_from_slice(plaintext);
    preamble
        .cipher(key)
        .apply_keystream(&mut container[HEADER_LENGTH_BYTES..]);
    container
}

/// Encrypts `plaintext` under a fresh key and nonce; the container and the key that opens it.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn encrypt(plaintext: &[u8]) -> Result<(Vec<u8>, DecryptionKey), ContainerError> {
    let key = DecryptionKey::generate()?;
    let preamble = fresh_preamble(plaintext.len() as u64)?;
    Ok((seal(plaintext, &key, &preamble), key))
}

/// The plaintext of `container`.
///
/// # Errors
/// When the key is another, or the bytes are not exactly one container.
pub fn decrypt(container: &[u8], key: &DecryptionKey) -> Result<Vec<u8>, ContainerError> {
    let mut decrypting = Decrypting::new(container, container.len() as u64, key)?;
    let mut plaintext = Vec::with_capacity(container.len() - HEADER_LENGTH_BYTES);
    decrypting.read_to_end(&mut plaintext)?;
    Ok(plaintext)
}

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
        let mut header = [0; HEADER_LENGTH_BYTES];
        let Some(found) = container_bytes.checked_sub(HEADER_LENGTH_BYTES as u64) else {
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
        let preamble = Preamble::open(&header, key)?;
        let expected = preamble.length_bytes;
        match found.cmp(&expected) {
            Ordering::Less => Err(ContainerError::Truncated { expected, found }),
            Ordering::Greater => Err(ContainerError::TrailingBytes { expected }),
            Ordering::Equal => Ok(Self {
                source,
                cipher: preamble.cipher(key),
                plaintext_bytes: expected,
                left_bytes: expected,
            }),
        }
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

/// [`encrypt`] for weights too large for memory: reads exactly `length_bytes` from `source`.
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
    let preamble = fresh_preamble(length_bytes)?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fixed() -> (DecryptionKey, Preamble) {
        let key = DecryptionKey::from_bytes(std::array::from_fn(|i| i as u8));
        let nonce = std::array::from_fn(|i| 0xf0 + i as u8);
        (
            key,
            Preamble {
                version: VERSION,
                length_bytes: 20,
                nonce,
            },
        )
    }

    /// Pins the layout, the key tag's domain and the cipher. Regenerate only with a new `VERSION`.
    #[test]
    fn layout_is_pinned() {
        let (key, preamble) = fixed();
        let container = seal(b"weights of a model..", &key, &preamble);
        assert_eq!(
            hex::encode(&container),
            include_str!("../tests/container_v1.hex").trim()
        );
        assert_eq!(decrypt(&container, &key).unwrap(), b"weights of a model..");
    }

    /// NIST SP 800-38A, F.5.5: AES-256-CTR, the first two blocks.
    #[test]
    fn cipher_is_aes_256_ctr() {
        let key = hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").unwrap();
        let preamble = Preamble {
            version: VERSION,
            length_bytes: 32,
            nonce: array(&hex::decode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").unwrap()),
        };
        let plaintext =
            hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51").unwrap();
        let container = seal(&plaintext, &DecryptionKey::from_bytes(array(&key)), &preamble);
        assert_eq!(
            hex::encode(&container[HEADER_LENGTH_BYTES..]),
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
        );
    }

    #[test]
    fn every_refusal_is_named() {
        let (mut container, key) = encrypt(b"some weights").unwrap();
        let other = DecryptionKey::generate().unwrap();
        assert!(matches!(
            decrypt(&container, &other),
            Err(ContainerError::WrongKey)
        ));
        assert!(matches!(
            decrypt(&[], &key),
            Err(ContainerError::TruncatedHeader { found: 0 })
        ));
        assert!(matches!(
            decrypt(b"{\"a\":1}", &key),
            Err(ContainerError::BadMagic { .. })
        ));
        assert!(matches!(
            decrypt(&container[..container.len() - 1], &key),
            Err(ContainerError::Truncated {
                expected: 12,
                found: 11
            })
        ));
        container.push(0);
        assert!(matches!(
            decrypt(&container, &key),
            Err(ContainerError::TrailingBytes { expected: 12 })
        ));
        container.pop();
        container[6] = 9;
        assert!(matches!(
            decrypt(&container, &key),
            Err(ContainerError::UnsupportedVersion { found: 9 })
        ));
        container[0] = b'X';
        assert!(matches!(
            decrypt(&container, &key),
            Err(ContainerError::BadMagic { .. })
        ));
    }

    /// The commitment is to key, nonce and length together: no bit of the header can move.
    #[test]
    fn no_bit_of_the_header_can_change() {
        let (container, key) = encrypt(b"some weights").unwrap();
        for bit in 0..HEADER_LENGTH_BYTES * 8 {
            let mut changed = container.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decrypt(&changed, &key).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn keys_and_nonces_are_fresh_and_keys_stay_secret() {
        let (first, key) = encrypt(b"same").unwrap();
        let (second, other) = encrypt(b"same").unwrap();
        assert_ne!(key, other);
        assert_ne!(first[16..32], second[16..32]);
        assert_eq!(format!("{key:?}"), "DecryptionKey(redacted)");
    }

    /// Gives one byte per call, as a slow socket would.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn a_source_of_another_length_is_refused() {
        let mut sink = Vec::new();
        let error = encrypt_stream(&mut &b"abc"[..], 4, &mut sink).unwrap_err();
        assert!(matches!(
            error,
            ContainerError::SourceLength {
                expected: 4,
                found: 3
            }
        ));
        let error = encrypt_stream(&mut &b"abcde"[..], 4, &mut sink).unwrap_err();
        assert!(matches!(
            error,
            ContainerError::SourceLength {
                expected: 4,
                found: 5
            }
        ));
    }

    proptest! {
        #[test]
        fn streams_and_bytes_agree(plaintext in proptest::collection::vec(any::<u8>(), 0..300_000)) {
            let mut container = Vec::new();
            let key = encrypt_stream(&mut &plaintext[..], plaintext.len() as u64, &mut container).unwrap();
            prop_assert_eq!(container.len(), plaintext.len() + HEADER_LENGTH_BYTES);
            prop_assert!(decrypt(&container, &key).unwrap() == plaintext);
            let mut opened = Vec::new();
            let mut decrypting = Decrypting::new(Trickle(&container), container.len() as u64, &key).unwrap();
            prop_assert_eq!(decrypting.plaintext_bytes(), plaintext.len() as u64);
            decrypting.read_to_end(&mut opened).unwrap();
            prop_assert!(opened == plaintext);
        }

        /// Hostile bytes: an error or, only for real containers, a plaintext; the same at once and byte by
        /// byte.
        #[test]
        fn hostile_bytes_never_panic(
            cut in 0usize..200,
            flips in proptest::collection::vec((0usize..200, any::<u8>()), 0..4),
        ) {
            let (mut container, key) = encrypt(&[7; 100]).unwrap();
            for (at, mask) in flips {
                if let Some(byte) = container.get_mut(at) {
                    *byte ^= mask;
                }
            }
            container.truncate(cut);
            let whole = decrypt(&container, &key);
            let opened = Decrypting::new(Trickle(&container), container.len() as u64, &key);
            let opened = opened.map(|mut decrypting| {
                let mut plaintext = Vec::new();
                decrypting.read_to_end(&mut plaintext).unwrap();
                plaintext
            });
            prop_assert_eq!(whole.map_err(|error| error.to_string()), opened.map_err(|error| error.to_string()));
        }
    }
}
