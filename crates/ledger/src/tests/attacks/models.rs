//! Models that are not what was committed, copies, and stake that moves.

use soma_types::{
    DecryptionKey, Embedding, ModelId, Receipt, Seed, Shannons, TransactionKind as Kind,
    objects::{ModelStatus, SubmissionStatus},
    transaction::{ModelFault, PoolId, Withdrawal},
};

use super::gain;
use crate::{
    testing::{DIM, SOMA, World, commit_model, reveal_model, tiny},
    view,
};

const ATTACKER: u8 = 9;

fn staked(world: &mut World, model: ModelId) -> u64 {
    let pool = view::pool(&mut world.chain.state, PoolId::Model(model)).unwrap();
    pool.unwrap().counted.0
}

/// Three validators of four report the attacker's revealed model; the attacker and the model as they stand
/// two epochs on.
fn reported(fault: ModelFault) -> (World, ModelId, i64) {
    let (mut world, _) = World::with_models(tiny(), 3);
    let before = world.wealth(ATTACKER);
    let model = world.create_model(ATTACKER);
    world.apply(ATTACKER, commit_model(model, 50));
    world.until_epoch(3);
    world.apply(ATTACKER, reveal_model(model, 50));
    for who in 0..3 {
        world.apply(who, Kind::ReportModel { model, fault });
    }
    world.until_epoch(5);
    let gained = gain(&mut world, ATTACKER, before);
    (world, model, gained)
}

/// Attack: weights swapped after the commit, as the ledger sees it
/// Does: commits to one encrypted file and serves another once they know the epoch's targets.
/// Outcome: the file has another hash than committed: validators report it, past two thirds of stake the
/// model is retired before it competes, and a tenth of its owner's stake is lost.
#[test]
fn weights_swapped_after_the_commit_are_reported() {
    let (mut world, model, gained) = reported(ModelFault::HashMismatch);
    let record = view::model(&mut world.chain.state, model).unwrap().unwrap();
    assert_eq!((record.status, record.hits_total), (ModelStatus::Retired, 0));
    assert!(gained <= -(2 * SOMA as i64), "{gained}");
}

/// Attack: key swapped after the commit, as the ledger sees it
/// Does: reveals another key than the file was made with, for a second set of weights in the same bytes.
/// Outcome: the file's header commits to its key: no other opens it. Reported, retired, and slashed like
/// swapped weights.
#[test]
fn a_key_swapped_after_the_commit_is_reported() {
    let (mut world, model, gained) = reported(ModelFault::WrongKey);
    let record = view::model(&mut world.chain.state, model).unwrap().unwrap();
    assert_eq!((record.status, record.hits_total), (ModelStatus::Retired, 0));
    assert!(gained <= -(2 * SOMA as i64), "{gained}");
}

/// Attack: slandering a model
/// Does: holds up to two thirds of the committee's stake and reports a good model as unusable.
/// Outcome: nothing happens up to two thirds; the honest third is enough to keep it.
#[test]
fn slandering_a_model() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let owner = world.wealth(4);
    for who in 0..2 {
        let report = Kind::ReportModel {
            model: models[0],
            fault: ModelFault::BadWeights,
        };
        world.apply(who, report);
    }
    world.until_epoch(4);
    let record = view::model(&mut world.chain.state, models[0]).unwrap().unwrap();
    assert_eq!(record.status, ModelStatus::Active);
    assert_eq!(world.wealth(4), owner);
}

/// Attack: a copied model
/// Does: commits to the same encrypted file before its key is public, reveals the same key after its owner,
/// and competes with as much stake in the same place.
/// Outcome: both have exactly equal losses, and a tie goes to the weights committed earlier: the copy wins
/// nothing, and its owner has paid rent and fees.
#[test]
fn a_copied_model() {
    let (mut world, _) = World::with_models(tiny(), 1);
    let before = world.wealth(ATTACKER);
    let (original, copy) = (world.create_model(8), world.create_model(ATTACKER));
    let receipts = world.block(vec![
        (8, commit_model(original, 50)),
        (ATTACKER, commit_model(copy, 50)),
    ]);
    assert!(receipts.iter().all(Receipt::applied));
    world.until_epoch(3);
    // The copier even comes first with the reveal.
    let receipts = world.block(vec![
        (ATTACKER, reveal_model(copy, 50)),
        (8, reveal_model(original, 50)),
    ]);
    assert!(receipts.iter().all(Receipt::applied));
    world.until_epoch(4);
    let mut shared = 0;
    for (data, target) in (0..).zip(world.open_targets()) {
        if !(target.models.contains(&original) && target.models.contains(&copy)) {
            continue;
        }
        shared += 1;
        let mut find = world.find(6, &target, data, 0);
        // Equal models have equal losses: the lowest for both.
        let losses: Vec<u64> = target
            .models
            .iter()
            .map(|model| 1_000_000_000 + u64::from(*model != original && *model != copy))
            .collect();
        find.reveal.losses_nano = losses.try_into().unwrap();
        let id = world.commit(&find);
        world.apply(6, find.reveal(id));
        world.skip(2);
        assert_eq!(world.status(id), SubmissionStatus::Won);
        assert_eq!(world.submission(id).found.unwrap().model, original);
    }
    assert!(shared > 0);
    world.until_epoch(7);
    let record = view::model(&mut world.chain.state, copy).unwrap().unwrap();
    assert_eq!((record.hits_total, record.rewards_total), (0, Shannons::ZERO));
    assert!(gain(&mut world, ATTACKER, before) < 0);
}

