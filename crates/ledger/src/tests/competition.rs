//! Targets, submissions, audits and rewards.

use soma_types::{
    Address, Epoch, Rejection, Seed, Shannons, SubmissionId,
    event::Event,
    objects::{SubmissionStatus, Target, TargetStatus},
    params::Params,
    transaction::{BasisPoints, Verdict},
};

use crate::{
    testing::{SOMA, World, address, audit_kinds, created_submission, tiny},
    view,
};

/// Everyone audits `submission` with the given verdicts (`None`: silent). The world stands in the audit
/// epoch and ends when its winners are settled.
fn audit(world: &mut World, submission: SubmissionId, findings: &[Option<(Verdict, u8)>]) {
    let votes = (0..).zip(findings);
    let votes =
        votes.filter_map(|(who, finding)| finding.map(|(verdict, transcript)| (who, verdict, transcript)));
    world.audit(submission, votes);
    let epoch = world.epoch();
    world.until_epoch(epoch.0 + 1);
    world.skip(4);
}

#[test]
fn the_whole_competition() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    assert_eq!(targets.len(), 4);
    assert!(
        targets.iter().all(|target| target.models == models),
        "commit order"
    );

    let before = world.balance(8);
    let winner = world.win(8, &targets[0], 1, 1);
    let submission = world.submission(winner);
    assert_eq!(submission.found.as_ref().unwrap().model, models[1]);
    assert_eq!(submission.bond, world.bond_floor());
    let after = world.balance(8);
    assert!(
        before > after && before - after < submission.bond.0 + 1_000_000,
        "the bond and two fees are out, the deposit is back"
    );

    // The place was taken over by a new target in the same block.
    let now = world.open_targets();
    assert_eq!(now.len(), 4);
    assert!(now.iter().all(|target| target.id != targets[0].id));
    let filled = view::target(&mut world.chain.state, targets[0].id)
        .unwrap()
        .unwrap();
    let TargetStatus::Filled { at, submission: by } = filled.status else {
        panic!("{filled:?}")
    };
    assert_eq!(by, winner);
    assert_eq!(
        now.iter()
            .find(|target| target.slot == filled.slot)
            .unwrap()
            .opened,
        at
    );

    // Nobody audits: the winner stands, the validators forfeit.
    world.until_epoch(4);
    let record = view::epoch_record(&mut world.chain.state, Epoch(2))
        .unwrap()
        .unwrap();
    assert_eq!(record.state.hits, 1);
    let fresh = record.emission.0 + record.recycled.0;
    let targets = fresh - fresh / 5 + record.reserve.0 / world.genesis.params.emission_epochs;
    assert_eq!(record.reward_per_hit.0, targets / 8 / 2 * 2);
    world.skip(3);
    let half = record.reward_per_hit.0 / 2;
    let owner = half / 10;
    assert_eq!(
        world.status(winner),
        SubmissionStatus::Paid {
            submitter: Shannons(half),
            owner: Shannons(owner),
            pool: Shannons(half - owner)
        }
    );
    assert_eq!(world.balance(8), after + half + submission.bond.0);
    let pool = view::pool(
        &mut world.chain.state,
        soma_types::transaction::PoolId::Model(models[1]),
    )
    .unwrap()
    .unwrap();
    assert_eq!(pool.stake.0, 20 * SOMA + half - owner);
    let record = view::epoch_record(&mut world.chain.state, Epoch(2))
        .unwrap()
        .unwrap();
    assert!(record.settled);
    assert_eq!(
        (record.settled_hits, record.audited, record.found_false),
        (1, 1, 0)
    );
    // In epoch 2 there was nothing to audit, and every validator proposed enough: all is paid.
    assert!(record.validator_pot.0 - record.paid_validators.0 < 4);
    world.until_epoch(5);
    world.skip(3);
    let record = view::epoch_record(&mut world.chain.state, Epoch(3))
        .unwrap()
        .unwrap();
    assert_eq!(
        record.paid_validators,
        Shannons::ZERO,
        "no audit duty was done in epoch 3"
    );
    assert_eq!(record.returned, record.validator_pot);
}

