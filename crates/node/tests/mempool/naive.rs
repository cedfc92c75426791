//! The mempool against one that is told a second time, without any cleverness, while the real ledger goes on.

use std::collections::BTreeMap;

use proptest::prelude::*;
use soma_ledger::view;
use soma_node::{
    block::BLOCK_TRANSACTIONS_MAX,
    machine::{Ahead, Pool as _},
    mempool::{EXPIRY_EPOCHS_MAX, Limits, PoolError, SHARE},
};
use soma_types::{Epoch, VerifiedTransaction};

use crate::world::{Body, DEAR, World, address};

const SENDERS: u16 = 5;

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    /// Someone hands in a transaction, its nonce so far from the next.
    HandIn { who: u16, offset: i64, body: BodyOf },
    /// The first so many candidates become final.
    Block { transactions: usize },
    /// A block of another validator's holds a transaction that was never handed in here.
    Elsewhere { who: u16, amount: u64 },
    /// An epoch passes.
    Epoch,
}

/// A payment, in terms of what the account has and what fees are.
#[derive(Clone, Debug)]
struct BodyOf {
    /// In sixteenths of the balance.
    amount: u64,
    /// In fees.
    max_fee: u64,
    expires: u64,
}

fn event() -> impl Strategy<Value = Event> {
    let amount = prop_oneof![4 => Just(0), 1 => 1..=18_u64];
    let max_fee = prop_oneof![4 => Just(1), 4 => Just(2), 2 => 0..=64_u64, 1 => Just(u64::MAX)];
    let expires = prop_oneof![6 => Just(9), 2 => 0..4_u64, 1 => Just(EXPIRY_EPOCHS_MAX + 3)];
    let body = (amount, max_fee, expires).prop_map(|(amount, max_fee, expires)| BodyOf {
        amount,
        max_fee,
        expires,
    });
    let who = 0..SENDERS;
    let offset = prop_oneof![8 => Just(0), 2 => -3..=0_i64, 1 => 1..=2_i64];
    prop_oneof![
        40 => (who.clone(), offset, body).prop_map(|(who, offset, body)| Event::HandIn { who, offset, body }),
        4 => (0..8_usize).prop_map(|transactions| Event::Block { transactions }),
        2 => (who, 0..=8_u64).prop_map(|(who, amount)| Event::Elsewhere { who, amount }),
        1 => Just(Event::Epoch),
    ]
}

#[derive(Clone)]
struct Waits {
    who: u16,
    nonce: u64,
    arrival: usize,
    transaction: VerifiedTransaction,
}

/// All that waits, in no order.
#[derive(Default)]
struct Naive {
    all: Vec<Waits>,
    arrivals: usize,
}

impl Naive {
    /// A sender's, in the order of nonces.
    fn of(&self, who: u16) -> Vec<Waits> {
        let mut queue: Vec<Waits> = self
            .all
            .iter()
            .filter(|waits| waits.who == who)
            .cloned()
            .collect();
        queue.sort_by_key(|waits| waits.nonce);
        queue
    }

    fn bytes(all: &[Waits]) -> usize {
        all.iter().map(|waits| waits.transaction.encoded().len()).sum()
    }

