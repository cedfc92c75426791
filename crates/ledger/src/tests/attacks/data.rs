//! Data that should not pay: old, gone, or nothing but noise.

use soma_types::{
    ContentHash, Rejection, Shannons, SubmissionId, objects::SubmissionStatus, params::Params,
    transaction::Verdict,
};

use super::gain;
use crate::{
    testing::{World, basis, tiny},
    view,
};

const ATTACKER: u8 = 9;

/// All validators find the same, in the epoch after the win; the world ends when it is settled.
fn audited(world: &mut World, id: SubmissionId, verdict: Verdict) {
    let next = world.epoch().0 + 1;
    world.until_epoch(next);
    let transcript = u8::from(verdict.has_transcript());
    world.audit(id, (0..4).map(|who| (who, verdict, transcript)));
    world.until_epoch(next + 1);
    world.skip(2);
}

/// Attack: the same data twice
/// Does: wins with data, and submits it again to another target, and in a later epoch, under another account.
/// Outcome: a hash that has won never wins again: refused as not new, deposit and fees lost.
#[test]
fn the_same_data_twice() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    world.win(8, &targets[0], 1, 0);
    let before = world.wealth(ATTACKER);
    for _ in 0..2 {
        let target = world.open_targets().remove(0);
        let again = world.find(ATTACKER, &target, 1, 0);
        let id = world.commit(&again);
        assert!(matches!(
            world.fail(ATTACKER, again.reveal(id)),
            Rejection::DataNotNew { .. }
        ));
        let next = world.epoch().0 + 1;
        world.until_epoch(next);
    }
    assert!(gain(&mut world, ATTACKER, before) < 0);
}

/// Attack: a near copy of data that won
/// Does: changes a byte of data that won and submits it as new.
/// Outcome: it is new by its hash, and has to be as close to a target drawn since as any other data: it wins
/// nothing from the one it copied. The ledger does not know what resembles what.
#[test]
fn a_near_copy_of_data_that_won() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let first = world.open_targets().remove(0);
    let original = world.find(8, &first, 1, 0);
    let won = world.win(8, &first, 1, 0);
    // The target that it is close to is gone.
    let copy = world.find(ATTACKER, &first, 2, 0);
    assert_eq!(world.fail(ATTACKER, copy.commit()), Rejection::TargetClosed {});
    // Where it is not close enough it is refused like any other.
    let thresholds: Vec<bool> = world
        .open_targets()
        .iter()
        .map(|target| {
            let mut world = world.clone();
            let mut copy = world.find(ATTACKER, target, 2, 0);
            copy.reveal.embedding = original.reveal.embedding.clone();
            let asked = view::commit_threshold_q30(&mut world.chain.state, target).unwrap();
            let aim = soma_types::Embedding::draw(&target.seed, copy.reveal.embedding.dim());
            let close = i64::from(aim.dot(&copy.reveal.embedding)) >= asked;
            let id = world.commit(&copy);
            let receipt = world.one(ATTACKER, copy.reveal(id));
            assert_eq!(receipt.applied(), close);
            close
        })
        .collect();
    assert!(thresholds.contains(&false));
    assert_eq!(world.status(won), SubmissionStatus::Won);
}

/// Attack: data withdrawn before the audit
/// Does: wins, and takes the data off their host before the auditors come.
/// Outcome: auditors find it unavailable: bond and reward are gone. (One validator that fetched it once it
/// had won is enough to serve all; only data that nobody could fetch ends so.)
#[test]
fn data_withdrawn_before_the_audit() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let before = world.wealth(ATTACKER);
    let id = world.win(ATTACKER, &target, 1, 0);
    let bond = world.submission(id).bond;
    audited(&mut world, id, Verdict::DataUnavailable);
    assert!(matches!(
        world.status(id),
        SubmissionStatus::FoundFalse {
            verdict: Verdict::DataUnavailable,
            ..
        }
    ));
    assert!(gain(&mut world, ATTACKER, before) < -(bond.0 as i64));
}

/// Attack: a false score
/// Does: claims losses and an embedding that hit, for data that does not.
/// Outcome: whoever scores it knows: bond and reward are gone. At std, where a tenth is audited, the bond is
/// at least twice nine times the most a hit can earn, so the expected gain is below minus eight tenths of a
/// reward. Where everything is audited, it is a whole reward: what the claim kept from others.
#[test]
fn a_false_score() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let before = world.wealth(ATTACKER);
    let id = world.win(ATTACKER, &target, 1, 0);
    let bond = world.submission(id).bond;
    audited(&mut world, id, Verdict::FalseScore);
    let SubmissionStatus::FoundFalse { reward, .. } = world.status(id) else {
        panic!("it is false");
    };
    assert!(
        bond.0 * 100 > reward.0 * 99 && reward.0 > 0,
        "{bond} for {reward}"
    );
    assert!(gain(&mut world, ATTACKER, before) < -(bond.0 as i64));

    // With a sampled audit: rate * bond against (1 - rate) * reward, from what the ledger holds and pays.
    for rate in [500, 1_000, 2_500, 5_000] {
        let params = Params {
            audit_rate: basis(rate),
            hits_goal: 1 << 10,
            ..tiny()
        };
        let (mut world, _) = World::with_models(params, 3);
        let now = view::epoch(&mut world.chain.state).unwrap().unwrap();
        world.until_epoch(3);
        let record = view::epoch_record(&mut world.chain.state, now.epoch)
            .unwrap()
            .unwrap();
        let (rate, bond) = (i128::from(rate), i128::from(now.bond_floor.0));
        let reward = i128::from(record.reward_per_hit.0);
        let expected = (10_000 - rate) * reward - rate * bond;
        assert!(
            expected <= -(10_000 - rate) * reward * 8 / 10,
            "{expected} at {rate} with a reward of {reward}"
        );
    }
}

