//! Emission, fees, burn, and the supply over many epochs.

use soma_types::{
    Epoch, Shannons, TransactionKind, amount::MAX_SUPPLY, list::List, params::Params, transaction::Payment,
};

use crate::{
    BlockInfo, Error,
    testing::{SOMA, World, address, tiny},
    view,
};

#[test]
fn everything_is_emitted_and_nothing_more() {
    let mut world = World::new(Params {
        emission_epochs: 5,
        ..tiny()
    });
    let (genesis, start) = (world.supply().circulating(), world.supply().emission);
    assert_eq!(genesis.0, 104_000 * SOMA);
    let share = start.0 / 5;
    for epoch in 1..8 {
        world.until_epoch(epoch);
        let left = if epoch >= 5 { 0 } else { start.0 - epoch * share };
        assert_eq!(world.supply().emission.0, left, "epoch {epoch}");
    }
    assert_eq!(world.supply().total(), Some(MAX_SUPPLY));
    assert_eq!(world.supply().emission, Shannons::ZERO);
}

#[test]
fn fees_are_burned_up_to_the_target_and_the_multiplier_follows() {
    let mut world = World::new(tiny());
    let multiplier = |world: &mut World| {
        view::epoch(&mut world.chain.state)
            .unwrap()
            .unwrap()
            .fee_multiplier_q16
    };
    assert_eq!(multiplier(&mut world), 1 << 16);
    world.until_epoch(1);
    assert_eq!(
        multiplier(&mut world),
        (1 << 16) * 9 / 8,
        "no fees: cheaper is dearer by an eighth"
    );
    let pay = || TransactionKind::Transfer {
        payments: List::new(vec![Payment {
            to: address(9),
            amount: Shannons(1),
        }])
        .unwrap(),
    };
    let size = world.transaction(8, 0, pay()).size_bytes();
    assert_eq!(
        view::fee(&mut world.chain.state, size).unwrap().0,
        ((10_000 + 10 * size) * 9).div_ceil(8)
    );
    let receipt = world.apply(8, pay());
    assert_eq!(receipt.fee, view::fee(&mut world.chain.state, size).unwrap());
    for _ in 0..5 {
        world.block((0..40).map(|_| (8, pay())).collect());
    }
    world.until_epoch(2);
    let record = view::epoch_record(&mut world.chain.state, Epoch(1))
        .unwrap()
        .unwrap();
    assert_eq!(record.burned.0 + record.recycled.0, record.state.fees.0);
    assert!(record.burned.0 > 0);
    assert_eq!(world.supply().burned, record.burned);
}

#[test]
fn transfers_pay_all_or_none() {
    let mut world = World::new(tiny());
    let pay = |amounts: &[u64]| TransactionKind::Transfer {
        payments: amounts
            .iter()
            .map(|amount| Payment {
                to: address(9),
                amount: Shannons(*amount),
            })
            .collect::<Vec<_>>()
            .try_into()
            .unwrap(),
    };
    let before = (world.balance(8), world.balance(9));
    let fee = world.apply(8, pay(&[1, 2, 3])).fee.0;
    assert_eq!(
        (world.balance(8), world.balance(9)),
        (before.0 - 6 - fee, before.1 + 6)
    );
    let before = (world.balance(8), world.balance(9));
    let receipt = world.one(8, pay(&[1, u64::MAX, u64::MAX]));
    assert!(!receipt.applied());
    assert_eq!(
        (world.balance(8), world.balance(9)),
        (before.0 - receipt.fee.0, before.1)
    );
    // To oneself.
    let own = TransactionKind::Transfer {
        payments: List::new(vec![Payment {
            to: address(8),
            amount: Shannons(SOMA),
        }])
        .unwrap(),
    };
    let before = world.balance(8);
    let fee = world.apply(8, own).fee.0;
    assert_eq!(world.balance(8), before - fee);
}

#[test]
fn blocks_come_in_order() {
    let mut world = World::new(tiny());
    world.skip(3);
    let block = BlockInfo {
        height: soma_types::Height(3),
        ..world.next_block()
    };
    let result = crate::execute_block(&mut world.chain.state, &mut world.chain.cache, block, &[]);
    assert_eq!(result, Err(Error::OutOfOrder { given: 3, last: 3 }));
}

#[test]
fn missed_blocks_cost_a_validator() {
    let mut world = World::new(tiny());
    // Validator 3 never proposes: its blocks are another's.
    while world.epoch() < Epoch(1) {
        let mut block = world.next_block();
        if block.proposer == Some(address(3)) {
            block.proposer = Some(address(0));
        }
        world.chain.begin(block).unwrap().end().unwrap();
    }
    world.until_epoch(3);
    let record = view::epoch_record(&mut world.chain.state, Epoch(0))
        .unwrap()
        .unwrap();
    assert!(record.settled);
    let quarter = record.validator_pot.0 / 4;
    assert_eq!(record.paid_validators.0, 3 * quarter);
    assert_eq!(record.returned.0, record.validator_pot.0 - 3 * quarter);
}

#[test]
fn the_std_preset_runs_too() {
    let params = Params {
        epoch_blocks: 40,
        audit_commit_blocks: 20,
        audit_reveal_blocks: 5,
        hearing_commit_blocks: 10,
        ..Params::std()
    };
    let mut world = World::new(Params {
        architecture: tiny().architecture,
        ..params
    });
    world.until_epoch(3);
    assert_eq!(world.supply().total(), Some(MAX_SUPPLY));
}
