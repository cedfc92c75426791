//! Forgetting an epoch's history changes nothing else.

use soma_types::{Epoch, params::Params};

use super::world::{World, tiny};
use crate::{State as _, history, view};

/// Wins, a commit that expires, a race that is lost, in every epoch.
fn live(world: &mut World, epochs: u64, forget: bool) {
    let mut first_submission = 0;
    let mut data = 0;
    for epoch in 2..2 + epochs {
        for _ in 0..2 {
            let target = world.open_targets().remove(0);
            let (won, lost) = (
                world.find(8, &target, data, 0),
                world.find(9, &target, data + 1, 1),
            );
            data += 2;
            let (first, second) = (world.commit(&won), world.commit(&lost));
            world.apply(8, won.reveal(first));
            world.apply(9, lost.reveal(second));
            world.skip(2);
        }
        let target = world.open_targets().remove(0);
        let never = world.find(8, &target, 255, 0);
        world.commit(&never);
        world.until_epoch(epoch + 1);
        if let Some(settled) = epoch.checked_sub(3) {
            let record = view::epoch_record(&mut world.state, Epoch(settled))
                .unwrap()
                .unwrap();
            assert!(record.settled);
            if forget {
                let keys = history(&mut world.state, Epoch(settled), first_submission).unwrap();
                for key in keys {
                    world.state.set(&key, None);
                }
            }
            first_submission += record.state.submissions_committed;
        }
    }
}

#[test]
fn forgetting_history_changes_nothing_else() {
    let params = Params {
        refresh_epochs: 20,
        ..tiny()
    };
    let (mut forgetful, _) = World::with_models(params, 3);
    let mut remembering = forgetful.clone();
    live(&mut forgetful, 9, true);
    live(&mut remembering, 9, false);
    assert_eq!(
        forgetful.history, remembering.history,
        "every receipt and every event"
    );
    let kept: Vec<_> = forgetful.state.iter().collect();
    let all: Vec<_> = remembering.state.iter().collect();
    assert!(
        kept.iter().all(|entry| all.contains(entry)),
        "what is kept is the same"
    );
    // 6 settled epochs with submissions: 5 commits, 4 embeddings, 2 winners each, and targets.
    assert!(
        all.len() - kept.len() > 6 * (10 + 4 + 2 + 8),
        "{} of {}",
        kept.len(),
        all.len()
    );
}

#[test]
fn an_epoch_that_is_not_settled_has_no_history() {
    let (mut world, _) = World::with_models(tiny(), 3);
    world.until_epoch(4);
    assert!(history(&mut world.state, Epoch(3), 0).is_err());
}
