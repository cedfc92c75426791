//! A block: the consensus context, the seed, transactions, and the state they lead to.
//!
//! The digest covers the header and a hash of the transactions, so a header alone proves a state root.
//! The encoding is canonical and every length in it is bounded.

use commonware_codec::{
    Buf, Encode as _, EncodeSize, Error as CodecError, FixedSize as _, MaxEncodeSize as _, RangeCfg, Read,
    ReadExt as _, Write,
};
use commonware_consensus::{
    Block as ConsensusBlock, BoundedBlock, CertifiableBlock, Heightable,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{Digest as _, Digestible, Hasher as _, Signer as _, ed25519};
use commonware_runtime::BufMut;
use commonware_storage::mmr::Location;
use commonware_utils::range::NonEmptyRange;

use soma_types::transaction::TRANSACTION_BYTES_MAX;

use crate::consensus::{Context, Digest, Hasher, SEED_SIGNATURE_BYTES};

/// Most transactions in a block.
pub const BLOCK_TRANSACTIONS_MAX: usize = 512;
/// Most bytes of transactions in a block.
pub const BLOCK_BYTES_MAX: usize = 512 * 1024;
/// Shortest time between a block and its parent (docs/protocol.md, section 1), in milliseconds.
pub const BLOCK_TIME_MS: u64 = 250;
/// Furthest a block's timestamp may lie after its parent's, in milliseconds. It bounds how long a
/// validator whose clock is behind delays its verdict. A network that stood still catches up by this
/// much in each block.
pub const TIMESTAMP_STEP_MS_MAX: u64 = 10_000;

const BLOCK_DOMAIN: &[u8] = b"soma 2026 block";
const TRANSACTIONS_DOMAIN: &[u8] = b"soma 2026 block transactions";

const _: () = assert!(
    TRANSACTION_BYTES_MAX <= BLOCK_BYTES_MAX,
    "every transaction fits in some block"
);
const _: () = assert!(
    BLOCK_TRANSACTIONS_MAX <= soma_ledger::RELEASES_PER_BLOCK,
    "stake is released as fast as it can be withdrawn"
);
const _: () = assert!(BLOCK_TIME_MS <= TIMESTAMP_STEP_MS_MAX, "a timely block exists");

/// The threshold signature of a round, as bytes. Whoever relies on it verifies it first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SeedSignature(pub [u8; SEED_SIGNATURE_BYTES]);

impl std::fmt::Debug for SeedSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SeedSignature(0x{})", hex::encode(&self.0[..8]))
    }
}

/// A block of the SOMA chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Round, leader and parent, as consensus sees them.
    pub context: Context,
    /// Digest of the parent.
    pub parent: Digest,
    /// Number of ancestors.
    pub height: Height,
    /// When the leader proposed it: milliseconds since 1970, at least [`BLOCK_TIME_MS`] after the parent.
    pub timestamp_ms: u64,
    /// The seed signature of the parent's round; none if the parent is genesis. Its own round's seed
    /// does not exist yet when a block is proposed.
    pub seed: Option<SeedSignature>,
    /// Encoded signed transactions, in order.
    pub transactions: Vec<Vec<u8>>,
    /// State root after execution.
    pub state_root: Digest,
    /// Operations of the state's log that are still active, and its end.
    pub range: NonEmptyRange<Location>,
}

impl Block {
    /// The block everyone starts from: `chain` (a hash of the genesis document), the time it was made,
    /// and empty state. The first block after it installs the genesis state.
    #[must_use]
    pub fn genesis(
        chain: [u8; 32],
        timestamp_ms: u64,
        state_root: Digest,
        range: NonEmptyRange<Location>,
    ) -> Self {
        Self {
            context: Context {
                round: Round::new(Epoch::zero(), View::zero()),
                leader: ed25519::PrivateKey::from_seed(0).public_key(),
                parent: (View::zero(), Digest::EMPTY),
            },
            parent: Digest::from(chain),
            height: Height::zero(),
            timestamp_ms,
            seed: None,
            transactions: Vec::new(),
            state_root,
            range,
        }
    }

    /// The round whose certificate carries this block's seed; `None` if the parent is genesis.
    #[must_use]
    pub fn seed_round(context: &Context) -> Option<Round> {
        let view = context.parent.0;
        (!view.is_zero()).then(|| Round::new(context.round.epoch(), view))
    }

    /// Whether the timestamp may follow the parent's.
    #[must_use]
    pub fn timestamp_follows(&self, parent: &Self) -> bool {
        self.timestamp_ms
            .checked_sub(parent.timestamp_ms)
            .is_some_and(|step| (BLOCK_TIME_MS..=TIMESTAMP_STEP_MS_MAX).contains(&step))
    }

    fn write_header(&self, buf: &mut impl BufMut) {
        self.context.write(buf);
        self.parent.write(buf);
        self.height.write(buf);
        self.timestamp_ms.write(buf);
        self.seed.is_some().write(buf);
        if let Some(SeedSignature(bytes)) = &self.seed {
            bytes.write(buf);
        }
        self.state_root.write(buf);
        self.range.write(buf);
    }
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        self.write_header(buf);
        self.transactions.write(buf);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        self.context.encode_size()
            + self.parent.encode_size()
            + self.height.encode_size()
            + self.timestamp_ms.encode_size()
            + 1
            + self.seed.map_or(0, |_| SEED_SIGNATURE_BYTES)
            + self.state_root.encode_size()
            + self.range.encode_size()
            + self.transactions.encode_size()
    }
}

