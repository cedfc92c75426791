//! Transactions that wait for a block.
//!
//! Upon receiving a transaction: check its size, chain and signature, then the limits below. Whether the
//! ledger would take it is checked by the API before it comes here, and again when a block is built.
//!
//! Bounds: [`Limits`], in number, bytes, and per sender. When the pool is full, a newcomer displaces the
//! transaction that offers least per byte, if it offers more.
//!
//! Order: first come, first served, but each sender's in the order of nonces.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use commonware_utils::sync::Mutex;
use soma_types::{
    Address, ChainId, Epoch, Rejection, TransactionHash, VerifiedTransaction,
    transaction::TRANSACTION_BYTES_MAX,
};

use crate::{
    block::{BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX},
    machine::Pool,
};

/// How much a pool holds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most transactions.
    pub transactions_max: usize,
    /// Most bytes.
    pub bytes_max: usize,
    /// Most transactions of one sender.
    pub per_sender_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions_max: 16_384,
            bytes_max: 32 << 20,
            per_sender_max: 256,
        }
    }
}

/// Why a transaction is not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The ledger would never take it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It waits already.
    #[error("transaction {0} waits already")]
    Known(TransactionHash),
    /// Another of the sender's with this nonce waits.
    #[error("another transaction with nonce {0} waits: offer a higher max_fee to replace it")]
    NonceTaken(u64),
    /// The sender has too many waiting.
    #[error("the sender has {0} transactions waiting, the most: wait for a block")]
    SenderFull(usize),
    /// The pool is full of better offers.
    #[error("the mempool is full: offer a higher max_fee, or try again later")]
    Full,
}

struct Entry {
    transaction: VerifiedTransaction,
    arrival: u64,
}

impl Entry {
    fn size_bytes(&self) -> usize {
        self.transaction.encoded().len()
    }

    /// What it offers per byte, comparable without division.
    fn offer(&self) -> (u64, u64) {
        (
            self.transaction.transaction().max_fee.0,
            self.transaction.size_bytes(),
        )
    }
}

/// Whether `a` offers less per byte than `b`.
fn offers_less((fee_a, size_a): (u64, u64), (fee_b, size_b): (u64, u64)) -> bool {
    u128::from(fee_a) * u128::from(size_b) < u128::from(fee_b) * u128::from(size_a)
}

#[derive(Default)]
struct Waiting {
    by_sender: HashMap<Address, BTreeMap<u64, Entry>>,
    by_hash: HashMap<TransactionHash, (Address, u64)>,
    bytes: usize,
    arrivals: u64,
}

impl Waiting {
    fn remove(&mut self, sender: &Address, nonce: u64) {
        let Some(queue) = self.by_sender.get_mut(sender) else {
            return;
        };
        if let Some(entry) = queue.remove(&nonce) {
            self.bytes -= entry.size_bytes();
            self.by_hash.remove(&entry.transaction.hash());
        }
        if queue.is_empty() {
            self.by_sender.remove(sender);
        }
    }

    /// The last of some sender's queue that offers least per byte.
    fn weakest(&self) -> Option<(Address, u64, (u64, u64))> {
        let mut weakest: Option<(Address, u64, (u64, u64))> = None;
        for (sender, queue) in &self.by_sender {
            let Some((nonce, entry)) = queue.last_key_value() else {
                continue;
            };
            let offer = entry.offer();
            let weaker = match &weakest {
                None => true,
                // Ties by address, so that the choice does not depend on hash order.
                Some((address, _, least)) => {
                    offers_less(offer, *least) || (!offers_less(*least, offer) && sender < address)
                }
            };
            if weaker {
                weakest = Some((*sender, *nonce, offer));
            }
        }
        weakest
    }
}

/// The pool. Clones share.
#[derive(Clone)]
pub struct Mempool {
    chain: ChainId,
    limits: Limits,
    waiting: Arc<Mutex<Waiting>>,
}

impl Mempool {
    /// An empty pool for network `chain`.
    #[must_use]
    pub fn new(chain: ChainId, limits: Limits) -> Self {
        Self {
            chain,
            limits,
            waiting: Arc::default(),
        }
    }

