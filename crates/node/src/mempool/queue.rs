//! One sender's queue. Its nonces follow each other from the ledger's on, and its balance pays for all of it.

use std::collections::VecDeque;

use soma_ledger::Terms;
use soma_types::{Rejection, Shannons, VerifiedTransaction, objects::Account};

use super::{
    error::PoolError,
    limits::{EXPIRY_EPOCHS_MAX, Load},
};

/// What a transaction takes from its sender's balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    /// For certain.
    fee: Shannons,
    /// At most, besides the fee.
    outlay: Shannons,
}

impl Price {
    fn of(transaction: &VerifiedTransaction, terms: &Terms) -> Result<Self, Rejection> {
        Ok(Self {
            fee: terms.fee(transaction)?,
            outlay: terms.outlay(transaction),
        })
    }

    /// What may be gone after it, where `before` may be gone before it; nothing if the fee is not covered.
    fn taken(self, before: u128, balance: Shannons) -> Option<u128> {
        let due = before + u128::from(self.fee.0);
        (due <= u128::from(balance.0)).then_some(due + u128::from(self.outlay.0))
    }
}

/// A transaction that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub transaction: VerifiedTransaction,
    /// Its place among all that wait.
    pub arrival: u64,
    price: Price,
}

/// A newcomer that was found good for its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    price: Price,
    /// The account to judge the queue by from now on.
    account: Account,
    /// What may be gone after all of it.
    taken: u128,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// The sender's account in the finalized state; its nonce is that of the first entry.
    account: Account,
    entries: VecDeque<Entry>,
    /// What may be gone after all of them.
    taken: u128,
    bytes: usize,
}

impl Queue {
    pub const fn new(account: Account) -> Self {
        Self {
            account,
            entries: VecDeque::new(),
            taken: 0,
            bytes: 0,
        }
    }

    /// The nonce that follows.
    pub fn next_nonce(&self) -> u64 {
        self.account.nonce + self.entries.len() as u64
    }

