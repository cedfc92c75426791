//! Anyone can force an audit, at the risk of a bond.

use soma_types::{
    Epoch, Rejection, Shannons, SubmissionId,
    event::Event,
    objects::{ChallengeEnd, SubmissionStatus},
    params::Params,
    transaction::Verdict,
};

use crate::{
    testing::{SOMA, World, address, audit_kinds, basis, challenge, tiny},
    view,
};

/// Practically nothing is sampled; a challenge locks at least one SOMA.
pub fn unsampled() -> Params {
    Params {
        audit_rate: basis(1),
        bond_margin: 0,
        challenge_bond_min: Shannons(SOMA),
        ..tiny()
    }
}

/// A winner of epoch 2, won by account 8.
fn winner() -> (World, SubmissionId) {
    let (mut world, _) = World::with_models(unsampled(), 3);
    let target = world.open_targets().remove(0);
    let winner = world.win(8, &target, 1, 0);
    (world, winner)
}

/// All four validators audit in epoch 3, and the world goes on until the winner is settled.
fn audit(world: &mut World, winner: SubmissionId, findings: [Option<(Verdict, u8)>; 4]) {
    world.until_epoch(3);
    // Their auditors are drawn when nobody can be challenged any more.
    let (early, _) = audit_kinds(0, winner, Verdict::Valid, 1);
    assert_eq!(world.fail(0, early), Rejection::NotUnderAudit {});
    assert!(
        view::challenge_tasks(&mut world.chain.state, 0, 9)
            .unwrap()
            .is_empty()
    );
    world.skip(3);
    assert_eq!(
        view::challenge_tasks(&mut world.chain.state, 0, 9).unwrap().len(),
        1
    );
    let submission = world.submission(winner);
    assert_eq!(
        view::polled(&mut world.chain.state, &submission)
            .unwrap()
            .unwrap()
            .voters
            .len(),
        4
    );
    let votes = (0..).zip(findings);
    let votes =
        votes.filter_map(|(who, finding)| finding.map(|(verdict, transcript)| (who, verdict, transcript)));
    world.audit(winner, votes);
    world.until_epoch(4);
    world.skip(2);
}

/// What account 9 has after challenging and the audit, less the fee of the challenge.
fn challenged(findings: [Option<(Verdict, u8)>; 4]) -> (World, SubmissionId, i64) {
    let (mut world, winner) = winner();
    let before = world.balance(9);
    let receipt = world.apply(9, challenge(winner));
    assert_eq!(
        world.balance(9),
        before - receipt.fee.0 - SOMA,
        "the bond is locked"
    );
    audit(&mut world, winner, findings);
    let gain = world.balance(9) as i64 - (before - receipt.fee.0) as i64;
    (world, winner, gain)
}

fn end(world: &mut World, winner: SubmissionId) -> ChallengeEnd {
    let challenge = world.submission(winner).challenge.unwrap();
    assert!(challenge.bond.is_zero(), "nothing stays locked");
    assert!(world.history.iter().flat_map(|block| &block.events).any(|event| {
        *event
            == Event::ChallengeEnded {
                submission: winner,
                challenger: address(9),
                end: challenge.end.unwrap(),
            }
    }));
    challenge.end.unwrap()
}

#[test]
fn a_false_winner_pays_its_challenger() {
    let finding = Some((Verdict::FalseScore, 7));
    let (mut world, winner, gain) = challenged([finding; 4]);
    // A quarter of the bond of 1000 bytes; the auditors share another.
    let share = Shannons(1_000_000 / 4);
    assert_eq!(gain, share.0 as i64);
    assert_eq!(end(&mut world, winner), ChallengeEnd::Upheld { share });
    assert!(matches!(
        world.status(winner),
        SubmissionStatus::FoundFalse { .. }
    ));
    let record = view::epoch_record(&mut world.chain.state, Epoch(2))
        .unwrap()
        .unwrap();
    assert_eq!((record.audited, record.found_false), (1, 1));
    assert_eq!(world.audits_of(0, 3), (1, 1));
}

#[test]
fn a_challenge_that_fails_pays_the_submitter() {
    let before = {
        let (mut world, winner) = winner();
        audit_nobody(&mut world);
        let paid = world.status(winner);
        assert!(matches!(paid, SubmissionStatus::Paid { .. }));
        world.balance(8)
    };
    let (mut world, winner, gain) = challenged([Some((Verdict::Valid, 7)); 4]);
    assert_eq!(gain, -(SOMA as i64));
    assert_eq!(
        end(&mut world, winner),
        ChallengeEnd::Failed { bond: Shannons(SOMA) }
    );
    // It is paid as if nobody had challenged it, and the bond on top.
    let with_bond = world.balance(8);
    assert!(with_bond > before + SOMA * 9 / 10, "{with_bond} after {before}");
}

