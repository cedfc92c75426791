//! Making a new network.

use std::{fs, path::Path};

use commonware_cryptography::Signer as _;
use rand_core::CryptoRng;
use serde::Serialize;
use soma_files::{replace, replace_private};
use soma_node::consensus::public_key;
use soma_operator::Secrets;
use soma_types::{
    Keypair, Shannons,
    amount::SHANNONS_PER_SOMA,
    genesis::{Genesis, GenesisAccount, GenesisValidator, GenesisWeights},
    params::{COMMITTEE_SIZE_MAX, Params},
    transaction::BasisPoints,
};

use super::{
    error::{FolderError, io_error},
    layout::{FaucetFile, VERSION, VERSION_PREFIX},
    reading::version,
};
use crate::{dealer::Dealt, erase};

/// Each validator's own stake at genesis.
const VALIDATOR_STAKE: Shannons = Shannons(10_000 * SHANNONS_PER_SOMA);
/// Each validator's spendable balance at genesis, for its fees.
const VALIDATOR_BALANCE: Shannons = Shannons(1_000 * SHANNONS_PER_SOMA);
/// What the faucet starts with.
const FAUCET_BALANCE: Shannons = Shannons(1_000_000 * SHANNONS_PER_SOMA);

/// What a new network is made of.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Its name, for people.
    pub name: String,
    /// Its rules.
    pub params: Params,
    /// Its committee's size.
    pub validators: u32,
    /// Accounts funded besides the validators' and the faucet's.
    pub accounts: Vec<GenesisAccount>,
    /// Weights to start from.
    pub weights: Option<GenesisWeights>,
}

impl Default for Blueprint {
    fn default() -> Self {
        Self {
            name: "localnet".to_owned(),
            params: Params::local(),
            validators: 4,
            accounts: Vec::new(),
            weights: None,
        }
    }
}

pub(super) fn create(
    directory: &Path,
    blueprint: &Blueprint,
    mut rng: impl CryptoRng,
    now_ms: u64,
) -> Result<(), FolderError> {
    if !(1..=COMMITTEE_SIZE_MAX).contains(&blueprint.validators) {
        return Err(FolderError::Validators(blueprint.validators));
    }
    let dealt = Dealt::new(&mut rng, blueprint.validators);
    let mut keypair = || {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        Keypair::from_secret_bytes(secret)
    };
    let accounts: Vec<Keypair> = dealt.members.iter().map(|_| keypair()).collect();
    let faucet = keypair();
    let mut funded = blueprint.accounts.clone();
    funded.push(GenesisAccount {
        address: faucet.address(),
        balance: FAUCET_BALANCE,
    });
    funded.extend(accounts.iter().map(|keys| GenesisAccount {
        address: keys.address(),
        balance: VALIDATOR_BALANCE,
    }));
    let validators = accounts
        .iter()
        .zip(&dealt.members)
        .map(|(keys, member)| GenesisValidator {
            address: keys.address(),
            network_key: public_key(&member.identity.public_key()),
            commission: BasisPoints::new(1_000).expect("below the whole"),
            stake: VALIDATOR_STAKE.max(blueprint.params.validator_stake_min),
        })
        .collect();
    let genesis = Genesis {
        network: blueprint.name.clone(),
        timestamp_ms: now_ms,
        params: blueprint.params.clone(),
        accounts: funded,
        validators,
        weights: blueprint.weights.clone(),
    };
    genesis.validate()?;

    if version(directory)?.is_none()
        && let Some(path) = erase::first_in_the_way(directory, blueprint.validators)
    {
        return Err(FolderError::InTheWay(path));
    }
    // From here on the names below are the localnet's, also if the next step is the last.
    let version = format!("{VERSION_PREFIX}{VERSION}\n");
    replace(&directory.join("version"), version.as_bytes())?;
    // A network that was there, or what an interrupted attempt left.
    erase::network(directory)?;
    for (index, (member, keys)) in dealt.members.iter().zip(&accounts).enumerate() {
        let folder = directory.join(format!("validator-{index}"));
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        let secrets = Secrets {
            identity: member.identity.clone(),
            dealing: None,
            share: Some(member.share.clone()),
            account: Some(keys.clone()),
        };
        secrets.write(&folder.join("secrets.json"))?;
    }
    let faucet = FaucetFile {
        account: format!("0x{}", hex::encode(faucet.to_secret_bytes())),
    };
    replace_private(&directory.join("faucet.json"), &json(&faucet))?;
    replace(&directory.join("committee.json"), &json(&dealt.committee))?;
    Ok(replace(&directory.join("genesis.json"), &json(&genesis))?)
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("plain data is JSON")
}
