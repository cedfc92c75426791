//! What a simulation came to, as far as a property asks for it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use soma_ledger::view;
use soma_node::{consensus::Digest, query::Query};
use soma_types::{Shannons, TransactionHash};

use crate::{
    committee,
    host::Host,
    load::{Expected, SENDERS, sender},
};

/// A block as a validator's storage holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub digest: Digest,
    /// Its parent's.
    pub parent: Digest,
    /// The root of the state after it.
    pub state_root: Digest,
    /// When it was made, by its leader.
    pub timestamp_ms: u64,
    /// How long what it holds is, in bytes.
    pub bytes: usize,
    /// What it holds.
    pub transactions: Vec<TransactionHash>,
}

/// What a validator's storage holds, read after the validator has ended and was started once more, alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The height of the state.
    pub height: u64,
    /// The root of the state, computed from it.
    pub state_root: [u8; 32],
    /// Finalized blocks by their heights.
    pub blocks: BTreeMap<u64, Kept>,
    /// Where every shannon is, added up.
    pub supply: Option<Shannons>,
    /// The accounts of those who pay.
    pub accounts: Vec<Expected>,
    /// Validators that were slashed or barred.
    pub slashed: BTreeSet<usize>,
}

impl Stored {
    /// Reads it.
    ///
    /// # Errors
    /// What cannot be read.
    pub async fn read(query: &Query<Host>, validators: usize) -> Result<Self, String> {
        let (height, root) = query.state_root().await.map_err(|error| error.to_string())?;
        let mut blocks = BTreeMap::new();
        for at in 1..=height.0 {
            let block = query.block(at).await;
            let block = block.ok_or_else(|| format!("block {at} of {height} is not there"))?;
            let transactions = block.transactions().iter();
            let header = block.header();
            blocks.insert(
                at,
                Kept {
                    digest: commonware_cryptography::Digestible::digest(&*block),
                    parent: header.parent,
                    state_root: header.state_root,
                    timestamp_ms: header.timestamp_ms,
                    bytes: block.transactions().iter().map(Bytes::len).sum(),
                    transactions: transactions.map(|one| hash(one)).collect::<Result<_, _>>()?,
                },
            );
        }
        let read = query.view(|state| {
            let supply = view::supply(state)?.and_then(|supply| supply.total());
            let addresses: Vec<_> = (0..SENDERS).map(|index| sender(index).address()).collect();
            let accounts = view::accounts(state, &addresses)?;
            let mut slashed = BTreeSet::new();
            for index in 0..validators {
                let address = committee::operator(index);
                let validator = view::validator(state, address)?;
                let pool = view::pool(state, soma_types::transaction::PoolId::Validator(address))?;
                let barred = validator.is_none_or(|validator| validator.barred);
                if barred || pool.is_none_or(|pool| pool.slashed.is_some()) {
                    slashed.insert(index);
                }
            }
            Ok((supply, accounts, slashed))
        });
        let (supply, accounts, slashed) = read.await.map_err(|error| error.to_string())?;
        let accounts = accounts.iter().map(|account| Expected {
            nonce: account.nonce,
            balance: account.balance.0,
        });
        Ok(Self {
            height: height.0,
            state_root: root.0,
            blocks,
            supply,
            accounts: accounts.collect(),
            slashed,
        })
    }
}

fn hash(encoded: &[u8]) -> Result<TransactionHash, String> {
    let signed: soma_types::SignedTransaction = borsh::from_slice(encoded)
        .map_err(|error| format!("a block holds what is no transaction: {error}"))?;
    Ok(signed.hash())
}

/// What a simulation came to.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Validators that are not honest.
    pub byzantine: BTreeSet<usize>,
    /// What each validator said is final, by height.
    pub told: Vec<BTreeMap<u64, Digest>>,
    /// Who said two different things of one height.
    pub replaced: Vec<(usize, u64)>,
    /// Who blocks whom.
    pub blocked: Vec<(usize, usize)>,
    /// Whose process ended by itself though its disk was sound, and why.
    pub ended: Vec<(usize, String)>,
    /// What honest validators' storage holds.
    pub stored: BTreeMap<usize, Result<Stored, String>>,
    /// The payments that were wanted.
    pub payments: Vec<TransactionHash>,
    /// What they must have led to.
    pub expected: Vec<Expected>,
    /// Simulated milliseconds until all went on after healing, or what did not.
    pub recovery: Option<Result<u64, String>>,
}

impl Findings {
    /// Whether a validator is honest.
    #[must_use]
    pub fn is_honest(&self, validator: usize) -> bool {
        !self.byzantine.contains(&validator)
    }
}
