//! Who is next, and what leaves when.

use bytes::Bytes;
use soma_node::{
    block::{BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX},
    machine::{Ahead, Pool as _},
    mempool::{EXPIRY_EPOCHS_MAX, Limits, Mempool, PoolError, SHARE},
};
use soma_types::{
    ChainId, Epoch, Keypair, Rejection, Shannons, Transaction, TransactionKind, VerifiedTransaction,
    amount::SHANNONS_PER_SOMA,
    list::List,
    objects::Account,
    transaction::{PAYMENTS_MAX, Payment, TRANSACTION_BYTES_MAX},
};

use crate::world::{Body, DEAR, World, address};

const RICH: u64 = 1_000 * SHANNONS_PER_SOMA;

fn places(transactions: &[VerifiedTransaction]) -> Vec<(soma_types::Address, u64)> {
    transactions
        .iter()
        .map(|transaction| (transaction.sender(), transaction.transaction().nonce))
        .collect()
}

#[test]
fn first_come_first_served_and_each_sender_in_the_order_of_nonces() {
    let mut world = World::new(&[RICH; 2], Limits::default());
    for (who, nonce) in [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1)] {
        world.hand_in(&world.payment(who, nonce, 1, DEAR)).unwrap();
    }
    let (first, second) = (address(0), address(1));
    let expected = [(first, 0), (second, 0), (first, 1), (first, 2), (second, 1)];
    assert_eq!(places(&world.candidates()), expected);
    assert_eq!(world.pool.next_nonce(&first, 0), 3);
    assert_eq!(world.pool.next_nonce(&first, 7), 7);
    assert_eq!(world.pool.next_nonce(&address(9), 4), 4);
    // What takes another's place has its place in the line.
    world.hand_in(&world.payment(0, 1, 2, 2 * DEAR)).unwrap();
    assert_eq!(places(&world.candidates()), expected);
    assert_eq!(world.pool.len(), 5);
}

#[test]
fn a_proposal_leaves_out_what_its_ancestors_hold() {
    const EACH: u64 = 2 * BLOCK_TRANSACTIONS_MAX as u64 / 64 + 1;
    let mut world = World::new(&[RICH; 64], Limits::default());
    for nonce in 0..EACH {
        for who in 0..64 {
            world.hand_in(&world.payment(who, nonce, 1, DEAR)).unwrap();
        }
    }
    let (mut ahead, mut blocks) = (Ahead::default(), Vec::new());
    loop {
        let block = world.pool.candidates(&ahead);
        if block.is_empty() {
            break;
        }
        block.iter().for_each(|transaction| ahead.hold(transaction));
        blocks.push(block);
    }
    let sizes: Vec<usize> = blocks.iter().map(Vec::len).collect();
    assert_eq!(sizes, [BLOCK_TRANSACTIONS_MAX, BLOCK_TRANSACTIONS_MAX, 64]);
    // One after the other they are what the ledger takes.
    for block in blocks {
        assert!(world.block(&block).iter().all(Result::is_ok));
    }
    assert!(world.pool.is_empty());
    // Another branch may hold what was never handed in here.
    let mut ahead = Ahead::default();
    ahead.hold(&world.payment(0, EACH + 10, 1, DEAR));
    world.hand_in(&world.payment(0, EACH, 1, DEAR)).unwrap();
    assert!(world.pool.candidates(&ahead).is_empty());
}

#[test]
fn a_block_is_no_longer_than_it_may_be() {
    let mut world = World::new(&[RICH; 64], Limits::default());
    let long = |world: &World, who: u16, nonce: u64| {
        let payments = vec![
            Payment {
                to: address(1),
                amount: Shannons(1),
            };
            PAYMENTS_MAX
        ];
        let body = Body {
            kind: TransactionKind::Transfer {
                payments: List::new(payments).unwrap(),
            },
            ..Body::payment(who, 1, DEAR)
        };
        world.transaction(who, nonce, body)
    };
    for nonce in 0..3 {
        for who in 0..64 {
            world.hand_in(&long(&world, who, nonce)).unwrap();
        }
    }
    let candidates = world.candidates();
    let bytes: usize = candidates.iter().map(|t| t.encoded().len()).sum();
    let each = candidates[0].encoded().len();
    assert!(
        bytes <= BLOCK_BYTES_MAX && bytes + each > BLOCK_BYTES_MAX,
        "{bytes}"
    );
    assert!(world.block(&candidates).iter().all(Result::is_ok));
    assert_eq!(world.pool.len(), 192 - candidates.len());
}

#[test]
fn a_sender_has_a_share_of_the_room_in_bytes_too() {
    let limits = Limits {
        bytes_max: SHARE * 1_000,
        ..Limits::default()
    };
    let mut world = World::new(&[RICH], limits);
    let mut taken = 0;
    while world.hand_in(&world.payment(0, taken, 1, DEAR)).is_ok() {
        taken += 1;
    }
    let each = world.payment(0, 0, 1, DEAR).encoded().len() as u64;
    assert_eq!(taken, 1_000 / each);
    let answer = world.hand_in(&world.payment(0, taken, 1, DEAR));
    assert_eq!(answer, Err(PoolError::SenderFull(taken as usize)));
}

