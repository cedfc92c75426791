//! What a block costs does not depend on how much there is: the same transactions read and write as many
//! values with a thousand models, a thousand accounts more and many open targets as with few of each.

use soma_types::{
    Address, ModelId, Seed, Shannons, TransactionKind as Kind,
    list::List,
    params::Params,
    receipt::{Created, Outcome},
    transaction::{ModelFault, PAYMENTS_MAX, Payment, PoolId, Verdict, Withdrawal},
    upgrade::{Ballot, ParamChange},
};

use crate::{
    Executor, MemoryState, Missing, State,
    testing::{
        SOMA, World, audit_kinds, basis, challenge, commit_model, evidence, propose, register, report,
        reveal_model, tiny, upgrade, vote,
    },
    view,
};

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
        state: world.chain.state.clone(),
        reads: 0,
        writes: 0,
    };
    let mut executor = Executor::new(world.next_block());
    executor
        .begin(&mut counting, &mut world.chain.cache.clone())
        .unwrap();
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
    let mut note = |world: &World, who: u8, kind: Kind| {
        costs.push((kind.name(), cost(world, Some((who, kind)))));
    };
    let mut blocks = vec![("empty block", cost(&world, None))];
    let (model, pool, amount) = (ids[0], PoolId::Model(ids[3]), Shannons(SOMA));
    let payment = Payment {
        to: Address([200; 32]),
        amount,
    };
    let transfer = Kind::Transfer {
        payments: List::new(vec![payment]).unwrap(),
    };
    let create = Kind::CreateModel {
        commission: basis(300),
        stake: Shannons(20 * SOMA),
        architecture: world.genesis.params.architecture,
    };
    let (commission, fault) = (basis(300), ModelFault::WrongKey);
    note(&world, 4, transfer);
    note(&world, 4, Kind::AddStake { pool, amount });
    note(&world, 4, create);
    note(&world, 4, commit_model(model, 77));
    note(&world, 4, Kind::SetModelCommission { model, commission });
    note(&world, 4, Kind::DeactivateModel { model });
    note(&world, 0, Kind::ReportModel { model, fault });
    let newcomer = register(&world.genesis, 9, 2_000 * SOMA);
    note(&world, 9, newcomer.clone());
    note(&world, 3, Kind::LeaveValidator);
    note(&world, 3, Kind::SetValidatorCommission { commission });
    let rent_per_mib_epoch = Shannons(7);
    note(&world, 3, Kind::SetRentVote { rent_per_mib_epoch });
    let proposal = propose(upgrade(&[ParamChange::FeeBase(Shannons(77))], 9));
    note(&world, 0, proposal.clone());
    world.apply(0, proposal);
    note(&world, 1, vote(0, Ballot::Approve));

    world.apply(9, newcomer);
    world.apply(4, Kind::AddStake { pool, amount });
    let target = world.open_targets().remove(0);
    let find = world.find(8, &target, 1, 0);
    note(&world, 8, find.commit());
    let submission = world.commit(&find);
    note(&world, 8, find.reveal(submission));
    world.apply(8, find.reveal(submission));
    world.skip(world.genesis.params.settlement_blocks - 1);
    blocks.push(("block that settles a race and opens a target", cost(&world, None)));
    world.skip(1);
    note(&world, 7, challenge(submission));
    world.apply(4, commit_model(model, 77));

    world.until_epoch(3);
    note(&world, 4, reveal_model(model, 9));
    let all = Withdrawal::Amount(amount);
    note(&world, 4, Kind::WithdrawStake { pool, amount: all });
    let (commit, reveal) = audit_kinds(0, submission, Verdict::Valid, 1);
    note(&world, 0, commit.clone());
    world.apply(0, commit);
    world.until_offset(world.genesis.params.audit_commit_blocks);
    note(&world, 0, reveal);
    note(&world, 4, report(evidence(&world.genesis, 9, 3, 1, 2)));
    for kind in Kind::NAMES {
        assert!(costs.iter().any(|(name, _)| name == kind), "{kind}");
    }
    costs.extend(blocks);
    costs
}

/// A world with `models` models that compete, owned by accounts 4 to 8, and `accounts` accounts more than
/// usual.
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
    world.block(each(commit_model));
    world.until_epoch(1);
    world.block(each(reveal_model));
    world.until_epoch(2);
    assert_eq!(
        view::epoch(&mut world.chain.state).unwrap().unwrap().models,
        models
    );
    (world, ids)
}

#[test]
fn a_block_costs_the_same_however_much_there_is() {
    let few = costs(10, 0, 4);
    let many = costs(1_000, 1_000, 64);
    for (few, many) in few.iter().zip(&many) {
        assert_eq!(few, many);
    }
}
