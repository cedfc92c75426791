//! A block: the consensus context, the seed, transactions, and the state they lead to.
//!
//! The digest covers the header and a hash of the transactions, so a header alone proves a state root.
//! Transactions are in it as the bytes they came in: a peer's are nobody's word until they are verified.
//! The encoding is canonical and every length in it is bounded.

use std::sync::OnceLock;

use bytes::Bytes;
use commonware_codec::{
    Buf, Encode as _, EncodeSize, Error as CodecError, RangeCfg, Read, ReadExt as _, Write,
};
use commonware_consensus::{
    Block as ConsensusBlock, BoundedBlock, CertifiableBlock, Heightable,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{Digest as _, Digestible, Hasher as _, Signer as _, ed25519};
use commonware_runtime::BufMut;
use commonware_storage::mmr::Location;
use commonware_utils::range::NonEmptyRange;

use soma_light::receipts::Receipts;
#[cfg(feature = "test-support")]
use soma_types::tally::Counter;
use soma_types::transaction::TRANSACTION_BYTES_MAX;

use crate::consensus::{Context, Digest, Hasher};

pub use soma_light::header::{Header, SeedSignature};

/// Most transactions in a block.
pub const BLOCK_TRANSACTIONS_MAX: usize = 4_096;
/// Most bytes of transactions in a block.
pub const BLOCK_BYTES_MAX: usize = 1 << 20;
/// Shortest time between a block and its parent (docs/protocol.md, section 1), in milliseconds.
pub const BLOCK_TIME_MS: u64 = 250;
/// Furthest a block's timestamp may lie after its parent's, in milliseconds. It bounds how long a
/// validator whose clock is behind delays its verdict. A network that stood still catches up by this
/// much in each block.
pub const TIMESTAMP_STEP_MS_MAX: u64 = 10_000;

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

/// Blocks whose digest was computed by this process.
#[cfg(feature = "test-support")]
pub static DIGESTED: Counter = Counter::new();

/// Whether a block's timestamp may follow its parent's.
#[must_use]
pub fn timestamp_follows(block: &Header, parent: &Header) -> bool {
    block
        .timestamp_ms
        .checked_sub(parent.timestamp_ms)
        .is_some_and(|step| (BLOCK_TIME_MS..=TIMESTAMP_STEP_MS_MAX).contains(&step))
}

/// A block of the SOMA chain. It does not change, so its digest is computed once.
#[derive(Clone, Debug)]
pub struct Block {
    header: Header,
    transactions: Vec<Bytes>,
    digest: OnceLock<Digest>,
}

impl Block {
    /// A block of encoded signed transactions, in order.
    #[must_use]
    pub const fn new(header: Header, transactions: Vec<Bytes>) -> Self {
        Self {
            header,
            transactions,
            digest: OnceLock::new(),
        }
    }

    /// The block everyone starts from: `chain` (a hash of the genesis document), the time it was made,
    /// and empty state. The first block after it installs the genesis state.
    #[must_use]
    pub fn genesis(
        chain: [u8; 32],
        timestamp_ms: u64,
        log_root: Digest,
        range: NonEmptyRange<Location>,
    ) -> Self {
        let header = Header {
            context: Context {
                round: Round::new(Epoch::zero(), View::zero()),
                leader: ed25519::PrivateKey::from_seed(0).public_key(),
                parent: (View::zero(), Digest::EMPTY),
            },
            parent: Digest::from(chain),
            height: Height::zero(),
            timestamp_ms,
            seed: None,
            // Nothing is in it, and no certificate makes it final: nothing is proved by it.
            state_root: log_root,
            log_root,
            range,
            receipts_root: Receipts::new(&[]).root(),
        };
        Self::new(header, Vec::new())
    }

    /// What it says besides its transactions.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The hash of its transactions, which its digest covers.
    #[must_use]
    pub fn transactions_hash(&self) -> Digest {
        Hasher::hash(&[TRANSACTIONS_DOMAIN, &self.transactions.encode()])
    }

    /// Encoded signed transactions, in order. Whoever relies on one decodes and verifies it first.
    #[must_use]
    pub fn transactions(&self) -> &[Bytes] {
        &self.transactions
    }
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.transactions == other.transactions
    }
}

impl Eq for Block {}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.transactions.write(buf);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        self.header.encode_size() + self.transactions.encode_size()
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &Self::Cfg) -> Result<Self, CodecError> {
        let header = Header::read(buf)?;
        let transactions = Vec::<Bytes>::read_cfg(
            buf,
            &(
                RangeCfg::from(0..=BLOCK_TRANSACTIONS_MAX),
                RangeCfg::from(0..=TRANSACTION_BYTES_MAX),
            ),
        )?;
        if transactions.iter().map(Bytes::len).sum::<usize>() > BLOCK_BYTES_MAX {
            return Err(CodecError::Invalid(
                "block",
                "its transactions exceed BLOCK_BYTES_MAX",
            ));
        }
        Ok(Self::new(header, transactions))
    }
}

