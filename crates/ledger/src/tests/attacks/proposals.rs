//! Changing the protocol against the others, or keeping the others from changing it.

use std::collections::BTreeSet;

use soma_types::{
    Epoch, Receipt, Rejection, Shannons, TransactionKind as Kind,
    objects::SubmissionStatus,
    params::Params,
    transaction::{PoolId, Withdrawal},
    upgrade::{Ballot, PROPOSALS_MAX, ParamChange as Change, ProposalStatus, UPGRADE_AHEAD_EPOCHS_MAX},
};

use super::{
    super::upgrades::{approved, params, status},
    gain,
};
use crate::{
    testing::{
        SOMA, World, address, basis, commit_model, evidence, propose, register, report, reveal_model, tiny,
        upgrade, vote,
    },
    view,
};

const ATTACKER: u8 = 9;

pub fn stake_kind(validator: u8, amount: u64) -> Kind {
    Kind::AddStake {
        pool: PoolId::Validator(address(validator)),
        amount: Shannons(amount),
    }
}

pub fn withdraw_kind(validator: u8, amount: u64) -> Kind {
    Kind::WithdrawStake {
        pool: PoolId::Validator(address(validator)),
        amount: Withdrawal::Amount(Shannons(amount)),
    }
}

/// A network in whose second epoch accounts 4 and on have a seat too, with as much stake as the first four.
pub fn seats(count: u8) -> World {
    let mut world = World::new(tiny());
    let others = (4..count).map(|who| (who, register(&world.genesis, who, 1_000 * SOMA)));
    let receipts = world.block(others.collect());
    assert!(receipts.iter().all(Receipt::applied));
    world.until_epoch(1);
    world
}

/// Decided by all seats, and in force; the epoch it is then.
fn adopt(world: &mut World, changes: &[Change]) -> u64 {
    let now = world.epoch();
    let activation = now.0 + 2;
    let committee = view::committee(&mut world.chain.state, now).unwrap().unwrap();
    let seated = |who: &u8| committee.seats.iter().any(|seat| seat.validator == address(*who));
    let seats: Vec<u8> = (0..10).filter(seated).collect();
    let proposal = view::counters(&mut world.chain.state).unwrap().unwrap().proposals;
    world.apply(seats[0], propose(upgrade(changes, activation)));
    for who in &seats[1..] {
        world.apply(*who, vote(proposal, Ballot::Approve));
    }
    world.until_epoch(activation);
    assert_eq!(status(world, proposal), ProposalStatus::Activated, "{changes:?}");
    activation
}

fn open(world: &mut World) -> usize {
    view::pending_proposals(&mut world.chain.state).unwrap().len()
}

/// Attack: spamming proposals from one seat
/// Does: proposes again and again, so that the others' votes scatter and the list is full.
/// Outcome: a seat has one proposal at a time; each further one fails and costs its fee.
#[test]
fn spamming_proposals_from_one_seat() {
    let mut world = World::new(tiny());
    let before = world.wealth(0);
    let change = upgrade(&[Change::OpenTargets(3)], 5);
    world.apply(0, propose(change.clone()));
    for _ in 0..5 {
        let again = world.fail(0, propose(change.clone()));
        assert_eq!(again, Rejection::ProposalPending { proposal: 0 });
    }
    assert_eq!(open(&mut world), 1);
    assert!(gain(&mut world, 0, before) < 0);
}

/// Attack: clogging the list of proposals
/// Does: registers validators, has each propose something for as far ahead as may be, leaves, and comes back
/// as others, until the list is full and nobody can propose what is urgent.
/// Outcome: a proposal ends with its proposer's seat, so open ones are never more than seats, and the list
/// has more places than that. (It worked: some twenty least stakes, used again as they unbonded, filled all
/// 128 places for 64 epochs.)
#[test]
fn clogging_the_list_of_proposals() {
    assert!(PROPOSALS_MAX > soma_types::params::COMMITTEE_SIZE_MAX as usize);
    let mut world = seats(10);
    for round in 0..3 {
        let activation = world.epoch().0 + UPGRADE_AHEAD_EPOCHS_MAX;
        for who in 4..10 {
            world.apply(who, propose(upgrade(&[Change::OpenTargets(3)], activation)));
        }
        assert_eq!(open(&mut world), 6);
        let gone: Vec<(u8, Kind)> = (4..10).map(|who| (who, Kind::LeaveValidator)).collect();
        assert!(world.block(gone).iter().all(Receipt::applied));
        let next = world.epoch().0 + 1;
        world.until_epoch(next);
        assert_eq!(open(&mut world), 0, "round {round}");
        assert_eq!(status(&mut world, round * 6), ProposalStatus::Expired);
        // As soon as they are off the list they come back.
        world.until_epoch(next + 2);
        let back = (4..10).map(|who| (who, register(&world.genesis, who, 1_000 * SOMA)));
        assert!(world.block(back.collect()).iter().all(Receipt::applied));
        world.until_epoch(next + 3);
    }
    world.apply(0, propose(upgrade(&[Change::OpenTargets(5)], 64)));
}

