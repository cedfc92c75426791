//! A proof: what it claims of a block, the headers from that block to one with a certificate, and the
//! certificate.
//!
//! A block may be final through a later one's certificate. Then the headers in between go with it, each of
//! which names the one before.

use commonware_codec::{
    Buf, Copying, Encode as _, EncodeSize, Error as CodecError, Read, ReadExt as _, Write,
};
use commonware_parallel::Sequential;
use commonware_runtime::BufMut;
use serde::Serialize;
use soma_types::{BlockHash, ChainId, Height};

use crate::{
    claim::{Claim, Unfounded},
    consensus::{Digest, Finalization},
    header::Header,
    key::NetworkKey,
    subject::{Found, Subject},
};

/// Most headers from the block that a claim is about to the one with the certificate.
pub const HEADERS_MAX: usize = 64;

/// A header, and the hash of the transactions that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The header.
    pub header: Header,
    /// The hash of the block's transactions.
    pub transactions: Digest,
}

impl Link {
    /// The block's name.
    #[must_use]
    pub fn block(&self) -> Digest {
        self.header.block(&self.transactions)
    }
}

/// What makes a block final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finality {
    /// The block, and those after it up to the one with the certificate.
    pub links: Vec<Link>,
    /// That one's certificate.
    pub certificate: Finalization,
}

/// A claim, and all that is needed to check it but the network's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The network's name in signatures. A key signs for one.
    pub chain: ChainId,
    /// What makes the block final that the claim is about.
    pub finality: Finality,
    /// The claim.
    pub claim: Claim,
}

/// What a proof shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// The network.
    pub chain: ChainId,
    /// The height of the block after which it was so. There may be higher ones.
    pub height: Height,
    /// The block.
    pub block: BlockHash,
    /// When the block was proposed, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// What it is about.
    pub subject: Subject,
    /// What was there; `None` where nothing was.
    pub found: Option<Found>,
}

/// Why a proof shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no proof at all.
    #[error("it is no proof, or one of another release ({0}): ask the node again")]
    Undecodable(String),
    /// No header.
    #[error("it names no block: ask the node again")]
    NoBlock,
    /// A header does not follow the one before.
    #[error("header {0} does not follow the one before it: the proof is forged or damaged")]
    Broken(usize),
    /// The certificate is another block's.
    #[error("the certificate is not that of the last header's block: the proof is forged or damaged")]
    OtherBlock,
    /// The certificate is not the network's.
    #[error("the certificate is not signed by the network's key {0}: it is another network's, or forged")]
    OtherKey(String),
    /// The block does not bear the claim out.
    #[error(transparent)]
    Unfounded(#[from] Unfounded),
}

impl Proof {
    /// The proof in `bytes`.
    ///
    /// # Errors
    /// [`Refused::Undecodable`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        <Self as commonware_codec::DecodeExt<()>>::decode(Copying(bytes))
            .map_err(|error| Refused::Undecodable(error.to_string()))
    }

    /// Its bytes.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        self.encode().to_vec()
    }

    /// What it shows to whoever trusts `network_key`.
    ///
    /// # Errors
    /// Why it shows nothing.
    pub fn verify(&self, network_key: &NetworkKey) -> Result<Proven, Refused> {
        let Self {
            chain,
            finality: Finality { links, certificate },
            claim,
        } = self;
        let first = links.first().ok_or(Refused::NoBlock)?;
        let block = first.block();
        let mut last = block;
        for (index, pair) in links.windows(2).enumerate() {
            let [before, after] = pair else { continue };
            if after.header.parent != last || after.header.height != before.header.height.next() {
                return Err(Refused::Broken(index + 1));
            }
            last = after.block();
        }
        if certificate.proposal.payload != last {
            return Err(Refused::OtherBlock);
        }
        // Hashes first: what is forged is refused before anything costs a pairing.
        let header = &first.header;
        let found = claim.check(header)?;
        let scheme = network_key.scheme(&chain.0);
        if !certificate.verify(&mut rand::rng(), &scheme, &Sequential) {
            return Err(Refused::OtherKey(network_key.to_string()));
        }
        Ok(Proven {
            chain: *chain,
            height: Height(header.height.get()),
            block: BlockHash(block.as_ref().try_into().expect("a digest has 32 bytes")),
            timestamp_ms: header.timestamp_ms,
            subject: claim.subject(),
            found,
        })
    }
}

impl Write for Link {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.transactions.write(buf);
    }
}

impl EncodeSize for Link {
    fn encode_size(&self) -> usize {
        self.header.encode_size() + self.transactions.encode_size()
    }
}

impl Read for Link {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self {
            header: Header::read(buf)?,
            transactions: Digest::read(buf)?,
        })
    }
}

impl Write for Proof {
    fn write(&self, buf: &mut impl BufMut) {
        self.chain.0.write(buf);
        self.finality.links.write(buf);
        self.finality.certificate.write(buf);
        self.claim.write(buf);
    }
}

impl EncodeSize for Proof {
    fn encode_size(&self) -> usize {
        self.chain.0.encode_size()
            + self.finality.links.encode_size()
            + self.finality.certificate.encode_size()
            + self.claim.encode_size()
    }
}

impl Read for Proof {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self {
            chain: ChainId(<[u8; 32]>::read(buf)?),
            finality: Finality {
                links: Vec::read_cfg(buf, &((1..=HEADERS_MAX).into(), ()))?,
                certificate: Finalization::read(buf)?,
            },
            claim: Claim::read(buf)?,
        })
    }
}
