//! One way to write a file, used by everything that writes one.
//!
//! [`Output`] is where a result will go: checked before the work begins, written whole or not at all when it
//! is done. [`replace`] and [`replace_private`] do both at once, for what is small. [`Lock`] keeps a folder
//! for one process at a time.
//!
//! A regular file is replaced: its new content is written under a unique name in the same folder, which is
//! created exclusively, then flushed and renamed. It keeps its owner and its permissions; where the system
//! does not allow that, it is written to in place. A link is followed to what it names, and what is no
//! regular file (a device, a pipe, an open descriptor such as `/dev/stdout`) is written to and stays what it
//! is. Of two hard links, one is replaced. What ends the process at once calls [`abandon`] before, so that no
//! temporary file is left.
//!
//! ```
//! use soma_files::{FileError, Output, read_bounded};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("result");
//! let output = Output::check(&path)?;
//! // Hours of work later:
//! output.write(b"all of it")?;
//! assert_eq!(read_bounded(&path, 1_000)?.unwrap(), b"all of it");
//! # Ok::<(), FileError>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod lock;
mod output;
mod place;
mod put;
mod read;
mod scratch;
mod space;
mod unfinished;

pub use error::{At, FileError};
pub use lock::{Lock, LockError};
pub use output::{Output, replace, replace_private};
pub use put::sweep;
pub use read::{create_private_directory, read_bounded, remove};
pub use scratch::Scratch;
pub use space::free_bytes;
pub use unfinished::abandon;