impl Digestible for Block {
    type Digest = Digest;

    fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| {
            #[cfg(feature = "test-support")]
            DIGESTED.count();
            self.header.block(&self.transactions_hash())
        })
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        self.header.height
    }
}

impl ConsensusBlock for Block {
    fn parent(&self) -> Digest {
        self.header.parent
    }
}

impl CertifiableBlock for Block {
    type Context = Context;

    fn context(&self) -> Context {
        self.header.context.clone()
    }
}

impl BoundedBlock for Block {
    fn max_encode_size((): &Self::Cfg) -> usize {
        const LENGTH_BYTES_MAX: usize = 5; // a varint of a length
        Header::BYTES_MAX + LENGTH_BYTES_MAX * (1 + BLOCK_TRANSACTIONS_MAX) + BLOCK_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use commonware_codec::DecodeExt as _;
    use commonware_utils::non_empty_range;
    use soma_types::ContentHash;

    use super::*;
    use crate::consensus::SEED_SIGNATURE_BYTES;

    fn header(seed: Option<SeedSignature>) -> Header {
        let range = non_empty_range!(Location::new(1), Location::new(9));
        let genesis = Block::genesis([1; 32], 1_000, Digest::from([2; 32]), range.clone());
        Header {
            parent: genesis.digest(),
            context: Context {
                round: Round::new(Epoch::zero(), View::new(7)),
                leader: ed25519::PrivateKey::from_seed(3).public_key(),
                parent: (View::new(6), genesis.digest()),
            },
            height: Height::new(1),
            timestamp_ms: 1_250,
            seed,
            state_root: Digest::from([3; 32]),
            log_root: Digest::from([5; 32]),
            range,
            receipts_root: Digest::from([6; 32]),
        }
    }

    fn block(transactions: Vec<Vec<u8>>, seed: Option<SeedSignature>) -> Block {
        let transactions = transactions.into_iter().map(Bytes::from).collect();
        Block::new(header(seed), transactions)
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
            assert_eq!(decoded.digest(), block.digest());
            assert_eq!(decoded.encode(), encoded);
            for length in 0..encoded.len() {
                assert!(Block::decode(encoded.slice(..length)).is_err(), "{length} bytes");
            }
        }
    }

    /// Peers of other versions compute the same.
    #[test]
    fn encoding_and_digest_are_pinned() {
        let block = block(
            vec![vec![1, 2], vec![]],
            Some(SeedSignature([9; SEED_SIGNATURE_BYTES])),
        );
        assert_eq!(
            ContentHash::of(&block.encode()).to_string(),
            "0x55e8a4591fb77bb0a799eebdc5848bb28c5acbeddc699fd877d9c14d92d70fd3"
        );
        assert_eq!(
            hex::encode(block.digest()),
            "a3cc2f06d774f246a67565acc7009d94610e73af8b75309f4a78b7f54e125f67"
        );
    }

    #[test]
    fn the_digest_covers_every_field() {
        let base = header(None);
        let digest = |header: &Header, transactions: &[&'static [u8]]| {
            let transactions = transactions.iter().map(|bytes| Bytes::from_static(bytes));
            Block::new(header.clone(), transactions.collect()).digest()
        };
        let mut others = vec![base.clone(); 9];
        others[0].context.parent.0 = View::new(5);
        others[1].parent = Digest::from([8; 32]);
        others[2].height = Height::new(2);
        others[3].timestamp_ms += 1;
        others[4].seed = Some(SeedSignature([0; SEED_SIGNATURE_BYTES]));
        others[5].state_root = Digest::from([4; 32]);
        others[6].range = non_empty_range!(Location::new(2), Location::new(9));
        others[7].log_root = Digest::from([4; 32]);
        others[8].receipts_root = Digest::from([4; 32]);
        for (index, other) in others.iter().enumerate() {
            assert_ne!(digest(other, &[&[1]]), digest(&base, &[&[1]]), "field {index}");
        }
        assert_ne!(digest(&base, &[&[], &[1]]), digest(&base, &[&[1]]));
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
        let parent = header(None);
        let mut child = parent.clone();
        for (step, follows) in [
            (0, false),
            (BLOCK_TIME_MS - 1, false),
            (BLOCK_TIME_MS, true),
            (TIMESTAMP_STEP_MS_MAX, true),
            (TIMESTAMP_STEP_MS_MAX + 1, false),
        ] {
            child.timestamp_ms = parent.timestamp_ms + step;
            assert_eq!(timestamp_follows(&child, &parent), follows, "{step} ms");
        }
        child.timestamp_ms = parent.timestamp_ms - 1;
        assert!(!timestamp_follows(&child, &parent));
    }
}
