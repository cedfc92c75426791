//! The authenticated state: how a ledger key and its value lie in the database, and what proves them.
//!
//! The database is an ordered one: each value's entry names the next key too. So that a key has no value is
//! proved by the entry before it, whose next key is beyond.

use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, Write};
use commonware_runtime::BufMut;
use commonware_storage::{
    mmr,
    qmdb::{
        any::value::VariableEncoding,
        current::ordered::proof::constant::{ExclusionProof, KeyValueProof},
    },
};

use crate::consensus::Digest;

/// Longest value of the state, in bytes.
pub const STATE_VALUE_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a piece of the map that says which entries are current. Fixed for the life of the data.
pub const CHUNK_BYTES: usize = 32;
/// Most digests in a proof: a path and the peaks of a log of 2^63 entries, and some.
pub(crate) const DIGESTS_MAX: usize = 256;

/// A value of the state: bytes with a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateValue(pub Vec<u8>);

impl Write for StateValue {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl EncodeSize for StateValue {
    fn encode_size(&self) -> usize {
        self.0.encode_size()
    }
}

impl Read for StateValue {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &Self::Cfg) -> Result<Self, CodecError> {
        Vec::read_cfg(buf, &((0..=STATE_VALUE_BYTES_MAX).into(), ())).map(Self)
    }
}

/// How values are encoded.
pub type Encoding = VariableEncoding<StateValue>;
/// Proof of a current value.
pub type Presence = KeyValueProof<mmr::Family, Digest, Digest, CHUNK_BYTES>;
/// Proof that a key has no value.
pub type Absence = ExclusionProof<mmr::Family, Digest, Encoding, Digest, CHUNK_BYTES>;

/// The storage key of a ledger key. Hashing spreads keys evenly and hides their length.
#[must_use]
pub fn state_key(key: &[u8]) -> Digest {
    Digest::from(
        *blake3::Hasher::new_derive_key("soma 2026 state key")
            .update(key)
            .finalize()
            .as_bytes(),
    )
}
