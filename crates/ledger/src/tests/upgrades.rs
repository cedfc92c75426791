//! Validators change the protocol: proposals, votes, schedules, activation.

use soma_types::{
    Architecture, Embedding, Epoch, Receipt, Rejection, Seed, Shannons, TransactionKind as Kind,
    event::Event,
    objects::{Inactivity, ModelStatus, SubmissionStatus},
    params::Params,
    receipt::{Created, Outcome},
    transaction::ModelFault,
    upgrade::{Ballot, PROTOCOL_VERSION, ParamChange, ProposalStatus, ProtocolVersion, Upgrade},
};

use crate::{
    Error,
    testing::{DIM, World, address, commit_model, propose, reveal_model, tiny, upgrade, vote},
    view,
};

/// Proposed by validator 0, approved by as many as `seats`; returns its number.
pub fn approved(world: &mut World, upgrade: Upgrade, seats: u8) -> u64 {
    let receipt = world.apply(0, propose(upgrade));
    let Outcome::Applied {
        created: Some(Created::Proposal(index)),
    } = receipt.outcome
    else {
        panic!("{receipt:?}")
    };
    let votes = (1..seats).map(|who| (who, vote(index, Ballot::Approve)));
    assert!(world.block(votes.collect()).iter().all(Receipt::applied));
    index
}

pub fn status(world: &mut World, proposal: u64) -> ProposalStatus {
    view::proposal(&mut world.chain.state, proposal)
        .unwrap()
        .unwrap()
        .status
}

pub fn params(world: &mut World) -> Params {
    view::params(&mut world.chain.state).unwrap().unwrap()
}

#[test]
fn more_than_two_thirds_change_a_parameter() {
    let mut world = World::new(tiny());
    let changes = [ParamChange::EpochBlocks(20), ParamChange::FeeBase(Shannons(77))];
    let proposal = approved(&mut world, upgrade(&changes, 3), 3);
    let open = view::proposal(&mut world.chain.state, proposal).unwrap().unwrap();
    let support = view::support(&mut world.chain.state, &open).unwrap();
    assert_eq!((support.seats, support.seats_total), (3, 4));
    assert_eq!(open.status, ProposalStatus::Open);
    world.until_epoch(1);
    assert_eq!(
        status(&mut world, proposal),
        ProposalStatus::Scheduled { since: Epoch(1) }
    );
    // It is decided: nobody can stop it, and nothing has changed yet.
    assert_eq!(
        world.fail(1, vote(proposal, Ballot::Withdraw)),
        Rejection::ProposalClosed {}
    );
    world.until_epoch(2);
    assert_eq!(params(&mut world), tiny());
    let before = world.chain.height();
    world.until_epoch(3);
    assert_eq!(
        world.chain.height().0 - before.0,
        16,
        "the last epoch of the old length"
    );
    assert_eq!(status(&mut world, proposal), ProposalStatus::Activated);
    assert_eq!(
        params(&mut world),
        Params {
            epoch_blocks: 20,
            fee_base: Shannons(77),
            ..tiny()
        }
    );
    assert!(
        view::pending_proposals(&mut world.chain.state)
            .unwrap()
            .is_empty()
    );
    let before = world.chain.height();
    world.until_epoch(4);
    assert_eq!(world.chain.height().0 - before.0, 20);
    let events: Vec<&Event> = world.history.iter().flat_map(|block| &block.events).collect();
    assert!(events.contains(&&Event::UpgradeScheduled {
        proposal,
        version: PROTOCOL_VERSION,
        activation: Epoch(3)
    }));
}

#[test]
fn too_few_votes_or_none_in_time_expire() {
    let mut world = World::new(tiny());
    let half = approved(&mut world, upgrade(&[ParamChange::FeeBase(Shannons(1))], 2), 2);
    // Who withdraws is not for it any more.
    let kinds = vec![
        (2, vote(half, Ballot::Approve)),
        (2, vote(half, Ballot::Withdraw)),
    ];
    assert!(world.block(kinds).iter().all(Receipt::applied));
    world.until_epoch(1);
    assert_eq!(status(&mut world, half), ProposalStatus::Open);
    world.until_epoch(2);
    assert_eq!(status(&mut world, half), ProposalStatus::Expired);
    assert_eq!(params(&mut world), tiny());
    // Its proposer is free to propose again.
    world.apply(0, propose(upgrade(&[ParamChange::FeeBase(Shannons(1))], 4)));
}

