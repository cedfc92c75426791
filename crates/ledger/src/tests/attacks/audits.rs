//! Auditors who do not do their work, and auditors who work together.

use soma_types::{
    Rejection, Shannons, SubmissionId, TransactionKind as Kind,
    objects::SubmissionStatus,
    transaction::{PoolId, Verdict, Withdrawal},
};

use super::{super::challenges::unsampled, gain};
use crate::testing::{SOMA, World, address, audit_kinds, challenge, evidence, register, report, tiny};

const SUBMITTER: u8 = 9;

/// What one of four auditors does.
#[derive(Clone, Copy)]
enum Does {
    /// Scores, and finds this.
    Finds(Verdict),
    /// Votes with a transcript that is made up.
    Guesses(Verdict),
    Nothing,
}

/// A winner of epoch 2 is audited; the world ends when its auditors are paid, in epoch 5.
fn audited(does: [Does; 4]) -> (World, SubmissionId) {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let id = world.win(SUBMITTER, &target, 1, 0);
    world.until_epoch(3);
    let votes = (0..).zip(does).filter_map(|(who, does)| match does {
        Does::Finds(verdict) => Some((who, verdict, u8::from(verdict.has_transcript()))),
        Does::Guesses(verdict) => Some((who, verdict, 100 + who)),
        Does::Nothing => None,
    });
    world.audit(id, votes);
    world.until_epoch(5);
    world.skip(4);
    (world, id)
}

const HONEST: Does = Does::Finds(Verdict::Valid);
const FALSE: Does = Does::Finds(Verdict::FalseScore);

/// What auditor `who` has more than with `honest` behaviour, fees aside.
fn more_than_honest(who: u8, does: [Does; 4], honest: [Does; 4]) -> i64 {
    let (mut with, _) = audited(does);
    let (mut without, _) = audited(honest);
    let honest = without.wealth(who);
    gain(&mut with, who, honest)
}

/// Attack: lazy auditors who vote without computing
/// Does: votes valid with a made-up transcript, or not at all, and saves the work.
/// Outcome: the transcript covers embeddings that nobody published: a guess is outside the majority. They
/// forfeit their whole reward of the epoch, the winner stands.
#[test]
fn lazy_auditors_who_vote_without_computing() {
    for lazy in [Does::Guesses(Verdict::Valid), Does::Nothing] {
        let gained = more_than_honest(3, [HONEST, HONEST, HONEST, lazy], [HONEST; 4]);
        assert!(gained < 0, "{gained}");
    }
    let (mut world, id) = audited([HONEST, HONEST, HONEST, Does::Guesses(Verdict::Valid)]);
    assert!(matches!(world.status(id), SubmissionStatus::Paid { .. }));
    assert_eq!(world.audits_of(3, 3), (1, 0));
}

/// Attack: auditors who copy
/// Does: copies another auditor's commitment, or waits for their transcript and commits then.
/// Outcome: a commitment binds its auditor and opens for nobody else; when transcripts appear, commits are
/// closed. They forfeit like one who did nothing.
#[test]
fn auditors_who_copy() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let id = world.win(SUBMITTER, &target, 1, 0);
    world.until_epoch(3);
    let (commit, reveal) = audit_kinds(0, id, Verdict::Valid, 1);
    world.apply(0, commit.clone());
    world.apply(3, commit);
    world.skip(7);
    world.apply(0, reveal.clone());
    assert_eq!(world.fail(3, reveal), Rejection::AuditMismatch {});
    let (late, _) = audit_kinds(2, id, Verdict::Valid, 1);
    assert!(matches!(world.fail(2, late), Rejection::AuditCommitClosed { .. }));
}

/// Attack: a cartel below the threshold
/// Does: holds half of the committee's stake and finds an honest winner false, or a false one valid.
/// Outcome: half is no majority: an honest winner stands and the cartel forfeits. A false winner stands too,
/// since nobody can tell which half lies: to be safe from protecting cartels a committee needs more than half
/// honest.
#[test]
fn a_cartel_below_the_threshold() {
    let (mut world, id) = audited([HONEST, HONEST, FALSE, FALSE]);
    assert!(matches!(world.status(id), SubmissionStatus::Paid { .. }));
    assert_eq!(world.audits_of(3, 3), (1, 0));
    let gained = more_than_honest(3, [HONEST, HONEST, FALSE, FALSE], [HONEST; 4]);
    assert!(gained < 0, "{gained}");
    // Less than half does not even make a tie.
    let (mut world, id) = audited([FALSE, FALSE, FALSE, HONEST]);
    assert!(matches!(world.status(id), SubmissionStatus::FoundFalse { .. }));
    let (mut world, id) = audited([FALSE, FALSE, HONEST, HONEST]);
    assert!(
        matches!(world.status(id), SubmissionStatus::Paid { .. }),
        "at exactly half"
    );
}

/// Attack: a cartel at the threshold
/// Does: holds more than half of the committee's stake and finds honest winners false, to share their bonds.
/// Outcome: it succeeds: an audit is as honest as the majority of the committee's stake. Half of each bond is
/// shared among the cartel's members; the submitter loses bond and reward.
#[test]
fn a_cartel_at_the_threshold() {
    let (mut world, id) = audited([FALSE, FALSE, FALSE, HONEST]);
    let SubmissionStatus::FoundFalse { bond, .. } = world.status(id) else {
        panic!("a majority decides");
    };
    let (mut honest, _) = audited([HONEST; 4]);
    let honest_balance = honest.balance(0);
    let took = world.balance(0) as i64 - honest_balance as i64;
    assert!(took >= (bond.0 / 2 / 3) as i64, "{took}");
}