/// Attack: vetoing with small seats
/// Does: registers validators with the least stake until a third of the seats are theirs, and approves
/// nothing.
/// Outcome: OPEN. Nothing is decided against a third of the seats, and until a committee is full a seat costs
/// the least stake: half as many as there are others veto all changes. In a full one they cost what the
/// hundred largest have.
#[test]
fn vetoing_with_small_seats() {
    let mut world = seats(6);
    // The honest four have a hundred times the attacker's two.
    for who in 0..4 {
        world.apply(who + 6, stake_kind(who, 9_000 * SOMA));
    }
    world.until_epoch(2);
    let proposal = approved(&mut world, upgrade(&[Change::OpenTargets(3)], 5), 4);
    world.until_epoch(5);
    assert_eq!(status(&mut world, proposal), ProposalStatus::Expired);
    // One seat fewer, and they cannot hold it up.
    world.apply(5, Kind::LeaveValidator);
    world.until_epoch(6);
    let proposal = approved(&mut world, upgrade(&[Change::OpenTargets(3)], 8), 4);
    world.until_epoch(8);
    assert_eq!(status(&mut world, proposal), ProposalStatus::Activated);
}

/// Attack: a cartel of exactly two thirds
/// Does: holds two thirds of the stake and of the seats, to the shannon, and changes the rules in its favour.
/// Outcome: it takes more than two thirds of both: nothing is decided until one more seat is for it.
#[test]
fn a_cartel_of_exactly_two_thirds() {
    let mut world = seats(6);
    let proposal = approved(
        &mut world,
        upgrade(&[Change::ValidatorShare(basis(10_000))], 4),
        4,
    );
    let record = view::proposal(&mut world.chain.state, proposal).unwrap().unwrap();
    let support = view::support(&mut world.chain.state, &record).unwrap();
    assert_eq!((support.seats, support.seats_total), (4, 6));
    assert_eq!(3 * support.stake, 2 * support.stake_total);
    world.until_epoch(3);
    assert_eq!(status(&mut world, proposal), ProposalStatus::Open);
    world.until_epoch(4);
    assert_eq!(status(&mut world, proposal), ProposalStatus::Expired);
    assert_eq!(params(&mut world), tiny());
    let proposal = approved(&mut world, upgrade(&[Change::ValidatorShare(basis(9_999))], 6), 5);
    world.until_epoch(6);
    assert_eq!(status(&mut world, proposal), ProposalStatus::Activated);
}

/// Attack: stake without seats, seats without stake
/// Does: has nearly all of the stake behind one seat, or nearly all of the seats with the least stake each.
/// Outcome: neither decides anything, or keeps the others from using what they have together.
#[test]
fn stake_without_seats_and_seats_without_stake() {
    let mut world = seats(9);
    for who in [ATTACKER, 7, 8] {
        world.apply(who, stake_kind(0, 8_900 * SOMA));
    }
    world.until_epoch(2);
    // The one with three quarters of the stake, and the eight others, each for something.
    world.apply(0, propose(upgrade(&[Change::OpenTargets(2)], 5)));
    world.apply(1, propose(upgrade(&[Change::OpenTargets(3)], 5)));
    for who in 2..9 {
        world.apply(who, vote(1, Ballot::Approve));
    }
    world.until_epoch(4);
    assert_eq!(status(&mut world, 0), ProposalStatus::Open);
    assert_eq!(status(&mut world, 1), ProposalStatus::Open);
    world.apply(0, vote(1, Ballot::Approve));
    world.until_epoch(5);
    assert_eq!(
        status(&mut world, 1),
        ProposalStatus::Expired,
        "too late by an epoch"
    );
}

