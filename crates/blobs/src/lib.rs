//! Bytes that stand behind the ledger: weights and data, stored and moved by what they are.
//!
//! - [`container`]: encrypted weights whose header commits to the key.
//! - [`location`]: where bytes can be had: `soma:HASH`, HTTP(S), or a local file.
//! - [`store`]: a content-addressed folder with a bound on its size, verified on every read.
//! - [`fetch`]: downloads from hosts that nobody trusts: bounded in size, time and redirects, hashed as
//!   they stream.
//! - [`http`]: the HTTP client configuration that the fetcher and the SDK share.
//!
//! An address is the BLAKE3 of the bytes ([`soma_types::ContentHash`]). Nothing here decides anything: a
//! node that lacks a blob, or holds a damaged one, gets it again from anyone.
//!
//! ```
//! use soma_blobs::{ContainerError, decrypt, encrypt};
//!
//! let (container, key) = encrypt(b"weights")?;
//! assert_eq!(decrypt(&container, &key)?, b"weights");
//! // The container commits to its key: no other opens it.
//! let (_, other) = encrypt(b"weights")?;
//! assert!(decrypt(&container, &other).is_err());
//! # Ok::<(), ContainerError>(())
//! ```
#![forbid(unsafe_code)]

pub mod container;
pub mod fetch;
pub mod http;
pub mod location;
pub mod store;

pub use container::{ContainerError, DecryptionKey, decrypt, encrypt};
pub use fetch::{Expected, FetchError, FetchPolicy, Fetcher};
pub use location::{Location, LocationError};
pub use store::{Store, StoreError};
