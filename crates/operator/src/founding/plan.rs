//! What the operators of a network to be agree on: everything of its genesis but the validators.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use soma_files::{FileError, read_bounded};
use soma_node::consensus::public_key;
use soma_types::{
    Shannons,
    genesis::{Genesis, GenesisAccount, GenesisError, GenesisValidator, GenesisWeights},
    params::{Params, Preset},
};

use super::entry::Entry;
use crate::config::toml_trouble;

/// More than a plan of many accounts takes.
const LENGTH_BYTES_MAX: u64 = 64 << 20;

/// A network to be. The same text at every operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The network's name, for people.
    pub network: String,
    /// When it starts, in milliseconds since 1970.
    pub start_ms: u64,
    /// Its rules: `std` or `local`.
    pub preset: Preset,
    /// Each validator's own stake.
    pub validator_stake: Shannons,
    /// Each validator's balance besides, for its fees.
    pub validator_balance: Shannons,
    /// Who else has money.
    #[serde(default)]
    pub accounts: Vec<GenesisAccount>,
    /// Weights to start from.
    #[serde(default)]
    pub weights: Option<GenesisWeights>,
}

/// Why a plan makes no network.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// There is none.
    #[error("there is no plan at '{0}'")]
    Missing(PathBuf),
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not TOML, or says something that is not known.
    #[error("'{path}': {reason}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// Its rules have no name.
    #[error("preset = \"custom\" names no rules: use \"std\" or \"local\"")]
    Preset,
    /// Its genesis makes no sense.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
}

impl Plan {
    /// Reads the one at `path`.
    ///
    /// # Errors
    /// If there is none, or it makes no sense.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let bytes =
            read_bounded(path, LENGTH_BYTES_MAX)?.ok_or_else(|| PlanError::Missing(path.to_owned()))?;
        let text = String::from_utf8_lossy(&bytes);
        toml::from_str(&text).map_err(|error| PlanError::Toml {
            path: path.to_owned(),
            reason: toml_trouble(&error, &text),
        })
    }

    /// The genesis with the validators of `entries`: the same in whatever order they are given.
    ///
    /// # Errors
    /// If it makes no sense.
    pub fn genesis(&self, entries: &[Entry]) -> Result<Genesis, PlanError> {
        let params = match self.preset {
            Preset::Std => Params::std(),
            Preset::Local => Params::local(),
            Preset::Custom => return Err(PlanError::Preset),
        };
        let mut entries: Vec<&Entry> = entries.iter().collect();
        entries.sort_by_key(|entry| public_key(&entry.identity));
        let funded = entries.iter().map(|entry| GenesisAccount {
            address: entry.account,
            balance: self.validator_balance,
        });
        let genesis = Genesis {
            network: self.network.clone(),
            timestamp_ms: self.start_ms,
            params,
            accounts: self.accounts.iter().copied().chain(funded).collect(),
            validators: entries
                .iter()
                .map(|entry| GenesisValidator {
                    address: entry.account,
                    network_key: public_key(&entry.identity),
                    commission: entry.commission,
                    stake: self.validator_stake,
                })
                .collect(),
            weights: self.weights.clone(),
        };
        genesis.validate()?;
        Ok(genesis)
    }
}
