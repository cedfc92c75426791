//! Bytes that stand behind the ledger: weights and data, stored and moved by what they are.
//!
//! - [`container`]: encrypted weights whose header commits to the key.
//! - [`blob`]: bytes in hand with their hash, in memory or, where there are many, in a file without a name.
//! - [`body`]: those on their way through HTTP; [`pouring`]: on their way to a disk.
//! - [`mod@verified`]: bytes that are hashed while they are read.
//! - [`location`]: where bytes can be had: `soma:HASH`, HTTP(S), or a local file.
//! - [`store`]: a content-addressed folder with a bound on its size, verified on every read.
//! - [`withdrawn`]: what an operator has taken down.
//! - [`fetch`]: downloads from hosts that nobody trusts: bounded in size, time and redirects, hashed as
//!   they stream.
//! - [`http`]: the HTTP client configuration that the fetcher and the SDK share.
//!
//! An address is the BLAKE3 of the bytes ([`soma_types::ContentHash`]). Nothing here decides anything: a
//! node that lacks a blob, or holds a damaged one, gets it again from anyone.
//!
//! Weights may be larger than memory, so they flow: from a network to a disk, from there through the cipher
//! to whoever makes a model of them, a piece at a time.
//!
//! ```
//! use std::io::Read;
//!
//! use soma_blobs::{Decrypting, Store, encrypt};
//!
//! let folder = tempfile::tempdir()?;
//! let store = Store::open(folder.path(), 1 << 20)?;
//! let (container, key) = encrypt(b"weights")?;
//! let hash = store.put(&container)?;
//!
//! let opened = store.read(&hash, |reader, size_bytes| {
//!     let mut plaintext = Vec::new();
//!     Decrypting::new(reader, size_bytes, &key)?.read_to_end(&mut plaintext)?;
//!     Ok::<_, Box<dyn std::error::Error>>(plaintext)
//! })?;
//! assert_eq!(opened.expect("it was just stored")?, b"weights");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod blob;
pub mod body;
pub mod container;
pub mod fetch;
pub mod guard;
pub mod http;
pub mod location;
pub mod pouring;
pub mod store;
pub mod verified;
pub mod withdrawn;

pub use blob::{Blob, BlobWriter, Expected, Mismatch};
pub use body::Body;
pub use container::{ContainerError, Decrypting, DecryptionKey, decrypt, encrypt};
pub use fetch::{FetchError, FetchPolicy, Fetcher};
pub use location::{Location, LocationError};
pub use pouring::Pouring;
pub use store::{Guest, Store, StoreError};
pub use verified::verified;
pub use withdrawn::{Withdrawal, Withdrawn, WithdrawnError};