/// Attack: reveal skipped
/// Does: commits to weights, sees the others' embeddings, and does not reveal when the place is taken; or
/// commits to several and reveals the one that suits.
/// Outcome: one commitment at a time, and the one that lapses costs 5% of the owner's stake and the rent.
/// They compete two epochs later than if they had revealed.
#[test]
fn a_reveal_skipped() {
    let mut world = World::new(tiny());
    let before = world.wealth(ATTACKER);
    let model = world.create_model(ATTACKER);
    world.apply(ATTACKER, commit_model(model, 1));
    assert_eq!(
        world.fail(ATTACKER, commit_model(model, 2)).name(),
        "AlreadyCommitted"
    );
    world.until_epoch(2);
    assert_eq!(
        world.fail(ATTACKER, reveal_model(model, 1)).name(),
        "NothingCommitted"
    );
    let record = view::model(&mut world.chain.state, model).unwrap().unwrap();
    assert_eq!(record.status, ModelStatus::Created);
    assert!(
        gain(&mut world, ATTACKER, before) <= -(SOMA as i64),
        "5% of 20 SOMA"
    );
    // Leaving with the commitment open does not avoid it.
    let other = world.create_model(ATTACKER);
    let before = world.wealth(ATTACKER);
    world.apply(ATTACKER, commit_model(other, 3));
    world.apply(ATTACKER, Kind::DeactivateModel { model: other });
    world.until_epoch(3);
    assert!(gain(&mut world, ATTACKER, before) <= -(SOMA as i64));
}

/// Attack: deactivating before the report
/// Does: reveals weights that are not what they committed, or sees that their place is taken, and deactivates
/// the model in the same block, so that nobody can report it and nothing lapses; then comes back with a new
/// one.
/// Outcome: what has not competed when its model is deactivated lapses: it costs what not revealing it does.
/// (It was free.)
#[test]
fn deactivating_before_the_report() {
    let mut world = World::new(tiny());
    let before = world.wealth(ATTACKER);
    let model = world.create_model(ATTACKER);
    world.apply(ATTACKER, commit_model(model, 1));
    world.until_epoch(1);
    world.block(vec![
        (ATTACKER, reveal_model(model, 1)),
        (ATTACKER, Kind::DeactivateModel { model }),
    ]);
    let fault = ModelFault::Unavailable;
    assert_eq!(
        world.fail(0, Kind::ReportModel { model, fault }).name(),
        "ModelRetired"
    );
    world.until_epoch(2);
    let record = view::model(&mut world.chain.state, model).unwrap().unwrap();
    assert_eq!(
        (record.status, record.revealed, record.weights),
        (ModelStatus::Retired, None, None)
    );
    assert!(
        gain(&mut world, ATTACKER, before) <= -(SOMA as i64),
        "5% of 20 SOMA"
    );
}

/// Attack: another embedding than the weights have
/// Does: reveals an embedding near places with little competition instead of where their weights are good.
/// Outcome: routing believes it, scoring does not: to win a target their weights must have the lowest loss
/// there, exactly as auditors compute it. They are routed to targets that others win.
#[test]
fn an_embedding_that_is_not_the_weights() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let before = world.wealth(ATTACKER);
    let model = world.create_model(ATTACKER);
    world.apply(ATTACKER, commit_model(model, 50));
    world.until_epoch(3);
    let target = world.open_targets().remove(0);
    world.apply(
        ATTACKER,
        Kind::RevealModel {
            model,
            key: DecryptionKey([1; 32]),
            embedding: Embedding::draw(&target.seed, DIM as usize),
        },
    );
    world.until_epoch(4);
    let routed: Vec<_> = world
        .open_targets()
        .into_iter()
        .filter(|target| target.models.contains(&model))
        .collect();
    for (data, target) in (0..).zip(&routed) {
        let place = target.models.iter().position(|id| models.contains(id)).unwrap();
        world.win(6, target, data, place);
    }
    world.until_epoch(7);
    let record = view::model(&mut world.chain.state, model).unwrap().unwrap();
    assert_eq!(record.hits_total, 0);
    assert!(gain(&mut world, ATTACKER, before) < 0);
}