/// Attack: stake moved at the boundary to sway a vote
/// Does: waits until the seats are for it, adds the stake that is lacking in an epoch's last block, and
/// withdraws it in the next one.
/// Outcome: it counts, if more than two thirds of the seats are for it too: stake decides as it stands at the
/// boundary, and what is scheduled cannot be stopped. What they withdraw has counted for an epoch and unbonds
/// for as long as any other.
#[test]
fn stake_moved_at_the_boundary_to_sway_a_vote() {
    let mut world = World::new(tiny());
    world.apply(8, stake_kind(3, 3_000 * SOMA));
    world.until_epoch(1);
    let proposal = approved(&mut world, upgrade(&[Change::OpenTargets(3)], 5), 3);
    world.until_epoch(2);
    assert_eq!(status(&mut world, proposal), ProposalStatus::Open, "3 of 7 parts");
    let before = world.wealth(ATTACKER);
    world.skip(14);
    world.apply(ATTACKER, stake_kind(0, 9_000 * SOMA));
    world.until_epoch(3);
    assert_eq!(
        status(&mut world, proposal),
        ProposalStatus::Scheduled { since: Epoch(3) }
    );
    let balance = world.balance(ATTACKER);
    world.apply(ATTACKER, withdraw_kind(0, 9_000 * SOMA));
    world.until_epoch(4);
    assert!(world.balance(ATTACKER) < balance, "still locked");
    world.until_epoch(5);
    assert_eq!(status(&mut world, proposal), ProposalStatus::Activated);
    assert!(gain(&mut world, ATTACKER, before) <= 0);
}

/// Attack: voting and leaving
/// Does: votes, gives up the seat, and takes the stake out, so that the vote decides and they have nothing at
/// stake in what comes of it.
/// Outcome: a boundary strikes out the votes of those without a seat in the new committee, and they stay
/// struck out when they come back.
#[test]
fn voting_and_leaving() {
    let mut world = seats(6);
    let proposal = approved(&mut world, upgrade(&[Change::OpenTargets(3)], 9), 3);
    for who in [4, 5] {
        world.apply(who, vote(proposal, Ballot::Approve));
        world.apply(who, Kind::LeaveValidator);
    }
    // Two more stay, so that three of six are no two thirds without them.
    for who in [6, 7] {
        let kind = register(&world.genesis, who, 1_000 * SOMA);
        world.apply(who, kind);
    }
    world.until_epoch(2);
    let approvals = |world: &mut World| {
        let record = view::proposal(&mut world.chain.state, proposal).unwrap().unwrap();
        (record.approvals.len(), record.status)
    };
    assert_eq!(approvals(&mut world), (3, ProposalStatus::Open));
    world.until_epoch(4);
    let back = register(&world.genesis, 4, 1_000 * SOMA);
    world.apply(4, back);
    world.until_epoch(5);
    assert_eq!(approvals(&mut world), (3, ProposalStatus::Open));
    world.apply(4, vote(proposal, Ballot::Approve));
    assert_eq!(approvals(&mut world).0, 4);
}

/// Attack: proposing and being barred
/// Does: proposes, and is shown to have voted for two blocks at once, or leaves, while the others decide on
/// the proposal.
/// Outcome: it ends with its proposer's seat, unless the others have carried it without them: then it is
/// theirs.
#[test]
fn proposing_and_being_barred() {
    for votes in [2, 4] {
        let mut world = seats(5);
        world.apply(4, propose(upgrade(&[Change::OpenTargets(3)], 5)));
        for who in 0..votes {
            world.apply(who, vote(0, Ballot::Approve));
        }
        let evidence = evidence(&world.genesis, 4, 1, 1, 2);
        world.apply(0, report(evidence));
        world.until_epoch(2);
        let expected = if votes == 4 {
            ProposalStatus::Scheduled { since: Epoch(2) }
        } else {
            ProposalStatus::Expired
        };
        assert_eq!(status(&mut world, 0), expected);
    }
}