#[test]
fn the_earliest_commit_wins_though_revealed_later() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let (honest, copier) = (world.find(8, &target, 1, 0), world.find(9, &target, 2, 0));
    let ids: Vec<SubmissionId> = world
        .block(vec![(8, honest.commit()), (9, copier.commit())])
        .iter()
        .map(created_submission)
        .collect();
    world.apply(9, copier.reveal(ids[1]));
    world.apply(8, honest.reveal(ids[0]));
    let (before, deposit) = (world.balance(9), world.genesis.params.submission_deposit.0);
    world.skip(1);
    assert_eq!(world.status(ids[0]), SubmissionStatus::Won);
    assert_eq!(world.status(ids[1]), SubmissionStatus::LostRace { to: ids[0] });
    assert_eq!(
        world.balance(9),
        before + deposit + world.bond_floor().0,
        "bond and deposit came back"
    );
}

#[test]
fn data_belongs_to_its_earliest_commit_even_across_targets() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let (honest, thief) = (world.find(8, &targets[0], 1, 0), world.find(9, &targets[1], 1, 0));
    let ids: Vec<SubmissionId> = world
        .block(vec![(8, honest.commit()), (9, thief.commit())])
        .iter()
        .map(created_submission)
        .collect();
    // A leader lets the thief's reveal in first.
    world.apply(9, thief.reveal(ids[1]));
    world.apply(8, honest.reveal(ids[0]));
    world.skip(2);
    assert_eq!(world.status(ids[0]), SubmissionStatus::Won);
    assert_eq!(world.status(ids[1]), SubmissionStatus::NotNew { first: ids[0] });
    let reopened = view::target(&mut world.chain.state, targets[1].id)
        .unwrap()
        .unwrap();
    assert_eq!(reopened.status, TargetStatus::Open);
    // A hash that has won never wins again, in later epochs either.
    world.until_epoch(3);
    let target = world.open_targets().remove(0);
    let again = world.find(9, &target, 1, 0);
    let id = world.commit(&again);
    assert!(matches!(
        world.fail(9, again.reveal(id)),
        Rejection::DataNotNew { .. }
    ));
}

#[test]
fn a_claim_ends_with_its_holders_race() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let first = world.find(7, &targets[0], 1, 0);
    let second = world.find(8, &targets[0], 2, 0);
    let elsewhere = world.find(9, &targets[1], 2, 0);
    let commits = vec![(7, first.commit()), (8, second.commit()), (9, elsewhere.commit())];
    let ids: Vec<SubmissionId> = world.block(commits).iter().map(created_submission).collect();
    world.apply(7, first.reveal(ids[0]));
    // The second takes the data over from the third, then loses its own race to the first.
    world.block(vec![(9, elsewhere.reveal(ids[2])), (8, second.reveal(ids[1]))]);
    world.skip(2);
    assert_eq!(world.status(ids[0]), SubmissionStatus::Won);
    assert_eq!(world.status(ids[1]), SubmissionStatus::LostRace { to: ids[0] });
    assert_eq!(
        world.status(ids[2]),
        SubmissionStatus::Won,
        "nobody else has a claim any more"
    );
}

