//! Trying until the dice fall well: targets, salts, ids.

use std::collections::BTreeSet;

use soma_routing::RoutingTable;
use soma_types::{
    ModelId, Salt, Seed, Shannons, SubmissionId, TransactionKind as Kind, list::List,
    objects::SubmissionStatus, params::Params, transaction::Payment,
};

use super::gain;
use crate::{
    is_sampled,
    money::{bonds::bond_floor, split::Split},
    testing::{DIM, Find, SOMA, World, address, basis, created_submission, tiny},
    view,
};

const ATTACKER: u8 = 9;

fn pay(amount: u64) -> Kind {
    Kind::Transfer {
        payments: List::new(vec![Payment {
            to: address(7),
            amount: Shannons(amount),
        }])
        .unwrap(),
    }
}

/// Attack: grinding targets
/// Does: as leader of the block in which a target is replaced, tries blocks with other transactions, other
/// orders and none, for a new target near their data.
/// Outcome: the seed was fixed before they could choose anything and the fills by earlier blocks: all their
/// blocks open the same targets. No gain.
#[test]
fn grinding_targets() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let targets = world.open_targets();
    let find = world.find(8, &targets[0], 1, 0);
    let id = world.commit(&find);
    world.apply(8, find.reveal(id));
    world.skip(1);
    // The next block settles the race and opens a target in its place.
    let other = world.find(ATTACKER, &targets[1], 2, 0);
    let choices: Vec<Vec<(u8, Kind)>> = vec![
        vec![],
        vec![(ATTACKER, pay(1))],
        vec![(ATTACKER, pay(2)), (ATTACKER, other.commit())],
        vec![(ATTACKER, other.commit()), (ATTACKER, pay(2))],
    ];
    let opened: BTreeSet<_> = choices
        .into_iter()
        .map(|choice| {
            let mut world = world.clone();
            world.block(choice);
            assert_eq!(world.status(id), SubmissionStatus::Won);
            let open = world.open_targets();
            open.iter().map(|target| target.id).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(opened.len(), 1);
}

/// Attack: grinding salts
/// Does: tries salts, and so commitments, transaction hashes and submission ids, to come before an earlier
/// commit or to be left out of the audit's sample.
/// Outcome: the order is that of the commits and the sample is drawn from a later seed and the winner's
/// number: no salt changes either. No gain.
#[test]
fn grinding_salts() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    let honest = world.find(8, &target, 1, 0);
    let first = world.commit(&honest);
    let mut audited = BTreeSet::new();
    for salt in 0..16 {
        let mut world = world.clone();
        let ground = Find {
            salt: Salt([salt; 32]),
            ..world.find(ATTACKER, &target, 2, 0)
        };
        let second = world.commit(&ground);
        world.block(vec![(ATTACKER, ground.reveal(second)), (8, honest.reveal(first))]);
        world.skip(2);
        assert_eq!(
            world.status(second),
            SubmissionStatus::LostRace { to: first },
            "salt {salt}"
        );
        // And alone, whether they are audited does not depend on it.
        let other = world.open_targets().remove(1);
        let alone = Find {
            salt: Salt([salt; 32]),
            ..world.find(ATTACKER, &other, 3, 0)
        };
        let id = created_submission(&world.apply(ATTACKER, alone.commit()));
        world.apply(ATTACKER, alone.reveal(id));
        world.until_epoch(3);
        let index = world.submission(id).found.unwrap().winner_index.unwrap();
        let mut now = view::epoch(&mut world.chain.state).unwrap().unwrap();
        now.audit_rate = basis(5_000);
        audited.insert((index, is_sampled(&now, index)));
    }
    assert_eq!(audited.len(), 1);
}

/// Attack: grinding ids
/// Does: creates models until one has a low id, since routing breaks ties by the lower id.
/// Outcome: only exact ties are broken so. A shannon more stake beats any id, and a copy in the same place
/// wins no target from the model it copied. Each try costs a model's least stake and fees.
#[test]
fn grinding_ids() {
    let place = soma_types::Embedding::draw(&Seed([1; 32]), DIM as usize);
    let routed = |low_stake: u64, high_stake: u64| {
        let mut table = RoutingTable::new(DIM);
        table.push(ModelId([1; 32]), 1, Shannons(low_stake), &place);
        table.push(ModelId([2; 32]), 0, Shannons(high_stake), &place);
        table.route(std::slice::from_ref(&place), 1)[0][0]
    };
    assert_eq!(routed(10 * SOMA, 10 * SOMA), ModelId([1; 32]), "an exact tie");
    assert_eq!(routed(10 * SOMA, 10 * SOMA + 1), ModelId([2; 32]));

    let mut world = World::new(tiny());
    let before = world.wealth(ATTACKER);
    let ids: BTreeSet<ModelId> = (0..20).map(|_| world.create_model(ATTACKER)).collect();
    assert_eq!(ids.len(), 20);
    assert!(gain(&mut world, ATTACKER, before) < 0);
    let locked = before - world.balance(ATTACKER);
    assert!(locked >= 20 * 20 * SOMA);
}

