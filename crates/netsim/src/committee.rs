//! Who takes part: the same keys and the same genesis in every simulation of so many validators.

use std::sync::Arc;

use commonware_cryptography::Signer as _;
use commonware_utils::test_rng;
use soma_localnet::dealer::Dealt;
use soma_node::consensus::{Identity, public_key};
use soma_types::{
    Address, Keypair,
    genesis::{Genesis, GenesisAccount, GenesisValidator},
    params::{Params, Preset},
    transaction::BasisPoints,
};

use crate::load::{BEGINNING, SENDERS, sender};

/// Blocks of an epoch: several boundaries fall into the time in which things go wrong.
const EPOCH_BLOCKS: u64 = 10;

/// A committee with its keys, and where its chain begins.
#[derive(Clone)]
pub struct Committee {
    /// The keys.
    pub dealt: Arc<Dealt>,
    /// The beginning.
    pub genesis: Arc<Genesis>,
}

impl Committee {
    /// So many validators.
    ///
    /// # Panics
    /// If the genesis breaks a rule: then the rules have changed.
    #[must_use]
    pub fn new(validators: usize) -> Self {
        let count = u32::try_from(validators).expect("few validators are simulated");
        let dealt = Dealt::new(test_rng(), count);
        let params = Params {
            preset: Preset::Custom,
            epoch_blocks: EPOCH_BLOCKS,
            settlement_blocks: 4,
            audit_commit_blocks: EPOCH_BLOCKS / 2,
            audit_reveal_blocks: 1,
            hearing_commit_blocks: 1,
            difficulty_windows: 4,
            ..Params::local()
        };
        let account = |index| GenesisAccount {
            address: sender(index).address(),
            balance: BEGINNING,
        };
        let validator = |(index, member): (usize, &soma_localnet::dealer::Member)| GenesisValidator {
            address: operator(index),
            network_key: public_key(&member.identity.public_key()),
            commission: BasisPoints::new(1_000).expect("below the whole"),
            stake: params.validator_stake_min,
        };
        let genesis = Genesis {
            network: "simulation".into(),
            timestamp_ms: 0,
            accounts: (0..SENDERS).map(account).collect(),
            validators: dealt.members.iter().enumerate().map(validator).collect(),
            params: params.clone(),
            weights: None,
        };
        genesis
            .validate()
            .unwrap_or_else(|error| panic!("the simulated genesis breaks a rule: {error}"));
        Self {
            dealt: Arc::new(dealt),
            genesis: Arc::new(genesis),
        }
    }

    /// The name of a validator in the network.
    #[must_use]
    pub fn identity(&self, index: usize) -> Identity {
        self.dealt.members[index].identity.public_key()
    }

    /// All names, in the order of the validators.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        (0..self.dealt.members.len())
            .map(|index| self.identity(index))
            .collect()
    }
}

/// The account of a validator.
#[must_use]
pub fn operator(index: usize) -> Address {
    Keypair::from_secret_bytes([index as u8; 32]).address()
}
