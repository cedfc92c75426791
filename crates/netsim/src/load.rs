//! Payments all the while, and what must come of them by a count that knows no ledger.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use commonware_utils::sync::Mutex;
use serde::Serialize;
use soma_types::{
    Epoch, Keypair, Shannons, Transaction, TransactionHash, TransactionKind, amount::SHANNONS_PER_SOMA,
    genesis::Genesis, list::List, transaction::Payment,
};

/// Who pays.
pub const SENDERS: usize = 6;
/// What each begins with.
pub const BEGINNING: Shannons = Shannons(1_000 * SHANNONS_PER_SOMA);
/// The last epoch in which a payment may enter a block.
const EXPIRES: Epoch = Epoch(60);

/// The keys of a sender.
#[must_use]
pub fn sender(index: usize) -> Keypair {
    Keypair::from_secret_bytes([100 + index as u8; 32])
}

/// How much is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "traffic", rename_all = "snake_case")]
pub enum Traffic {
    /// One payment after another, to one payee each.
    Steady,
    /// Besides, so many of each sender at once in the beginning, and all are long.
    Burst {
        /// Of each sender.
        payments: u64,
        /// Of each payment.
        payees: usize,
    },
}

/// What each sender wants to pay. Clones share.
#[derive(Clone)]
pub struct Load {
    genesis: Arc<Genesis>,
    payees: usize,
    wanted: Arc<Mutex<[u64; SENDERS]>>,
    /// What was signed once, by sender and nonce.
    signed: Arc<Mutex<BTreeMap<(usize, u64), Signed>>>,
}

/// A payment's name and its bytes.
type Signed = (TransactionHash, Bytes);

/// An account as it must be in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Payments made.
    pub nonce: u64,
    /// What is left.
    pub balance: u64,
}

impl Load {
    /// What is wanted in the beginning.
    #[must_use]
    pub fn new(genesis: Arc<Genesis>, traffic: Traffic) -> Self {
        let (payments, payees) = match traffic {
            Traffic::Steady => (0, 1),
            Traffic::Burst { payments, payees } => (payments, payees),
        };
        Self {
            genesis,
            payees,
            wanted: Arc::new(Mutex::new([payments; SENDERS])),
            signed: Arc::default(),
        }
    }

    /// How many validators clients may come to.
    #[must_use]
    pub fn validators(&self) -> usize {
        self.genesis.validators.len()
    }

    /// One sender after another wants to pay once more.
    pub fn want(&self) {
        let mut wanted = self.wanted.lock();
        let next = (0..SENDERS).min_by_key(|index| wanted[*index]);
        wanted[next.expect("there are senders")] += 1;
    }

    /// How often each wants to pay.
    #[must_use]
    pub fn wanted(&self) -> [u64; SENDERS] {
        *self.wanted.lock()
    }

    /// To whom a sender's payment goes, and how much each is given.
    fn payees(&self, index: usize, nonce: u64) -> impl Iterator<Item = (usize, u64)> {
        let first = nonce as usize;
        (first..first + self.payees).map(move |place| {
            let to = (index + 1 + place % (SENDERS - 1)) % SENDERS;
            (to, 1 + (nonce * 7_919 + place as u64) % 1_000)
        })
    }

    /// The payment of a sender with this nonce, signed.
    #[must_use]
    pub fn encoded(&self, index: usize, nonce: u64) -> Bytes {
        self.signed(index, nonce).1
    }

    fn signed(&self, index: usize, nonce: u64) -> Signed {
        let mut signed = self.signed.lock();
        let one = signed
            .entry((index, nonce))
            .or_insert_with(|| self.sign(index, nonce));
        one.clone()
    }

    fn sign(&self, index: usize, nonce: u64) -> Signed {
        let keys = sender(index);
        let payments = self.payees(index, nonce).map(|(to, amount)| Payment {
            to: sender(to).address(),
            amount: Shannons(amount),
        });
        let transaction = Transaction {
            chain: self.genesis.chain_id(),
            sender: keys.public_key(),
            nonce,
            expires: EXPIRES,
            max_fee: Shannons(SHANNONS_PER_SOMA),
            kind: TransactionKind::Transfer {
                payments: List::new(payments.collect()).expect("a payment may have so many payees"),
            },
        };
        let signed = transaction.sign(&keys);
        (signed.hash(), signed.encode().into())
    }

    /// The names of all payments.
    #[must_use]
    pub fn hashes(&self) -> Vec<TransactionHash> {
        let wanted = self.wanted();
        let each = (0..SENDERS).flat_map(|index| (0..wanted[index]).map(move |nonce| (index, nonce)));
        each.map(|(index, nonce)| self.signed(index, nonce).0).collect()
    }

    /// What the accounts must come to: payments, and fees by length, counted one by one.
    #[must_use]
    pub fn expected(&self) -> [Expected; SENDERS] {
        let wanted = self.wanted();
        let mut accounts = [Expected {
            nonce: 0,
            balance: BEGINNING.0,
        }; SENDERS];
        for (index, count) in wanted.iter().enumerate() {
            accounts[index].nonce = *count;
            for nonce in 0..*count {
                let params = &self.genesis.params;
                let length = self.encoded(index, nonce).len() as u64;
                accounts[index].balance -= params.fee_base.0 + params.fee_per_byte.0 * length;
                for (to, amount) in self.payees(index, nonce) {
                    accounts[index].balance -= amount;
                    accounts[to].balance += amount;
                }
            }
        }
        accounts
    }
}
