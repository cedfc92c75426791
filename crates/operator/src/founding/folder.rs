//! The folder that operators share while they found a network.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use commonware_cryptography::bls12381::primitives::group::Share;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use soma_files::{At as _, FileError, read_bounded, replace};
use soma_node::consensus::public_key;
use soma_types::{PublicKey, genesis::Genesis, params::COMMITTEE_SIZE_MAX};

use super::{
    dealing::{Ceremony, DealingError},
    entry::{Entry, EntryError, file_name},
    plan::{Plan, PlanError},
};
use crate::{
    network::{Network, NetworkError},
    secrets::Secrets,
};

/// More than a dealing to the largest committee takes.
const DEALING_BYTES_MAX: u64 = 1 << 20;

/// A folder with a plan and entries.
pub struct FoundingFolder {
    path: PathBuf,
    plan: Plan,
    entries: Vec<Entry>,
    genesis: Genesis,
}

/// Why a founding does not go on.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// Its plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Its ceremony.
    #[error(transparent)]
    Dealing(#[from] DealingError),
    /// What came of it.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// An entry has another's name.
    #[error("'{0}' does not have the name of the validator that it enters: it was renamed or changed")]
    Name(PathBuf),
    /// A dealing is something else.
    #[error("'{path}' is no dealing: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// More than there can be.
    #[error("'{0}' holds more than {COMMITTEE_SIZE_MAX} entries")]
    Many(PathBuf),
    /// The node has no keys for it.
    #[error("this home's keys take no part in a founding: they were dealt")]
    NoDealingKey,
    /// The network of the folder is not the one that its parts make.
    #[error("'{path}' is not what plan, entries and dealings make: its hash is {found}, theirs {made}")]
    Differs {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// What it should be.
        made: String,
    },
}

/// `dealings/KEY.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DealingFile {
    dealing: String,
}

/// What [`FoundingFolder::deal`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dealt {
    /// A dealing was made.
    Now,
    /// There was one for this plan and these entries, and it stays.
    Before,
}

impl FoundingFolder {
    /// Reads plan and entries.
    ///
    /// # Errors
    /// If there is no plan, or they make no network.
    pub fn open(path: &Path) -> Result<Self, FoundingError> {
        let plan = Plan::read(&path.join("plan.toml"))?;
        let folder = path.join("entries");
        let mut entries = Vec::new();
        for file in fs::read_dir(&folder).at("read", &folder)? {
            let file = file.at("read", &folder)?.path();
            if file.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            if entries.len() == COMMITTEE_SIZE_MAX as usize {
                return Err(FoundingError::Many(folder));
            }
            let entry = Entry::read(&file)?;
            if file.file_name().is_none_or(|name| *name != *entry.file_name()) {
                return Err(FoundingError::Name(file));
            }
            entries.push(entry);
        }
        let genesis = plan.genesis(&entries)?;
        Ok(Self {
            path: path.to_owned(),
            plan,
            entries,
            genesis,
        })
    }

    /// What plan and entries make. Its chain id is the founding's: operators compare it before they deal.
    #[must_use]
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The plan that was agreed on.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where the network is written.
    #[must_use]
    pub fn network_path(&self) -> PathBuf {
        self.path.join("network.json")
    }

    /// Puts the dealing of `secrets` there, once: the same command again finds it.
    ///
    /// # Errors
    /// If they take no part, or the disk refuses.
    pub fn deal(&self, secrets: &Secrets, rng: impl CryptoRng) -> Result<Dealt, FoundingError> {
        let key = secrets.dealing.as_ref().ok_or(FoundingError::NoDealingKey)?;
        let ceremony = self.ceremony()?;
        let identity = secrets.public();
        let path = self.path.join("dealings").join(file_name(&identity));
        if let Some(dealing) = read_dealing(&path)?
            && ceremony.is_by(&identity, &dealing)
        {
            return Ok(Dealt::Before);
        }
        let dealing = ceremony.deal(&identity, key, rng)?;
        let json = serde_json::to_vec(&DealingFile { dealing }).expect("plain data is JSON");
        let folder = self.path.join("dealings");
        fs::create_dir_all(&folder).at("create", &folder)?;
        replace(&path, &json)?;
        Ok(Dealt::Now)
    }

    /// The network that plan, entries and the dealings of all make.
    ///
    /// # Errors
    /// If one has not dealt, or not right.
    pub fn build(&self, rng: impl CryptoRng) -> Result<Network, FoundingError> {
        let committee = self.ceremony()?.committee(&self.dealings()?, rng)?;
        self.network(committee)
    }

    /// The same, and the share of `secrets`. Where the folder has a network already, it must be this one.
    ///
    /// # Errors
    /// If one has not dealt, or not right; they take no part; or the folder's network is another.
    pub fn join(&self, secrets: &Secrets, rng: impl CryptoRng) -> Result<(Network, Share), FoundingError> {
        let key = secrets.dealing.as_ref().ok_or(FoundingError::NoDealingKey)?;
        let (committee, share) = self
            .ceremony()?
            .share(&self.dealings()?, &secrets.public(), key, rng)?;
        let network = self.network(committee)?;
        let path = self.network_path();
        match Network::read(&path) {
            Ok(found) if found != network => Err(FoundingError::Differs {
                path,
                found: hex::encode(found.hash()),
                made: hex::encode(network.hash()),
            }),
            Ok(_) | Err(NetworkError::Missing(_)) => Ok((network, share)),
            Err(error) => Err(error.into()),
        }
    }

    fn network(&self, committee: crate::committee::Committee) -> Result<Network, FoundingError> {
        let network = Network {
            genesis: self.genesis.clone(),
            committee,
            addresses: self
                .entries
                .iter()
                .map(|entry| (public_key(&entry.identity), entry.address))
                .collect(),
        };
        network.validate()?;
        Ok(network)
    }

