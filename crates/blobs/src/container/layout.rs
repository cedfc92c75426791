//! What a container consists of: the table of [`super`].

/// First bytes of every container.
pub const MAGIC: [u8; 6] = *b"SOMABX";
/// The one layout this release reads and writes.
pub const VERSION: u16 = 1;
/// Length of the header, and so how much longer a container is than its plaintext, in bytes.
pub const HEADER_LENGTH_BYTES: usize = 64;
/// Domain of the key tag. Changing it changes every container: it is pinned by a fixture.
pub const KEY_TAG_CONTEXT: &str = "soma 2026 blobs: container v1: key tag";

pub(super) const KEY_LENGTH_BYTES: usize = 32;
pub(super) const NONCE_LENGTH_BYTES: usize = 16;

// The tag covers everything before itself, and the table above must add up.
const _: () = assert!(MAGIC.len() + 2 + 8 + NONCE_LENGTH_BYTES == 32);
const _: () = assert!(32 + blake3::OUT_LEN == HEADER_LENGTH_BYTES);
