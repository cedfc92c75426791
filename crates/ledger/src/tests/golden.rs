//! One fixed history and the digest of its state: a change here is a change of the protocol.

use soma_types::transaction::Verdict;

use super::world::{World, audit_kinds, tiny};

/// Four epochs with wins, an audit that finds one false, stake and fees.
fn history() -> World {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let cheat = world.win(8, &targets[0], 1, 0);
    world.win(9, &targets[1], 2, 1);
    world.until_epoch(3);
    let steps: Vec<_> = (0..4)
        .map(|who| (who, audit_kinds(who, cheat, Verdict::FalseScore, 7)))
        .collect();
    world.block(
        steps
            .iter()
            .map(|(who, (commit, _))| (*who, commit.clone()))
            .collect(),
    );
    world.skip(8);
    world.block(
        steps
            .iter()
            .map(|(who, (_, reveal))| (*who, reveal.clone()))
            .collect(),
    );
    world.until_epoch(5);
    world
}

#[test]
fn the_state_is_pinned() {
    let (first, second) = (history(), history());
    assert_eq!(first.state, second.state);
    assert_eq!(first.history, second.history);
    let digest: String = first
        .state
        .digest()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        digest,
        "3d42b85ed34b8412fb89678780608353854cf21a8a6dfe0eaa3c8c8da65fdd30"
    );
}
