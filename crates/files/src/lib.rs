//! One way to write a file, used by everything that writes one.
//!
//! [`Output`] is where a result will go: checked before the work begins, written whole or not at all when it is
//! done. [`replace`] and [`replace_private`] do both at once, for what is small. [`Lock`] keeps a folder for one
//! process at a time.
//!
//! A regular file is replaced: its new content is written under a unique name in the same folder, which is created
//! exclusively, then flushed and renamed. It keeps its owner and its permissions; where the system does not allow that, it
//! is written to in place. A link is followed to what it names, and what is no regular file (a device, a pipe, an open
//! descriptor such as `/dev/stdout`) is written to and stays what it is. Of two hard links, one is replaced.
#![forbid(unsafe_code)]

mod error;
mod lock;
mod output;
mod place;
mod put;
mod read;

pub use error::{At, FileError};
pub use lock::{Lock, LockError};
pub use output::{Output, replace, replace_private};
pub use put::sweep;
pub use read::{create_private_directory, read_bounded, remove};