impl Read for Block {
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
        let state_root = Digest::read(buf)?;
        let range = NonEmptyRange::read(buf)?;
        let transactions = Vec::<Vec<u8>>::read_cfg(
            buf,
            &(
                RangeCfg::from(0..=BLOCK_TRANSACTIONS_MAX),
                (RangeCfg::from(0..=TRANSACTION_BYTES_MAX), ()),
            ),
        )?;
        if transactions.iter().map(Vec::len).sum::<usize>() > BLOCK_BYTES_MAX {
            return Err(CodecError::Invalid(
                "block",
                "its transactions exceed BLOCK_BYTES_MAX",
            ));
        }
        Ok(Self {
            context,
            parent,
            height,
            timestamp_ms,
            seed,
            transactions,
            state_root,
            range,
        })
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        let mut header = Vec::new();
        self.write_header(&mut header);
        let transactions = Hasher::hash(&[TRANSACTIONS_DOMAIN, &self.transactions.encode()]);
        Hasher::hash(&[BLOCK_DOMAIN, &header, transactions.as_ref()])
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        self.height
    }
}

impl ConsensusBlock for Block {
    fn parent(&self) -> Digest {
        self.parent
    }
}

impl CertifiableBlock for Block {
    type Context = Context;

    fn context(&self) -> Context {
        self.context.clone()
    }
}

impl BoundedBlock for Block {
    fn max_encode_size((): &Self::Cfg) -> usize {
        const LENGTH_BYTES_MAX: usize = 5; // a varint of a length
        Context::MAX_ENCODE_SIZE
            + Digest::SIZE
            + Height::MAX_ENCODE_SIZE
            + u64::SIZE
            + 1
            + SEED_SIGNATURE_BYTES
            + Digest::SIZE
            + NonEmptyRange::<Location>::MAX_ENCODE_SIZE
            + LENGTH_BYTES_MAX * (1 + BLOCK_TRANSACTIONS_MAX)
            + BLOCK_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use commonware_codec::DecodeExt as _;
    use commonware_utils::non_empty_range;

    use super::*;

    fn block(transactions: Vec<Vec<u8>>, seed: Option<SeedSignature>) -> Block {
        let range = non_empty_range!(Location::new(1), Location::new(9));
        let genesis = Block::genesis([1; 32], 1_000, Digest::from([2; 32]), range.clone());
        let context = Context {
            round: Round::new(Epoch::zero(), View::new(7)),
            leader: ed25519::PrivateKey::from_seed(3).public_key(),
            parent: (View::new(6), genesis.digest()),
        };
        Block {
            parent: genesis.digest(),
            context,
            height: Height::new(1),
            timestamp_ms: 1_250,
            seed,
            transactions,
            state_root: Digest::from([3; 32]),
            range,
        }
    }

    #[test]
    fn the_encoding_is_canonical() {
        for seed in [None, Some(SeedSignature([9; SEED_SIGNATURE_BYTES]))] {
            let block = block(vec![vec![1, 2], vec![]], seed);
            let encoded = block.encode();
            assert_eq!(encoded.len(), block.encode_size());
            assert!(encoded.len() <= Block::max_encode_size(&()));
            let decoded = Block::decode(encoded.clone()).unwrap();
            assert_eq!(decoded, block);
            assert_eq!(decoded.encode(), encoded);
            for length in 0..encoded.len() {
                assert!(Block::decode(encoded.slice(..length)).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn the_digest_covers_every_field() {
        let base = block(vec![vec![1]], None);
        let mut others = vec![base.clone(); 8];
        others[0].context.parent.0 = View::new(5);
        others[1].parent = Digest::from([8; 32]);
        others[2].height = Height::new(2);
        others[3].timestamp_ms += 1;
        others[4].seed = Some(SeedSignature([0; SEED_SIGNATURE_BYTES]));
        others[5].transactions = vec![vec![], vec![1]];
        others[6].state_root = Digest::from([4; 32]);
        others[7].range = non_empty_range!(Location::new(2), Location::new(9));
        for (index, other) in others.iter().enumerate() {
            assert_ne!(other.digest(), base.digest(), "field {index}");
        }
    }

    #[test]
    fn blocks_beyond_the_limits_do_not_decode() {
        let too_many = block(vec![vec![]; BLOCK_TRANSACTIONS_MAX + 1], None);
        assert!(Block::decode(too_many.encode()).is_err());
        let too_long = block(vec![vec![0; TRANSACTION_BYTES_MAX + 1]], None);
        assert!(Block::decode(too_long.encode()).is_err());
        let count = BLOCK_BYTES_MAX / TRANSACTION_BYTES_MAX;
        let full = block(vec![vec![0; TRANSACTION_BYTES_MAX]; count], None);
        assert!(full.encode().len() <= Block::max_encode_size(&()));
        assert!(Block::decode(full.encode()).is_ok());
        let too_big = block(vec![vec![0; TRANSACTION_BYTES_MAX]; count + 1], None);
        assert!(Block::decode(too_big.encode()).is_err());
    }

    #[test]
    fn time_moves_forward_by_a_bounded_step() {
        let parent = block(vec![], None);
        let mut child = parent.clone();
        for (step, follows) in [
            (0, false),
            (BLOCK_TIME_MS - 1, false),
            (BLOCK_TIME_MS, true),
            (TIMESTAMP_STEP_MS_MAX, true),
            (TIMESTAMP_STEP_MS_MAX + 1, false),
        ] {
            child.timestamp_ms = parent.timestamp_ms + step;
            assert_eq!(child.timestamp_follows(&parent), follows, "{step} ms");
        }
        child.timestamp_ms = parent.timestamp_ms - 1;
        assert!(!child.timestamp_follows(&parent));
    }
}