/// Attack: grinding a boundary
/// Does: as leader of an epoch's last block, orders or drops transactions to change the next epoch's sample
/// of audits or its targets.
/// Outcome: both come from the first block's seed of the new epoch, and a winner's number from races that
/// earlier blocks began: the last leader changes neither.
#[test]
fn grinding_a_boundary() {
    let (mut world, _) = World::with_models(tiny(), 3);
    let target = world.open_targets().remove(0);
    world.win(8, &target, 1, 0);
    while world.next_block().height.0 % world.genesis.params.epoch_blocks != 15 {
        world.skip(1);
    }
    let ends: BTreeSet<Vec<SubmissionId>> = [vec![], vec![(ATTACKER, pay(1))], vec![(ATTACKER, pay(2)); 3]]
        .into_iter()
        .map(|last| {
            let mut world = world.clone();
            world.block(last);
            world.until_epoch(3);
            let now = view::epoch(&mut world.chain.state).unwrap().unwrap();
            assert_eq!(now.seed, Seed([7; 32]).derive("block", world.chain.height().0));
            let tasks = view::audit_tasks(&mut world.chain.state, 0, 9).unwrap();
            tasks.iter().map(|task| task.submission.id).collect()
        })
        .collect();
    assert_eq!(ends.len(), 1);
}

/// Attack: choosing among seeds
/// Does: holds a third of the seats. Who leads an epoch's last block shows it to just as many as it takes to
/// learn its round's seed from their votes, and to nobody else: if the seed would audit their false winner,
/// the round lapses, and whoever leads the next does the same.
/// Outcome: who leads k rounds in a row chooses among k seeds, or takes the next unseen: one and a half on
/// average. A false winner is audited in 6.9% of the epochs instead of 10%. At std its bond makes it a loss
/// from 5.3% on: against all who lead less than half of the rounds.
#[test]
fn choosing_among_seeds() {
    const EPOCHS: u64 = 20_000;
    let (mut world, params) = (World::new(tiny()), Params::std());
    let mut now = view::epoch(&mut world.chain.state).unwrap().unwrap();
    now.audit_rate = params.audit_rate;
    let dice = Seed([11; 32]);
    // In so many epochs it is audited, if of 60 leaders `theirs` are colluders.
    let mut play = |theirs: u16| {
        let mut audited = 0;
        for epoch in 0..EPOCHS {
            let dice = dice.derive("epoch", epoch);
            for round in 0.. {
                now.seed = dice.derive("round", round);
                // Whether they lead the round, and could have let it lapse.
                let [low, high, ..] = dice.derive("leader", round).0;
                let they_lead = u16::from_le_bytes([low, high]) % 60 < theirs;
                if !is_sampled(&now, 3) {
                    break;
                }
                if !they_lead {
                    audited += 1;
                    break;
                }
            }
        }
        audited
    };
    let fresh = Shannons(2_500_000_000_000);
    let bond = bond_floor(&params, fresh, Shannons::ZERO).0;
    let reward = Split::new(&params, fresh, Shannons::ZERO, 0).per_hit.0;
    let is_a_loss = |audited: u64| (EPOCHS - audited) * reward < audited * bond;

    let (honest, third) = (play(0), play(20));
    assert!(
        (EPOCHS * 94 / 1_000..EPOCHS * 106 / 1_000).contains(&honest),
        "{honest}"
    );
    assert!(
        (EPOCHS * 64 / 1_000..EPOCHS * 74 / 1_000).contains(&third),
        "{third}"
    );
    assert!(is_a_loss(honest) && is_a_loss(third));
    // What the bond stands: a little less than half of the rounds, and not two thirds.
    assert!(is_a_loss(play(27)) && !is_a_loss(play(40)));
}