    /// Decodes and checks what needs no state. A transaction that waits was checked already.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn decode(&self, encoded: Bytes) -> Result<VerifiedTransaction, Rejection> {
        if encoded.len() <= TRANSACTION_BYTES_MAX
            && let Some(waiting) = self.get(&TransactionHash::of(&encoded))
        {
            return Ok(waiting);
        }
        VerifiedTransaction::decode(encoded, &self.chain)
    }

    /// Takes up a transaction that [`Self::decode`] has checked.
    ///
    /// # Errors
    /// When it waits already, its nonce is taken, or a limit is reached.
    pub fn insert(&self, transaction: VerifiedTransaction) -> Result<(), PoolError> {
        let (hash, sender, nonce) = (
            transaction.hash(),
            transaction.sender(),
            transaction.transaction().nonce,
        );
        let mut waiting = self.waiting.lock();
        if waiting.by_hash.contains_key(&hash) {
            return Err(PoolError::Known(hash));
        }
        let arrival = waiting.arrivals;
        let newcomer = Entry { transaction, arrival };
        let queue = waiting.by_sender.get(&sender);
        let replaced = queue.and_then(|queue| queue.get(&nonce));
        if let Some(present) = replaced {
            if !offers_less(present.offer(), newcomer.offer()) {
                return Err(PoolError::NonceTaken(nonce));
            }
            waiting.remove(&sender, nonce);
        } else if queue.map_or(0, BTreeMap::len) >= self.limits.per_sender_max {
            return Err(PoolError::SenderFull(self.limits.per_sender_max));
        }
        while waiting.by_hash.len() >= self.limits.transactions_max
            || waiting.bytes + newcomer.size_bytes() > self.limits.bytes_max
        {
            match waiting.weakest() {
                Some((address, nonce, offer)) if offers_less(offer, newcomer.offer()) => {
                    waiting.remove(&address, nonce);
                }
                _ => return Err(PoolError::Full),
            }
        }
        waiting.arrivals += 1;
        waiting.bytes += newcomer.size_bytes();
        waiting.by_hash.insert(hash, (sender, nonce));
        waiting
            .by_sender
            .entry(sender)
            .or_default()
            .insert(nonce, newcomer);
        Ok(())
    }

    /// A waiting transaction.
    #[must_use]
    pub fn get(&self, hash: &TransactionHash) -> Option<VerifiedTransaction> {
        let waiting = self.waiting.lock();
        let (sender, nonce) = waiting.by_hash.get(hash)?;
        Some(waiting.by_sender.get(sender)?.get(nonce)?.transaction.clone())
    }

    /// The nonce to sign with next: the first from `ledger` on that no waiting transaction uses.
    #[must_use]
    pub fn next_nonce(&self, sender: &Address, ledger: u64) -> u64 {
        let waiting = self.waiting.lock();
        let Some(queue) = waiting.by_sender.get(sender) else {
            return ledger;
        };
        let mut next = ledger;
        while queue.contains_key(&next) {
            next += 1;
        }
        next
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.lock().by_hash.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops what a finalized block has made pointless: every transaction of `sender` up to `nonce`.
    pub fn included(&self, sender: &Address, nonce: u64) {
        let mut waiting = self.waiting.lock();
        let Some(queue) = waiting.by_sender.get(sender) else {
            return;
        };
        let stale: Vec<u64> = queue.range(..=nonce).map(|(nonce, _)| *nonce).collect();
        for nonce in stale {
            waiting.remove(sender, nonce);
        }
    }

    /// Drops what may not be included any more in `epoch`.
    pub fn expire(&self, epoch: Epoch) {
        let mut waiting = self.waiting.lock();
        let expired: Vec<(Address, u64)> = waiting
            .by_sender
            .iter()
            .flat_map(|(sender, queue)| {
                let expired = queue
                    .iter()
                    .filter(|(_, entry)| entry.transaction.transaction().expires < epoch);
                expired.map(|(nonce, _)| (*sender, *nonce))
            })
            .collect();
        for (sender, nonce) in expired {
            waiting.remove(&sender, nonce);
        }
    }
}

impl Pool for Mempool {
    fn candidates(&self) -> Vec<VerifiedTransaction> {
        let waiting = self.waiting.lock();
        let mut heads: BinaryHeap<Reverse<(u64, Address, u64)>> = waiting
            .by_sender
            .iter()
            .filter_map(|(sender, queue)| {
                queue
                    .first_key_value()
                    .map(|(nonce, entry)| Reverse((entry.arrival, *sender, *nonce)))
            })
            .collect();
        let (mut candidates, mut bytes) = (Vec::new(), 0);
        while let Some(Reverse((_, sender, nonce))) = heads.pop() {
            let queue = &waiting.by_sender[&sender];
            let next = &queue[&nonce];
            if candidates.len() == BLOCK_TRANSACTIONS_MAX || bytes + next.size_bytes() > BLOCK_BYTES_MAX {
                break;
            }
            bytes += next.size_bytes();
            candidates.push(next.transaction.clone());
            // A gap in the nonces cannot be bridged within this block.
            if let Some(entry) = queue.get(&(nonce + 1)) {
                heads.push(Reverse((entry.arrival, sender, nonce + 1)));
            }
        }
        candidates
    }
}

