//! Auditors who accuse falsely or protect, and committees that are called upon for nothing.

use soma_types::{
    Address, Commitment, PublicKey, Receipt, Rejection, Seed, Shannons, SubmissionId,
    TransactionKind as Kind,
    objects::{Committee, EpochState, Found, Seat, Submission, SubmissionStatus},
    params::Params,
    transaction::Verdict,
};

use super::gain;
use crate::{
    auditors_of,
    money::{bonds::bond_floor, split::Split},
    testing::{SOMA, World, address, audit_kinds, basis, tiny},
    view,
};

const SUBMITTER: u8 = 9;

/// What someone found, with a number that tells transcripts apart.
type Vote = (Verdict, u8);

const VALID: Vote = (Verdict::Valid, 1);
const FALSE: Vote = (Verdict::FalseScore, 1);
const UNAVAILABLE: Vote = (Verdict::DataUnavailable, 0);

/// A winner of epoch 2 in epoch 3, and the one of four validators that was drawn to audit it: who has a
/// quarter of the stake holds this draw.
fn drawn() -> (World, SubmissionId, u8) {
    let params = Params {
        auditors: 1,
        ..tiny()
    };
    let (mut world, _) = World::with_models(params, 3);
    let target = world.open_targets().remove(0);
    let id = world.win(SUBMITTER, &target, 1, 0);
    world.until_epoch(3);
    let auditor = world.polled(id)[0];
    (world, id, auditor)
}

/// The auditor finds `first`, and in a hearing, if it comes to one, each validator what `then` says. The
/// world ends when all are paid.
fn heard(first: Vote, then: impl Fn(u8, u8) -> Option<Vote>) -> (World, SubmissionId, u8) {
    let (mut world, id, auditor) = drawn();
    world.audit(id, [(auditor, first.0, first.1)]);
    world.until_offset(world.genesis.params.hearing_from() + 1);
    let votes = world.polled(id).into_iter().filter_map(|who| {
        let (verdict, transcript) = then(auditor, who)?;
        Some((who, verdict, transcript))
    });
    let votes: Vec<_> = votes.collect();
    if !votes.is_empty() {
        world.audit(id, votes);
    }
    world.until_epoch(5);
    world.skip(4);
    (world, id, auditor)
}

/// What the auditor has more than had it found the winner valid, fees included.
fn more_than_honest(world: &mut World, auditor: u8) -> i64 {
    let (mut honest, _, _) = heard(VALID, |_, _| None);
    let before = honest.wealth(auditor);
    gain(world, auditor, before)
}

/// In how many of 10 000 draws of `drawn` out of 100 equal seats `cartel` of them are the majority, and how
/// many of them are drawn there.
fn draws_held(cartel: u8, drawn: u32) -> (u64, u64) {
    let (mut world, id, _) = self::drawn();
    let winner = world.submission(id);
    let audit = EpochState {
        auditors: drawn,
        seed: Seed([5; 32]),
        ..view::epoch(&mut world.chain.state).unwrap().unwrap()
    };
    let seats = (0..100).map(|seat| Seat {
        validator: Address([seat; 32]),
        network_key: PublicKey([seat; 32]),
        stake: Shannons(1_000 * SOMA),
        commission: basis(0),
    });
    let committee = Committee {
        seats: seats.collect(),
    };
    let held = (0..10_000).filter_map(|index| {
        let found = winner.found.clone().map(|found| Found {
            winner_index: Some(index),
            ..found
        });
        let winner = Submission {
            found,
            ..winner.clone()
        };
        let auditors = auditors_of(&audit, &committee, &winner);
        let ours = auditors.iter().filter(|seat| seat.validator.0[0] < cartel);
        let ours = ours.count();
        (2 * ours > auditors.len()).then_some(ours as u64)
    });
    held.fold((0, 0), |(draws, seats), ours| (draws + 1, seats + ours))
}

fn majorities(cartel: u8, drawn: u32) -> u64 {
    draws_held(cartel, drawn).0
}

/// Attack: a cartel in sampled audits
/// Does: holds a third of the stake, and finds honest winners false in audits whose seven drawn auditors are
/// mostly its own.
/// Outcome: it is the majority of 17% of the draws (a fifth of the stake: 3%), and before hearings it took
/// half of an honest winner's bond in each. Now auditors only accuse: of 0% of them, for in the committee a
/// third decides nothing. The winner stands, and the accusers lose most of their reward of the epoch.
#[test]
fn a_cartel_in_sampled_audits() {
    let third = majorities(33, 7);
    assert!((1_500..1_900).contains(&third), "{third}");
    let fifth = majorities(20, 7);
    assert!((200..450).contains(&fifth), "{fifth}");
    // More auditors help slowly; all of them, as in a hearing, end it.
    assert!((200..500).contains(&majorities(33, 21)));
    assert_eq!(majorities(33, 0), 0);
    assert_eq!(majorities(50, 0), 0);

    let persist = |auditor, who| Some(if who == auditor { FALSE } else { VALID });
    let (mut world, id, auditor) = heard(FALSE, persist);
    assert!(matches!(world.status(id), SubmissionStatus::Paid { .. }));
    assert!(more_than_honest(&mut world, auditor) < 0);
    let outcome = view::audit_outcome(&mut world.chain.state, id).unwrap().unwrap();
    assert_eq!(
        outcome.drawn.agreed,
        [address(auditor)],
        "its auditors were of one mind"
    );
    assert_eq!(outcome.conviction(), None);
}