/// Found by the naive economy: a freed claim could be taken by a later commit, against which the
/// earlier one, still in its race, then lost.
#[test]
fn a_freed_claim_does_not_go_to_a_later_commit() {
    let (mut world, _) = World::in_lockstep(tiny()).populated(3);
    let targets = world.open_targets();
    let ahead = world.find(6, &targets[1], 2, 0);
    let passing = world.find(7, &targets[1], 1, 0);
    let earlier = world.find(8, &targets[0], 1, 0);
    let later = world.find(9, &targets[2], 1, 0);
    let finds = [ahead, passing, earlier, later];
    let ids: Vec<SubmissionId> = world
        .block(finds.iter().map(|find| (find.who, find.commit())).collect())
        .iter()
        .map(created_submission)
        .collect();
    world.apply(6, finds[0].reveal(ids[0]));
    // The passing one takes the claim over, and is to lose its race.
    world.block(vec![(8, finds[2].reveal(ids[2])), (7, finds[1].reveal(ids[1]))]);
    world.apply(9, finds[3].reveal(ids[3]));
    assert_eq!(world.status(ids[1]), SubmissionStatus::LostRace { to: ids[0] });
    world.skip(2);
    assert_eq!(world.status(ids[2]), SubmissionStatus::Won);
    assert_eq!(world.status(ids[3]), SubmissionStatus::NotNew { first: ids[2] });
}

#[test]
fn an_exact_tie_goes_to_the_weights_committed_earlier() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let mut find = world.find(8, &target, 1, 0);
    find.reveal.losses_nano = vec![5_000_000_000, 1_000_000_000, 1_000_000_000]
        .try_into()
        .unwrap();
    let id = world.commit(&find);
    world.apply(8, find.reveal(id));
    assert_eq!(world.submission(id).found.unwrap().model, models[1]);
}

#[test]
fn deposits_of_unrevealed_commits() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let deposit = world.genesis.params.submission_deposit;
    let (late, beaten) = (world.find(8, &targets[0], 1, 0), world.find(9, &targets[1], 2, 0));
    let receipts = world.block(vec![(8, late.commit()), (9, beaten.commit())]);
    let ids: Vec<SubmissionId> = receipts.iter().map(created_submission).collect();
    let other = world.find(7, &targets[1], 3, 0);
    let winner = world.commit(&other);
    world.apply(7, other.reveal(winner));
    world.skip(2);
    assert_eq!(world.status(winner), SubmissionStatus::Won);
    // Five blocks after the commits, they expire.
    let (forfeits, before) = (world.supply().reward_pool, world.balance(9));
    world.skip(2);
    assert_eq!(
        world.status(ids[0]),
        SubmissionStatus::Expired { forfeited: deposit }
    );
    assert_eq!(
        world.status(ids[1]),
        SubmissionStatus::Expired {
            forfeited: Shannons::ZERO
        }
    );
    assert_eq!(world.balance(9), before + deposit.0);
    assert!(world.supply().reward_pool >= forfeits);
    assert_eq!(
        world.fail(8, late.reveal(ids[0])),
        Rejection::NotAwaitingReveal {}
    );
}

#[test]
fn races_settle_and_targets_close_at_the_boundary() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    world.skip(12);
    let (raced, waiting) = (world.find(8, &targets[0], 1, 0), world.find(9, &targets[1], 2, 0));
    let ids: Vec<SubmissionId> = world
        .block(vec![(8, raced.commit()), (9, waiting.commit())])
        .iter()
        .map(created_submission)
        .collect();
    world.apply(8, raced.reveal(ids[0]));
    assert_eq!(world.epoch(), Epoch(2));
    world.skip(1);
    assert_eq!(world.epoch(), Epoch(2));
    world.skip(1);
    assert_eq!(world.epoch(), Epoch(3));
    assert_eq!(world.status(ids[0]), SubmissionStatus::Won);
    assert_eq!(
        view::winner_at(&mut world.chain.state, Epoch(2), 0).unwrap(),
        Some(ids[0])
    );
    assert_eq!(world.fail(9, waiting.reveal(ids[1])), Rejection::TargetClosed {});
    world.skip(4);
    assert_eq!(
        world.status(ids[1]),
        SubmissionStatus::Expired {
            forfeited: Shannons::ZERO
        }
    );
    assert!(world.open_targets().iter().all(|target| target.epoch == Epoch(3)));
}

