//! A trusted dealer: network identities and threshold shares for a localnet's first committee.
//!
//! The committee of a network of many operators makes its key together, and nobody ever holds it whole:
//! [`soma_operator::founding`].

use commonware_codec::DecodeExt as _;
use commonware_cryptography::{
    Signer,
    bls12381::{
        dkg::feldman_desmedt::deal,
        primitives::{group::Share, sharing::Mode},
    },
    ed25519,
};
use commonware_utils::{N3f1, TryCollect as _, ordered::Set};
use rand_core::CryptoRng;
use soma_node::consensus::{Identity, Scheme, Variant};
use soma_operator::committee::Committee;
use soma_types::ChainId;

/// A committee with all its secrets.
pub struct Dealt {
    /// The members, in the order of their indices, and the public polynomial.
    pub committee: Committee,
    /// Each member's secrets, in the same order.
    pub members: Vec<Member>,
}

/// One member's secrets.
#[derive(Clone)]
pub struct Member {
    /// Authenticates it to its peers.
    pub identity: ed25519::PrivateKey,
    /// Its part of the network's key.
    pub share: Share,
}

impl Dealt {
    /// Deals to `validators` members.
    ///
    /// # Panics
    /// If `validators` is zero.
    pub fn new(mut rng: impl CryptoRng, validators: u32) -> Self {
        assert!(validators > 0, "a committee has members");
        let mut keys: Vec<ed25519::PrivateKey> = (0..validators)
            .map(|_| {
                let mut secret = [0; 32];
                rng.fill_bytes(&mut secret);
                ed25519::PrivateKey::decode(secret.to_vec()).expect("any 32 bytes are an Ed25519 secret")
            })
            .collect();
        keys.sort_by_key(Signer::public_key);
        let identities: Set<Identity> = keys
            .iter()
            .map(Signer::public_key)
            .try_collect()
            .expect("random keys are distinct");
        let (output, shares) = deal::<Variant, _, N3f1>(rng, Mode::NonZeroCounter, identities.clone())
            .expect("a non-empty committee can be dealt to");
        let members = keys
            .into_iter()
            .zip(shares.values())
            .map(|(identity, share)| Member {
                identity,
                share: share.clone(),
            })
            .collect();
        Self {
            committee: Committee {
                identities,
                polynomial: output.public().clone(),
            },
            members,
        }
    }

    /// The signing scheme of the member at `index` on network `chain`.
    ///
    /// # Panics
    /// If there is no such member.
    #[must_use]
    pub fn scheme(&self, chain: &[u8; 32], index: usize) -> Scheme {
        let share = self.members[index].share.clone();
        self.committee.signer(&ChainId(*chain), share)
    }
}
