//! What a hit pays in fees, at every volume of hits.

use soma_types::{objects::SubmissionStatus, params::Params};

use crate::{
    testing::{World, basis, tiny},
    view,
};

/// A network's hits of an epoch once fees have settled: what the last one paid in fees, and what it earned
/// its submitter.
fn settled(params: Params, hits: usize) -> (u64, u64) {
    let (mut world, _) = World::with_models(params, 3);
    let mut data = 0;
    let mut last = None;
    for epoch in 2..40 {
        for _ in 0..hits {
            let target = world.open_targets().remove(0);
            let find = world.find(8, &target, data, 0);
            let id = world.commit(&find);
            let fee = world.apply(8, find.reveal(id)).fee;
            world.skip(2);
            last = Some((id, 2 * fee.0));
            data += 1;
        }
        world.until_epoch(epoch + 1);
    }
    let (id, fees) = last.unwrap();
    world.until_epoch(43);
    let SubmissionStatus::Paid { submitter, .. } = world.status(id) else {
        panic!("nobody accused it");
    };
    (fees, submitter.0)
}

/// A network with a burn that hits alone have to pay: of a tenth of the supply in a year of twenty epochs,
/// and hits that earn little.
fn dear(fee_share_max: u16) -> Params {
    Params {
        burn_per_year: basis(1_000),
        epochs_per_year: 20,
        emission_epochs: 1 << 24,
        hits_goal: 100,
        refresh_epochs: 100,
        audit_rate: basis(1),
        bond_margin: 0,
        fee_share_max: basis(fee_share_max),
        ..tiny()
    }
}

/// Whoever hits pays a small part of what it earns, from one hit in a hundred wanted on. (Where the burn
/// alone is the target, few hits pay all of it: more than they earn, so that they stay away, and the rest pay
/// more.)
#[test]
fn a_hits_fees_are_a_small_part_of_what_it_earns() {
    for hits in [1, 3] {
        let (fees, earned) = settled(dear(1_500), hits);
        assert!(5 * fees < earned, "{hits} hits pay {fees} each of {earned}");
        let (fees, earned) = settled(dear(0), hits);
        assert!(fees > earned, "{hits} hits pay {fees} each of {earned}");
    }
}

/// The burn of the documents stays a ceiling.
#[test]
fn the_burn_is_no_more_than_it_was() {
    for share in [0, 1_500, 10_000] {
        let (mut world, _) = World::with_models(dear(share), 3);
        for epoch in 3..20 {
            world.until_epoch(epoch);
            let closed = view::epoch_record(&mut world.chain.state, soma_types::Epoch(epoch - 1));
            let burned = closed.unwrap().unwrap().burned;
            let yearly = world
                .genesis
                .params
                .burn_per_year
                .of(world.supply().circulating());
            assert!(burned.0 <= yearly.0 / world.genesis.params.epochs_per_year);
        }
    }
}
