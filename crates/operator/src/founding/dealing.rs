//! The ceremony that makes a network's key without anyone who ever has it.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroUsize},
};

use commonware_cryptography::bls12381::{
    dkg::golden::{self, DealerLog, Info, PrivateKey, Setup, SignedDealerLog},
    primitives::{group::Share, sharing::ModeVersion},
};
use commonware_parallel::Rayon;
use commonware_utils::{N3f1, NZU32, TryCollect as _, ordered::Set};
use rand_core::CryptoRng;
use soma_node::consensus::{Identity, public_key};
use soma_types::{ChainId, PublicKey, params::COMMITTEE_SIZE_MAX};

use super::entry::Entry;
use crate::{committee::Committee, text};

/// Why a ceremony does not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DealingError {
    /// Nobody takes part.
    #[error("there are {0} entries: a network has 1 to {COMMITTEE_SIZE_MAX} validators")]
    Validators(usize),
    /// Two have the same key.
    #[error("the validator {0} is entered twice, or two share a dealing key")]
    Twice(PublicKey),
    /// Shares would be counted in two orders.
    #[error(
        "the keys of the validators {0} and {1} begin alike and stand in another order than their dealing \
         keys: one of the two makes new ones with `soma node init` in an empty home"
    )]
    Order(PublicKey, PublicKey),
    /// The keys that deal are of someone who was not entered.
    #[error("the validator {0} has no entry in this founding, or one with another dealing key")]
    Stranger(PublicKey),
    /// Not all have dealt.
    #[error("these validators have not dealt yet: {}", list(.0))]
    Missing(Vec<PublicKey>),
    /// Someone's dealing is not right.
    #[error(
        "the dealing of the validator {0} is not right, or is of another plan or other entries: let its \
         operator compare the founding's id and deal anew"
    )]
    Wrong(PublicKey),
    /// Too few dealings are right.
    #[error(
        "the proofs of too many dealings do not hold: the ceremony has to be held anew with another plan"
    )]
    Failed,
    /// The system gives no threads.
    #[error("no threads to compute with: {0}")]
    Threads(String),
}

/// A thread for each core.
fn cores() -> Result<Rayon, DealingError> {
    let count = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Rayon::new(count).map_err(|error| DealingError::Threads(error.to_string()))
}

fn list(keys: &[PublicKey]) -> String {
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    keys.join(", ")
}

/// A ceremony: those who take part, under the id of one chain.
pub struct Ceremony {
    info: Info,
    setup: Setup,
    /// All cores: proofs are minutes of one where many take part.
    cores: Rayon,
    identities: Set<Identity>,
    dealers: BTreeMap<golden::PublicKey, PublicKey>,
}

impl Ceremony {
    /// The one of `entries` for `chain`. Takes seconds: what proofs are made of is computed.
    ///
    /// # Errors
    /// If the entries make no committee.
    pub fn new(chain: &ChainId, entries: &[Entry]) -> Result<Self, DealingError> {
        let count = u32::try_from(entries.len())
            .ok()
            .and_then(NonZeroU32::new)
            .filter(|count| count.get() <= COMMITTEE_SIZE_MAX)
            .ok_or(DealingError::Validators(entries.len()))?;
        let mut entries: Vec<&Entry> = entries.iter().collect();
        entries.sort_by(|one, other| one.identity.cmp(&other.identity));
        for pair in entries.windows(2) {
            let (one, other) = (public_key(&pair[0].identity), public_key(&pair[1].identity));
            if one == other || pair[0].dealing == pair[1].dealing {
                return Err(DealingError::Twice(one));
            }
            if pair[0].dealing > pair[1].dealing {
                return Err(DealingError::Order(one, other));
            }
        }
        let twice = |_| DealingError::Twice(public_key(&entries[0].identity));
        let players: Set<golden::PublicKey> = entries
            .iter()
            .map(|entry| entry.dealing.clone())
            .try_collect()
            .map_err(twice)?;
        let identities = entries
            .iter()
            .map(|entry| entry.identity.clone())
            .try_collect()
            .map_err(twice)?;
        let namespace = [b"soma 2026 founding ".as_slice(), &chain.0].concat();
        // One round under one chain's id: who deals anew deals under another.
        let info = Info::new::<N3f1>(&namespace, 0, None, players.clone(), players)
            .map_err(|_| DealingError::Validators(entries.len()))?;
        Ok(Self {
            info,
            setup: Setup::new(count),
            cores: cores()?,
            identities,
            dealers: entries
                .iter()
                .map(|entry| (entry.dealing.clone(), public_key(&entry.identity)))
                .collect(),
        })
    }

