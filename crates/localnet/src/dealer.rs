//! A trusted dealer: network identities and threshold shares for a localnet's first committee.
//!
//! On a public network the committee generates its key together and nobody ever holds it whole.

use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_cryptography::{
    Signer,
    bls12381::{
        dkg::feldman_desmedt::deal,
        primitives::{
            group::Share,
            sharing::{Mode, Sharing},
        },
    },
    ed25519,
};
use commonware_utils::{N3f1, TryCollect as _, ordered::Set};
use rand_core::CryptoRng;

use soma_node::consensus::{Identity, Scheme, Variant, namespace};

/// A committee with all its secrets.
pub struct Dealt {
    /// The members, in the order of their indices.
    pub identities: Set<Identity>,
    /// The public polynomial. Its constant term is the network's key.
    pub polynomial: Sharing<Variant>,
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
            identities,
            polynomial: output.public().clone(),
            members,
        }
    }

    /// The network's public key.
    #[must_use]
    pub fn network_key(&self) -> [u8; 48] {
        network_key(&self.polynomial)
    }

    /// The signing scheme of the member at `index` on network `chain`.
    ///
    /// # Panics
    /// If there is no such member.
    #[must_use]
    pub fn scheme(&self, chain: &[u8; 32], index: usize) -> Scheme {
        let share = self.members[index].share.clone();
        Scheme::signer(
            &namespace(chain),
            self.identities.clone(),
            self.polynomial.clone(),
            share,
        )
        .expect("a dealt share belongs to its polynomial")
    }
}

/// The network's public key: the constant term of `polynomial`.
#[must_use]
pub fn network_key(polynomial: &Sharing<Variant>) -> [u8; 48] {
    polynomial
        .public()
        .encode()
        .as_ref()
        .try_into()
        .expect("a G1 point has 48 bytes")
}
