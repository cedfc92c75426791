//! What someone could try on those who hand in transactions.

use soma_node::{
    block::BLOCK_TRANSACTIONS_MAX,
    machine::{Ahead, Pool as _},
    mempool::{Limits, PoolError},
};
use soma_types::{Rejection, Shannons, VerifiedTransaction, amount::SHANNONS_PER_SOMA};

use crate::world::{DEAR, World, address};

const RICH: u64 = 1_000 * SHANNONS_PER_SOMA;

/// Attack: queues that cannot pay
/// Does: hands in 256 transactions one behind the other from each of three accounts with money for one fee,
/// so that two blocks' worth of what can never be included stands at the head of every proposal.
/// Outcome: one of each is taken up, since a balance has to pay for the whole queue; the others are told to
/// wait for a block. Everyone else is in the next block. (It worked: no block held a transaction any more.)
#[test]
fn queues_that_cannot_pay() {
    let mut world = World::new(&[0, 0, 0, RICH], Limits::default());
    let fee = world.fee();
    let mut world = World::new(&[fee, fee, fee, RICH], Limits::default());
    for who in 0..3 {
        world.hand_in(&world.payment(who, 0, 1, DEAR)).unwrap();
        for nonce in 1..256 {
            let answer = world.hand_in(&world.payment(who, nonce, 1, DEAR));
            let is_refused = matches!(
                answer,
                Err(PoolError::Unfunded { .. } | PoolError::Rejected(Rejection::NonceAhead { .. }))
            );
            assert!(is_refused, "{answer:?}");
        }
    }
    let honest = world.payment(3, 0, 5, DEAR);
    world.hand_in(&honest).unwrap();
    assert_eq!(world.pool.len(), 4);
    assert_eq!(world.propose(), 4);
    assert_eq!(world.account(3).nonce, 1);
}

/// Attack: an account that is emptied in front of its queue
/// Does: has money for 256 fees and hands in as many transactions, the first of which pays all of it to
/// another account of theirs, from which they begin anew: the rest can never pay.
/// Outcome: what a transaction may take counts before what waits behind it: nothing is taken up behind the
/// first until it is final, and then there is nothing to pay with.
#[test]
fn an_account_that_is_emptied_in_front_of_its_queue() {
    let mut world = World::new(&[RICH, RICH], Limits::default());
    let all = RICH - world.fee() - 1;
    world.hand_in(&world.payment(0, 0, all, DEAR)).unwrap();
    for nonce in 1..256 {
        assert!(world.hand_in(&world.payment(0, nonce, 1, DEAR)).is_err());
    }
    assert_eq!(world.candidates().len(), 1);
    world.propose();
    let answer = world.hand_in(&world.payment(0, 1, 1, DEAR));
    assert!(
        matches!(answer, Err(PoolError::Rejected(Rejection::CannotPayFee { .. }))),
        "{answer:?}"
    );
}

/// Attack: outbidding everyone with a fee limit
/// Does: fills the mempool, or finds it full, and hands in transactions with the highest fee limit there is,
/// which is never charged, to displace what others have handed in.
/// Outcome: a limit buys no place. Nothing that was taken up is displaced, and all of it is included in the
/// order in which it came. (It worked: the largest number displaced everyone, at no cost.)
#[test]
fn outbidding_everyone_with_a_fee_limit() {
    let limits = Limits {
        transactions_max: 8,
        ..Limits::default()
    };
    let mut world = World::new(&[RICH; 20], limits);
    for who in 0..8 {
        world.hand_in(&world.payment(who, 0, 1, DEAR)).unwrap();
    }
    for who in 8..16 {
        let answer = world.hand_in(&world.payment(who, 0, 1, u64::MAX));
        assert_eq!(answer, Err(PoolError::Full));
    }
    let senders: Vec<_> = world
        .candidates()
        .iter()
        .map(VerifiedTransaction::sender)
        .collect();
    assert_eq!(senders, (0..8).map(address).collect::<Vec<_>>());
    assert_eq!(world.propose(), 8);
    world.hand_in(&world.payment(16, 0, 1, DEAR)).unwrap();
}

