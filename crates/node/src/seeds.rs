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

#[cfg(test)]
mod tests {
    use commonware_consensus::{
        simplex::types::{Finalization, Finalize, Proposal},
        types::{Epoch, View},
    };
    use commonware_parallel::Sequential;
    use commonware_utils::{non_empty, test_rng};

    use super::*;
    use crate::{consensus::Digest, dealer::Dealt};

    #[test]
    fn only_the_networks_signature_of_the_round_is_its_seed() {
        let (chain, dealt) = ([4; 32], Dealt::new(test_rng(), 4));
        let schemes: Vec<Scheme> = (0..4).map(|index| dealt.scheme(&chain, index)).collect();
        let round = Round::new(Epoch::zero(), View::new(5));
        let certificate = |payload: u8| {
            let proposal = Proposal::new(round, View::new(4), Digest::from([payload; 32]));
            let votes: Vec<_> = schemes
                .iter()
                .map(|scheme| Finalize::sign(scheme, proposal.clone()).unwrap())
                .collect();
            Finalization::from_finalizes(&schemes[0], non_empty![@votes.iter()], &Sequential).unwrap()
        };
        let mut seeds = Seeds::default();
        seeds.report(Activity::Finalization(certificate(1)));
        let seed = seeds.get(round).unwrap();
        // Whatever was voted on, the round has one seed.
        let mut others = Seeds::default();
        others.report(Activity::Finalization(certificate(2)));
        assert_eq!(others.get(round), Some(seed));

        let stranger = Seeds::default();
        let next = Round::new(Epoch::zero(), View::new(6));
        let other_network = Dealt::new(test_rng(), 4).scheme(&[5; 32], 0);
        for seeds in [&seeds, &stranger] {
            assert!(seeds.verify(&schemes[1], round, &seed));
            assert!(!seeds.verify(&schemes[1], next, &seed), "another round");
            assert!(
                !seeds.verify(&schemes[1], round, &SeedSignature([0; 96])),
                "not a point"
            );
        }
        assert!(!stranger.verify(&other_network, round, &seed), "another network");
    }
}