/// Attack: claiming noise or filler at the edge of the loss band
/// Does: submits data whose winning cross entropy is just outside the band, and the same with a cross entropy
/// that is made up.
/// Outcome: outside it is refused and the deposit is lost; made up it is a false score.
#[test]
fn outside_the_loss_band() {
    let (world, _) = World::with_models(tiny(), 3);
    let params = world.genesis.params.clone();
    for (cross_entropy_nano, inside) in [
        (params.cross_entropy_min_nano - 1, false),
        (params.cross_entropy_min_nano, true),
        (params.cross_entropy_max_nano, true),
        (params.cross_entropy_max_nano + 1, false),
    ] {
        let mut world = world.clone();
        let before = world.wealth(ATTACKER);
        let target = world.open_targets().remove(0);
        let mut find = world.find(ATTACKER, &target, 1, 0);
        find.reveal.cross_entropy_nano = cross_entropy_nano;
        let losses = vec![params.cross_entropy_max_nano + 1; target.models.len()];
        find.reveal.losses_nano = losses.try_into().unwrap();
        let id = world.commit(&find);
        let receipt = world.one(ATTACKER, find.reveal(id));
        assert_eq!(receipt.applied(), inside, "{cross_entropy_nano}");
        if inside {
            // It was not what the data has: auditors who score it say so.
            world.skip(2);
            audited(&mut world, id, Verdict::FalseScore);
        } else {
            world.skip(6);
            let forfeited = params.submission_deposit;
            assert_eq!(world.status(id), SubmissionStatus::Expired { forfeited });
        }
        assert!(gain(&mut world, ATTACKER, before) < 0);
    }
}

/// Attack: a claim too large to audit
/// Does: claims falsely, with as many bytes as may be claimed, so that auditors who take the shortest first
/// never come to it: silence lets it stand, and the larger the claim the likelier.
/// Outcome: data has one to sixteen full chunks at std, anything else is refused. At the goal, all of it as
/// large as may be, a seat then scores fewer than 30 000 chunks in the twelve hours that it has, 0.7 a
/// second: whoever manages that leaves nothing unjudged, and each false claim is a loss. (With a megabyte it
/// was 43 a second.)
#[test]
fn a_claim_too_large_to_audit() {
    let params = Params {
        data_chunks_min: 1,
        data_chunks_max: 16,
        ..tiny()
    };
    let (world, _) = World::with_models(params, 3);
    let chunk_bytes = u64::from(world.genesis.params.architecture.max_seq_len);
    for (size_bytes, taken) in [
        (0, false),
        (1, false),
        (chunk_bytes - 1, false),
        (chunk_bytes, true),
        (16 * chunk_bytes, true),
        (16 * chunk_bytes + 1, false),
        (1 << 20, false),
    ] {
        let mut world = world.clone();
        let target = world.open_targets().remove(0);
        let mut find = world.find(ATTACKER, &target, 1, 0);
        find.reveal.data_size_bytes = size_bytes;
        let id = world.commit(&find);
        let receipt = world.one(ATTACKER, find.reveal(id));
        assert_eq!(
            receipt.applied(),
            taken,
            "{size_bytes} bytes: {:?}",
            receipt.outcome
        );
    }

    // What a seat scores in an epoch at the goal, if every claim is as large as may be.
    let std = Params::std();
    let audits = std.audit_rate.of(Shannons(std.hits_goal)).0;
    let each = (audits * u64::from(std.auditors)).div_ceil(u64::from(std.committee_size));
    let chunks = each * u64::from(std.models_per_target) * std.data_chunks_max;
    let seconds = std.audit_commit_blocks * std.block_time_ms / 1_000;
    assert_eq!((each, chunks, seconds), (605, 29_040, 43_200));
}

/// Attack: burning someone's data
/// Does: claims a hash that they do not have data for, so that its owner cannot win with it any more.
/// Outcome: they have to know the hash before its owner commits, and lose bond and reward once audited. The
/// hash stays used: data that is public before its commit can be spoilt at that price.
#[test]
fn burning_someones_data() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let before = world.wealth(ATTACKER);
    let id = world.win(ATTACKER, &target, 1, 0);
    let bond = world.submission(id).bond;
    assert!(bond > Shannons::ZERO);
    audited(&mut world, id, Verdict::DataUnavailable);
    assert!(gain(&mut world, ATTACKER, before) < -(bond.0 as i64));
    let target = world.open_targets().remove(0);
    let owner = world.find(8, &target, 1, 0);
    assert_eq!(owner.reveal.data_hash, ContentHash([1; 32]));
    let id = world.commit(&owner);
    assert!(matches!(
        world.fail(8, owner.reveal(id)),
        Rejection::DataNotNew { .. }
    ));
}
