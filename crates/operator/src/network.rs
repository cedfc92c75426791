//! The network as every one of its nodes has it: the genesis, the committee with its public polynomial, and
//! where its members listen. The same file at every operator.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use commonware_codec::Encode as _;
use serde::{Deserialize, Serialize};
use soma_files::{FileError, read_bounded, replace};
use soma_node::consensus::public_key;
use soma_types::{
    PublicKey,
    genesis::{Genesis, GenesisError},
    hash::domain_hash,
};

use crate::committee::Committee;

/// More than a genesis of the most accounts takes.
const LENGTH_BYTES_MAX: u64 = 256 << 20;

/// A founded network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Its first state.
    pub genesis: Genesis,
    /// Who orders its blocks.
    pub committee: Committee,
    /// Where each of them listened for its peers when the network was founded.
    pub addresses: BTreeMap<PublicKey, SocketAddr>,
}

/// Why a network cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// There is none.
    #[error("there is no network at '{0}'")]
    Missing(PathBuf),
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is something else.
    #[error("'{path}' is no network ({reason}): take it anew from another operator, and compare its hash")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its genesis makes no sense.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The genesis has one committee, and the keys are another's.
    #[error(
        "the genesis names the validator {0}, which is no member of the committee: it is of another founding"
    )]
    Committee(PublicKey),
    /// Nobody can reach a member.
    #[error("the validator {0} has no address: every operator's entry names one")]
    Address(PublicKey),
}

impl Network {
    /// Reads the one at `path`, and checks that its parts belong together.
    ///
    /// # Errors
    /// If there is none, or they do not.
    pub fn read(path: &Path) -> Result<Self, NetworkError> {
        let bytes =
            read_bounded(path, LENGTH_BYTES_MAX)?.ok_or_else(|| NetworkError::Missing(path.to_owned()))?;
        let network: Self = serde_json::from_slice(&bytes).map_err(|error| NetworkError::Damaged {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        network.validate()?;
        Ok(network)
    }

    /// Checks that genesis, committee and addresses belong together.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn validate(&self) -> Result<(), NetworkError> {
        self.genesis.validate()?;
        let members: Vec<PublicKey> = self.committee.identities.iter().map(public_key).collect();
        let mut named: Vec<PublicKey> = self
            .genesis
            .validators
            .iter()
            .map(|validator| validator.network_key)
            .collect();
        named.sort_unstable();
        if let Some(other) = named
            .iter()
            .find(|key| !members.contains(key))
            .or_else(|| members.iter().find(|key| !named.contains(key)))
        {
            return Err(NetworkError::Committee(*other));
        }
        match members.iter().find(|key| !self.addresses.contains_key(key)) {
            Some(member) => Err(NetworkError::Address(*member)),
            None => Ok(()),
        }
    }

    /// What operators compare. It commits to the genesis, to the committee with its key, and to the
    /// addresses.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let addresses = serde_json::to_vec(&self.addresses).expect("plain data is JSON");
        let parts = [
            &self.genesis.chain_id().0[..],
            &self.committee.identities.encode(),
            &self.committee.polynomial.encode(),
            &addresses,
        ];
        domain_hash("soma 2026 founded network", &parts)
    }

    /// Writes it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        let json = serde_json::to_vec_pretty(self).expect("plain data is JSON");
        replace(path, &json)
    }
}
