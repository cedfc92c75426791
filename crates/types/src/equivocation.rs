//! Evidence that a validator voted for two things at once (docs/protocol.md, section 4).
//!
//! The engine's own votes are shares of threshold signatures, which any quorum can forge, so they prove
//! nothing about one validator. What counts is a vote signed by its Ed25519 network key: chain, epoch, view
//! and digest.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{BlockHash, ChainId, Epoch, Keypair, PublicKey, Signature};

/// Namespace of votes that are signed by a network key.
pub const VOTE_NAMESPACE: &[u8] = b"soma 2026 vote";

/// What a vote says and who may be held to it.
fn message(chain: &ChainId, epoch: Epoch, view: u64, digest: &BlockHash) -> Vec<u8> {
    [
        &chain.0[..],
        &epoch.0.to_le_bytes(),
        &view.to_le_bytes(),
        &digest.0,
    ]
    .concat()
}

/// A digest, and the signature of a vote for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct SignedDigest {
    /// What was voted for.
    pub digest: BlockHash,
    /// The network key's signature over chain, epoch, view and digest, under [`VOTE_NAMESPACE`].
    pub signature: Signature,
}

impl SignedDigest {
    /// Votes for `digest`.
    #[must_use]
    pub fn sign(keys: &Keypair, chain: &ChainId, epoch: Epoch, view: u64, digest: BlockHash) -> Self {
        Self {
            digest,
            signature: keys.sign(VOTE_NAMESPACE, &message(chain, epoch, view, &digest)),
        }
    }
}

/// Two votes of one network key for one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Equivocation {
    /// The key that signed both.
    pub network_key: PublicKey,
    /// The epoch of both.
    pub epoch: Epoch,
    /// The view of both.
    pub view: u64,
    /// One of the two votes.
    pub first: SignedDigest,
    /// The other.
    pub second: SignedDigest,
}

impl Equivocation {
    /// Whether the votes are for different things.
    #[must_use]
    pub fn conflicts(&self) -> bool {
        self.first.digest != self.second.digest
    }

    /// Whether the key signed both, on `chain`.
    #[must_use]
    pub fn is_signed(&self, chain: &ChainId) -> bool {
        [&self.first, &self.second].into_iter().all(|vote| {
            let message = message(chain, self.epoch, self.view, &vote.digest);
            self.network_key.verify(VOTE_NAMESPACE, &message, &vote.signature)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_bind_chain_epoch_view_and_digest() {
        let keys = Keypair::from_secret_bytes([1; 32]);
        let (chain, epoch, view) = (ChainId([2; 32]), Epoch(3), 4);
        let vote = |digest: u8| SignedDigest::sign(&keys, &chain, epoch, view, BlockHash([digest; 32]));
        let evidence = Equivocation {
            network_key: keys.public_key(),
            epoch,
            view,
            first: vote(1),
            second: vote(2),
        };
        assert!(evidence.conflicts() && evidence.is_signed(&chain));
        assert!(!evidence.is_signed(&ChainId([9; 32])));
        for changed in [
            Equivocation {
                epoch: Epoch(4),
                ..evidence
            },
            Equivocation { view: 5, ..evidence },
            Equivocation {
                network_key: PublicKey([9; 32]),
                ..evidence
            },
            Equivocation {
                second: SignedDigest {
                    digest: BlockHash([3; 32]),
                    ..evidence.second
                },
                ..evidence
            },
        ] {
            assert!(!changed.is_signed(&chain));
        }
        let same = Equivocation {
            second: evidence.first,
            ..evidence
        };
        assert!(!same.conflicts());
    }
}