    fn hand_in(
        &mut self,
        world: &mut World,
        limits: Limits,
        who: u16,
        transaction: &VerifiedTransaction,
    ) -> Result<(), &'static str> {
        let (account, terms, body) = (world.account(who), world.terms(), transaction.transaction());
        let (queue, nonce) = (self.of(who), body.nonce);
        if self
            .all
            .iter()
            .any(|waits| waits.transaction.hash() == transaction.hash())
        {
            return Err("known");
        }
        if nonce < account.nonce {
            return Err("NonceUsed");
        }
        if nonce > account.nonce + queue.len() as u64 {
            return Err("NonceAhead");
        }
        if terms.epoch() > body.expires {
            return Err("Expired");
        }
        let fee = terms.fee(transaction).map_err(|_| "FeeAboveLimit")?;
        if body.expires.0 > terms.epoch().0 + EXPIRY_EPOCHS_MAX {
            return Err("late");
        }
        if fee > account.balance {
            return Err("CannotPayFee");
        }
        let replaced = queue.iter().find(|waits| waits.nonce == nonce).cloned();
        if let Some(replaced) = &replaced
            && u128::from(body.max_fee.0) < 2 * u128::from(replaced.transaction.transaction().max_fee.0)
        {
            return Err("taken");
        }
        let newcomer = Waits {
            who,
            nonce,
            arrival: replaced
                .as_ref()
                .map_or(self.arrivals, |replaced| replaced.arrival),
            transaction: transaction.clone(),
        };
        let mut after: Vec<Waits> = queue
            .iter()
            .filter(|waits| waits.nonce != nonce)
            .cloned()
            .collect();
        after.push(newcomer.clone());
        after.sort_by_key(|waits| waits.nonce);
        let mut spent = 0;
        for waits in &after {
            let is_offer = replaced.is_some() && waits.nonce == nonce;
            let fee = u128::from(terms.fee(&waits.transaction).unwrap().0);
            let shown = if is_offer { u128::from(body.max_fee.0) } else { fee };
            if spent + shown.max(fee) > u128::from(account.balance.0) {
                return Err("unfunded");
            }
            spent += fee + u128::from(terms.outlay(&waits.transaction).0);
        }
        let others: Vec<Waits> = self
            .all
            .iter()
            .filter(|waits| waits.who != who)
            .cloned()
            .collect();
        let (room, room_bytes) = (
            limits.transactions_max.saturating_sub(others.len()),
            limits.bytes_max.saturating_sub(Self::bytes(&others)),
        );
        let grows = after.len() > queue.len() || Self::bytes(&after) > Self::bytes(&queue);
        let is_beyond = after.len() > room / SHARE || Self::bytes(&after) > room_bytes / SHARE;
        if grows && after.len() > 1 && is_beyond {
            return Err("share");
        }
        if after.len() > room || Self::bytes(&after) > room_bytes {
            return Err("full");
        }
        self.arrivals += 1;
        self.all.retain(|waits| (waits.who, waits.nonce) != (who, nonce));
        self.all.push(newcomer);
        Ok(())
    }

    /// After a block: what can still be included on the finalized state, one behind the other, stays.
    fn settle(&mut self, world: &mut World) {
        let terms = world.terms();
        let mut stays = Vec::new();
        for who in 0..SENDERS {
            let account = world.account(who);
            let (mut next, mut spent) = (account.nonce, 0);
            for waits in self.of(who) {
                if waits.nonce < account.nonce {
                    continue;
                }
                let Ok(fee) = terms.fee(&waits.transaction) else {
                    break;
                };
                let due = spent + u128::from(fee.0);
                if waits.nonce != next || due > u128::from(account.balance.0) {
                    break;
                }
                spent = due + u128::from(terms.outlay(&waits.transaction).0);
                next += 1;
                stays.push(waits);
            }
        }
        self.all = stays;
    }

    /// Again and again the one that came first among those that are next of their senders.
    fn candidates(&self, world: &mut World) -> Vec<VerifiedTransaction> {
        let mut next: BTreeMap<u16, u64> = (0..SENDERS).map(|who| (who, world.account(who).nonce)).collect();
        let mut candidates = Vec::new();
        while candidates.len() < BLOCK_TRANSACTIONS_MAX {
            let runnable = self.all.iter().filter(|waits| waits.nonce == next[&waits.who]);
            let Some(first) = runnable.min_by_key(|waits| waits.arrival) else {
                break;
            };
            candidates.push(first.transaction.clone());
            *next.get_mut(&first.who).unwrap() += 1;
        }
        candidates
    }
}

fn name(error: &PoolError) -> &'static str {
    match error {
        PoolError::Rejected(rejection) => rejection.name(),
        PoolError::Known(_) => "known",
        PoolError::NonceTaken { .. } => "taken",
        PoolError::ExpiresLate { .. } => "late",
        PoolError::Unfunded { .. } => "unfunded",
        PoolError::SenderFull(_) => "share",
        PoolError::Full => "full",
        PoolError::NotStarted => "not started",
    }
}