/// Attack: stake moved at the boundary to sway routing
/// Does: adds stake to a model in an epoch's last block, so that it counts in the next, withdraws it in that
/// one's first block, and moves on to another pool.
/// Outcome: it counts in one pool at a time: what was withdrawn is nobody's to stake until a boundary and the
/// unbonding time have passed. It earns nothing of the epoch it swayed.
#[test]
fn stake_moved_at_the_boundary() {
    let (mut world, models) = World::with_models(tiny(), 3);
    let before = world.wealth(ATTACKER);
    let plain = [staked(&mut world, models[0]), staked(&mut world, models[1])];
    let amount = Shannons(5_000 * SOMA);
    let (first, second) = (PoolId::Model(models[0]), PoolId::Model(models[1]));
    while world.next_block().height.0 % world.genesis.params.epoch_blocks != 15 {
        world.skip(1);
    }
    world.apply(ATTACKER, Kind::AddStake { pool: first, amount });
    world.skip(1);
    assert_eq!(staked(&mut world, models[0]), plain[0] + amount.0);
    let withdraw = |pool| Kind::WithdrawStake {
        pool,
        amount: Withdrawal::All,
    };
    world.apply(ATTACKER, withdraw(first));
    // It is not theirs to stake again.
    let again = Kind::AddStake {
        pool: second,
        amount: Shannons(6_000 * SOMA),
    };
    assert_eq!(world.fail(ATTACKER, again).name(), "InsufficientBalance");
    world.until_epoch(4);
    assert_eq!(
        staked(&mut world, models[0]),
        plain[0],
        "it counted for one epoch"
    );
    let unbonding = world.supply().unbonding;
    assert_eq!(unbonding, amount, "and waits for another");
    // What had not counted yet comes back at once, and counts nowhere.
    world.apply(
        ATTACKER,
        Kind::AddStake {
            pool: first,
            amount: Shannons(SOMA),
        },
    );
    world.apply(ATTACKER, withdraw(first));
    world.apply(
        ATTACKER,
        Kind::AddStake {
            pool: second,
            amount: Shannons(SOMA),
        },
    );
    world.until_epoch(5);
    assert_eq!(staked(&mut world, models[0]), plain[0]);
    assert_eq!(staked(&mut world, models[1]), plain[1] + SOMA);
    world.until_epoch(8);
    assert!(gain(&mut world, ATTACKER, before) < 0);
}

/// Attack: one stake, many models
/// Does: creates many models in one place with a small stake each, to take more of a target's three slots
/// than one model could.
/// Outcome: the slots go by similarity and ln(stake): three models with a third of the stake each rank below
/// the one with all of it. They pay rent three times and can fill the slots where nobody is near; the reward
/// of a hit is the same.
#[test]
fn one_stake_many_models() {
    use soma_routing::RoutingTable;
    let place = Embedding::draw(&Seed([1; 32]), DIM as usize);
    let target = Embedding::draw(&Seed([2; 32]), DIM as usize);
    let route = |stakes: &[u64], rivals: u64| {
        let mut table = RoutingTable::new(DIM);
        for (index, stake) in (0..).zip(stakes) {
            table.push(ModelId([index; 32]), u64::from(index), Shannons(*stake), &place);
        }
        for index in 100..103 {
            table.push(ModelId([index; 32]), u64::from(index), Shannons(rivals), &place);
        }
        let routed = table.route(std::slice::from_ref(&target), 3).remove(0);
        routed.iter().filter(|id| id.0[0] < 100).count()
    };
    let all = 30 * SOMA;
    assert_eq!(route(&[all], 20 * SOMA), 1);
    // Split, each part is smaller than a rival in the same place.
    assert_eq!(route(&[all / 3; 3], 20 * SOMA), 0);
    assert_eq!(route(&[all / 3; 3], 5 * SOMA), 3);
}

/// Attack: recommitting to be first
/// Does: commits to a rival's public file under their own model, many times, to get a place before the
/// rival's.
/// Outcome: a place in the order is kept only by whoever commits the same file again; everyone else's is
/// later.
#[test]
fn recommitting_to_be_first() {
    let mut world = World::new(tiny());
    let (original, copy) = (world.create_model(8), world.create_model(ATTACKER));
    let sequence = |world: &mut World, model| {
        let record = view::model(&mut world.chain.state, model).unwrap().unwrap();
        record.committed.unwrap().sequence
    };
    world.apply(8, commit_model(original, 1));
    let first = sequence(&mut world, original);
    for round in 0..3 {
        world.apply(ATTACKER, commit_model(copy, 1));
        assert!(sequence(&mut world, copy) > first);
        world.until_epoch(1 + 2 * round);
        if round == 0 {
            world.apply(8, reveal_model(original, 1));
        }
        world.apply(ATTACKER, reveal_model(copy, 1));
        world.until_epoch(2 + 2 * round);
    }
    world.apply(8, commit_model(original, 1));
    assert_eq!(sequence(&mut world, original), first, "a refresh keeps its place");
    let record = view::model(&mut world.chain.state, copy).unwrap().unwrap();
    assert!(record.weights.unwrap().committed.sequence > first);
}