/// Attack: an upgrade nobody has time to see
/// Does: has enough votes, and wants the change in force before anyone can leave.
/// Outcome: an activation less than two epochs ahead is refused; what is withdrawn upon seeing a change at
/// std unbonds for seven, so money can leave the network's stake only after it, but a node has at least an
/// epoch to say that it will stop.
#[test]
fn an_upgrade_nobody_has_time_to_see() {
    let mut world = World::new(tiny());
    world.until_epoch(3);
    for given in [0, 3, 4, 3 + UPGRADE_AHEAD_EPOCHS_MAX + 1, u64::MAX] {
        let rejection = world.fail(0, propose(upgrade(&[Change::OpenTargets(3)], given)));
        assert!(matches!(rejection, Rejection::ActivationOutOfBounds { .. }));
    }
    let proposal = approved(&mut world, upgrade(&[Change::OpenTargets(3)], 5), 4);
    world.until_epoch(4);
    assert_eq!(
        status(&mut world, proposal),
        ProposalStatus::Scheduled { since: Epoch(4) }
    );
    assert_eq!(params(&mut world), tiny());
}

/// Attack: two upgrades that are sound alone
/// Does: schedules two changes for one epoch, each sound with what is in force, which together are not: more
/// targets than the shorter payouts can settle.
/// Outcome: the later one is void when it would take effect, for all parameters are checked together then;
/// and one proposal of both is refused. (Together they were taken for sound: winners would have waited longer
/// from epoch to epoch, for ever.)
#[test]
fn two_upgrades_that_are_sound_alone() {
    let mut world = World::new(tiny());
    let both = [Change::OpenTargets(10), Change::PayoutsPerBlock(3)];
    let together = world.fail(0, propose(upgrade(&both, 2)));
    assert!(matches!(together, Rejection::UnsoundParameter { ref name, .. } if name == "payouts_per_block"));
    let first = approved(&mut world, upgrade(&both[..1], 2), 4);
    world.apply(1, propose(upgrade(&both[1..], 2)));
    for who in [0, 2, 3] {
        world.apply(who, vote(first + 1, Ballot::Approve));
    }
    world.until_epoch(2);
    assert_eq!(status(&mut world, first), ProposalStatus::Activated);
    assert_eq!(status(&mut world, first + 1), ProposalStatus::Void);
    let now = params(&mut world);
    assert_eq!(
        (now.open_targets, now.payouts_per_block),
        (10, tiny().payouts_per_block)
    );
}

/// Attack: freezing all that unbonds
/// Does: withdraws a little while a vote has made unbonding long, so that everything withdrawn after a vote
/// has made it short again waits behind it.
/// Outcome: stake is released in the order of its release, not of its withdrawal: only their own waits. (It
/// worked: one shannon would have locked all stake for as long as the longest time that was ever in force.)
#[test]
fn freezing_all_that_unbonds() {
    let mut world = World::new(tiny());
    for who in [8, ATTACKER] {
        world.apply(who, stake_kind(0, 100 * SOMA));
    }
    adopt(&mut world, &[Change::UnbondingEpochs(1 << 24)]);
    world.apply(ATTACKER, withdraw_kind(0, 1));
    let now = adopt(&mut world, &[Change::UnbondingEpochs(1)]);
    let before = world.balance(8);
    let fee = world.apply(8, withdraw_kind(0, 100 * SOMA)).fee.0;
    world.until_epoch(now + 2);
    assert_eq!(world.balance(8), before - fee + 100 * SOMA);
    assert_eq!(world.supply().unbonding.0, 1);
}

/// Attack: shortening the time in which evidence counts
/// Does: votes for two blocks at once, withdraws, and has a vote shorten unbonding before anyone shows the
/// evidence.
/// Outcome: evidence counts for as long as what was withdrawn then is locked, by the rules of then: a part of
/// it is lost. (It escaped: evidence was held to the time in force when it was shown.)
#[test]
fn shortening_the_time_in_which_evidence_counts() {
    let params = Params {
        unbonding_epochs: 8,
        ..tiny()
    };
    let mut world = World::new(params);
    let kind = register(&world.genesis, 5, 2_000 * SOMA);
    world.apply(5, kind);
    world.until_epoch(1);
    world.apply(5, withdraw_kind(5, 500 * SOMA));
    let evidence = evidence(&world.genesis, 5, 1, 1, 2);
    adopt(&mut world, &[Change::UnbondingEpochs(1)]);
    world.until_epoch(9);
    world.apply(0, report(evidence));
    let before = world.balance(5);
    world.until_epoch(10);
    assert_eq!(world.balance(5) - before, 475 * SOMA);
    // What was locked is released: nothing is left to show it for.
    let late = crate::testing::evidence(&world.genesis, 5, 0, 1, 2);
    assert!(matches!(
        world.fail(0, report(late)),
        Rejection::EvidenceOutOfBounds { .. }
    ));
}

