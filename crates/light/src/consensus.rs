//! The concrete consensus types of SOMA, named once.
//!
//! Peers are Ed25519 identities. Votes and certificates are BLS12-381 threshold signatures in the
//! variant with 48-byte public keys, so a light client needs one 48-byte key, for ever. Every vote also
//! signs its round, and the recovered signature is the round's seed.

use commonware_codec::Encode as _;
use commonware_consensus::simplex::{self, scheme::bls12381_threshold::vrf};
use commonware_cryptography::{blake3, bls12381::primitives::variant::MinPk, ed25519};
use soma_types::PublicKey;

/// Hash of blocks, state roots and state keys.
pub type Digest = blake3::Digest;
/// The hasher behind [`Digest`].
pub type Hasher = blake3::Blake3;
/// A validator's network identity.
pub type Identity = ed25519::PublicKey;
/// Where signatures live: public keys in G1 (48 bytes), signatures in G2 (96 bytes).
pub type Variant = MinPk;
/// Threshold signing and verification.
pub type Scheme = vrf::Scheme<Identity, Variant>;
/// What consensus says about a block: its round, leader and parent.
pub type Context = simplex::types::Context<Digest, Identity>;
/// Proof that a block is final.
pub type Finalization = simplex::types::Finalization<Scheme, Digest>;

/// Size of a seed signature, in bytes.
pub const SEED_SIGNATURE_BYTES: usize = 96;

/// The namespace of everything validators of the network `chain` sign in consensus.
#[must_use]
pub fn namespace(chain: &[u8; 32]) -> Vec<u8> {
    [b"soma 2026 consensus ".as_slice(), chain].concat()
}

/// A member's key as the ledger's objects name it.
#[must_use]
pub fn public_key(identity: &Identity) -> PublicKey {
    PublicKey(
        identity
            .encode()
            .as_ref()
            .try_into()
            .expect("an Ed25519 public key has 32 bytes"),
    )
}
