//! Reading what a folder holds.

use std::{fs, io, path::Path};

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
use serde::Deserialize;
use soma_node::consensus::{Identity, Variant};
use soma_types::{Keypair, genesis::Genesis, params::COMMITTEE_SIZE_MAX, text::printable};

use super::{
    error::{FolderError, damaged, io_error},
    layout::{CommitteeFile, FaucetFile, SecretsFile, VERSION, VERSION_BEFORE, VERSION_PREFIX},
};
use crate::dealer::{Dealt, Member};

/// A network, with all its secrets.
pub(super) struct Network {
    pub genesis: Genesis,
    pub dealt: Dealt,
    pub accounts: Vec<Keypair>,
    pub faucet: Keypair,
}

/// The network in `directory`.
pub(super) fn load(directory: &Path) -> Result<Network, FolderError> {
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
    Ok(Network {
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

fn keypair(path: &Path, text: &str) -> Result<Keypair, FolderError> {
    let secret = decode_hex(path, text)?
        .try_into()
        .map_err(|_| damaged(path, "an account's secret has 32 bytes"))?;
    Ok(Keypair::from_secret_bytes(secret))
}

/// The layout of the localnet in `directory`, as it says; `None` where there is none, nor what is left of
/// one.
pub(super) fn version(directory: &Path) -> Result<Option<String>, FolderError> {
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

/// Whether this software reads the network in `directory`.
pub(super) fn check_version(directory: &Path) -> Result<(), FolderError> {
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
pub(super) fn holds_anything(directory: &Path) -> Result<bool, FolderError> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.flatten().any(|entry| entry.file_name() != "lock")),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(io_error("read", directory)(error)),
    }
}

/// Whether a path names nothing. What is below a file is reported when the folder is made.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

pub(super) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, FolderError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, error))
}

fn decode_hex(path: &Path, text: &str) -> Result<Vec<u8>, FolderError> {
    let digits = text
        .strip_prefix("0x")
        .ok_or_else(|| damaged(path, "a value lacks its 0x"))?;
    hex::decode(digits).map_err(|error| damaged(path, error))
}