/// Attack: pricing the others out of the vote
/// Does: has fees voted so low that the multiplier rises as high as it goes, and then back to what they were,
/// or up to their bound: nobody can pay for a vote on lower ones.
/// Outcome: fees that a vote changes start at a multiplier of one; and at their bound and the highest
/// multiplier a vote still costs less than the least stake of a validator. (Fees of a shannon, and back:
/// everything would have cost 65536 times as much.)
#[test]
fn pricing_the_others_out_of_the_vote() {
    let usual = Params {
        fee_base: Params::std().fee_base,
        fee_per_byte: Params::std().fee_per_byte,
        // A burn target that this traffic does not meet.
        epochs_per_year: 365,
        ..tiny()
    };
    let mut world = World::new(usual.clone());
    let kind = vote(0, Ballot::Approve);
    let fee = world.one(0, kind.clone()).fee.0;
    adopt(
        &mut world,
        &[Change::FeeBase(Shannons(1)), Change::FeePerByte(Shannons(0))],
    );
    world.until_epoch(60);
    let now = view::epoch(&mut world.chain.state).unwrap().unwrap();
    assert!(now.fee_multiplier_q16 >> 16 > 300, "it rises");
    let back = [
        Change::FeeBase(usual.fee_base),
        Change::FeePerByte(usual.fee_per_byte),
    ];
    adopt(&mut world, &back);
    assert_eq!(world.one(0, kind.clone()).fee.0, fee);

    let highest = world.numbered(0, kind).size_bytes() * (SOMA / 100_000) + SOMA / 100;
    assert!(highest * (1 << 16) < Params::std().validator_stake_min.0);
    for change in [
        Change::FeeBase(Shannons(SOMA / 100 + 1)),
        Change::FeePerByte(Shannons(SOMA / 100_000 + 1)),
    ] {
        let activation = world.epoch().0 + 2;
        let rejection = world.fail(0, propose(upgrade(&[change], activation)));
        assert!(matches!(rejection, Rejection::UnsoundParameter { .. }));
    }
}

/// Every parameter at both ends of what a vote may choose; with those that it would otherwise be unsound
/// without.
fn extremes() -> Vec<Vec<Change>> {
    let amounts = [
        (Change::StakeMin as fn(Shannons) -> Change, 1_000, SOMA),
        (Change::ValidatorStakeMin, SOMA, 1_000_000 * SOMA),
        (Change::ModelStakeMin, SOMA, 1_000_000 * SOMA),
        (Change::AccountPrice, 0, SOMA),
        (Change::FeeBase, 0, SOMA / 100),
        (Change::FeePerByte, 0, SOMA / 100_000),
        (Change::SubmissionDeposit, 0, 1_000 * SOMA),
        (Change::BondPerByte, 0, SOMA),
        (Change::ChallengeBondMin, 0, 1_000_000 * SOMA),
    ];
    let counts = [
        (Change::EpochsPerYear as fn(u64) -> Change, 1, 1 << 24),
        (Change::UnbondingEpochs, 1, 1 << 24),
        (Change::RefreshEpochs, 2, 1 << 24),
        (Change::WeightsSizeMaxBytes, 1, 1 << 40),
        (Change::HitsGoal, 1, 1 << 32),
        (Change::BondMargin, 0, 1_000),
        (Change::RevealBlocks, 1, 1_000),
        (Change::CrossEntropyMinNano, 0, 3_500_000_000),
        (Change::CrossEntropyMaxNano, 50_000_000, 1 << 40),
        (Change::DataChunksMin, 0, 4_096),
        (Change::DataChunksMax, 1, 1 << 14),
        (Change::OpeningBlocks, 0, 2),
        (Change::AuditCommitBlocks, 1, 10),
        (Change::AuditRevealBlocks, 1, 5),
        (Change::HearingCommitBlocks, 1, 4),
        (Change::SettlementBlocks, 2, 15),
    ];
    let numbers = [
        (Change::CommitteeSize as fn(u32) -> Change, 4, 40),
        (Change::ModelsPerTarget, 1, 16),
        (Change::DifficultyWindows, 1, 16),
        (Change::Auditors, 0, 100),
        (Change::PayoutsPerBlock, 3, 10_000),
        (Change::BoundEmbeddings, 0, 1),
    ];
    let shares = [
        (Change::BurnPerYear as fn(_) -> Change, 0, 10_000),
        (Change::LapseSlash, 0, 10_000),
        (Change::FaultSlash, 0, 10_000),
        (Change::AuditRate, 1, 10_000),
        (Change::ValidatorShare, 0, 10_000),
        (Change::EquivocationSlash, 0, 5_000),
        (Change::WeightsRevealShare, 1, 10_000),
        (Change::FeeShareMax, 0, 10_000),
    ];
    let mut all = vec![
        vec![
            Change::EpochBlocks(8),
            Change::AuditCommitBlocks(4),
            Change::AuditRevealBlocks(1),
            Change::HearingCommitBlocks(1),
            Change::PayoutsPerBlock(20),
        ],
        vec![Change::EpochBlocks(64)],
        vec![Change::OpenTargets(1)],
        vec![Change::OpenTargets(1_000), Change::PayoutsPerBlock(1_000)],
    ];
    for (change, least, most) in amounts {
        all.extend([vec![change(Shannons(least))], vec![change(Shannons(most))]]);
    }
    for (change, least, most) in counts {
        all.extend([vec![change(least)], vec![change(most)]]);
    }
    for (change, least, most) in numbers {
        all.extend([vec![change(least)], vec![change(most)]]);
    }
    for (change, least, most) in shares {
        all.extend([vec![change(basis(least))], vec![change(basis(most))]]);
    }
    all
}