#[test]
fn a_false_winner_loses_its_bond_and_nobody_honest_loses() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let (cheat, honest) = (world.win(8, &targets[0], 1, 0), world.win(9, &targets[1], 2, 1));
    world.until_epoch(3);
    let tasks = view::audit_tasks(&mut world.chain.state, 0, 10).unwrap();
    assert_eq!(tasks.len(), 2);
    assert!(tasks.iter().all(|task| task.polled.voters.len() == 4));
    let (before, bond) = (world.balance(8), world.submission(cheat).bond);
    let false_score = Some((Verdict::FalseScore, 7));
    let valid = Some((Verdict::Valid, 8));
    // Both audits in the same blocks; validator 3 is lazy and wrong about the cheat.
    let mut commits = Vec::new();
    let mut reveals = Vec::new();
    for who in 0..4 {
        let lazy = if who == 3 {
            Some((Verdict::Valid, 99))
        } else {
            false_score
        };
        for (submission, finding) in [(cheat, lazy), (honest, valid)] {
            let (verdict, transcript) = finding.unwrap();
            let (commit, reveal) = audit_kinds(who, submission, verdict, transcript);
            commits.push((who, commit));
            reveals.push((who, reveal));
        }
    }
    assert!(world.block(commits).iter().all(soma_types::Receipt::applied));
    world.skip(8);
    assert!(world.block(reveals).iter().all(soma_types::Receipt::applied));
    let record = view::epoch_record(&mut world.chain.state, Epoch(2))
        .unwrap()
        .unwrap();
    world.until_epoch(4);
    world.skip(4);
    assert_eq!(
        world.status(cheat),
        SubmissionStatus::FoundFalse {
            verdict: Verdict::FalseScore,
            bond,
            reward: record.reward_per_hit
        }
    );
    assert_eq!(world.balance(8), before, "a cheat gets nothing back");
    assert!(matches!(world.status(honest), SubmissionStatus::Paid { .. }));
    let outcome = view::audit_outcome(&mut world.chain.state, cheat)
        .unwrap()
        .unwrap();
    assert_eq!(outcome.hearing, None, "its auditors were the committee");
    assert_eq!(outcome.drawn.agreed.len(), 3);
    assert_eq!(outcome.drawn.dissented, vec![address(3)]);
    let duty = view::duty(&mut world.chain.state, Epoch(3), address(3))
        .unwrap()
        .unwrap();
    assert_eq!((duty.audits_assigned, duty.audits_done), (2, 1));
    // The lazy auditor forfeits half of its reward of epoch 3.
    world.until_epoch(5);
    world.skip(4);
    let paid: Vec<(Address, Shannons, Shannons)> = world
        .history
        .iter()
        .flat_map(|block| &block.events)
        .filter_map(|event| match event {
            Event::ValidatorPaid {
                validator,
                epoch: Epoch(3),
                amount,
                forfeited,
            } => Some((*validator, *amount, *forfeited)),
            _ => None,
        })
        .collect();
    assert_eq!(paid.len(), 4);
    for (validator, amount, forfeited) in paid {
        if validator == address(3) {
            assert!(amount.0 > 0 && amount.0.abs_diff(forfeited.0) <= 1);
        } else {
            assert!(amount.0 > 0 && forfeited.is_zero());
        }
    }
}

#[test]
fn without_a_majority_the_winner_stands() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let winner = world.win(8, &target, 1, 0);
    world.until_epoch(3);
    let unavailable = Some((Verdict::DataUnavailable, 0));
    let valid = Some((Verdict::Valid, 1));
    audit(&mut world, winner, &[unavailable, unavailable, valid, valid]);
    assert!(matches!(world.status(winner), SubmissionStatus::Paid { .. }));
    assert_eq!(
        view::audit_outcome(&mut world.chain.state, winner)
            .unwrap()
            .unwrap()
            .decisive()
            .majority,
        None
    );
}

