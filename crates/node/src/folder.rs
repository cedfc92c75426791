//! A localnet's folder: genesis, the committee, and every validator's secrets.
//!
//! ```text
//! DIR/lock                      held by the running localnet
//! DIR/genesis.json              written last: a folder without it is no network yet
//! DIR/committee.json            the public polynomial and the members' identities
//! DIR/faucet.json               the faucet's secret                         (mode 600)
//! DIR/validator-N/secrets.json  identity, threshold share, account          (mode 600)
//! DIR/validator-N/storage/      everything the validator remembers
//! DIR/blobs/                    content that the network's nodes keep
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use commonware_codec::{DecodeExt as _, Encode as _, Read as _};
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
use soma_types::{
    Keypair, PublicKey, Shannons,
    amount::SHANNONS_PER_SOMA,
    genesis::{Genesis, GenesisAccount, GenesisError, GenesisValidator, GenesisWeights},
    params::{COMMITTEE_SIZE_MAX, Params},
    transaction::BasisPoints,
};

use crate::{
    consensus::{Identity, Variant},
    dealer::{Dealt, Member},
};

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
    /// A file cannot be read or written.
    #[error("cannot {action} '{path}': {reason}")]
    Io {
        /// Reading, writing, ...
        action: &'static str,
        /// What.
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

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |error| {
        let reason = match error.kind() {
            io::ErrorKind::StorageFull => "the disk is full: free some space".to_owned(),
            io::ErrorKind::ReadOnlyFilesystem => {
                "the disk is read-only: use a folder that can be written".to_owned()
            }
            io::ErrorKind::PermissionDenied => "permission denied: use a folder you own".to_owned(),
            _ => error.to_string(),
        };
        FolderError::Io {
            action,
            path: path.to_owned(),
            reason,
        }
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

/// A locked localnet folder with its network loaded. Dropping it releases the lock.
pub struct Folder {
    directory: PathBuf,
    /// The genesis.
    pub genesis: Genesis,
    /// The committee with its secrets.
    pub dealt: Dealt,
    /// The validators' accounts, in the order of the committee.
    pub accounts: Vec<Keypair>,
    /// The faucet's account.
    pub faucet: Keypair,
    _lock: File,
}

impl Folder {
    /// Opens the network in `directory`, or makes a new one after `blueprint` with secrets from `rng`.
    /// `now_ms` becomes a new network's starting time.
    ///
    /// # Errors
    /// If the folder is in use, cannot be read or written, or is damaged.
    pub fn open(
        directory: &Path,
        blueprint: &Blueprint,
        rng: impl CryptoRng,
        now_ms: u64,
    ) -> Result<Self, FolderError> {
        fs::create_dir_all(directory).map_err(io_error("create", directory))?;
        let lock_path = directory.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io_error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::Locked(directory.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &lock_path)(error)),
        }
        if !directory.join("genesis.json").exists() {
            create(directory, blueprint, rng, now_ms)?;
        }
        load(directory, lock)
    }

    /// Writes and removes [`PROBE_BYTES`] to see whether the disk takes anything.
    ///
    /// # Errors
    /// Why it does not.
    pub fn probe(&self) -> Result<(), FolderError> {
        let path = self.directory.join("probe.tmp");
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(&vec![1; PROBE_BYTES])?;
            file.sync_all()
        };
        let written = write();
        // It may not be there.
        let _ = fs::remove_file(&path);
        written.map_err(io_error("write", &path))
    }

    /// Where validator `index` keeps its state.
    #[must_use]
    pub fn storage(&self, index: usize) -> PathBuf {
        self.directory.join(format!("validator-{index}")).join("storage")
    }

    /// Where content is kept.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.directory.join("blobs")
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

fn write_json(path: &Path, value: &impl Serialize, secret: bool) -> Result<(), FolderError> {
    let bytes = serde_json::to_vec_pretty(value).expect("plain data is JSON");
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut file = options.open(&temporary).map_err(io_error("write", &temporary))?;
    file.write_all(&bytes).map_err(io_error("write", &temporary))?;
    file.sync_all().map_err(io_error("write", &temporary))?;
    fs::rename(&temporary, path).map_err(io_error("write", path))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, FolderError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, error))
}

fn public_key(identity: &Identity) -> PublicKey {
    PublicKey(
        identity
            .encode()
            .as_ref()
            .try_into()
            .expect("an Ed25519 public key has 32 bytes"),
    )
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

    for (index, (member, keys)) in dealt.members.iter().zip(&accounts).enumerate() {
        let folder = directory.join(format!("validator-{index}"));
        // What an interrupted attempt left belongs to other keys.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io_error("remove", &folder))?;
        }
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        let secrets = SecretsFile {
            identity: encode_hex(&member.identity),
            share: encode_hex(&member.share),
            account: format!("0x{}", hex::encode(keys.to_secret_bytes())),
        };
        write_json(&folder.join("secrets.json"), &secrets, true)?;
    }
    let faucet = FaucetFile {
        account: format!("0x{}", hex::encode(faucet.to_secret_bytes())),
    };
    write_json(&directory.join("faucet.json"), &faucet, true)?;
    let committee = CommitteeFile {
        network_key: format!("0x{}", hex::encode(dealt.network_key())),
        polynomial: encode_hex(&dealt.polynomial),
        identities: dealt.identities.iter().map(encode_hex).collect(),
    };
    write_json(&directory.join("committee.json"), &committee, false)?;
    write_json(&directory.join("genesis.json"), &genesis, false)
}

fn keypair(path: &Path, text: &str) -> Result<Keypair, FolderError> {
    let secret = decode_hex(path, text)?
        .try_into()
        .map_err(|_| damaged(path, "an account's secret has 32 bytes"))?;
    Ok(Keypair::from_secret_bytes(secret))
}

fn load(directory: &Path, lock: File) -> Result<Folder, FolderError> {
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
        directory: directory.to_owned(),
        genesis,
        dealt: Dealt {
            identities,
            polynomial,
            members,
        },
        accounts,
        faucet,
        _lock: lock,
    })
}