fn audit_nobody(world: &mut World) {
    world.until_epoch(4);
    world.skip(2);
}

#[test]
fn without_a_majority_the_bond_goes_back() {
    let (valid, unavailable) = (Some((Verdict::Valid, 7)), Some((Verdict::DataUnavailable, 0)));
    let (mut world, winner, gain) = challenged([valid, valid, unavailable, None]);
    assert_eq!(gain, 0);
    assert_eq!(end(&mut world, winner), ChallengeEnd::Undecided);
    assert!(matches!(world.status(winner), SubmissionStatus::Paid { .. }));
}

#[test]
fn a_challenge_costs_as_much_as_the_winner_has_at_stake() {
    let params = Params {
        bond_per_byte: Shannons(SOMA / 100),
        ..unsampled()
    };
    let (mut world, _) = World::with_models(params, 3);
    let target = world.open_targets().remove(0);
    let winner = world.win(8, &target, 1, 0);
    world.apply(9, challenge(winner));
    let submission = world.submission(winner);
    assert_eq!(submission.bond, Shannons(10 * SOMA));
    assert_eq!(submission.challenge.unwrap().bond, submission.bond);
}

/// The one auditor drawn accuses, and all four find `then`.
fn heard(then: (Verdict, u8)) -> (World, SubmissionId) {
    let params = Params {
        auditors: 1,
        ..unsampled()
    };
    let (mut world, _) = World::with_models(params, 3);
    let target = world.open_targets().remove(0);
    let winner = world.win(8, &target, 1, 0);
    world.apply(9, challenge(winner));
    world.until_epoch(3);
    world.until_offset(world.genesis.params.challenge_blocks() + 1);
    let auditor = world.polled(winner);
    assert_eq!(auditor.len(), 1);
    world.audit(
        winner,
        auditor.into_iter().map(|who| (who, Verdict::FalseScore, 6)),
    );
    world.until_offset(world.genesis.params.hearing_from());
    world.audit(winner, (0..4).map(|who| (who, then.0, then.1)));
    world.until_epoch(4);
    world.skip(2);
    (world, winner)
}

#[test]
fn a_challenged_winner_is_heard_too() {
    let (mut world, winner) = heard((Verdict::FalseScore, 7));
    // Half of what all have who found it.
    let SubmissionStatus::FoundFalse { bond, .. } = world.status(winner) else {
        panic!("the committee convicts");
    };
    let share = Shannons(bond.0 / 2 / 2);
    assert_eq!(end(&mut world, winner), ChallengeEnd::Upheld { share });
    let (mut world, winner) = heard((Verdict::Valid, 7));
    assert!(matches!(world.status(winner), SubmissionStatus::Paid { .. }));
    let bond = Shannons(SOMA);
    assert_eq!(end(&mut world, winner), ChallengeEnd::Failed { bond });
}

#[test]
fn auditors_of_challenged_winners_cannot_be_foreseen() {
    let (mut world, winner) = winner();
    world.until_epoch(3);
    world.apply(9, challenge(winner));
    world.skip(2);
    assert_eq!(
        view::epoch(&mut world.chain.state)
            .unwrap()
            .unwrap()
            .challenge_seed,
        None
    );
    let block = world.next_block();
    world.skip(1);
    let now = view::epoch(&mut world.chain.state).unwrap().unwrap();
    assert_eq!(now.challenge_seed, Some(block.seed));
    assert_ne!(block.seed, now.seed);
    // From here on it is too late for others.
    let (mut world, winner) = self::winner();
    world.until_epoch(3);
    world.skip(4);
    let from = view::epoch(&mut world.chain.state)
        .unwrap()
        .unwrap()
        .first_height
        .plus(4);
    assert_eq!(
        world.fail(9, challenge(winner)),
        Rejection::ChallengeClosed { from }
    );
}

#[test]
fn what_is_sampled_needs_no_challenge() {
    // Everything is audited: a challenge could only take a share from those who do the work.
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let (early, late) = (world.win(8, &targets[0], 1, 0), world.win(8, &targets[1], 2, 0));
    // Before the sample is drawn nobody can know; then it is as good as any.
    world.apply(9, challenge(early));
    world.until_epoch(3);
    assert_eq!(world.fail(9, challenge(late)), Rejection::SampledAlready {});
    assert!(
        view::challenge_tasks(&mut world.chain.state, 0, 9)
            .unwrap()
            .is_empty()
    );
    audit_nobody(&mut world);
    assert_eq!(end(&mut world, early), ChallengeEnd::Undecided);
}