#[test]
fn stake_alone_carries_nothing_nor_do_seats() {
    let support = |seats, stake| crate::Support {
        seats,
        seats_total: 3,
        stake,
        stake_total: 300,
    };
    assert!(!support(2, 299).carries(), "exactly two thirds of the seats");
    assert!(!support(3, 200).carries(), "exactly two thirds of the stake");
    assert!(support(3, 201).carries());

    // Votes of seats that are gone at the boundary do not count.
    let mut world = World::new(tiny());
    let proposal = approved(&mut world, upgrade(&[ParamChange::FeeBase(Shannons(1))], 4), 3);
    world.apply(2, Kind::LeaveValidator);
    world.apply(1, Kind::LeaveValidator);
    world.until_epoch(1);
    assert_eq!(status(&mut world, proposal), ProposalStatus::Open);
    world.apply(3, vote(proposal, Ballot::Approve));
    let pending = view::pending_proposals(&mut world.chain.state).unwrap();
    assert_eq!(
        pending[0].approvals.len(),
        2,
        "those who lost their seats are dropped"
    );
    world.until_epoch(2);
    assert_eq!(
        status(&mut world, proposal),
        ProposalStatus::Scheduled { since: Epoch(2) }
    );
}

#[test]
fn an_upgrade_that_another_rules_out_is_void() {
    let mut world = World::new(tiny());
    let first = approved(&mut world, upgrade(&[ParamChange::EpochBlocks(14)], 2), 4);
    // Sound with epochs of 16 blocks, not with 14.
    let other = upgrade(&[ParamChange::SettlementBlocks(14)], 2);
    world.apply(1, propose(other));
    let second = first + 1;
    let votes = [0, 2, 3].map(|who| (who, vote(second, Ballot::Approve)));
    assert!(world.block(votes.to_vec()).iter().all(Receipt::applied));
    world.until_epoch(2);
    assert_eq!(status(&mut world, first), ProposalStatus::Activated);
    assert_eq!(status(&mut world, second), ProposalStatus::Void);
    assert_eq!(params(&mut world).settlement_blocks, tiny().settlement_blocks);
}

#[test]
fn an_unknown_version_stops_before_it_is_in_force() {
    let mut world = World::new(tiny());
    let next = ProtocolVersion(PROTOCOL_VERSION.0 + 1);
    let version = Upgrade {
        version: next,
        ..upgrade(&[], 2)
    };
    let proposal = approved(&mut world, version, 4);
    world.until_epoch(1);
    assert_eq!(
        status(&mut world, proposal),
        ProposalStatus::Scheduled { since: Epoch(1) }
    );
    // Up to the last block of the old rules everything goes on.
    world.skip(15);
    assert_eq!(world.epoch(), Epoch(1));
    let before = world.chain.state.clone();
    let block = world.next_block();
    let mut executor = crate::Executor::new(block);
    let error = executor
        .begin(&mut world.chain.state, &mut world.chain.cache)
        .unwrap_err();
    assert_eq!(
        error,
        Error::Unsupported {
            version: next,
            epoch: Epoch(2)
        }
    );
    let params = |state: &mut crate::MemoryState| view::epoch(state).unwrap().unwrap().epoch;
    assert_eq!(params(&mut world.chain.state), params(&mut before.clone()));
}

