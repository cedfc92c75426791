//! Seeds: the threshold signatures of recent rounds, as certificates revealed them.

use std::{collections::BTreeMap, sync::Arc};

use commonware_actor::Feedback;
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::{
    Reporter,
    simplex::scheme::bls12381_threshold::vrf::{Seed, Seedable as _},
    types::Round,
};
use commonware_utils::sync::{Mutex, Notify};
use soma_types::hash::domain_hash;

use crate::{
    block::SeedSignature,
    consensus::{Activity, Scheme, Variant},
};

/// How many rounds are remembered. A proposer needs its parent's, a few views back.
const ROUNDS_MAX: usize = 1024;

type SignaturePoint = <Variant as commonware_cryptography::bls12381::primitives::variant::Variant>::Signature;

/// Remembers the seed of every recent certified round. Cheap to clone; all clones share.
#[derive(Clone, Default)]
pub struct Seeds {
    known: Arc<Mutex<BTreeMap<Round, SeedSignature>>>,
    changed: Arc<Notify>,
}

impl Seeds {
    fn insert(&self, seed: &Seed<Variant>) {
        let encoded = seed.signature.encode();
        let signature = SeedSignature(encoded.as_ref().try_into().expect("a G2 signature has 96 bytes"));
        let mut known = self.known.lock();
        known.insert(seed.round, signature);
        while known.len() > ROUNDS_MAX {
            known.pop_first();
        }
        drop(known);
        self.changed.notify_waiters();
    }

    /// The seed of `round`, if a certificate for it was seen.
    #[must_use]
    pub fn get(&self, round: Round) -> Option<SeedSignature> {
        self.known.lock().get(&round).copied()
    }

    /// The seed of `round`, once a certificate for it is seen.
    pub async fn wait(&self, round: Round) -> SeedSignature {
        loop {
            let changed = self.changed.notified();
            if let Some(seed) = self.get(round) {
                return seed;
            }
            changed.await;
        }
    }

    /// Whether `signature` is the network's over `round`. A seed already seen in a certificate needs
    /// no pairing.
    #[must_use]
    pub fn verify(&self, scheme: &Scheme, round: Round, signature: &SeedSignature) -> bool {
        if let Some(known) = self.get(round) {
            return known == *signature;
        }
        let Ok(point) = SignaturePoint::decode(signature.0.to_vec()) else {
            return false;
        };
        Seed::<Variant>::new(round, point).verify(scheme)
    }
}

impl Reporter for Seeds {
    type Activity = Activity;

    fn report(&mut self, activity: Activity) -> Feedback {
        match activity {
            Activity::Notarization(notarization) | Activity::Certification(notarization) => {
                self.insert(&notarization.seed());
            }
            Activity::Finalization(finalization) => self.insert(&finalization.seed()),
            _ => {}
        }
        Feedback::Ok
    }
}

/// The 32 bytes that execution sees: a hash of the seed signature, or of the genesis block.
#[must_use]
pub fn execution_seed(signature: Option<&SeedSignature>, genesis: &[u8]) -> [u8; 32] {
    match signature {
        Some(SeedSignature(bytes)) => domain_hash("soma 2026 block seed", &[bytes]),
        None => domain_hash("soma 2026 genesis seed", &[genesis]),
    }
}