/// Attack: a cartel in a hearing
/// Does: holds up to half of the committee's stake, and in hearings finds honest winners false, or lets its
/// own false ones stand.
/// Outcome: with less than half, as for a whole committee: true accusations convict, false ones do not. At
/// exactly half nothing convicts.
#[test]
fn a_cartel_in_a_hearing() {
    // One of four stands by its false winner, and fails.
    let (mut world, id, _) = heard(FALSE, |auditor, who| {
        Some(if who == (auditor + 1) % 4 { VALID } else { FALSE })
    });
    assert!(matches!(world.status(id), SubmissionStatus::FoundFalse { .. }));
    // Two of four accuse, two acquit: there is no majority, and the auditor is shown neither right nor wrong.
    let (mut world, id, auditor) = heard(FALSE, |auditor, who| {
        Some(if [auditor, (auditor + 1) % 4].contains(&who) {
            FALSE
        } else {
            VALID
        })
    });
    assert!(matches!(world.status(id), SubmissionStatus::Paid { .. }));
    assert_eq!(world.audits_of(auditor, 3).0, 1);
}

/// Attack: making work by accusing
/// Does: finds honest winners false where it holds the draw, and valid in the hearing, so that the whole
/// committee has to score them.
/// Outcome: an accuser that a hearing overrules has as many audits more to its duty as there are seats, and
/// none of them done. In the hundred seats of std, with some six hundred audits an epoch, ten cost it most of
/// its reward of the epoch.
#[test]
fn making_work_by_accusing() {
    let (mut world, id, auditor) = heard(FALSE, |_, _| Some(VALID));
    assert!(matches!(world.status(id), SubmissionStatus::Paid { .. }));
    // Four seats' audits, and its own in the hearing, which it did.
    assert_eq!(world.audits_of(auditor, 3), (5, 1));
    assert_eq!(world.audits_of((auditor + 1) % 4, 3), (1, 1));
    assert!(more_than_honest(&mut world, auditor) < 0);
    // Right accusers have done both.
    let (world, _, auditor) = heard(FALSE, |_, _| Some(FALSE));
    assert_eq!(world.audits_of(auditor, 3), (2, 2));
    let std = Params::std();
    let winners = std.hits_goal * u64::from(std.audit_rate.get()) / 10_000;
    let assigned = winners * u64::from(std.auditors) / u64::from(std.committee_size);
    let overruled = 10 * u64::from(std.committee_size);
    assert!(
        overruled > assigned,
        "{overruled} audits not done, {assigned} done"
    );
}

/// Attack: making work by not finding data
/// Does: says of honest winners' data that it could not be had, where it holds the draw.
/// Outcome: OPEN, limited. The winner stands, but only one audit is held against each accuser: an honest one
/// can be overruled in the same way (see below). A third of the stake can so have the committee score 17% of
/// the sample, at std three times its usual work, for a tenth of the cartel's reward. It earns nothing by it.
#[test]
fn making_work_by_not_finding_data() {
    let (mut world, id, auditor) = heard(UNAVAILABLE, |_, _| Some(VALID));
    assert!(matches!(world.status(id), SubmissionStatus::Paid { .. }));
    assert_eq!(world.audits_of(auditor, 3), (2, 1));
    assert!(more_than_honest(&mut world, auditor) < 0);
    // Audits of one seat of a hundred at std: its share of the draws, and all hearings.
    let (held, accusers) = draws_held(33, 7);
    let winners = 8_640.0;
    let (usual, hearings) = (winners * 0.07, winners * held as f64 / 10_000.0);
    let work = (usual + hearings) / usual;
    assert!((3.0..3.8).contains(&work), "{work}");
    let not_done = winners * accusers as f64 / 10_000.0 / 33.0 / (usual + hearings);
    assert!((0.08..0.12).contains(&not_done), "{not_done}");
}

/// Attack: data shown only to the hearing
/// Does: keeps the data of an honest find from everyone until its auditors have accused it, and shows it to
/// the committee, to have auditors overruled who did their work.
/// Outcome: the winner stands, and nothing is gained. An auditor loses one audit of some six hundred. That is
/// why an accusation that anything but scoring may explain does not count for more.
#[test]
fn data_shown_only_to_the_hearing() {
    let (mut world, id, auditor) = heard(UNAVAILABLE, |_, _| Some(VALID));
    assert!(matches!(world.status(id), SubmissionStatus::Paid { .. }));
    assert_eq!(world.audits_of(auditor, 3), (2, 1));
    // Who shows data that was false after all is convicted, and the auditors were right.
    let (mut world, id, auditor) = heard(UNAVAILABLE, |_, _| Some(FALSE));
    assert!(matches!(world.status(id), SubmissionStatus::FoundFalse { .. }));
    assert_eq!(world.audits_of(auditor, 3), (2, 2));
}