    /// When the first came.
    pub fn arrival(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.arrival)
    }

    pub fn load(&self) -> Load {
        Load {
            transactions: self.entries.len(),
            bytes: self.bytes,
        }
    }

    /// The entry with `nonce`.
    pub fn get(&self, nonce: u64) -> Option<&Entry> {
        self.entries.get(self.place(nonce)?)
    }

    /// The first nonce from `nonce` on that an entry may have.
    pub fn first_from(&self, nonce: u64) -> u64 {
        nonce.max(self.account.nonce)
    }

    fn place(&self, nonce: u64) -> Option<usize> {
        usize::try_from(nonce.checked_sub(self.account.nonce)?).ok()
    }

    /// Whether `newcomer` may enter: behind the others, or in the place of the one with its nonce. `account`
    /// is the sender's now, at least as new as the queue's.
    pub fn admit(
        &self,
        newcomer: &VerifiedTransaction,
        account: Account,
        terms: &Terms,
    ) -> Result<Admitted, PoolError> {
        let body = newcomer.transaction();
        let (given, next) = (body.nonce, self.next_nonce());
        if given < account.nonce {
            let expected = account.nonce;
            return Err(Rejection::NonceUsed { given, expected }.into());
        }
        if given > next {
            let expected = next;
            return Err(Rejection::NonceAhead { given, expected }.into());
        }
        let price = Price::of(newcomer, terms)?;
        let (expires, now) = (body.expires, terms.epoch());
        if expires > now.plus(EXPIRY_EPOCHS_MAX) {
            return Err(PoolError::ExpiresLate { expires, now });
        }
        if price.fee > account.balance {
            let (balance, fee) = (account.balance, price.fee);
            return Err(Rejection::CannotPayFee { balance, fee }.into());
        }
        // Blocks that the queue was not told of yet make the account newer, and the balance less.
        let account = if account.nonce == self.account.nonce {
            account
        } else {
            self.account
        };
        let balance = account.balance;
        let replaced = self.get(given);
        if let Some(replaced) = replaced {
            let needed = 2 * u128::from(replaced.transaction.transaction().max_fee.0);
            if u128::from(body.max_fee.0) < needed {
                let needed = Shannons(u64::try_from(needed).unwrap_or(u64::MAX));
                return Err(PoolError::NonceTaken { nonce: given, needed });
            }
        }
        let place = self.place(given).unwrap_or(0);
        let before = if replaced.is_some() {
            self.entries.iter().take(place).fold(0, |before, entry| {
                before + u128::from(entry.price.fee.0) + u128::from(entry.price.outlay.0)
            })
        } else {
            self.taken
        };
        // Who replaces shows as much as they offer, since it is not charged.
        let shown = if replaced.is_some() {
            body.max_fee
        } else {
            price.fee
        };
        if before + u128::from(shown.0) > u128::from(balance.0) {
            return Err(PoolError::Unfunded { balance });
        }
        let behind = self.entries.iter().skip(place + 1).map(|entry| entry.price);
        let taken = std::iter::once(price)
            .chain(behind)
            .try_fold(before, |taken, price| price.taken(taken, balance))
            .ok_or(PoolError::Unfunded { balance })?;
        Ok(Admitted {
            price,
            account,
            taken,
        })
    }

    /// What would wait with `newcomer` in its place.
    pub fn load_with(&self, newcomer: &VerifiedTransaction) -> Load {
        let mut load = self.load();
        load.bytes += newcomer.encoded().len();
        match self.get(newcomer.transaction().nonce) {
            Some(replaced) => load.bytes -= replaced.transaction.encoded().len(),
            None => load.transactions += 1,
        }
        load
    }

    /// Puts `newcomer` where it was admitted, at place `arrival` unless it takes another's. Returns what it
    /// replaces.
    pub fn put(
        &mut self,
        newcomer: VerifiedTransaction,
        admitted: Admitted,
        arrival: u64,
    ) -> Option<VerifiedTransaction> {
        self.bytes = self.load_with(&newcomer).bytes;
        self.taken = admitted.taken;
        self.account = admitted.account;
        let place = self.place(newcomer.transaction().nonce).unwrap_or(0);
        match self.entries.get_mut(place) {
            Some(entry) => {
                entry.price = admitted.price;
                Some(std::mem::replace(&mut entry.transaction, newcomer))
            }
            None => {
                self.entries.push_back(Entry {
                    transaction: newcomer,
                    arrival,
                    price: admitted.price,
                });
                None
            }
        }
    }

    /// Takes notice of a finalized block after which the sender has `account`: returns what it has included,
    /// and what cannot be included behind the rest any more.
    pub fn settle(&mut self, account: Account, terms: &Terms) -> Vec<VerifiedTransaction> {
        let done = usize::try_from(account.nonce.saturating_sub(self.account.nonce)).unwrap_or(usize::MAX);
        let mut gone: Vec<Entry> = self.entries.drain(..done.min(self.entries.len())).collect();
        self.account = account;
        gone.extend(self.reprice(terms));
        self.bytes -= gone
            .iter()
            .map(|entry| entry.transaction.encoded().len())
            .sum::<usize>();
        gone.into_iter().map(|entry| entry.transaction).collect()
    }

    /// Asks for every entry again what it takes. Returns the first that is refused and all behind it.
    fn reprice(&mut self, terms: &Terms) -> VecDeque<Entry> {
        self.taken = 0;
        for place in 0..self.entries.len() {
            let entry = &mut self.entries[place];
            let priced = Price::of(&entry.transaction, terms)
                .ok()
                .and_then(|price| Some((price, price.taken(self.taken, self.account.balance)?)));
            match priced {
                Some((price, taken)) => {
                    entry.price = price;
                    self.taken = taken;
                }
                None => return self.entries.split_off(place),
            }
        }
        VecDeque::new()
    }

    /// The account that the queue is judged by.
    pub const fn account(&self) -> Account {
        self.account
    }
}