/// The parameter that a change names.
fn name(change: &Change) -> String {
    let named = serde_json::to_value(change).unwrap();
    named.as_object().unwrap().keys().next().unwrap().clone()
}

/// What undoes `changes`.
fn undo(changes: &[Change]) -> Vec<Change> {
    let usual = serde_json::to_value(tiny()).unwrap();
    let back = |change: &Change| {
        let name = name(change);
        serde_json::from_value(serde_json::json!({ name.clone(): usual[&name] })).unwrap()
    };
    changes.iter().map(back).collect()
}

/// Attack: an upgrade that bricks the network
/// Does: has more than two thirds, and votes a parameter to an end of what it may be: fees, stakes, slashes,
/// phases, targets, sizes.
/// Outcome: blocks go on, money adds up, and another vote takes it back, after which a hit is won and paid as
/// before. What it can do meanwhile it can do: nobody hits where the loss band is a point, and an epoch of
/// 2^24 blocks takes 48 days at std.
#[test]
fn an_upgrade_that_bricks_the_network() {
    let tried: BTreeSet<String> = extremes().iter().flatten().map(name).collect();
    assert_eq!(tried, Change::NAMES.iter().map(ToString::to_string).collect());
    for changes in extremes() {
        let (mut world, models) = World::with_models(tiny(), 2);
        let now = adopt(&mut world, &changes);
        // Life goes on as far as the rules let it; what they do not let fails and pays its fee.
        if let Some(target) = world.open_targets().first().cloned() {
            let find = world.find(8, &target, 1, 0);
            if world.one(8, find.commit()).applied() {
                let id = view::submission_at(&mut world.chain.state, 0).unwrap().unwrap();
                world.one(8, find.reveal(id));
            }
        }
        world.one(ATTACKER, stake_kind(0, 50 * SOMA));
        world.one(4, commit_model(models[0], 70));
        world.until_epoch(now + 1);
        world.one(5, Kind::DeactivateModel { model: models[1] });
        world.one(ATTACKER, withdraw_kind(0, 10 * SOMA));
        world.until_epoch(now + 2);

        let back = undo(&changes);
        adopt(&mut world, &back);
        assert_eq!(params(&mut world), tiny(), "{changes:?}");
        // Who has stopped competing in the meantime, or lost a stake, commits anew.
        let (pool, amount) = (PoolId::Model(models[0]), Shannons(50 * SOMA));
        world.one(4, Kind::AddStake { pool, amount });
        world.one(4, commit_model(models[0], 71));
        let next = world.epoch().0 + 1;
        world.until_epoch(next);
        world.one(4, reveal_model(models[0], 1));
        world.until_epoch(next + 1);
        let targets = world.open_targets();
        assert_eq!(targets.len(), 4, "{changes:?}");
        let id = world.win(8, &targets[0], 2, 0);
        world.until_epoch(next + 4);
        let paid = matches!(world.status(id), SubmissionStatus::Paid { .. });
        assert!(paid, "{changes:?}: {:?}", world.status(id));
    }
}
