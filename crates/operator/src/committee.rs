//! The public part of a committee: who its members are, and the polynomial that their shares lie on.

use commonware_codec::Encode as _;
use commonware_cryptography::bls12381::primitives::{
    group::Share,
    sharing::{ModeVersion, Sharing},
};
use commonware_utils::{NZU32, TryCollect as _, ordered::Set};
use serde::{Deserialize, Serialize};
use soma_node::consensus::{Identity, Scheme, Variant, namespace};
use soma_types::{ChainId, params::COMMITTEE_SIZE_MAX};

use crate::text;

/// A committee as everyone knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "CommitteeFile", into = "CommitteeFile")]
pub struct Committee {
    /// The members, in the order of their indices.
    pub identities: Set<Identity>,
    /// The public polynomial. Its constant term is the network's key.
    pub polynomial: Sharing<Variant>,
}

impl Committee {
    /// The key that verifies every certificate of the network.
    #[must_use]
    pub fn network_key(&self) -> [u8; 48] {
        let key = self.polynomial.public().encode();
        key.as_ref().try_into().expect("a G1 point has 48 bytes")
    }

    /// Whether `share` is that of the member `identity`.
    #[must_use]
    pub fn holds(&self, identity: &Identity, share: &Share) -> bool {
        let place = self.identities.iter().position(|member| member == identity);
        place == Some(share.index.get() as usize)
            && self.polynomial.partial_public(share.index).ok() == Some(share.public::<Variant>())
    }

    /// How the holder of `share` signs on network `chain`.
    ///
    /// # Panics
    /// If the share is not of this committee: see [`Self::holds`].
    #[must_use]
    pub fn signer(&self, chain: &ChainId, share: Share) -> Scheme {
        Scheme::signer(
            &namespace(&chain.0),
            self.identities.clone(),
            self.polynomial.clone(),
            share,
        )
        .expect("the share lies on the committee's polynomial")
    }
}

/// How it is written. Byte strings are hex.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitteeFile {
    network_key: String,
    polynomial: String,
    identities: Vec<String>,
}

impl From<Committee> for CommitteeFile {
    fn from(committee: Committee) -> Self {
        Self {
            network_key: format!("0x{}", hex::encode(committee.network_key())),
            polynomial: text::encode(&committee.polynomial),
            identities: committee.identities.iter().map(text::encode).collect(),
        }
    }
}

/// Why what is written is no committee.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    /// A value does not decode.
    #[error("the committee's {what} cannot be read: {reason}")]
    Value {
        /// Which value it is.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Someone is listed twice.
    #[error("a member of the committee is listed twice")]
    Twice,
    /// The polynomial is another committee's.
    #[error("the committee has {members} members, and its polynomial shares of {shares}")]
    Size {
        /// Identities that are listed.
        members: usize,
        /// Shares of the polynomial.
        shares: u32,
    },
    /// The key is another network's.
    #[error("the network's key is not the polynomial's")]
    Key,
}

impl TryFrom<CommitteeFile> for Committee {
    type Error = CommitteeError;

    fn try_from(file: CommitteeFile) -> Result<Self, CommitteeError> {
        let value = |what| move |reason| CommitteeError::Value { what, reason };
        let polynomial: Sharing<Variant> =
            text::decode(&file.polynomial, &(NZU32!(COMMITTEE_SIZE_MAX), ModeVersion::v0()))
                .map_err(value("polynomial"))?;
        let identities: Vec<Identity> = file
            .identities
            .iter()
            .map(|identity| text::decode(identity, &()).map_err(value("identity")))
            .collect::<Result<_, _>>()?;
        let members = identities.len();
        let identities = identities
            .into_iter()
            .try_collect()
            .map_err(|_| CommitteeError::Twice)?;
        let shares = polynomial.total().get();
        if members != shares as usize {
            return Err(CommitteeError::Size { members, shares });
        }
        let committee = Self {
            identities,
            polynomial,
        };
        if file.network_key != format!("0x{}", hex::encode(committee.network_key())) {
            return Err(CommitteeError::Key);
        }
        Ok(committee)
    }
}