/// Attack: copying accusers in a hearing
/// Does: as a member of the committee, takes transcript or commitment of an accuser, which are public when
/// the hearing begins.
/// Outcome: a hearing's transcript covers the same under another domain: the accusers' is outside the
/// majority. Their commitments open for nobody else. Only that data cannot be had can be repeated without
/// work, and is wrong as often as the accusers are.
#[test]
fn copying_accusers_in_a_hearing() {
    let copied: Vote = (Verdict::FalseScore, 9);
    let (mut world, id, auditor) = heard(copied, |auditor, who| {
        Some(if who == (auditor + 1) % 4 { copied } else { FALSE })
    });
    assert!(matches!(world.status(id), SubmissionStatus::FoundFalse { .. }));
    assert_eq!(world.audits_of((auditor + 1) % 4, 3), (1, 0));
    assert_eq!(world.audits_of((auditor + 2) % 4, 3), (1, 1));

    let (mut world, id, auditor) = drawn();
    world.audit(id, [(auditor, Verdict::FalseScore, 1)]);
    world.until_offset(world.genesis.params.hearing_from());
    let lazy = (auditor + 1) % 4;
    let (commit, reveal) = audit_kinds(auditor, id, Verdict::FalseScore, 2);
    let receipts = world.block(vec![(auditor, commit.clone()), (lazy, commit)]);
    assert!(receipts.iter().all(Receipt::applied));
    world.until_offset(world.genesis.params.hearing_reveals_from());
    assert_eq!(world.fail(lazy, reveal), Rejection::AuditMismatch {});
}

/// Attack: a hearing without an accusation
/// Does: commits in time for a hearing on a winner that its auditors found valid, or on which they were
/// silent.
/// Outcome: there is none: refused, and no auditor can change what the others found after the phase in which
/// they reveal.
#[test]
fn a_hearing_without_an_accusation() {
    for found in [Some(VALID), None] {
        let (mut world, id, auditor) = drawn();
        if let Some((verdict, transcript)) = found {
            world.audit(id, [(auditor, verdict, transcript)]);
        }
        let (late, _) = audit_kinds(auditor, id, Verdict::FalseScore, 1);
        world.until_offset(world.genesis.params.hearing_from() - 1);
        assert!(matches!(
            world.fail(auditor, late),
            Rejection::AuditCommitClosed { .. }
        ));
        for who in 0..4 {
            let submission = id;
            let commitment = Commitment([who; 32]);
            let kind = Kind::CommitAudit {
                submission,
                commitment,
            };
            assert!(matches!(world.fail(who, kind), Rejection::NoHearing { .. }));
        }
        assert_eq!(world.polled(id), [0_u8; 0]);
    }
}

/// Attack: a protecting cartel
/// Does: submits false winners, finds them valid where it holds the draw, and elsewhere votes with the others
/// to have its part of the bond back.
/// Outcome: a winner that its auditors do not accuse stands. It takes 47% of the draws to gain by that at
/// std's margin of two, or, with its part of the lost bonds, about 43% of the stake. Below, every claim is a
/// loss; with half of the stake nobody could convict it anyway.
#[test]
fn a_protecting_cartel() {
    let (mut world, id, _) = heard(VALID, |_, _| None);
    assert!(matches!(world.status(id), SubmissionStatus::Paid { .. }));
    // The expected gain of a claim in rewards of a hit.
    let params = Params::std();
    let (fresh, reserve) = (Shannons(2_500 * SOMA), Shannons::ZERO);
    let reward = Split::new(&params, fresh, reserve, 0).per_hit;
    let bond = bond_floor(&params, fresh, reserve).0 as f64 / reward.0 as f64;
    let rate = f64::from(params.audit_rate.get()) / 10_000.0;
    let expected = |held: f64, back: f64| {
        let convicted = rate * (1.0 - held);
        1.0 - convicted - convicted * bond * (1.0 - back)
    };
    assert!(expected(0.46, 0.0) < 0.0 && expected(0.48, 0.0) > 0.0);
    let with_its_part = |seats: u8| {
        let held = majorities(seats, params.auditors) as f64 / 10_000.0;
        expected(held, f64::from(seats) / 100.0 / 2.0)
    };
    let gains: Vec<f64> = [0, 20, 33, 41, 45].map(with_its_part).to_vec();
    assert!(gains.is_sorted(), "{gains:?}");
    assert!(gains[3] < 0.0 && gains[4] > 0.0, "{gains:?}");
    assert!(gains[2] < -0.2, "a third: {gains:?}");
}