#[test]
fn what_expires_or_is_refused_leaves_and_what_is_behind_it_too() {
    let mut world = World::new(&[RICH; 4], Limits::default());
    let late = Body {
        expires: Epoch(EXPIRY_EPOCHS_MAX + 1),
        ..Body::payment(0, 1, DEAR)
    };
    let answer = world.hand_in(&world.transaction(0, 0, late.clone()));
    assert!(matches!(answer, Err(PoolError::ExpiresLate { .. })), "{answer:?}");
    let bounded = Body {
        expires: Epoch(EXPIRY_EPOCHS_MAX),
        ..late
    };
    world.hand_in(&world.transaction(0, 0, bounded)).unwrap();
    let now = Body {
        expires: Epoch(0),
        ..Body::payment(1, 1, DEAR)
    };
    world.hand_in(&world.payment(1, 0, 1, DEAR)).unwrap();
    world.hand_in(&world.transaction(1, 1, now)).unwrap();
    world.hand_in(&world.payment(1, 2, 1, DEAR)).unwrap();
    world.next_epoch();
    assert_eq!(places(&world.candidates()), [(address(0), 0), (address(1), 0)]);
    assert_eq!(world.pool.next_nonce(&address(1), 0), 1);

    // Another transaction with the first's nonce was included elsewhere, and took what the second needed.
    let fee = world.fee();
    world.hand_in(&world.payment(2, 0, 1, DEAR)).unwrap();
    world.hand_in(&world.payment(2, 1, RICH / 2, DEAR)).unwrap();
    world.hand_in(&world.payment(2, 2, 1, DEAR)).unwrap();
    let other = world.payment(2, 0, RICH - 2 * fee, DEAR);
    assert!(world.block(&[other])[0].is_ok());
    assert_eq!(
        world.pool.next_nonce(&address(2), 1),
        2,
        "the second pays its fee, the third cannot"
    );
    assert_eq!(world.propose(), 3);
}

#[test]
fn what_is_refused_changes_nothing() {
    let limits = Limits {
        transactions_max: 2,
        ..Limits::default()
    };
    let mut world = World::new(&[RICH; 3], limits);
    let fee = world.fee();
    let waits = world.payment(0, 0, 1, DEAR);
    world.hand_in(&waits).unwrap();
    assert_eq!(world.hand_in(&waits), Err(PoolError::Known(waits.hash())));
    world.hand_in(&world.payment(1, 0, 1, DEAR)).unwrap();
    let before = world.candidates();
    for refused in [
        world.payment(2, 0, 1, DEAR),
        world.payment(0, 0, 2, DEAR),
        world.payment(0, 0, 2, u64::MAX),
        world.payment(0, 1, 1, DEAR),
        world.payment(0, 2, 1, DEAR),
        world.payment(1, 1, 1, fee - 1),
    ] {
        world.hand_in(&refused).unwrap_err();
        assert_eq!(world.candidates(), before);
        assert_eq!(world.pool.get(&refused.hash()), None);
    }
    // A replacement needs no more room.
    world.hand_in(&world.payment(0, 0, 2, 2 * DEAR)).unwrap();
    assert_eq!((world.pool.len(), world.pool.get(&waits.hash())), (2, None));
}

#[test]
fn nothing_is_taken_up_before_there_is_a_state() {
    let world = World::new(&[RICH], Limits::default());
    let pool = Mempool::new(world.ledger.chain(), Limits::default());
    let account = Account {
        balance: Shannons(RICH),
        nonce: 0,
    };
    let answer = pool.insert(world.payment(0, 0, 1, DEAR), account);
    assert_eq!(answer, Err(PoolError::NotStarted));
}

#[test]
fn hostile_bytes_are_refused_by_name() {
    const CHAIN: ChainId = ChainId([1; 32]);
    let keys = Keypair::from_secret_bytes([1; 32]);
    let transaction = Transaction {
        chain: CHAIN,
        sender: keys.public_key(),
        nonce: 0,
        expires: Epoch(0),
        max_fee: Shannons(1),
        kind: TransactionKind::LeaveValidator,
    };
    let good = transaction.sign(&keys).encode();
    let pool = Mempool::new(CHAIN, Limits::default());
    assert!(pool.decode(good.clone().into()).is_ok());
    assert_eq!(pool.decode(Bytes::new()), Err(Rejection::Malformed {}));
    assert!(matches!(
        pool.decode(vec![0; TRANSACTION_BYTES_MAX + 1].into()),
        Err(Rejection::TooLarge { .. })
    ));
    let mut encoded = good.clone();
    *encoded.last_mut().unwrap() ^= 1;
    assert_eq!(
        pool.decode(encoded.clone().into()),
        Err(Rejection::BadSignature {})
    );
    encoded.push(0);
    assert_eq!(pool.decode(encoded.into()), Err(Rejection::Malformed {}));
    let other = Mempool::new(ChainId([2; 32]), Limits::default());
    assert!(matches!(
        other.decode(good.into()),
        Err(Rejection::WrongChain { .. })
    ));
}
