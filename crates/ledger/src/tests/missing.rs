//! A state that has nothing in memory until told to load it gives the same blocks.

use crate::{
    Executor, RoutingCache, Terms,
    testing::{LazyState, World, commit_model, tiny},
};

#[test]
fn lazy_reads_change_nothing() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    world.win(8, &targets[0], 1, 0);
    // Now into the boundary, its audits and payouts, block by block, each from a cold state.
    world.lazily = true;
    for _ in 0..40 {
        let open = world.open_targets();
        let find = world.find(9, &open[0], world.chain.height().0 as u8, 0);
        world.block(vec![(9, find.commit())]);
    }
}

#[test]
fn hints_cover_most_of_what_a_transaction_reads() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let kinds = [world.find(8, &target, 1, 0).commit(), commit_model(models[0], 1)];
    for kind in kinds {
        let mut lazy = LazyState::new(world.chain.state.clone());
        let transaction = world.transaction(8, 0, kind);
        lazy.wanted.extend(crate::block_keys());
        lazy.wanted
            .extend(crate::transaction_keys(&transaction, world.epoch()));
        lazy.load();
        lazy.retry(|state| crate::simulate(state, &transaction).map(|result| assert!(result.is_ok())));
        assert!(lazy.loads <= 2, "{} loads", lazy.loads);
    }
}

#[test]
fn a_missing_read_leaves_nothing_behind() {
    let (world, _) = World::with_models(tiny(), 3);
    let mut lazy = LazyState::new(world.chain.state.clone());
    let mut executor = Executor::new(world.next_block());
    let mut cache = RoutingCache::new();
    for _ in 0..1_000 {
        let before = lazy.known.clone();
        let step = format!("{executor:?}");
        match executor.begin(&mut lazy, &mut cache) {
            Ok(()) => return,
            Err(_) if format!("{executor:?}") == step => assert_eq!(lazy.known, before),
            Err(_) => {}
        }
        lazy.load();
    }
    panic!("the block never began");
}

#[test]
fn asking_what_a_transaction_would_do_changes_nothing() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let find = world.find(8, &target, 1, 0);
    let transaction = world.transaction(8, 0, find.commit());
    let before = world.chain.state.clone();
    let terms = Terms::load(&mut world.chain.state).unwrap().unwrap();
    let receipt = crate::simulate(&mut world.chain.state, &transaction)
        .unwrap()
        .unwrap();
    assert_eq!(Ok(receipt.fee), terms.fee(&transaction));
    assert!(receipt.applied());
    assert_eq!(world.chain.state, before);
    let ahead = world.transaction(8, 3, find.commit());
    assert!(crate::simulate(&mut world.chain.state, &ahead).unwrap().is_err());
}
