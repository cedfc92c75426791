//! What a wallet's file and its password may be.

/// The one version of the file that this release reads and writes.
pub const VERSION: u32 = 1;
/// Longest file that is read, in bytes.
pub const LENGTH_BYTES_MAX: u64 = 16 << 10;
/// Most memory that opening a file may take, in KiB.
pub const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Most passes that opening a file may take.
pub const PASSES_MAX: u32 = 16;
/// Longest password, in bytes: less than a terminal takes in one line.
pub const PASSWORD_LENGTH_BYTES_MAX: usize = 1024;