/// Attack: replacing again and again
/// Does: replaces a waiting transaction by one with a fee limit that is a shannon higher, as often as they
/// can: each is verified and sent to every validator, and one is paid for.
/// Outcome: a limit has to double, and the balance has to cover it: with a thousand SOMA it is replaced less
/// than 27 times. A replacement that is refused leaves the old one where it was. (It cost nothing.)
#[test]
fn replacing_again_and_again() {
    let mut world = World::new(&[RICH], Limits::default());
    let fee = world.fee();
    world.hand_in(&world.payment(0, 0, 1, fee)).unwrap();
    let (mut replaced, mut limit) = (0, fee);
    for _ in 0..64 {
        let cheap = world.hand_in(&world.payment(0, 0, 1, limit + 1));
        let needed = Shannons(2 * limit);
        assert_eq!(cheap, Err(PoolError::NonceTaken { nonce: 0, needed }));
        match world.hand_in(&world.payment(0, 0, 1, needed.0)) {
            Ok(()) => (replaced, limit) = (replaced + 1, needed.0),
            Err(error) => {
                assert!(matches!(error, PoolError::Unfunded { .. }), "{error}");
                break;
            }
        }
    }
    assert!((10..27).contains(&replaced), "{replaced}");
    assert_eq!(world.candidates(), [world.payment(0, 0, 1, limit)]);
    assert_eq!(world.propose(), 1);
}

/// Attack: filling the mempool from a few rich accounts
/// Does: hands in as much as is taken from each of a hundred accounts with money for all of it, so that
/// nobody else finds room.
/// Outcome: each has a 64th of the room that the others leave: the more there are, the less each gets, and a
/// third of the pool is free. Who comes with one transaction finds room, and waits for as many blocks as
/// stand before them. Those pay a fee for each place.
#[test]
fn filling_the_mempool_from_a_few_rich_accounts() {
    let limits = Limits {
        transactions_max: 8_192,
        ..Limits::default()
    };
    let mut world = World::new(&[RICH; 101], limits);
    for who in 0..100 {
        for nonce in 0.. {
            match world.hand_in(&world.payment(who, nonce, 1, DEAR)) {
                Ok(()) => {}
                Err(PoolError::SenderFull(share)) => {
                    assert_eq!(share as u64, nonce);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    let taken = world.pool.len();
    assert!(taken < limits.transactions_max * 4 / 5, "{taken}");
    let honest = world.payment(100, 0, 1, DEAR);
    world.hand_in(&honest).unwrap();
    let blocks = taken / BLOCK_TRANSACTIONS_MAX;
    for _ in 0..blocks {
        assert_eq!(world.propose(), BLOCK_TRANSACTIONS_MAX);
    }
    world.propose();
    assert_eq!(world.account(100).nonce, 1);
    assert!(world.pool.is_empty());
}

/// Attack: queues with a gap
/// Does: hands in 255 transactions and leaves the first out, from three accounts, or sends them to the
/// validators as one of them would.
/// Outcome: none is taken up, from clients or from validators, unless those before it wait. (They entered
/// without a look at the balance, stood at the head of every proposal and never left.)
#[test]
fn queues_with_a_gap() {
    let mut world = World::new(&[RICH; 3], Limits::default());
    for who in 0..3 {
        for nonce in 1..256 {
            let answer = world.hand_in(&world.payment(who, nonce, 1, DEAR));
            let ahead = Rejection::NonceAhead {
                given: nonce,
                expected: 0,
            };
            assert_eq!(answer, Err(PoolError::Rejected(ahead)));
        }
    }
    assert!(world.pool.candidates(&Ahead::default()).is_empty());
}

/// Attack: handing in what is included already
/// Does: sends transactions to a validator after a block has included them, or lets that happen by a slow
/// link, so that they stand before others in its proposals.
/// Outcome: their nonces are used in the finalized state, and they are not taken up. (They stayed until they
/// expired, which could be never.)
#[test]
fn handing_in_what_is_included_already() {
    let mut world = World::new(&[RICH], Limits::default());
    let payments: Vec<_> = (0..3).map(|nonce| world.payment(0, nonce, 1, DEAR)).collect();
    for payment in &payments {
        world.hand_in(payment).unwrap();
    }
    // Another validator's block, of two of them.
    world.block(&payments[..2]);
    assert_eq!(world.candidates(), payments[2..]);
    for payment in &payments[..2] {
        let answer = world.hand_in(payment);
        assert!(
            matches!(answer, Err(PoolError::Rejected(Rejection::NonceUsed { .. }))),
            "{answer:?}"
        );
    }
    assert_eq!(world.pool.len(), 1);
}
