//! A localnet's folder: genesis, the committee, and every validator's secrets.
//!
//! ```text
//! DIR/lock                         held by the running localnet
//! DIR/version                      written first, and kept: what else has these names is the localnet's own
//! DIR/genesis.json                 written last: a folder without it is no network yet
//! DIR/committee.json               the public polynomial and the members' identities
//! DIR/faucet.json                  the faucet's secret                         (mode 600)
//! DIR/validator-N/secrets.json     identity, threshold share, account          (mode 600)
//! DIR/validator-N/storage/         everything the validator remembers
//! DIR/validator-N/storage/chain    of which network
//! DIR/blobs/                       content that the network's nodes keep
//! DIR/auditors/                    what the validators' auditors have sent
//! ```
//!
//! A folder may hold other things besides. They are never changed and never deleted: see
//! [`erase`].

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use commonware_codec::{DecodeExt as _, Read as _};
use commonware_cryptography::{
    Signer as _,
    bls12381::primitives::{
        group::Share,
        sharing::{ModeVersion, Sharing},
    },
    ed25519,
};
use commonware_utils::{NZU32, TryCollect as _};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use soma_files::{FileError, Lock, LockError, replace, replace_private};
use soma_node::consensus::{Identity, Variant, public_key};
use soma_types::{
    Keypair, Shannons,
    amount::SHANNONS_PER_SOMA,
    genesis::{Genesis, GenesisAccount, GenesisError, GenesisValidator, GenesisWeights},
    params::{COMMITTEE_SIZE_MAX, Params},
    text::printable,
    transaction::BasisPoints,
};

use crate::{
    dealer::{Dealt, Member},
    erase,
};

/// How this software lays out a folder and the storage in it. Another number is another, unreadable layout.
pub const VERSION: u32 = 2;
/// A folder without a version was laid out before there were any.
const VERSION_BEFORE: &str = "1";
/// What stands before the number, so that nobody's own file of this name is taken for the localnet's.
const VERSION_PREFIX: &str = "soma localnet ";

/// Each validator's own stake at genesis.
const VALIDATOR_STAKE: Shannons = Shannons(10_000 * SHANNONS_PER_SOMA);
/// Each validator's spendable balance at genesis, for its fees.
const VALIDATOR_BALANCE: Shannons = Shannons(1_000 * SHANNONS_PER_SOMA);
/// What the faucet starts with.
const FAUCET_BALANCE: Shannons = Shannons(1_000_000 * SHANNONS_PER_SOMA);

/// How much [`Folder::probe`] writes: what a validator's journals take at a time, and some more.
const PROBE_BYTES: usize = 1 << 20;

/// Why a localnet's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process runs it.
    #[error("another localnet is running in '{0}': stop it, or use another folder with --dir")]
    Locked(PathBuf),
    /// A network of other software.
    #[error(
        "the network in '{path}' was made by another version of soma: its folder has layout {found}, this one \
         reads and writes {VERSION}"
    )]
    OtherVersion {
        /// The folder.
        path: PathBuf,
        /// Its layout.
        found: String,
    },
    /// Someone's own file has a name that a localnet needs.
    #[error("'{0}' is not a localnet's, and is in the way of one")]
    InTheWay(PathBuf),
    /// What should be deleted is no localnet.
    #[error("{0} holds other things than a localnet")]
    Foreign(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {action} '{path}': {reason}")]
    Io {
        /// Reading, writing, ...
        action: &'static str,
        /// What was read or written.
        path: PathBuf,
        /// In words, with what to do.
        reason: String,
    },
    /// A file holds something else.
    #[error("'{path}' is damaged ({reason}): restore it from a copy, or make a new network with --force")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The network asked for makes no sense.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// Too few or too many validators.
    #[error("a localnet has 1 to {COMMITTEE_SIZE_MAX} validators, not {0}")]
    Validators(u32),
}

