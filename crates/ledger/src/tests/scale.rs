//! What a block costs does not depend on how much there is: the same transactions read and write as many values
//! with a thousand models, a thousand accounts more and many open targets as with few of each.

use soma_types::{
    Address, ModelId, Seed, Shannons, TransactionKind as Kind,
    list::List,
    params::Params,
    receipt::{Created, Outcome},
    transaction::{ModelFault, PAYMENTS_MAX, Payment, PoolId, Verdict, Withdrawal},
};

use super::world::{SOMA, World, audit_kinds, basis, tiny};
use crate::{Executor, MemoryState, Missing, State, view};

/// Counts what passes through it.
struct Counting {
    state: MemoryState,
    reads: u64,
    writes: u64,
}

impl State for Counting {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Missing> {
        self.reads += 1;
        self.state.get(key)
    }

    fn set(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        self.writes += 1;
        self.state.set(key, value);
    }
}

/// Reads and writes of the next block, with `kind` by `who` in it, or empty.
fn cost(world: &World, transaction: Option<(u8, Kind)>) -> (u64, u64) {
    let mut counting = Counting {
        state: world.state.clone(),
        reads: 0,
        writes: 0,
    };
    let mut executor = Executor::new(world.next_block());
    executor.begin(&mut counting, &mut world.cache.clone()).unwrap();
    if let Some((who, kind)) = transaction {
        let transaction = world.numbered(who, kind);
        let receipt = executor.apply(&mut counting, &transaction).unwrap().unwrap();
        assert!(receipt.applied(), "{receipt:?}");
    }
    executor.end(&mut counting).unwrap();
    (counting.reads, counting.writes)
}

/// What each kind of transaction costs in a network of this size, and some blocks without any.
fn costs(models: u64, accounts: u64, open_targets: u32) -> Vec<(&'static str, (u64, u64))> {
    let params = Params {
        open_targets,
        epoch_blocks: 64,
        audit_commit_blocks: 16,
        payouts_per_block: 32,
        ..tiny()
    };
    let (mut world, ids) = crowd(params, models, accounts);
    let mut costs = Vec::new();
    let mut note = |name, world: &World, transaction| costs.push((name, cost(world, transaction)));
    let pool = PoolId::Model(ids[3]);
    let amount = Shannons(SOMA);
    let payment = Payment {
        to: Address([200; 32]),
        amount,
    };
    let (model, commission) = (ids[0], basis(300));
    let kinds = [
        (
            "transfer",
            Kind::Transfer {
                payments: List::new(vec![payment]).unwrap(),
            },
        ),
        ("add stake", Kind::AddStake { pool, amount }),
        (
            "create a model",
            Kind::CreateModel {
                commission,
                stake: Shannons(20 * SOMA),
                architecture: world.genesis.params.architecture,
            },
        ),
        ("commit a model", World::commit_model_kind(model, 77)),
        ("commission", Kind::SetModelCommission { model, commission }),
        ("deactivate", Kind::DeactivateModel { model }),
    ];
    note("empty block", &world, None);
    for (name, kind) in kinds {
        note(name, &world, Some((4, kind)));
    }
    let report = Kind::ReportModel {
        model,
        fault: ModelFault::WrongKey,
    };
    note("report", &world, Some((0, report)));

    world.apply(4, Kind::AddStake { pool, amount });
    let target = world.open_targets().remove(0);
    let find = world.find(8, &target, 1, 0);
    note("commit a submission", &world, Some((8, find.commit())));
    let submission = world.commit(&find);
    note("reveal a submission", &world, Some((8, find.reveal(submission))));
    world.apply(8, find.reveal(submission));
    world.skip(world.genesis.params.settlement_blocks - 1);
    note("block that settles a race and opens a target", &world, None);
    world.apply(4, World::commit_model_kind(model, 77));

    world.until_epoch(3);
    note(
        "reveal a model",
        &world,
        Some((4, World::reveal_model_kind(model, 9))),
    );
    let withdraw = Kind::WithdrawStake {
        pool,
        amount: Withdrawal::Amount(amount),
    };
    note("withdraw stake", &world, Some((4, withdraw)));
    let (commit, reveal) = audit_kinds(0, submission, Verdict::Valid, 1);
    note("commit an audit", &world, Some((0, commit.clone())));
    world.apply(0, commit);
    let phase = world.genesis.params.audit_commit_blocks;
    let first = view::epoch(&mut world.state).unwrap().unwrap().first_height;
    world.skip(first.plus(phase).0 - world.next_block().height.0);
    note("reveal an audit", &world, Some((0, reveal)));
    costs
}

/// A world with `models` models that compete, owned by accounts 4 to 8, and `accounts` accounts more than usual.
fn crowd(params: Params, models: u64, accounts: u64) -> (World, Vec<ModelId>) {
    let mut world = World::new(params);
    let owner = |index: usize| 4 + (index % 5) as u8;
    let payments: Vec<Payment> = (0..accounts)
        .map(|index| Payment {
            to: Address(Seed([1; 32]).derive("account", index).0),
            amount: Shannons(SOMA),
        })
        .collect();
    for part in payments.chunks(PAYMENTS_MAX) {
        let payments = List::new(part.to_vec()).unwrap();
        world.apply(9, Kind::Transfer { payments });
    }
    let create = Kind::CreateModel {
        commission: basis(1_000),
        stake: Shannons(20 * SOMA),
        architecture: world.genesis.params.architecture,
    };
    let creations = (0..models as usize).map(|index| (owner(index), create.clone()));
    let ids: Vec<ModelId> = world
        .block(creations.collect())
        .iter()
        .map(|receipt| match receipt.outcome {
            Outcome::Applied {
                created: Some(Created::Model(model)),
            } => model,
            ref outcome => panic!("{outcome:?}"),
        })
        .collect();
    let each = |kind: fn(ModelId, u8) -> Kind| {
        let kinds = ids.iter().enumerate();
        kinds
            .map(|(index, id)| (owner(index), kind(*id, index as u8)))
            .collect()
    };
    world.block(each(World::commit_model_kind));
    world.until_epoch(1);
    world.block(each(World::reveal_model_kind));
    world.until_epoch(2);
    assert_eq!(view::epoch(&mut world.state).unwrap().unwrap().models, models);
    (world, ids)
}

#[test]
fn a_block_costs_the_same_however_much_there_is() {
    let few = costs(10, 0, 4);
    let many = costs(1_000, 1_000, 64);
    assert_eq!(few.len(), 15);
    for (few, many) in few.iter().zip(&many) {
        assert_eq!(few, many);
    }
}