    /// What the holder of `key` deals to all, as text. To be made once, and kept: two of one dealer under one
    /// chain's id would tell how they differ.
    ///
    /// # Errors
    /// If it does not take part.
    pub fn deal(
        &self,
        identity: &Identity,
        key: &PrivateKey,
        mut rng: impl CryptoRng,
    ) -> Result<String, DealingError> {
        self.own(identity, key)?;
        let dealing = golden::deal(&mut rng, &self.setup, &self.info, key, None, &self.cores)
            .expect("the key takes part, and the set-up is of as many");
        Ok(text::encode(&dealing))
    }

    /// Whether `dealing` was made by the validator of `identity` in this ceremony. That its proof holds is
    /// found at the end.
    #[must_use]
    pub fn is_by(&self, identity: &Identity, dealing: &str) -> bool {
        self.log(&public_key(identity), dealing).is_ok()
    }

    /// The committee with the key that the dealings of all of its members make.
    ///
    /// # Errors
    /// If one is missing or not right.
    pub fn committee(
        &self,
        dealings: &BTreeMap<PublicKey, String>,
        mut rng: impl CryptoRng,
    ) -> Result<Committee, DealingError> {
        let logs = self.logs(dealings)?;
        let output = golden::observe(&mut rng, &self.setup, &self.info, logs, &self.cores)
            .map_err(|_| DealingError::Failed)?;
        Ok(self.with(&output))
    }

    /// The same, and the share of the holder of `key`.
    ///
    /// # Errors
    /// If one is missing or not right, or the key takes no part.
    pub fn share(
        &self,
        dealings: &BTreeMap<PublicKey, String>,
        identity: &Identity,
        key: &PrivateKey,
        mut rng: impl CryptoRng,
    ) -> Result<(Committee, Share), DealingError> {
        self.own(identity, key)?;
        let logs = self.logs(dealings)?;
        let (output, share) = golden::play(&mut rng, &self.setup, &self.info, logs, key, &self.cores)
            .map_err(|_| DealingError::Failed)?;
        Ok((self.with(&output), share))
    }

    fn with(&self, output: &golden::Output<golden::PublicKey>) -> Committee {
        Committee {
            identities: self.identities.clone(),
            polynomial: output.public().clone(),
        }
    }

    fn own(&self, identity: &Identity, key: &PrivateKey) -> Result<(), DealingError> {
        let name = public_key(identity);
        match self.dealers.get(&key.public()) {
            Some(dealer) if *dealer == name => Ok(()),
            _ => Err(DealingError::Stranger(name)),
        }
    }

    /// The dealings of all: everyone has to take the same ones, so there is no choice among them.
    fn logs(
        &self,
        dealings: &BTreeMap<PublicKey, String>,
    ) -> Result<BTreeMap<golden::PublicKey, DealerLog>, DealingError> {
        let missing: Vec<PublicKey> = self
            .dealers
            .values()
            .filter(|dealer| !dealings.contains_key(dealer))
            .copied()
            .collect();
        if !missing.is_empty() {
            return Err(DealingError::Missing(missing));
        }
        self.dealers
            .values()
            .map(|dealer| self.log(dealer, &dealings[dealer]))
            .collect()
    }

    fn log(&self, dealer: &PublicKey, dealing: &str) -> Result<(golden::PublicKey, DealerLog), DealingError> {
        let wrong = || DealingError::Wrong(*dealer);
        let config = (NZU32!(COMMITTEE_SIZE_MAX), ModeVersion::v0());
        let signed: SignedDealerLog = text::decode(dealing, &config).map_err(|_| wrong())?;
        signed
            .identify(&self.info)
            .filter(|(key, _)| self.dealers.get(key) == Some(dealer))
            .ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests;
