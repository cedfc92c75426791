//! The first state of a network. Its hash is the network's name.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};

use crate::{
    Address, ChainId, ContentHash, Epoch, PublicKey, Shannons, Url,
    amount::MAX_SUPPLY,
    hash::domain_hash,
    params::{COMMITTEE_SIZE_MAX, Params, ParamsError},
    transaction::BasisPoints,
};

/// The most accounts a genesis can fund.
pub const GENESIS_ACCOUNTS_MAX: usize = 1 << 20;
/// The longest network name, in bytes.
pub const NETWORK_NAME_MAX_BYTES: usize = 64;

/// Everything that distinguishes one network from another.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The network's name, for people.
    pub network: String,
    /// When the network starts, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// Its rules.
    pub params: Params,
    /// Funded accounts.
    pub accounts: Vec<GenesisAccount>,
    /// The first committee.
    pub validators: Vec<GenesisValidator>,
    /// A modest generalist that gives all models a common space (docs/protocol.md, section 11).
    pub weights: Option<GenesisWeights>,
}

/// An account funded at genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// Whose account it is.
    pub address: Address,
    /// How much.
    pub balance: Shannons,
}

/// A validator of the first committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisValidator {
    /// Its account.
    pub address: Address,
    /// The key its node signs with.
    pub network_key: PublicKey,
    /// Its share of its pool's rewards.
    pub commission: BasisPoints,
    /// Its own stake, allocated besides its account's balance.
    pub stake: Shannons,
}

/// Published weights to start from. Plain safetensors, not encrypted.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisWeights {
    /// Where they can be downloaded.
    pub url: Url,
    /// Their length in bytes.
    pub size_bytes: u64,
    /// Their BLAKE3.
    pub hash: ContentHash,
}

/// Why a genesis is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// A parameter is out of bounds.
    #[error("genesis: {0}")]
    Params(#[from] ParamsError),
    /// The name is empty or too long.
    #[error("genesis: a network's name has 1 to {NETWORK_NAME_MAX_BYTES} bytes, not {0}")]
    Name(usize),
    /// More money than can exist.
    #[error("genesis: balances and stakes exceed the supply of {MAX_SUPPLY} SOMA")]
    Supply,
    /// No validators, or too many.
    #[error("genesis: {count} validators, must be 1 to {limit}")]
    Validators {
        /// How many there are.
        count: usize,
        /// The committee's size.
        limit: u32,
    },
    /// Too many accounts.
    #[error("genesis: {0} accounts, at most {GENESIS_ACCOUNTS_MAX}")]
    Accounts(usize),
    /// Listed twice.
    #[error("genesis: {0} is listed twice")]
    Duplicate(Address),
    /// Below the minimum stake.
    #[error("genesis: validator {address} has a stake of {stake} SOMA, the least is {minimum} SOMA")]
    Stake {
        /// The validator.
        address: Address,
        /// Its stake.
        stake: Shannons,
        /// The parameter.
        minimum: Shannons,
    },
}

impl Genesis {
    /// The network's name in signatures: the hash of everything above.
    ///
    /// # Panics
    /// Never: encoding to memory does not fail.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        let bytes = borsh::to_vec(self).expect("encoding to memory does not fail");
        ChainId(domain_hash("soma 2026 chain id", &[&bytes]))
    }

    /// What exists at the start: balances and stakes.
    ///
    /// # Errors
    /// [`GenesisError::Supply`] when it exceeds [`MAX_SUPPLY`].
    pub fn supply(&self) -> Result<Shannons, GenesisError> {
        let balances = self.accounts.iter().map(|account| account.balance);
        let stakes = self.validators.iter().map(|validator| validator.stake);
        balances
            .chain(stakes)
            .try_fold(Shannons::ZERO, Shannons::checked_add)
            .filter(|supply| *supply <= MAX_SUPPLY)
            .ok_or(GenesisError::Supply)
    }

    /// Checks everything a network relies on.
    ///
    /// # Errors
    /// Names the first problem found.
    pub fn validate(&self) -> Result<(), GenesisError> {
        self.params.clone().validate()?;
        if self.network.is_empty() || self.network.len() > NETWORK_NAME_MAX_BYTES {
            return Err(GenesisError::Name(self.network.len()));
        }
        if self.accounts.len() > GENESIS_ACCOUNTS_MAX {
            return Err(GenesisError::Accounts(self.accounts.len()));
        }
        let limit = self.params.committee_size.min(COMMITTEE_SIZE_MAX);
        if self.validators.is_empty() || self.validators.len() > limit as usize {
            return Err(GenesisError::Validators {
                count: self.validators.len(),
                limit,
            });
        }
        check_unique(self.accounts.iter().map(|account| account.address))?;
        check_unique(self.validators.iter().map(|validator| validator.address))?;
        for validator in &self.validators {
            if validator.stake < self.params.validator_stake_min {
                return Err(GenesisError::Stake {
                    address: validator.address,
                    stake: validator.stake,
                    minimum: self.params.validator_stake_min,
                });
            }
        }
        self.supply().map(|_| ())
    }
}

fn check_unique(addresses: impl Iterator<Item = Address>) -> Result<(), GenesisError> {
    let mut sorted: Vec<Address> = addresses.collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(GenesisError::Duplicate(pair[0])),
        None => Ok(()),
    }
}

/// How the emission is spread: the same amount every epoch, the remainder in the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct EmissionSchedule {
    /// What is emitted in all.
    pub total: Shannons,
    /// Over how many epochs.
    pub epochs: u64,
}

impl EmissionSchedule {
    /// What `epoch` emits.
    #[must_use]
    pub const fn emission(&self, epoch: Epoch) -> Shannons {
        let share = self.total.0 / self.epochs;
        if epoch.0 + 1 < self.epochs {
            Shannons(share)
        } else if epoch.0 + 1 == self.epochs {
            Shannons(self.total.0 - share * (self.epochs - 1))
        } else {
            Shannons::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_emits_everything_exactly() {
        for (total, epochs) in [(10, 3), (10_000_000_000_000_000, 3_652), (2, 5), (0, 1), (7, 1)] {
            let schedule = EmissionSchedule {
                total: Shannons(total),
                epochs,
            };
            let sum: u64 = (0..epochs + 10)
                .map(|epoch| schedule.emission(Epoch(epoch)).0)
                .sum();
            assert_eq!(sum, total);
        }
    }
}