impl From<FileError> for FolderError {
    fn from(FileError { action, path, source }: FileError) -> Self {
        let reason = match source.kind() {
            io::ErrorKind::StorageFull => "the disk is full: free some space".to_owned(),
            io::ErrorKind::ReadOnlyFilesystem => {
                "the disk is read-only: use a folder that can be written".to_owned()
            }
            io::ErrorKind::PermissionDenied => "permission denied: use a folder you own".to_owned(),
            _ => source.to_string(),
        };
        Self::Io { action, path, reason }
    }
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |source| {
        FolderError::from(FileError {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> FolderError {
    FolderError::Damaged {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitteeFile {
    network_key: String,
    polynomial: String,
    identities: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretsFile {
    identity: String,
    share: String,
    account: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaucetFile {
    account: String,
}

/// What to do with the network that a folder holds already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Go on with it.
    Keep,
    /// Delete it, and make a new one.
    Delete,
}

/// A localnet folder, locked. Dropping it releases the lock.
pub struct Place {
    directory: PathBuf,
    _lock: Lock,
}

impl Place {
    /// Locks `directory`, which is made if needed. Nothing else in it changes.
    ///
    /// # Errors
    /// If it is in use, cannot be read or written, or holds something that is not a localnet and should be
    /// deleted.
    pub fn lock(directory: &Path, existing: Existing) -> Result<Self, FolderError> {
        if existing == Existing::Delete && version(directory)?.is_none() && holds_anything(directory)? {
            return Err(FolderError::Foreign(directory.to_owned()));
        }
        let lock = Lock::acquire(directory).map_err(|error| match error {
            LockError::Held(_) => FolderError::Locked(directory.to_owned()),
            LockError::File(error) => error.into(),
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// How many validators the network has that [`Self::open`] will find or make.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub fn validators(&self, blueprint: &Blueprint, existing: Existing) -> Result<usize, FolderError> {
        let genesis = self.directory.join("genesis.json");
        if existing == Existing::Delete || !genesis.exists() {
            return match blueprint.validators {
                count @ 1..=COMMITTEE_SIZE_MAX => Ok(count as usize),
                count => Err(FolderError::Validators(count)),
            };
        }
        check_version(&self.directory)?;
        Ok(read_json::<Genesis>(&genesis)?.validators.len())
    }

    /// Opens the network, or makes a new one after `blueprint` with secrets from `rng`. `now_ms` becomes a
    /// new network's starting time.
    ///
    /// # Errors
    /// If the folder cannot be read or written, is damaged, or holds what a new network would write over.
    pub fn open(
        self,
        blueprint: &Blueprint,
        existing: Existing,
        rng: impl CryptoRng,
        now_ms: u64,
    ) -> Result<Folder, FolderError> {
        if existing == Existing::Delete || !self.directory.join("genesis.json").exists() {
            create(&self.directory, blueprint, rng, now_ms)?;
        }
        check_version(&self.directory)?;
        let folder = load(self)?;
        for index in 0..folder.dealt.members.len() {
            folder.claim_storage(index)?;
        }
        Ok(folder)
    }
}

/// A locked localnet folder with its network loaded. Dropping it releases the lock.
pub struct Folder {
    place: Place,
    /// The genesis.
    pub genesis: Genesis,
    /// The committee with its secrets.
    pub dealt: Dealt,
    /// The validators' accounts, in the order of the committee.
    pub accounts: Vec<Keypair>,
    /// The faucet's account.
    pub faucet: Keypair,
}

impl Folder {
    /// Whether the folder is still there, and its disk takes anything: writes and removes [`PROBE_BYTES`].
    ///
    /// # Errors
    /// Why it does not.
    pub fn probe(&self) -> Result<(), FolderError> {
        let directory = &self.place.directory;
        let genesis = directory.join("genesis.json");
        fs::metadata(&genesis).map_err(io_error("find", &genesis))?;
        let write = || {
            // Without a name, so that it is in nobody's way and gone when it is closed.
            let mut file = tempfile::tempfile_in(directory)?;
            file.write_all(&vec![1; PROBE_BYTES])?;
            file.sync_all()
        };
        write().map_err(io_error("write a file in", directory))
    }

    /// Whether the storage of validator `index` is this network's; new storage becomes so.
    fn claim_storage(&self, index: usize) -> Result<(), FolderError> {
        let storage = self.storage(index);
        let path = storage.join("chain");
        let chain = self.genesis.chain_id().to_string();
        fs::create_dir_all(&storage).map_err(io_error("create", &storage))?;
        match fs::read_to_string(&path) {
            Ok(found) if found.trim() == chain => Ok(()),
            Ok(found) => {
                let found = printable(found.trim()).into_owned();
                let reason =
                    format!("this is storage of the network {found}, and genesis.json makes {chain}");
                Err(damaged(&storage, reason))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let entries = fs::read_dir(&storage).map_err(io_error("read", &storage))?;
                // The engine's files are in folders.
                if entries.flatten().any(|entry| entry.path().is_dir()) {
                    return Err(damaged(
                        &storage,
                        "'chain' is missing, so it may be any network's",
                    ));
                }
                Ok(replace(&path, format!("{chain}\n").as_bytes())?)
            }
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Where validator `index` keeps its state.
    #[must_use]
    pub fn storage(&self, index: usize) -> PathBuf {
        self.place
            .directory
            .join(format!("validator-{index}"))
            .join("storage")
    }

    /// Where content is kept.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.place.directory.join("blobs")
    }
}

fn encode_hex(value: &impl commonware_codec::Encode) -> String {
    format!("0x{}", hex::encode(value.encode()))
}

fn decode_hex(path: &Path, text: &str) -> Result<Vec<u8>, FolderError> {
    let digits = text
        .strip_prefix("0x")
        .ok_or_else(|| damaged(path, "a value lacks its 0x"))?;
    hex::decode(digits).map_err(|error| damaged(path, error))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("plain data is JSON")
}

/// The layout of the localnet in `directory`, as it says; `None` where there is none, nor what is left of
/// one.
fn version(directory: &Path) -> Result<Option<String>, FolderError> {
    let path = directory.join("version");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text
            .strip_prefix(VERSION_PREFIX)
            .map(|number| printable(number.trim()).into_owned())),
        Err(error) if is_absent(&error) => {
            let before = read_json::<CommitteeFile>(&directory.join("committee.json")).is_ok();
            Ok(before.then(|| VERSION_BEFORE.to_owned()))
        }
        // Text it would be.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(io_error("read", &path)(error)),
    }
}

/// Whether a path names nothing. What is below a file is reported when the folder is made.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether this software reads the network in `directory`.
fn check_version(directory: &Path) -> Result<(), FolderError> {
    match version(directory)? {
        Some(found) if found == VERSION.to_string() => Ok(()),
        Some(found) => Err(FolderError::OtherVersion {
            path: directory.to_owned(),
            found,
        }),
        None => Err(FolderError::InTheWay(directory.join("genesis.json"))),
    }
}

/// Whether there is anything in `directory` but its lock.
fn holds_anything(directory: &Path) -> Result<bool, FolderError> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.flatten().any(|entry| entry.file_name() != "lock")),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(io_error("read", directory)(error)),
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, FolderError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, error))
}

fn create(
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
        let secrets = SecretsFile {
            identity: encode_hex(&member.identity),
            share: encode_hex(&member.share),
            account: format!("0x{}", hex::encode(keys.to_secret_bytes())),
        };
        replace_private(&folder.join("secrets.json"), &json(&secrets))?;
    }
    let faucet = FaucetFile {
        account: format!("0x{}", hex::encode(faucet.to_secret_bytes())),
    };
    replace_private(&directory.join("faucet.json"), &json(&faucet))?;
    let committee = CommitteeFile {
        network_key: format!("0x{}", hex::encode(dealt.network_key())),
        polynomial: encode_hex(&dealt.polynomial),
        identities: dealt.identities.iter().map(encode_hex).collect(),
    };
    replace(&directory.join("committee.json"), &json(&committee))?;
    Ok(replace(&directory.join("genesis.json"), &json(&genesis))?)
}

fn keypair(path: &Path, text: &str) -> Result<Keypair, FolderError> {
    let secret = decode_hex(path, text)?
        .try_into()
        .map_err(|_| damaged(path, "an account's secret has 32 bytes"))?;
    Ok(Keypair::from_secret_bytes(secret))
}

fn load(place: Place) -> Result<Folder, FolderError> {
    let directory = &place.directory;
    let genesis: Genesis = read_json(&directory.join("genesis.json"))?;
    genesis.validate()?;
    let path = directory.join("committee.json");
    let committee: CommitteeFile = read_json(&path)?;
    let polynomial = decode_hex(&path, &committee.polynomial)?;
    let polynomial = Sharing::<Variant>::read_cfg(
        &mut bytes::Bytes::from(polynomial),
        &(NZU32!(COMMITTEE_SIZE_MAX), ModeVersion::v0()),
    )
    .map_err(|error| damaged(&path, error))?;
    let mut identities = Vec::new();
    for text in &committee.identities {
        identities.push(Identity::decode(decode_hex(&path, text)?).map_err(|error| damaged(&path, error))?);
    }
    let (mut members, mut accounts) = (Vec::new(), Vec::new());
    for (index, identity) in identities.iter().enumerate() {
        let path = directory.join(format!("validator-{index}")).join("secrets.json");
        let secrets: SecretsFile = read_json(&path)?;
        let member = Member {
            identity: ed25519::PrivateKey::decode(decode_hex(&path, &secrets.identity)?)
                .map_err(|error| damaged(&path, error))?,
            share: Share::decode(decode_hex(&path, &secrets.share)?)
                .map_err(|error| damaged(&path, error))?,
        };
        let fits = member.identity.public_key() == *identity
            && polynomial.partial_public(member.share.index).ok() == Some(member.share.public::<Variant>());
        if !fits {
            return Err(damaged(&path, "its keys are not this committee's"));
        }
        members.push(member);
        accounts.push(keypair(&path, &secrets.account)?);
    }
    let path = directory.join("faucet.json");
    let faucet: FaucetFile = read_json(&path)?;
    let faucet = keypair(&path, &faucet.account)?;
    let identities = identities
        .into_iter()
        .try_collect()
        .map_err(|_| damaged(&path, "an identity is listed twice"))?;
    Ok(Folder {
        place,
        genesis,
        dealt: Dealt {
            identities,
            polynomial,
            members,
        },
        accounts,
        faucet,
    })
}