    fn ceremony(&self) -> Result<Ceremony, DealingError> {
        Ceremony::new(&self.genesis.chain_id(), &self.entries)
    }

    /// The dealings that are there of those who are entered.
    fn dealings(&self) -> Result<BTreeMap<PublicKey, String>, FoundingError> {
        let mut dealings = BTreeMap::new();
        for entry in &self.entries {
            let path = self.path.join("dealings").join(entry.file_name());
            if let Some(dealing) = read_dealing(&path)? {
                dealings.insert(public_key(&entry.identity), dealing);
            }
        }
        Ok(dealings)
    }
}

fn read_dealing(path: &Path) -> Result<Option<String>, FoundingError> {
    let Some(bytes) = read_bounded(path, DEALING_BYTES_MAX)? else {
        return Ok(None);
    };
    let file: DealingFile = serde_json::from_slice(&bytes).map_err(|error| FoundingError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Some(file.dealing))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};
    use soma_types::{Address, transaction::BasisPoints};

    use super::*;

    const PLAN: &str = "network = 'trial'\nstart_ms = 5\npreset = 'local'\n\
                        validator_stake = '2000000000000'\nvalidator_balance = '7'\n";

    fn found(path: &Path, plan: &str, members: &[Secrets]) {
        fs::create_dir_all(path.join("entries")).unwrap();
        fs::write(path.join("plan.toml"), plan).unwrap();
        for (index, member) in members.iter().enumerate() {
            let index = u8::try_from(index).unwrap();
            let entry = Entry {
                identity: member.public(),
                dealing: member.dealing.as_ref().unwrap().public(),
                account: Address([index; 32]),
                address: format!("10.0.0.{}:26600", index + 1).parse().unwrap(),
                commission: BasisPoints::default(),
            };
            entry
                .write(&path.join("entries").join(entry.file_name()))
                .unwrap();
        }
    }

    /// Two operators with folders of their own, who exchange what is public, compute the same.
    #[test]
    fn every_operator_builds_the_same_network() {
        let mut rng = StdRng::seed_from_u64(8);
        let members: Vec<Secrets> = (0..2).map(|_| Secrets::generate(&mut rng)).collect();
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let opened: Vec<FoundingFolder> = folders
            .iter()
            .map(|folder| {
                found(folder.path(), PLAN, &members);
                FoundingFolder::open(folder.path()).unwrap()
            })
            .collect();
        assert_eq!(opened[0].genesis().chain_id(), opened[1].genesis().chain_id());
        for (member, folder) in members.iter().zip(&opened) {
            assert_eq!(folder.deal(member, &mut rng).unwrap(), Dealt::Now);
            assert_eq!(folder.deal(member, &mut rng).unwrap(), Dealt::Before);
        }
        // The other's dealing is not there yet, and is named.
        let text = opened[0].build(&mut rng).unwrap_err().to_string();
        assert!(
            text.contains(&public_key(&members[1].public()).to_string()),
            "{text}"
        );
        for (from, to) in [(0, 1), (1, 0)] {
            let name = file_name(&members[from].public());
            let path = |at: usize| folders[at].path().join("dealings").join(&name);
            fs::copy(path(from), path(to)).unwrap();
        }
        let network = opened[0].build(&mut rng).unwrap();
        assert_eq!(network, opened[1].build(&mut rng).unwrap());
        network.write(&opened[0].network_path()).unwrap();
        let (joined, share) = opened[0].join(&members[0], &mut rng).unwrap();
        assert_eq!((&joined, joined.hash()), (&network, network.hash()));
        assert!(network.committee.holds(&members[0].public(), &share));
        assert!(!network.committee.holds(&members[1].public(), &share));

        // A network that was changed on the way has another hash, and is refused by whoever joins.
        let mut moved = network.clone();
        moved.addresses.insert(
            public_key(&members[1].public()),
            "10.6.6.6:26600".parse().unwrap(),
        );
        assert_ne!(moved.hash(), network.hash());
        moved.write(&opened[0].network_path()).unwrap();
        let text = opened[0].join(&members[0], &mut rng).err().unwrap().to_string();
        assert!(text.contains(&hex::encode(moved.hash())), "{text}");

        // Another plan is another chain: what was dealt for the first does not count, and is dealt anew.
        found(folders[0].path(), &PLAN.replace("= 5", "= 6"), &members);
        let other = FoundingFolder::open(folders[0].path()).unwrap();
        assert!(matches!(
            other.build(&mut rng),
            Err(FoundingError::Dealing(DealingError::Wrong(_)))
        ));
        assert_eq!(other.deal(&members[0], &mut rng).unwrap(), Dealt::Now);
    }

    #[test]
    fn what_makes_no_founding_is_named() {
        let mut rng = StdRng::seed_from_u64(9);
        let folder = tempfile::tempdir().unwrap();
        let why = || FoundingFolder::open(folder.path()).err().unwrap().to_string();
        assert!(why().contains("plan.toml"), "{}", why());
        let member = Secrets::generate(&mut rng);
        found(
            folder.path(),
            &format!("{PLAN}color = 'red'"),
            std::slice::from_ref(&member),
        );
        assert!(why().contains("color"), "{}", why());
        found(folder.path(), &PLAN.replace("local", "custom"), &[]);
        assert!(why().contains("std"), "{}", why());
        found(folder.path(), &PLAN.replace("2000000000000", "2"), &[]);
        assert!(why().contains("stake"), "{}", why());
        let entry = folder.path().join("entries").join(file_name(&member.public()));
        fs::rename(&entry, folder.path().join("entries/mine.json")).unwrap();
        found(folder.path(), PLAN, &[]);
        assert!(why().contains("mine.json"), "{}", why());
    }
}
