//! The seeds of rounds, signed by a committee.

use commonware_consensus::{
    Reporter as _,
    simplex::types::{Finalization, Finalize, Proposal},
    types::{Epoch, Round, View},
};
use commonware_parallel::Sequential;
use commonware_utils::{non_empty, test_rng};
use soma_localnet::dealer::Dealt;
use soma_node::{
    block::SeedSignature,
    consensus::{Activity, Digest, Scheme},
    seeds::Seeds,
};

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
