//! One fixed history and the digest of its state: a change here is a change of the protocol.

use soma_types::{params::Params, transaction::Verdict};

use crate::testing::{World, tiny};

/// Four epochs with wins, an auditor who accuses one, a hearing that finds it false, stake and fees.
fn history() -> World {
    let params = Params {
        auditors: 1,
        ..tiny()
    };
    let (mut world, _) = World::with_models(params, 3);
    let targets = world.open_targets();
    let cheat = world.win(8, &targets[0], 1, 0);
    world.win(9, &targets[1], 2, 1);
    world.until_epoch(3);
    let auditors = world.polled(cheat);
    world.audit(
        cheat,
        auditors.into_iter().map(|who| (who, Verdict::FalseScore, 6)),
    );
    world.until_offset(world.genesis.params.hearing_from() + 1);
    assert_eq!(world.polled(cheat), [0, 1, 2, 3]);
    world.audit(cheat, (0..4).map(|who| (who, Verdict::FalseScore, 7)));
    world.until_epoch(5);
    world
}

#[test]
fn the_state_is_pinned() {
    let (first, second) = (history(), history());
    assert_eq!(first.chain.state, second.chain.state);
    assert_eq!(first.history, second.history);
    let digest: String = first
        .chain
        .state
        .digest()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        digest,
        "52a7009a9fe914a786b8422efd3922a933bc076c3c83247d8e002c1183b8d83c"
    );
}