#[test]
fn three_of_four_who_cannot_fetch_the_data_decide() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let winner = world.win(8, &target, 1, 0);
    world.until_epoch(3);
    let unavailable = Some((Verdict::DataUnavailable, 0));
    audit(&mut world, winner, &[unavailable, unavailable, unavailable, None]);
    assert!(matches!(
        world.status(winner),
        SubmissionStatus::FoundFalse {
            verdict: Verdict::DataUnavailable,
            ..
        }
    ));
}

#[test]
fn a_sample_is_audited_by_some() {
    let params = Params {
        audit_rate: BasisPoints::new(5_000).unwrap(),
        // Small rewards, so that accounts can afford the floor of the bonds.
        hits_goal: 1 << 20,
        auditors: 2,
        ..tiny()
    };
    let (mut world, _) = World::with_models(params, 3);
    for round in 0..3 {
        let targets: Vec<Target> = world.open_targets();
        let finds: Vec<_> = targets
            .iter()
            .zip(0..)
            .map(|(target, place)| world.find(8, target, 10 * round + place, 0))
            .collect();
        let receipts = world.block(finds.iter().map(|find| (8, find.commit())).collect());
        let reveals = finds
            .iter()
            .zip(&receipts)
            .map(|(find, commit)| (8, find.reveal(created_submission(commit))));
        let reveals = reveals.collect();
        world.block(reveals);
        world.skip(2);
    }
    world.until_epoch(3);
    let hits = view::epoch_record(&mut world.chain.state, Epoch(2))
        .unwrap()
        .unwrap()
        .state
        .hits;
    assert_eq!(hits, 12);
    let tasks = view::audit_tasks(&mut world.chain.state, 0, hits).unwrap();
    assert!(!tasks.is_empty() && (tasks.len() as u64) < hits);
    assert!(tasks.iter().all(|task| task.polled.voters.len() == 2));
    let outsider = (0..4)
        .find(|who| !tasks[0].polled.voters.contains(&address(*who)))
        .unwrap();
    let (commit, _) = audit_kinds(outsider, tasks[0].submission.id, Verdict::Valid, 1);
    assert_eq!(world.fail(outsider, commit), Rejection::NotAuditor {});
}

#[test]
fn difficulty_follows_hits() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let start = view::epoch(&mut world.chain.state)
        .unwrap()
        .unwrap()
        .difficulty
        .z_q16;
    assert_eq!(start, 0, "epochs without targets change nothing");
    world.until_epoch(4);
    let idle = view::epoch(&mut world.chain.state)
        .unwrap()
        .unwrap()
        .difficulty
        .z_q16;
    assert!(idle < start, "nobody hits: easier");
    let mut data = 0;
    for _ in 0..30 {
        let finds: Vec<_> = world
            .open_targets()
            .iter()
            .filter(|target| target.status == TargetStatus::Open)
            .map(|target| {
                data += 1;
                world.find(8, target, data, 0)
            })
            .collect();
        let receipts = world.block(finds.iter().map(|find| (8, find.commit())).collect());
        let reveals = finds
            .iter()
            .zip(&receipts)
            .filter(|(_, receipt)| receipt.applied());
        let reveals = reveals
            .map(|(find, receipt)| (8, find.reveal(created_submission(receipt))))
            .collect();
        world.block(reveals);
    }
    let busy = view::epoch(&mut world.chain.state)
        .unwrap()
        .unwrap()
        .difficulty
        .z_q16;
    assert!(busy > idle, "more hits than wanted: harder ({idle} to {busy})");
    let targets = world.open_targets();
    assert!(targets[0].threshold_q30 != 0);
}

#[test]
fn targets_are_drawn_from_the_blocks_seed() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let seed = view::epoch(&mut world.chain.state).unwrap().unwrap().seed;
    assert_eq!(seed, Seed([7; 32]).derive("block", world.chain.height().0));
    for target in targets {
        assert_eq!(target.seed, seed.derive("target", target.index));
    }
}