#[test]
fn races_end_by_the_rules_they_began_under() {
    let params = Params {
        settlement_blocks: 6,
        reveal_blocks: 6,
        ..tiny()
    };
    let (mut world, _) = World::with_models(params, 3);
    let changes = [
        ParamChange::SettlementBlocks(1),
        ParamChange::RevealBlocks(1),
        ParamChange::ModelsPerTarget(1),
        ParamChange::OpenTargets(2),
    ];
    approved(&mut world, upgrade(&changes, 4), 4);
    world.until_epoch(3);
    world.skip(12);
    let targets = world.open_targets();
    assert_eq!(targets[0].models.len(), 3);
    let (raced, late) = (world.find(8, &targets[0], 1, 0), world.find(9, &targets[1], 2, 0));
    let id = world.commit(&raced);
    let waiting = world.commit(&late);
    world.apply(8, raced.reveal(id));
    assert_eq!(world.epoch(), Epoch(3));
    world.until_epoch(4);
    assert_eq!(world.status(id), SubmissionStatus::Won);
    world.skip(6);
    assert!(matches!(
        world.status(waiting),
        SubmissionStatus::Expired { forfeited } if forfeited.is_zero()
    ));
    let open = world.open_targets();
    assert_eq!(open.len(), 2);
    assert!(open.iter().all(|target| target.models.len() == 1));
    // The new rules hold for the new races.
    world.win(9, &open[0], 3, 0);
}

#[test]
fn another_architecture_makes_models_commit_anew() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let wider = Architecture {
        embedding_dim: 2 * DIM,
        ..tiny().architecture
    };
    let shape = Upgrade {
        architecture: Some(wider),
        ..upgrade(&[], 4)
    };
    approved(&mut world, shape, 4);
    let target = world.open_targets().remove(0);
    let winner = world.win(8, &target, 1, 0);
    world.until_epoch(3);
    // One owner is about to reveal, another has just committed, when the network moves on.
    world.apply(4, commit_model(models[0], 50));
    let stake = |world: &mut World, who| {
        let pool = soma_types::transaction::PoolId::Model(models[usize::from(who - 4)]);
        view::stake(&mut world.chain.state, pool, address(who))
            .unwrap()
            .counting
    };
    let before = stake(&mut world, 4);
    world.until_epoch(4);
    assert!(stake(&mut world, 4) >= before, "nobody is slashed for it");
    for id in &models {
        let model = view::model(&mut world.chain.state, *id).unwrap().unwrap();
        assert_eq!(model.status, ModelStatus::Stale);
        assert!(model.committed.is_none());
    }
    let outgrown = |event: &&Event| {
        matches!(
            event,
            Event::ModelInactive {
                reason: Inactivity::Outgrown,
                ..
            }
        )
    };
    let events = world.history.iter().flat_map(|block| &block.events);
    assert_eq!(events.filter(outgrown).count(), 3);
    assert!(world.open_targets().is_empty());
    let report = Kind::ReportModel {
        model: models[0],
        fault: ModelFault::BadWeights,
    };
    assert_eq!(world.fail(0, report), Rejection::NothingToReport {});
    world.skip(3);
    assert!(
        matches!(world.status(winner), SubmissionStatus::Paid { .. }),
        "what was won is paid"
    );

    // The same file of the new shape takes part again.
    world.apply(4, commit_model(models[0], 51));
    world.until_epoch(5);
    let narrow = reveal_model(models[0], 1);
    assert!(matches!(world.fail(4, narrow), Rejection::WrongDimension { .. }));
    let Kind::RevealModel { model, key, .. } = reveal_model(models[0], 1) else {
        unreachable!()
    };
    let embedding = Embedding::draw(&Seed([1; 32]), wider.embedding_dim as usize);
    world.apply(
        4,
        Kind::RevealModel {
            model,
            key,
            embedding: embedding.clone(),
        },
    );
    world.until_epoch(6);
    let open = world.open_targets();
    assert_eq!(open.len(), 4);
    let mut find = world.find(8, &open[0], 9, 0);
    find.reveal.embedding = Embedding::draw(&open[0].seed, wider.embedding_dim as usize);
    let id = world.commit(&find);
    world.apply(8, find.reveal(id));
    world.skip(2);
    assert_eq!(world.status(id), SubmissionStatus::Won);
}
