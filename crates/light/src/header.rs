//! What a block says besides its transactions. It names the roots of all that can be proved.

use std::fmt;

use commonware_codec::{
    Buf, Encode as _, EncodeSize, Error as CodecError, FixedSize as _, MaxEncodeSize as _, Read,
    ReadExt as _, Write,
};
use commonware_consensus::types::{Height, Round};
use commonware_cryptography::Hasher as _;
use commonware_runtime::BufMut;
use commonware_storage::mmr::Location;
use commonware_utils::range::NonEmptyRange;

use crate::consensus::{Context, Digest, Hasher, SEED_SIGNATURE_BYTES};

const BLOCK_DOMAIN: &[u8] = b"soma 2026 block, with proofs";

/// The threshold signature of a round, as bytes. Whoever relies on it verifies it first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SeedSignature(pub [u8; SEED_SIGNATURE_BYTES]);

impl fmt::Debug for SeedSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeedSignature(0x{})", hex::encode(&self.0[..8]))
    }
}

/// What a block says besides its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Round, leader and parent, as consensus sees them.
    pub context: Context,
    /// Digest of the parent.
    pub parent: Digest,
    /// Number of ancestors.
    pub height: Height,
    /// When the leader proposed it: milliseconds since 1970.
    pub timestamp_ms: u64,
    /// The seed signature of the parent's round; none if the parent is genesis. Its own round's seed
    /// does not exist yet when a block is proposed.
    pub seed: Option<SeedSignature>,
    /// Root of the state after execution, by which current values are proved.
    pub state_root: Digest,
    /// Root of the log of all changes of the state, by which it is synced. The state root covers it.
    pub log_root: Digest,
    /// Where whoever syncs the log begins, and its end.
    pub range: NonEmptyRange<Location>,
    /// Root of the receipts of the block's transactions.
    pub receipts_root: Digest,
}

impl Header {
    /// The round whose signature seeds the blocks on top of this one: its own, in whatever epoch of consensus
    /// they are. `None` at genesis, on which nobody votes.
    #[must_use]
    pub fn seed_round(&self) -> Option<Round> {
        let round = self.context.round;
        (!round.view().is_zero()).then_some(round)
    }

    /// The most bytes of one.
    pub const BYTES_MAX: usize = Context::MAX_ENCODE_SIZE
        + Digest::SIZE
        + Height::MAX_ENCODE_SIZE
        + u64::SIZE
        + 1
        + SEED_SIGNATURE_BYTES
        + 3 * Digest::SIZE
        + NonEmptyRange::<Location>::MAX_ENCODE_SIZE;

    /// The name of the block that begins with this and whose encoded transactions have the hash
    /// `transactions`.
    #[must_use]
    pub fn block(&self, transactions: &Digest) -> Digest {
        Hasher::hash(&[BLOCK_DOMAIN, &self.encode(), transactions.as_ref()])
    }
}

impl Write for Header {
    fn write(&self, buf: &mut impl BufMut) {
        self.context.write(buf);
        self.parent.write(buf);
        self.height.write(buf);
        self.timestamp_ms.write(buf);
        self.seed.is_some().write(buf);
        if let Some(SeedSignature(bytes)) = &self.seed {
            bytes.write(buf);
        }
        self.state_root.write(buf);
        self.log_root.write(buf);
        self.range.write(buf);
        self.receipts_root.write(buf);
    }
}

impl EncodeSize for Header {
    fn encode_size(&self) -> usize {
        self.context.encode_size()
            + self.parent.encode_size()
            + self.height.encode_size()
            + self.timestamp_ms.encode_size()
            + 1
            + self.seed.map_or(0, |_| SEED_SIGNATURE_BYTES)
            + self.state_root.encode_size()
            + self.log_root.encode_size()
            + self.range.encode_size()
            + self.receipts_root.encode_size()
    }
}

impl Read for Header {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &Self::Cfg) -> Result<Self, CodecError> {
        let context = Context::read(buf)?;
        let parent = Digest::read(buf)?;
        let height = Height::read(buf)?;
        let timestamp_ms = u64::read(buf)?;
        let seed = if bool::read(buf)? {
            Some(SeedSignature(<[u8; SEED_SIGNATURE_BYTES]>::read(buf)?))
        } else {
            None
        };
        Ok(Self {
            context,
            parent,
            height,
            timestamp_ms,
            seed,
            state_root: Digest::read(buf)?,
            log_root: Digest::read(buf)?,
            range: NonEmptyRange::read(buf)?,
            receipts_root: Digest::read(buf)?,
        })
    }
}