/// Attack: challenging honest winners
/// Does: challenges winners to have a share of their bonds, to keep validators busy, or to keep a submitter
/// from its reward.
/// Outcome: the submitter gets the challenger's bond, which is as large as its own, and its reward at the
/// usual time.
#[test]
fn challenging_honest_winners() {
    let (mut world, _) = World::with_models(unsampled(), 3);
    let target = world.open_targets().remove(0);
    let id = world.win(8, &target, 1, 0);
    let (attacker, submitter) = (world.wealth(SUBMITTER), world.wealth(8));
    world.apply(SUBMITTER, challenge(id));
    world.until_epoch(3);
    world.skip(3);
    world.audit(id, (0..4).map(|who| (who, Verdict::Valid, 1)));
    world.until_epoch(4);
    world.skip(2);
    assert!(gain(&mut world, SUBMITTER, attacker) <= -(SOMA as i64));
    assert!(gain(&mut world, 8, submitter) >= SOMA as i64);
}

/// Attack: challenging oneself
/// Does: challenges their own false winner, so that nobody else can, and shares the bond it loses.
/// Outcome: the audit takes place all the same. Of their bond they get back the challenger's quarter.
#[test]
fn challenging_oneself() {
    let (mut world, _) = World::with_models(unsampled(), 3);
    let target = world.open_targets().remove(0);
    let before = world.wealth(SUBMITTER);
    let id = world.win(SUBMITTER, &target, 1, 0);
    let bond = world.submission(id).bond;
    world.apply(SUBMITTER, challenge(id));
    world.until_epoch(3);
    world.skip(3);
    world.audit(id, (0..4).map(|who| (who, Verdict::FalseScore, 1)));
    world.until_epoch(4);
    world.skip(2);
    assert!(matches!(world.status(id), SubmissionStatus::FoundFalse { .. }));
    assert!(gain(&mut world, SUBMITTER, before) < -(bond.0 as i64) * 3 / 4);
}

/// Attack: auditing and running
/// Does: as a validator, protects their own false winner, withdraws their stake at once, and is gone when the
/// audit is settled.
/// Outcome: what they withdraw unbonds no sooner than a boundary and the unbonding time later; what an audit
/// costs is the bond, which was locked before, and the reward of the epoch. Nothing of either can be
/// withdrawn.
#[test]
fn auditing_and_running() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let before = world.wealth(0);
    let id = world.win(0, &target, 1, 0);
    world.until_epoch(3);
    let steps: Vec<_> = (0..4)
        .map(|who| {
            let verdict = if who == 0 {
                Verdict::Valid
            } else {
                Verdict::FalseScore
            };
            audit_kinds(who, id, verdict, 1)
        })
        .collect();
    for (who, (commit, _)) in (0..).zip(&steps) {
        world.apply(who, commit.clone());
    }
    world.apply(0, Kind::LeaveValidator);
    let pool = PoolId::Validator(address(0));
    world.apply(
        0,
        Kind::WithdrawStake {
            pool,
            amount: Withdrawal::All,
        },
    );
    world.skip(4);
    for (who, (_, reveal)) in (0..).zip(&steps) {
        world.apply(who, reveal.clone());
    }
    world.until_epoch(6);
    world.skip(4);
    assert!(matches!(world.status(id), SubmissionStatus::FoundFalse { .. }));
    assert_eq!(world.audits_of(0, 3), (1, 0));
    // Its rewards of epochs 1 and 2, in which it did its work, aside.
    let mut idle = World::with_models(tiny(), 3).0;
    idle.until_epoch(6);
    idle.skip(4);
    let honest = idle.wealth(0);
    assert!(gain(&mut world, 0, honest) < 0, "{before}");
}

/// Attack: voting twice and running
/// Does: as a validator signs two blocks in one view, leaves and withdraws all its stake before anyone has
/// shown it.
/// Outcome: evidence counts for as long as the stake that stood behind the votes is unbonding: 5% of it is
/// lost at its release, and its account can never be a validator again.
#[test]
fn voting_twice_and_running() {
    const OFFENDER: u8 = 5;
    let mut world = World::in_lockstep(tiny());
    let kind = register(&world.genesis, OFFENDER, 2_000 * SOMA);
    world.apply(OFFENDER, kind);
    world.until_epoch(3);
    let before = world.wealth(OFFENDER);
    let votes = evidence(&world.genesis, OFFENDER, 3, 1, 2);
    world.apply(OFFENDER, Kind::LeaveValidator);
    world.apply(
        OFFENDER,
        Kind::WithdrawStake {
            pool: PoolId::Validator(address(OFFENDER)),
            amount: Withdrawal::All,
        },
    );
    world.until_epoch(4);
    world.apply(0, report(votes));
    world.until_epoch(6);
    assert_eq!(world.supply().unbonding, Shannons::ZERO);
    assert!(gain(&mut world, OFFENDER, before) <= -(100 * SOMA as i64));
    let again = register(&world.genesis, OFFENDER, 1_000 * SOMA);
    let refused = world.fail(OFFENDER, again);
    assert!(
        ["Barred", "AlreadyValidator"].contains(&refused.name()),
        "{refused}"
    );
}