/// What the pool offers is what the naive one does, the ledger takes all of it, and blocks that follow each
/// other hold together what one would.
fn check(world: &mut World, naive: &Naive, limits: Limits) {
    let candidates = world.candidates();
    assert_eq!(world.pool.len(), naive.all.len());
    assert!(world.pool.len() <= limits.transactions_max);
    assert!(Naive::bytes(&naive.all) <= limits.bytes_max);
    assert_eq!(candidates, naive.candidates(world));
    assert_eq!(
        candidates.len(),
        naive.all.len(),
        "whatever waits could be included"
    );
    for who in 0..SENDERS {
        let ledger = world.account(who).nonce;
        let next = ledger + naive.of(who).len() as u64;
        assert_eq!(world.pool.next_nonce(&address(who), ledger), next);
    }
    for waits in &naive.all {
        assert_eq!(
            world.pool.get(&waits.transaction.hash()),
            Some(waits.transaction.clone())
        );
    }
    let mut ahead = Ahead::default();
    let first = candidates.len() / 3;
    candidates[..first]
        .iter()
        .for_each(|transaction| ahead.hold(transaction));
    assert_eq!(world.pool.candidates(&ahead), candidates[first..]);
    // On another copy of the ledger, so nothing happens here.
    let mut ledger = world.ledger.clone();
    let next = ledger.next_block(None);
    let mut block = ledger.begin(next).unwrap();
    let now = view::epoch(&mut world.ledger.state).unwrap().unwrap();
    // What the first block of an epoch changes is not foreseen.
    if next.height < now.first_height.plus(now.length_blocks) {
        for transaction in &candidates {
            let answer = block.apply(transaction).unwrap().map(drop);
            assert_eq!(answer, Ok(()), "what waits can be included");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_is_what_the_naive_one_is(
        balances in prop::collection::vec(prop_oneof![0..60_u64, 200..20_000_u64], usize::from(SENDERS)),
        transactions_max in prop_oneof![Just(3_usize), Just(200), Just(900)],
        bytes_max in prop_oneof![Just(3_000_usize), Just(70_000), Just(1 << 20)],
        events in prop::collection::vec(event(), 1..120),
    ) {
        let limits = Limits { transactions_max, bytes_max };
        let fee = World::new(&[1], limits).fee();
        let balances: Vec<u64> = balances.iter().map(|fees| fees * fee / 4).collect();
        let mut world = World::new(&balances, limits);
        let mut naive = Naive::default();
        for event in events {
            match event {
                Event::HandIn { who, offset, body } => {
                    let account = world.account(who);
                    let next = world.pool.next_nonce(&address(who), account.nonce);
                    let body = Body {
                        expires: Epoch(body.expires),
                        ..Body::payment(
                            who % (SENDERS - 1),
                            1 + body.amount * account.balance.0 / 16,
                            body.max_fee.saturating_mul(fee + fee / 4),
                        )
                    };
                    let nonce = next.saturating_add_signed(offset);
                    let transaction = world.transaction(who, nonce, body);
                    let expected = naive.hand_in(&mut world, limits, who, &transaction);
                    let given = world.hand_in(&transaction).map_err(|error| name(&error));
                    prop_assert_eq!(given, expected);
                }
                Event::Block { transactions } => {
                    let mut candidates = world.candidates();
                    candidates.truncate(transactions);
                    world.block(&candidates);
                    naive.settle(&mut world);
                }
                Event::Elsewhere { who, amount } => {
                    let account = world.account(who);
                    let amount = 1 + amount * account.balance.0 / 16;
                    let transaction = world.payment(who, account.nonce, amount, DEAR);
                    world.block(&[transaction]);
                    naive.settle(&mut world);
                }
                Event::Epoch => {
                    world.next_epoch();
                    naive.settle(&mut world);
                }
            }
            check(&mut world, &naive, limits);
        }
    }
}
