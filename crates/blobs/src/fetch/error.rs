//! Why a fetch failed.

use std::time::Duration;

use soma_files::FileError;
use soma_types::ContentHash;

use crate::{blob::Mismatch, http::HttpError, store::StoreError};

/// Why a fetch failed: what the host did.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No client could be built.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Not an HTTP URL.
    #[error("only http and https are fetched, not `{scheme}`")]
    Scheme {
        /// The URL's scheme.
        scheme: String,
    },
    /// The host is not on the public Internet.
    #[error("`{host}` is not a public address, and this network does not allow others")]
    PrivateAddress {
        /// The host in the URL.
        host: String,
    },
    /// The announced size is past the cap.
    #[error("{announced_bytes} bytes were announced; at most {limit_bytes} are fetched")]
    AnnouncedTooLarge {
        /// Size announced on chain.
        announced_bytes: u64,
        /// The policy's cap.
        limit_bytes: u64,
    },
    /// The host sends more than announced.
    #[error("the host sends {}, not the {limit_bytes} announced", found.map_or("more bytes".to_owned(), |found| format!("{found} bytes")))]
    TooLarge {
        /// `Content-Length`, if that gave it away.
        found: Option<u64>,
        /// Size announced on chain.
        limit_bytes: u64,
    },
    /// The host has fewer bytes than announced.
    #[error("the host has {found_bytes} bytes, not the {expected_bytes} announced")]
    TooSmall {
        /// Size announced on chain.
        expected_bytes: u64,
        /// Bytes that it has.
        found_bytes: u64,
    },
    /// The host hung up before it was done.
    #[error("the host hung up after {found_bytes} of {expected_bytes} bytes")]
    Truncated {
        /// Size announced on chain.
        expected_bytes: u64,
        /// Bytes that came.
        found_bytes: u64,
    },
    /// The bytes are others.
    #[error("the bytes hash to {found}, not to {expected}")]
    WrongHash {
        /// Hash announced on chain.
        expected: ContentHash,
        /// Hash of what came.
        found: ContentHash,
    },
    /// The host answered with something else than the bytes.
    #[error("the host answered {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The time ran out.
    #[error("the host did not deliver within {} s", timeout.as_secs_f32())]
    TimedOut {
        /// The policy's limit.
        timeout: Duration,
    },
    /// The host trickles.
    #[error(
        "the host gave less than a mebibyte in {} s, after {found_bytes} of {expected_bytes} bytes",
        within.as_secs_f32()
    )]
    Slow {
        /// Bytes that came.
        found_bytes: u64,
        /// Size announced on chain.
        expected_bytes: u64,
        /// The policy's pace.
        within: Duration,
    },
    /// The host keeps pointing elsewhere.
    #[error("the host redirects more than {limit} times")]
    Redirects {
        /// The policy's limit.
        limit: usize,
    },
    /// No connection, or none that lasted.
    #[error("the host cannot be reached: {reason}")]
    Unreachable {
        /// The transport's words.
        reason: String,
    },
    /// The store took no more.
    #[error(transparent)]
    Store(StoreError),
    /// This machine's disk took no more.
    #[error(transparent)]
    Disk(#[from] FileError),
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::WrongHash { expected, found } => Self::WrongHash { expected, found },
            error => Self::Store(error),
        }
    }
}

impl From<Mismatch> for FetchError {
    fn from(mismatch: Mismatch) -> Self {
        match mismatch {
            Mismatch::Hash { expected, found } => Self::WrongHash { expected, found },
            Mismatch::Size {
                expected_bytes,
                found_bytes,
                ..
            } => Self::TooSmall {
                expected_bytes,
                found_bytes,
            },
        }
    }
}

impl FetchError {
    /// Whether the host delivered, but something else than was announced: another size or other bytes.
    /// Otherwise nothing is known of what it has.
    pub fn is_mismatch(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. } | Self::TooSmall { .. } | Self::WrongHash { .. }
        )
    }
}