#[cfg(test)]
mod tests {
    use soma_types::{Keypair, Shannons, Transaction, TransactionKind};

    use super::*;

    const CHAIN: ChainId = ChainId([1; 32]);

    fn transaction(secret: u8, nonce: u64, max_fee: u64) -> VerifiedTransaction {
        let keys = Keypair::from_secret_bytes([secret; 32]);
        let transaction = Transaction {
            chain: CHAIN,
            sender: keys.public_key(),
            nonce,
            expires: Epoch(nonce),
            max_fee: Shannons(max_fee),
            kind: TransactionKind::LeaveValidator,
        };
        transaction.sign(&keys).verify().unwrap()
    }

    fn nonces(pool: &Mempool) -> Vec<(Address, u64)> {
        pool.candidates()
            .into_iter()
            .map(|t| (t.sender(), t.transaction().nonce))
            .collect()
    }

    #[test]
    fn candidates_come_in_order_of_nonce_without_gaps() {
        let pool = Mempool::new(CHAIN, Limits::default());
        for nonce in [2, 0, 1, 4] {
            pool.insert(transaction(1, nonce, 1)).unwrap();
        }
        pool.insert(transaction(2, 7, 1)).unwrap();
        let (first, second) = (transaction(1, 0, 1).sender(), transaction(2, 0, 1).sender());
        assert_eq!(
            nonces(&pool),
            vec![(first, 0), (first, 1), (first, 2), (second, 7)]
        );
        assert_eq!(pool.next_nonce(&first, 0), 3);
        assert_eq!(pool.next_nonce(&second, 0), 0);
        pool.included(&first, 1);
        assert_eq!(nonces(&pool), vec![(first, 2), (second, 7)]);
        pool.expire(Epoch(5));
        assert_eq!(nonces(&pool), vec![(second, 7)]);
    }

    #[test]
    fn a_better_offer_replaces_and_displaces() {
        let limits = Limits {
            transactions_max: 2,
            per_sender_max: 2,
            ..Limits::default()
        };
        let pool = Mempool::new(CHAIN, limits);
        pool.insert(transaction(1, 0, 10)).unwrap();
        assert!(matches!(
            pool.insert(transaction(1, 0, 10)),
            Err(PoolError::Known(_))
        ));
        assert_eq!(pool.insert(transaction(1, 0, 9)), Err(PoolError::NonceTaken(0)));
        pool.insert(transaction(1, 0, 11)).unwrap();
        pool.insert(transaction(1, 1, 5)).unwrap();
        assert_eq!(pool.insert(transaction(1, 2, 50)), Err(PoolError::SenderFull(2)));
        assert_eq!(pool.insert(transaction(2, 0, 5)), Err(PoolError::Full));
        pool.insert(transaction(2, 0, 6)).unwrap();
        assert_eq!(pool.len(), 2);
        let first = transaction(1, 0, 1).sender();
        assert_eq!(
            pool.next_nonce(&first, 0),
            1,
            "the weakest left from the end of its queue"
        );
    }

    #[test]
    fn hostile_bytes_are_refused_by_name() {
        let pool = Mempool::new(CHAIN, Limits::default());
        assert_eq!(pool.decode(Bytes::new()), Err(Rejection::Malformed {}));
        assert!(matches!(
            pool.decode(vec![0; TRANSACTION_BYTES_MAX + 1].into()),
            Err(Rejection::TooLarge { .. })
        ));
        let mut encoded = transaction(1, 0, 1).encoded().to_vec();
        *encoded.last_mut().unwrap() ^= 1;
        assert_eq!(
            pool.decode(encoded.clone().into()),
            Err(Rejection::BadSignature {})
        );
        encoded.push(0);
        assert_eq!(pool.decode(encoded.into()), Err(Rejection::Malformed {}));
        let other = Mempool::new(ChainId([2; 32]), Limits::default());
        assert!(matches!(
            other.decode(transaction(1, 0, 1).encoded().clone()),
            Err(Rejection::WrongChain { .. })
        ));
    }
}
