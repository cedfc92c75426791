//! Forgetting an epoch's history changes nothing else.

use soma_types::{
    Address, ContentHash, Epoch, Shannons, SubmissionId, Transcript,
    objects::{AuditFinding, AuditOutcome, SubmissionStatus, VoteCount},
    params::Params,
    transaction::Verdict,
};

use super::challenges::unsampled;
use crate::{
    State as _, history,
    tables::{AUDIT_OUTCOMES, AUDIT_VOTES, CLAIMS, DUTIES, SUBMISSION_EMBEDDINGS},
    testing::{World, audit_kinds, tiny},
    view,
};

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
            let record = view::epoch_record(&mut world.chain.state, Epoch(settled))
                .unwrap()
                .unwrap();
            assert!(record.settled);
            if forget {
                let keys = history(&mut world.chain.state, Epoch(settled), first_submission).unwrap();
                for key in keys {
                    world.chain.state.set(&key, None);
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
    let kept: Vec<_> = forgetful.chain.state.iter().collect();
    let all: Vec<_> = remembering.chain.state.iter().collect();
    assert!(
        kept.iter().all(|entry| all.contains(entry)),
        "what is kept is the same"
    );
    // 6 settled epochs with submissions: 5 commits, 2 winners each, and targets.
    assert!(
        all.len() - kept.len() > 6 * (10 + 2 + 2 + 8),
        "{} of {}",
        kept.len(),
        all.len()
    );
}

#[test]
fn embeddings_and_votes_go_when_they_are_settled() {
    let params = Params {
        auditors: 1,
        ..tiny()
    };
    let (mut world, _) = World::with_models(params, 3);
    let target = world.open_targets().remove(0);
    let (won, lost) = (world.find(8, &target, 1, 0), world.find(9, &target, 2, 1));
    let (first, second) = (world.commit(&won), world.commit(&lost));
    world.apply(8, won.reveal(first));
    world.apply(9, lost.reveal(second));
    let embeddings = |world: &World| SUBMISSION_EMBEDDINGS.all(&world.chain.state).count();
    let votes = |world: &World| AUDIT_VOTES.all(&world.chain.state).count();
    assert_eq!(embeddings(&world), 2);
    world.skip(2);
    assert_eq!(embeddings(&world), 1, "the loser's has gone");
    world.until_epoch(3);
    // One auditor accuses, and of the committee one commits and does not reveal.
    let auditors = world.polled(first);
    world.audit(
        first,
        auditors.into_iter().map(|who| (who, Verdict::FalseScore, 6)),
    );
    world.until_offset(world.genesis.params.hearing_from());
    let (commit, _) = audit_kinds(3, first, Verdict::Valid, 7);
    world.apply(3, commit);
    world.audit(first, (0..3).map(|who| (who, Verdict::FalseScore, 7)));
    assert_eq!(votes(&world), 5);
    world.until_epoch(4);
    world.skip(1);
    assert!(matches!(world.status(first), SubmissionStatus::FoundFalse { .. }));
    assert_eq!((embeddings(&world), votes(&world)), (0, 0));
}

/// Who proposed and audited is read when seats are paid, and not again.
#[test]
fn duties_go_when_they_are_paid() {
    let (mut world, _) = World::with_models(tiny(), 3);
    for epoch in 3..9 {
        world.until_epoch(epoch);
        world.skip(5);
        // Four seats' of this epoch and of the one before, whose turn comes with the next.
        assert_eq!(DUTIES.all(&world.chain.state).count(), 8, "epoch {epoch}");
    }
}

/// Bytes in the state of what is there under these keys.
fn bytes(world: &mut World, keys: &[Vec<u8>]) -> usize {
    let sizes = keys.iter().map(|key| {
        let value = world.chain.state.get(key).unwrap();
        value.map_or(0, |value| key.len() + value.len())
    });
    sizes.sum()
}

/// The figures of docs/economy.md, "The state".
#[test]
fn what_a_settled_hit_leaves() {
    let params = Params {
        refresh_epochs: 20,
        ..unsampled()
    };
    let (mut world, _) = World::with_models(params, 3);
    let mut data = 0;
    for hits in 1..=2 {
        for _ in 0..hits {
            let target = world.open_targets().remove(0);
            let mut find = world.find(8, &target, data, 0);
            find.reveal.data_url = "https://storage.example.org/data/0123456789abcdef"
                .parse()
                .unwrap();
            let id = world.commit(&find);
            world.apply(8, find.reveal(id));
            world.skip(2);
            data += 1;
        }
        world.until_epoch(2 + hits);
    }
    world.until_epoch(6);
    let [one, two] = [(2, 0), (3, 1)].map(|(epoch, first)| {
        let keys = history(&mut world.chain.state, Epoch(epoch), first).unwrap();
        bytes(&mut world, &keys)
    });
    let claim = bytes(&mut world, &[CLAIMS.key(&ContentHash([0; 32]))]);
    let outcome = AuditOutcome {
        drawn: VoteCount {
            majority: Some(AuditFinding {
                verdict: Verdict::Valid,
                transcript: Transcript([0; 32]),
            }),
            agreed: vec![Address([0; 32]); Params::std().auditors as usize],
            dissented: vec![],
            silent: vec![],
        },
        hearing: None,
    };
    let outcome = AUDIT_OUTCOMES.key(&SubmissionId([0; 32])).len() + borsh::object_length(&outcome).unwrap();
    let sampled = Params::std().audit_rate.of(Shannons(10_000)).0 as usize;
    let day = Params::std().hits_goal as usize * (10_000 * (two - one + claim) + sampled * outcome) / 10_000;
    assert_eq!((two - one, claim, outcome, day), (829, 74, 304, 80_645_760));
}

#[test]
fn an_epoch_that_is_not_settled_has_no_history() {
    let (mut world, _) = World::with_models(tiny(), 3);
    world.until_epoch(4);
    assert!(history(&mut world.chain.state, Epoch(3), 0).is_err());
}
