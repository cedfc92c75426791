//! Why a container could not be written or opened.

use std::io;

use super::layout::{HEADER_LENGTH_BYTES, VERSION};

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
