//! All queues, and who is next among them.
//!
//! Cost: candidates take time in what a block and its unfinalized ancestors hold, not in what waits; a
//! newcomer in the logarithm of the number of senders, a replacement also in its sender's queue. A block's
//! inclusion takes time in its senders' queues, a new epoch's in all of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
};

use soma_ledger::Terms;
use soma_types::{Address, TransactionHash, VerifiedTransaction, objects::Account};

use super::{
    error::PoolError,
    limits::{Limits, Load},
    queue::Queue,
};
use crate::{
    block::{BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX},
    machine::Ahead,
};

/// All that waits.
pub(super) struct Waiting {
    limits: Limits,
    /// Those of the epoch in progress, once there is one.
    terms: Option<Terms>,
    queues: HashMap<Address, Queue>,
    by_hash: HashMap<TransactionHash, (Address, u64)>,
    /// Whose queue begins with what came when. Within a queue arrivals rise with nonces.
    heads: BTreeMap<u64, Address>,
    bytes: usize,
    arrivals: u64,
}

impl Waiting {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            terms: None,
            queues: HashMap::new(),
            by_hash: HashMap::new(),
            heads: BTreeMap::new(),
            bytes: 0,
            arrivals: 0,
        }
    }

    pub const fn has_terms(&self) -> bool {
        self.terms.is_some()
    }

    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub fn get(&self, hash: &TransactionHash) -> Option<&VerifiedTransaction> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        let entry = self.queues.get(sender)?.get(*nonce)?;
        Some(&entry.transaction)
    }

    /// The nonce after those of `sender` that wait.
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.queues.get(sender).map(Queue::next_nonce)
    }

    pub fn insert(&mut self, transaction: VerifiedTransaction, account: Account) -> Result<(), PoolError> {
        let terms = self.terms.as_ref().ok_or(PoolError::NotStarted)?;
        let (hash, sender) = (transaction.hash(), transaction.sender());
        if self.by_hash.contains_key(&hash) {
            return Err(PoolError::Known(hash));
        }
        let empty = Queue::new(account);
        let queue = self.queues.get(&sender).unwrap_or(&empty);
        let admitted = queue.admit(&transaction, account, terms)?;
        let (before, own) = (queue.load(), queue.load_with(&transaction));
        let others = Load {
            transactions: self.len() - before.transactions,
            bytes: self.bytes - before.bytes,
        };
        let all = Load {
            transactions: others.transactions + own.transactions,
            bytes: others.bytes + own.bytes,
        };
        let grows = own.transactions > before.transactions || own.bytes > before.bytes;
        if grows && !self.limits.share(own, others) {
            return Err(PoolError::SenderFull(before.transactions));
        }
        if !self.limits.hold(all) {
            return Err(PoolError::Full);
        }

        // From here on nothing is refused.
        let nonce = transaction.transaction().nonce;
        let queue = self.queues.entry(sender).or_insert(empty);
        if let Some(replaced) = queue.put(transaction, admitted, self.arrivals) {
            self.by_hash.remove(&replaced.hash());
        }
        if before.transactions == 0 {
            self.heads.insert(self.arrivals, sender);
        }
        self.by_hash.insert(hash, (sender, nonce));
        self.bytes = all.bytes;
        self.arrivals += 1;
        Ok(())
    }

    /// The senders of `included` of whom something waits.
    pub fn waiting_of(&self, included: &[VerifiedTransaction]) -> Vec<Address> {
        let senders: BTreeSet<Address> = included.iter().map(VerifiedTransaction::sender).collect();
        let mut senders: Vec<Address> = senders.into_iter().collect();
        senders.retain(|sender| self.queues.contains_key(sender));
        senders
    }

    /// Takes notice of a finalized block after which `terms` are in force and senders have these accounts.
    pub fn settle(&mut self, terms: Terms, accounts: impl Iterator<Item = (Address, Account)>) {
        let known = self.terms.as_ref().map(Terms::epoch);
        let mut accounts: Vec<(Address, Account)> = accounts.collect();
        if known != Some(terms.epoch()) {
            let named: BTreeSet<Address> = accounts.iter().map(|(sender, _)| *sender).collect();
            let queues = self.queues.iter();
            accounts.extend(
                queues
                    .filter(|(sender, _)| !named.contains(sender))
                    .map(|(sender, queue)| (*sender, queue.account())),
            );
        }
        for (sender, account) in accounts {
            self.settle_one(&sender, account, &terms);
        }
        self.terms = Some(terms);
    }

    fn settle_one(&mut self, sender: &Address, account: Account, terms: &Terms) {
        let Some(queue) = self.queues.get_mut(sender) else {
            return;
        };
        let (head, bytes) = (queue.arrival(), queue.load().bytes);
        for transaction in queue.settle(account, terms) {
            self.by_hash.remove(&transaction.hash());
        }
        self.bytes = self.bytes - bytes + queue.load().bytes;
        let first = queue.arrival();
        if first != head
            && let Some(head) = head
        {
            self.heads.remove(&head);
        }
        match first {
            Some(first) => {
                self.heads.insert(first, *sender);
            }
            None => {
                self.queues.remove(sender);
            }
        }
    }

    /// What the next block may hold behind the blocks of `ahead`.
    pub fn candidates(&self, ahead: &Ahead) -> Vec<VerifiedTransaction> {
        let heads = self.heads.iter();
        let mut heads = heads.map(|(arrival, sender)| (*arrival, *sender, 0)).peekable();
        // What comes after something that was chosen, or that a block of `ahead` holds.
        let mut behind = BinaryHeap::new();
        let (mut candidates, mut bytes) = (Vec::new(), 0);
        loop {
            let next = match (heads.peek(), behind.peek()) {
                (Some(head), Some(Reverse(other))) if head < other => heads.next(),
                (Some(_), None) => heads.next(),
                _ => behind.pop().map(|Reverse(next)| next),
            };
            let Some((arrival, sender, nonce)) = next else {
                break;
            };
            let queue = &self.queues[&sender];
            let nonce = queue.first_from(ahead.next(&sender).max(nonce));
            let Some(entry) = queue.get(nonce) else {
                continue;
            };
            if entry.arrival > arrival {
                behind.push(Reverse((entry.arrival, sender, nonce)));
                continue;
            }
            bytes += entry.transaction.encoded().len();
            if candidates.len() == BLOCK_TRANSACTIONS_MAX || bytes > BLOCK_BYTES_MAX {
                break;
            }
            candidates.push(entry.transaction.clone());
            if let Some(next) = queue.get(nonce + 1) {
                behind.push(Reverse((next.arrival, sender, nonce + 1)));
            }
        }
        candidates
    }
}
